package crawler_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/policy"
)

// serveDNS answers on a free port until the test ends.
func serveDNS(t *testing.T, answer dns.HandlerFunc) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, Handler: answer, NotifyStartedFunc: func() { close(started) }}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = s.Shutdown(); <-done })
	addr := pc.LocalAddr().String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", addr)
	}}
}

// settled asks until the claim is no longer pending.
func settled(t *testing.T, v *crawler.Verifier, addr string) policy.Crawler {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, state := v.Check(google, netip.MustParseAddr(addr), time.Now()); state != policy.Pending {
			return state
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return policy.Pending
		}
	}
}

// The resolver of the standard library against a server: what it makes of names
// that are none, of a name that is not there, and of a server that fails.
func TestRealDNS(t *testing.T) {
	r := serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 1}
		ptr := func(name string) { m.Answer = append(m.Answer, &dns.PTR{Hdr: head, Ptr: name}) }
		switch q.Question[0].Name {
		case "1.66.249.66.in-addr.arpa.":
			ptr("crawl-66-249-66-1.googlebot.com.")
		case "crawl-66-249-66-1.googlebot.com.":
			if head.Rrtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{Hdr: head, A: net.IPv4(66, 249, 66, 1)})
			}
		case "66.113.0.203.in-addr.arpa.":
			ptr(`\<script\>alert\(1\)\<\/script\>.googlebot.com.`)
			ptr(`a\010b.googlebot.com.`)
		case "67.113.0.203.in-addr.arpa.":
			ptr("crawl-203-0-113-67.googlebot.com.")
		case "68.113.0.203.in-addr.arpa.":
			m.Rcode = dns.RcodeServerFailure
		case "69.113.0.203.in-addr.arpa.":
			m.Rcode = dns.RcodeRefused
		default:
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})
	v, err := crawler.New(crawler.Config{LookupAddr: r.LookupAddr, LookupHost: r.LookupHost, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for addr, want := range map[string]policy.Crawler{
		"66.249.66.1":  policy.Verified,
		"203.0.113.66": policy.Failed, // names that are none
		"203.0.113.67": policy.Failed, // E2: no forward
		"203.0.113.70": policy.Failed, // E1: no name
	} {
		if got := settled(t, v, addr); got != want {
			t.Errorf("%s is %v, want %v", addr, got, want)
		}
	}
	for _, addr := range []string{"203.0.113.68", "203.0.113.69"} {
		before := v.Stats().Unanswered
		for v.Stats().Unanswered == before && !t.Failed() {
			if _, state := v.Check(google, netip.MustParseAddr(addr), time.Now()); state != policy.Pending {
				t.Errorf("%s is %v, and the server failed", addr, state)
			}
		}
	}
}

// A server that never answers holds nobody, and Close does not wait for it.
func TestSilentDNS(t *testing.T) {
	asked := make(chan struct{}, 100)
	r := serveDNS(t, func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	v, err := crawler.New(crawler.Config{LookupAddr: r.LookupAddr, LookupHost: r.LookupHost, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	check(t, v, "203.0.113.66", policy.Pending)
	<-asked
	check(t, v, "203.0.113.66", policy.Pending)
	closed := make(chan struct{})
	go func() { v.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("Close waits for DNS")
	}
}
