package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/config"
)

// crawlerNames are what the server knows of addresses that may be crawlers', both ways.
var crawlerNames = map[string]string{
	"1.253.255.5.in-addr.arpa.": "spider-1.yandex.com.", "spider-1.yandex.com.": "5.255.253.1",
	"2.253.255.5.in-addr.arpa.": "spider-2.yandex.com.evil.example.", "spider-2.yandex.com.evil.example.": "5.255.253.2",
	"3.253.255.5.in-addr.arpa.": "spider-1.yandex.com.", // which has another address
	"4.253.255.5.in-addr.arpa.": "failure",
	"5.253.255.5.in-addr.arpa.": "silence",
}

// serveBlockLists serves some zones, and the names of some crawlers, until the test
// ends, and returns its address.
func serveBlockLists(t *testing.T) string {
	t.Helper()
	listed := map[string]string{
		"2.0.0.127.bl.blocklist.de.": "127.0.0.15", "8.8.8.8.bl.blocklist.de.": "127.0.0.14",
		"2.0.0.127.wild.example.": "127.0.0.2", "1.0.0.127.wild.example.": "127.0.0.2",
		"2.0.0.127.zen.spamhaus.org.": "127.255.255.254", "1.0.0.127.zen.spamhaus.org.": "127.255.255.254",
		"2.0.0.127.hush.keyed.example.": "127.0.0.2", "9.9.9.9.hush.keyed.example.": "127.0.0.7",
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, done := make(chan struct{}), make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 600}
		code, ok := listed[head.Name]
		switch name, crawler := crawlerNames[head.Name]; {
		case crawler && name == "silence": // no answer at all
			return
		case crawler && name == "failure":
			m.Rcode = dns.RcodeServerFailure
		case crawler && head.Rrtype == dns.TypePTR:
			m.Answer = []dns.RR{&dns.PTR{Hdr: head, Ptr: name}}
		case crawler && head.Rrtype == dns.TypeA:
			m.Answer = []dns.RR{&dns.A{Hdr: head, A: net.ParseIP(name)}}
		case crawler:
		case !ok:
			m.Rcode = dns.RcodeNameError
		case head.Rrtype == dns.TypeA:
			m.Answer = []dns.RR{&dns.A{Hdr: head, A: net.ParseIP(code)}}
		default:
			m.Answer = []dns.RR{&dns.TXT{Hdr: head, Txt: []string{"ssh\x1b[2J attacks"}}}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { defer close(done); _ = s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = s.Shutdown(); <-done })
	return pc.LocalAddr().String()
}

func dnsblRun(args ...string) (status int, out, errs string) {
	var stdout, stderr strings.Builder
	status = run(append([]string{"dnsbl"}, args...), &env{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now,
		getenv: func(name string) string { return map[string]string{"KEY": "hush"}[name] },
	})
	return status, stdout.String(), stderr.String()
}

func TestDNSBLCheck(t *testing.T) {
	resolver := serveBlockLists(t)
	file := filepath.Join(t.TempDir(), "providers.yaml")
	if err := os.WriteFile(file, []byte(`
providers:
  - kind: dnsbl
    resolver: `+resolver+`
    zones:
      - bl.blocklist.de
      - {zone: keyed.example, key: "${KEY}", codes: {127.0.0.7: [attacker, proxy]}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		args      []string
		status    int
		out, errs []string
	}{
		{
			"a zone that is right, and an address",
			[]string{"check", "bl.blocklist.de", "8.8.8.8", "1.1.1.1", "--resolver", resolver},
			0,
			[]string{
				"bl.blocklist.de  127.0.0.2  127.0.0.15  right\n", "bl.blocklist.de  127.0.0.1  not listed  right\n",
				"bl.blocklist.de  8.8.8.8    127.0.0.14  attacker; ssh[2J attacks\n", "bl.blocklist.de  1.1.1.1    not listed",
			},
			nil,
		},
		{
			"one that lists everything",
			[]string{"check", "wild.example", "--resolver", resolver},
			1,
			[]string{"wild.example  127.0.0.1  127.0.0.2  wrong: it answers what no list answers: it lists this one, and so perhaps everything"},
			nil,
		},
		{
			"one that refuses",
			[]string{"check", "zen.spamhaus.org", "--resolver", resolver},
			1,
			[]string{"127.255.255.254", "public resolver"},
			nil,
		},
		{
			"one that is gone",
			[]string{"check", "dnsbl.sorbs.net", "--resolver", resolver},
			1,
			[]string{"the list is empty, or gone"},
			[]string{"dnsbl.sorbs.net is no more, since 2024-06-05"},
		},
		{
			"an address that is never sent",
			[]string{"check", "bl.blocklist.de", "10.0.0.1", "--resolver", resolver},
			1,
			nil,
			[]string{"10.0.0.1 is not sent"},
		},
		{
			"a file",
			[]string{"check", "--providers", file, "9.9.9.9"},
			0,
			[]string{"keyed.example    127.0.0.2  127.0.0.2   right", "keyed.example    9.9.9.9    127.0.0.7   proxy attacker (attacker)"},
			nil,
		},
		{
			"JSON",
			[]string{"check", "bl.blocklist.de", "8.8.8.8", "--resolver", resolver, "--json"},
			0,
			[]string{`"control":true`, `"codes":["127.0.0.14"]`, `"means":[{"traits":["attacker"],"type":"attacker"}]`, `"ttl":600`},
			nil,
		},
		{"nothing", []string{"check"}, 2, nil, []string{"there is no zone to ask"}},
		{"no name", []string{"check", "nodots", "--resolver", resolver}, 1, nil, []string{`"nodots" is no name of a zone`}},
		{"no resolver", []string{"check", "bl.blocklist.de", "--resolver", "dns.example"}, 1, nil, []string{`"dns.example" is no address of a resolver`}},
		{"the catalogue", []string{"zones"}, 0, []string{"zen.spamhaus.org", "not through public resolvers", "gone since 2024-06-05"}, nil},
		{"the catalogue as JSON", []string{"zones", "--json"}, 0, []string{`"127.0.0.4":{"listing":"Spamhaus XBL","traits":["attacker"],"type":"botnet"}`}, nil},
	} {
		status, out, errs := dnsblRun(c.args...)
		if status != c.status {
			t.Errorf("%s: status %d, want %d: %s%s", c.name, status, c.status, out, errs)
		}
		for _, want := range c.out {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out)
			}
		}
		for _, want := range c.errs {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, errs)
			}
		}
		if strings.Contains(out+errs, "hush") {
			t.Errorf("%s: a key is in\n%s%s", c.name, out, errs)
		}
	}
}

// What a file says of zones is checked against the catalogue.
func TestDNSBLZonesOfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "providers.yaml")
	if err := os.WriteFile(file, []byte(`
providers:
  - kind: dnsbl
    zones:
      - dnsbl.sorbs.net
      - bl.example.net
      - zen.dq.spamhaus.net
`), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, errs := dnsblRun("check", "--providers", file)
	for _, want := range []string{
		file + ":5:9: dnsbl.sorbs.net is no more", file + ":6:9: ipwarden does not know what the codes of bl.example.net mean",
		file + ":7:9: zen.dq.spamhaus.net needs a key",
	} {
		if status != 1 || !strings.Contains(errs, want) {
			t.Errorf("%d, no %q in\n%s", status, want, errs)
		}
	}
}

// The metrics of block lists are of the zones in the file alone, and tell which
// are out of use.
func TestDNSBLMetrics(t *testing.T) {
	file := "providers: [{kind: dnsbl, resolver: '" + serveBlockLists(t) + "', zones: [bl.blocklist.de, {zone: wild.example, codes: {127.0.0.2: attacker}}]}]"
	specs, err := config.ReadProviders(strings.NewReader(file), "p.yaml", os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openDNSBL(specs[0].DNSBL, providerDeps{public: func(netip.Addr) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if r, err := b.Lookup(ctx, netip.MustParseAddr("8.8.8.8")); err != nil || !r.Traits().Has(ipwarden.Attacker) {
		t.Fatalf("%v %v", r.Traits().Names(), err)
	}
	got := map[string]float64{}
	desc := regexp.MustCompile(`fqName: "([^"]*)"`)
	note := func(d *prometheus.Desc, v float64, labels []string) {
		got[desc.FindStringSubmatch(d.String())[1]+" "+strings.Join(labels, " ")] = v
	}
	b.collect("dnsbl",
		func(d *prometheus.Desc, v uint64, labels ...string) { note(d, float64(v), labels) },
		func(d *prometheus.Desc, v float64, labels ...string) { note(d, v, labels) })
	for name, want := range map[string]float64{
		"ipwarden_provider_dnsbl_zone_up dnsbl bl.blocklist.de":              1,
		"ipwarden_provider_dnsbl_zone_up dnsbl wild.example":                 0,
		"ipwarden_provider_dnsbl_answers_total dnsbl bl.blocklist.de listed": 1,
		"ipwarden_provider_dnsbl_answers_total dnsbl wild.example listed":    0,
		"ipwarden_provider_dnsbl_entries dnsbl":                              1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}
