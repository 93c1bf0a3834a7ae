package dnsbl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// chaos is a DNS server on UDP and TCP that sends what the test says.
type chaos struct {
	addr     string
	udp, tcp atomic.Int64
}

// sends is what goes back for a question, in this order; over TCP each behind its
// length. Nothing: no answer.
type sends func(q *dns.Msg, tcp bool) [][]byte

func newChaos(t *testing.T, answer sends) *chaos {
	t.Helper()
	c := &chaos{}
	var pc net.PacketConn
	var ln net.Listener
	for range 50 { // one port for both
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if ln, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		pc.Close()
		ln = nil
	}
	if ln == nil {
		t.Fatal("there is no port that is free for UDP and TCP")
	}
	c.addr = pc.LocalAddr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			c.udp.Add(1)
			var q dns.Msg
			if q.Unpack(buf[:n]) != nil {
				t.Error("a question cannot be read")
				continue
			}
			for _, b := range answer(&q, false) {
				_, _ = pc.WriteTo(b, from)
			}
		}
	})
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.tcp.Add(1)
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				var length [2]byte
				if _, err := io.ReadFull(conn, length[:]); err != nil {
					return
				}
				b := make([]byte, binary.BigEndian.Uint16(length[:]))
				if _, err := io.ReadFull(conn, b); err != nil {
					return
				}
				var q dns.Msg
				if q.Unpack(b) != nil {
					t.Error("a question cannot be read")
					return
				}
				for _, b := range answer(&q, true) {
					_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
				}
				_, _ = conn.Read(length[:]) // until the other side has enough
			})
		}
	})
	t.Cleanup(func() { pc.Close(); ln.Close(); wg.Wait() })
	return c
}

// reply answers with records in the zone format, in which @ is the question's name.
func reply(t *testing.T, q *dns.Msg, change func(*dns.Msg), records ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetReply(q)
	for _, s := range records {
		rr, err := dns.NewRR(strings.ReplaceAll(s, "@", q.Question[0].Name))
		if err != nil {
			t.Error(err)
			continue
		}
		if rr.Header().Rrtype == dns.TypeSOA {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

func rcode(code int) func(*dns.Msg) { return func(m *dns.Msg) { m.Rcode = code } }

const asked = "142.69.2.81.bl.example."

// ask puts one question to resolvers.
func ask(t *testing.T, timeout time.Duration, qtype uint16, addrs ...string) (answer, error) {
	t.Helper()
	cfg := Config{Resolvers: addrs, Timeout: timeout, Tries: 3, Dial: (&net.Dialer{}).DialContext}
	return newResolver(&cfg).ask(t.Context(), asked, qtype)
}

const long = 20 * time.Second // a time-out that nobody should meet

// What a server may send, and what is made of it.
func TestChaos(t *testing.T) {
	many := func(n int) (rrs []string) {
		for i := range n {
			rrs = append(rrs, fmt.Sprintf("@ 60 A 127.0.1.%d", i))
		}
		return rrs
	}
	other := func(f func(m *dns.Msg)) func(*testing.T, *dns.Msg, bool) [][]byte {
		return func(t *testing.T, q *dns.Msg, _ bool) [][]byte {
			// What is no answer comes first, and the answer after it.
			return [][]byte{reply(t, q, f, "@ 60 A 127.0.0.66"), reply(t, q, nil, "@ 60 A 127.0.0.2")}
		}
	}
	plainly := func(change func(*dns.Msg), records ...string) func(*testing.T, *dns.Msg, bool) [][]byte {
		return func(t *testing.T, q *dns.Msg, _ bool) [][]byte { return [][]byte{reply(t, q, change, records...)} }
	}
	for name, c := range map[string]struct {
		sends func(t *testing.T, q *dns.Msg, tcp bool) [][]byte
		addrs string
		ttl   uint32
		err   string
		tcp   bool
	}{
		"listed":                   {sends: plainly(nil, "@ 60 A 127.0.0.2", "@ 30 A 127.0.0.4"), addrs: "127.0.0.2 127.0.0.4", ttl: 30},
		"listed, in other letters": {sends: plainly(nil, "142.69.2.81.BL.eXample. 60 A 127.0.0.2"), addrs: "127.0.0.2", ttl: 60},
		"not listed":               {sends: plainly(rcode(dns.RcodeNameError), "bl.example. 900 SOA a. b. 1 2 3 4 30"), ttl: 30},
		"nothing of that type":     {sends: plainly(nil, "bl.example. 20 SOA a. b. 1 2 3 4 30"), ttl: 20},
		"another zone's SOA":       {sends: plainly(rcode(dns.RcodeNameError), "other.example. 900 SOA a. b. 1 2 3 4 30")},
		"records of others":        {sends: plainly(nil, "other.example. 60 A 127.0.0.2", "@ 60 TXT text")},
		"another class":            {sends: plainly(nil, "@ 60 CH A 127.0.0.2")},
		"wrong ID":                 {sends: other(func(m *dns.Msg) { m.Id++ }), addrs: "127.0.0.2", ttl: 60},
		"wrong question": {sends: other(func(m *dns.Msg) {
			m.Question[0].Name = "143.69.2.81.bl.example."
			m.Answer[0].Header().Name = m.Question[0].Name
		}), addrs: "127.0.0.2", ttl: 60},
		"wrong type":    {sends: other(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }), addrs: "127.0.0.2", ttl: 60},
		"wrong class":   {sends: other(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), addrs: "127.0.0.2", ttl: 60},
		"no question":   {sends: other(func(m *dns.Msg) { m.Question = nil }), addrs: "127.0.0.2", ttl: 60},
		"two questions": {sends: other(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), addrs: "127.0.0.2", ttl: 60},
		"a question":    {sends: other(func(m *dns.Msg) { m.Response = false }), addrs: "127.0.0.2", ttl: 60},
		"an update":     {sends: other(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), addrs: "127.0.0.2", ttl: 60},
		"junk": {sends: func(t *testing.T, q *dns.Msg, _ bool) [][]byte {
			good := reply(t, q, nil, "@ 60 A 127.0.0.2")
			cut := good[:len(good)-2]
			return [][]byte{{}, {1}, make([]byte, 4000), cut, good}
		}, addrs: "127.0.0.2", ttl: 60},
		"a flood of junk": {sends: func(t *testing.T, q *dns.Msg, _ bool) (all [][]byte) {
			for range 3 * maxStrays {
				all = append(all, []byte("junk"))
			}
			return all
		}, err: "messages that are no answer"},
		"NXDOMAIN that has it":           {sends: plainly(rcode(dns.RcodeNameError), "@ 60 A 127.0.0.2"), err: "no such name, and what it has"},
		"SERVFAIL":                       {sends: plainly(rcode(dns.RcodeServerFailure)), err: "SERVFAIL"},
		"REFUSED":                        {sends: plainly(rcode(dns.RcodeRefused)), err: "REFUSED"},
		"an unknown code":                {sends: plainly(rcode(14)), err: "the resolver says 14"},
		"many records":                   {sends: plainly(nil, many(maxRecords)...), addrs: strings.Join(addrsOf(many(maxRecords)), " "), ttl: 60},
		"too many records":               {sends: plainly(nil, many(maxRecords+1)...), err: "65 records"},
		"CNAME":                          {sends: plainly(nil, "@ 50 CNAME a.example.", "a.example. 60 A 127.0.0.2"), addrs: "127.0.0.2", ttl: 50},
		"CNAMEs in another order":        {sends: plainly(nil, "b.example. 60 A 127.0.0.2", "a.example. 40 CNAME b.example.", "@ 50 CNAME a.example."), addrs: "127.0.0.2", ttl: 40},
		"CNAME to nowhere":               {sends: plainly(rcode(dns.RcodeNameError), "@ 50 CNAME a.example.")},
		"CNAME, and another's address":   {sends: plainly(nil, "@ 50 CNAME a.example.", "b.example. 60 A 127.0.0.2")},
		"CNAME, and the first's as well": {sends: plainly(nil, "@ 50 CNAME a.example.", "@ 60 A 127.0.0.2")},
		"a ring of CNAMEs":               {sends: plainly(nil, "@ 50 CNAME a.example.", "a.example. 50 CNAME @"), err: "a ring"},
		"a long chain of CNAMEs": {sends: plainly(nil, "@ 5 CNAME a.", "a. 5 CNAME b.", "b. 5 CNAME c.", "c. 5 CNAME d.", "d. 5 CNAME e.", "e. 5 CNAME f.",
			"f. 5 CNAME g.", "g. 5 CNAME h.", "h. 5 CNAME i.", "i. 5 A 127.0.0.2"), err: "more than 8 CNAMEs"},
		"truncated": {sends: func(t *testing.T, q *dns.Msg, tcp bool) [][]byte {
			if tcp {
				return [][]byte{reply(t, q, nil, "@ 60 A 127.0.0.2", "@ 60 A 127.0.0.3")}
			}
			return [][]byte{reply(t, q, func(m *dns.Msg) { m.Truncated = true }, "@ 60 A 127.0.0.66")}
		}, addrs: "127.0.0.2 127.0.0.3", ttl: 60, tcp: true},
		"truncated over TCP too": {sends: plainly(func(m *dns.Msg) { m.Truncated = true }), err: "truncated over TCP", tcp: true},
		"truncated, then another's answer": {sends: func(t *testing.T, q *dns.Msg, tcp bool) [][]byte {
			return [][]byte{reply(t, q, func(m *dns.Msg) {
				if m.Truncated = !tcp; tcp {
					m.Id++
				}
			}, "@ 60 A 127.0.0.2")}
		}, err: "no answer to the question", tcp: true},
		"truncated, then huge": {sends: func(t *testing.T, q *dns.Msg, tcp bool) [][]byte {
			if tcp {
				return [][]byte{make([]byte, 60_000)}
			}
			return [][]byte{reply(t, q, func(m *dns.Msg) { m.Truncated = true })}
		}, err: "60000 bytes", tcp: true},
		"does not know EDNS": {sends: func(t *testing.T, q *dns.Msg, _ bool) [][]byte {
			if q.IsEdns0() != nil {
				return [][]byte{reply(t, q, func(m *dns.Msg) { m.Rcode = dns.RcodeFormatError; m.Question = nil })}
			}
			return [][]byte{reply(t, q, nil, "@ 60 A 127.0.0.2")}
		}, addrs: "127.0.0.2", ttl: 60},
	} {
		t.Run(name, func(t *testing.T) {
			s := newChaos(t, func(q *dns.Msg, tcp bool) [][]byte { return c.sends(t, q, tcp) })
			a, err := ask(t, long, dns.TypeA, s.addr)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%+v, %v; want %q", a, err, c.err)
				}
				if len(a.addrs) != 0 {
					t.Errorf("%v beside an error", a.addrs)
				}
				return
			}
			var got []string
			for _, x := range a.addrs {
				got = append(got, x.String())
			}
			if err != nil || strings.Join(got, " ") != c.addrs || a.ttl != c.ttl {
				t.Errorf("%v, TTL %d, %v; want %q, TTL %d", got, a.ttl, err, c.addrs, c.ttl)
			}
			if (s.tcp.Load() > 0) != c.tcp {
				t.Errorf("%d connections over TCP", s.tcp.Load())
			}
		})
	}
}

func addrsOf(records []string) (addrs []string) {
	for _, r := range records {
		f := strings.Fields(r)
		addrs = append(addrs, f[len(f)-1])
	}
	return addrs
}

// Questions have random IDs and ports, say what they take, and one at a time.
func TestQuestions(t *testing.T) {
	var mu sync.Mutex
	ids, ports := map[uint16]bool{}, map[string]bool{}
	s := newChaos(t, func(q *dns.Msg, _ bool) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		ids[q.Id] = true
		if o := q.IsEdns0(); o == nil || o.UDPSize() != maxUDP || !q.RecursionDesired || len(q.Question) != 1 || q.Question[0].Name != asked {
			t.Errorf("%v", q)
		}
		return [][]byte{reply(t, q, nil)}
	})
	cfg := Config{Resolvers: []string{s.addr}, Timeout: long, Tries: 1, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			mu.Lock()
			ports[c.LocalAddr().String()] = true
			mu.Unlock()
		}
		return c, err
	}}
	r := newResolver(&cfg)
	for range 32 {
		if _, err := r.ask(t.Context(), asked, dns.TypeA); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < 30 || len(ports) < 24 {
		t.Errorf("32 questions had %d IDs and %d ports", len(ids), len(ports))
	}
}

// Who is silent costs a time-out; the next resolver answers.
func TestSilentResolver(t *testing.T) {
	silent := newChaos(t, func(*dns.Msg, bool) [][]byte { return nil })
	good := newChaos(t, func(q *dns.Msg, _ bool) [][]byte { return [][]byte{reply(t, q, nil, "@ 60 A 127.0.0.2")} })
	if a, err := ask(t, 50*time.Millisecond, dns.TypeA, silent.addr, good.addr); err != nil && !strings.Contains(err.Error(), "in time") || err == nil && len(a.addrs) != 1 {
		t.Errorf("%+v %v", a, err)
	}
	if silent.udp.Load() == 0 {
		t.Error("the first was not asked first")
	}
	_, err := ask(t, 10*time.Millisecond, dns.TypeA, silent.addr)
	if err == nil || !strings.Contains(err.Error(), "does not answer in time") || strings.Contains(err.Error(), asked) {
		t.Error(err)
	}
	// Nobody listens there, and that is known at once.
	if _, err := ask(t, long, dns.TypeA, "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	// A server that answers over UDP and hangs over TCP.
	half := newChaos(t, func(q *dns.Msg, tcp bool) [][]byte {
		if tcp {
			return nil
		}
		return [][]byte{reply(t, q, func(m *dns.Msg) { m.Truncated = true })}
	})
	if _, err := ask(t, 100*time.Millisecond, dns.TypeA, half.addr); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
}

// Who closes does not wait for DNS, and who waits no longer than their context.
func TestCloseWithASilentResolver(t *testing.T) {
	heard := make(chan struct{}, 1000)
	s := newChaos(t, func(*dns.Msg, bool) [][]byte { heard <- struct{}{}; return nil })
	l, err := New(Config{
		Resolvers: []string{s.addr}, Zones: []Zone{{Name: "bl.example", Codes: codes(map[byte]Code{2: spam})}},
		Timeout: time.Hour, Budget: time.Hour, Wait: true, CheckEvery: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	back := make(chan error, 1)
	go func() {
		_, err := l.Lookup(ctx, netip.MustParseAddr("8.8.8.8"))
		back <- err
	}()
	<-heard
	cancel()
	select {
	case err := <-back:
		if !errors.Is(err, ErrPending) {
			t.Error(err)
		}
	case <-time.After(long):
		t.Fatal("Lookup waits longer than its context")
	}
	closed := make(chan struct{})
	go func() { l.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(long):
		t.Fatal("Close waits for DNS")
	}
}

// The reason of a listing is one short line, whatever the zone wrote.
func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`"listed, see https://bl.example/?1.2.3.4"`: "listed, see https://bl.example/?1.2.3.4",
		`"two " "parts"`:                     "two parts",
		`"a\010b\027[31mc\000"`:              "ab[31mc",
		`"say \"no\" \\ "`:                   `say "no" \`,
		`"gr\195\188n \255 \226\128\174x"`:   "grün  x",
		`"` + strings.Repeat("x", 255) + `"`: strings.Repeat("x", maxText) + "…",
	} {
		s := newChaos(t, func(q *dns.Msg, _ bool) [][]byte {
			return [][]byte{reply(t, q, nil, "@ 60 TXT "+text, "@ 60 TXT second")}
		})
		if a, err := ask(t, long, dns.TypeTXT, s.addr); err != nil || a.text != want {
			t.Errorf("%s is %q, %v; want %q", text, a.text, err, want)
		}
	}
}

// A key goes to the resolver and into no error, log line or answer.
func TestKeyIsSecret(t *testing.T) {
	const key = "s3cr3tk3y"
	var keyed atomic.Int64
	s := newChaos(t, func(q *dns.Msg, _ bool) [][]byte {
		if strings.HasSuffix(q.Question[0].Name, "."+key+".bl.example.") {
			keyed.Add(1)
		}
		return [][]byte{reply(t, q, rcode(dns.RcodeServerFailure))}
	})
	l, err := New(Config{Resolvers: []string{s.addr}, Zones: []Zone{{Name: "bl.example", Key: key, Codes: codes(map[byte]Code{2: spam})}}, CheckEvery: -1, Timeout: long})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var said strings.Builder
	for _, a := range l.Ask(t.Context(), netip.MustParseAddr("8.8.8.8")) {
		said.WriteString(a.Zone + a.Err.Error())
	}
	for _, h := range l.Check(t.Context()) {
		said.WriteString(h.Zone + h.Reason)
	}
	if keyed.Load() == 0 || strings.Contains(said.String(), key) {
		t.Errorf("%d questions had the key; %s", keyed.Load(), said.String())
	}
	_, err = New(Config{Resolvers: []string{s.addr}, Zones: []Zone{{Name: "bl.example", Key: key + "!", Codes: codes(map[byte]Code{2: spam})}}})
	if err == nil || strings.Contains(err.Error(), key) {
		t.Error(err)
	}
}
