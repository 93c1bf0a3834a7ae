package dnsbl

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

func TestQueryName(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.99":       "99.2.0.192.bl.example.",
		"127.0.0.2":        "2.0.0.127.bl.example.",
		"2001:db8:1:2::3":  "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example.",
		"::ffff:127.0.0.2": "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.example.",
	} {
		if got := queryName(netip.MustParseAddr(addr), ".bl.example."); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if got := queryName(mustList6, "."); !strings.HasPrefix(got, "2.0.0.0.0.0.f.7.f.f.f.f.") {
		t.Error(got)
	}
}

func TestConfigMistakes(t *testing.T) {
	_, err := New(Config{
		Resolvers: []string{"dns.example", "127.0.0.1:53"}, Timeout: -1, Workers: -2, MaxTTL: 1, IPv6Bits: 200,
		Zones: []Zone{
			{Name: "nodots", Codes: codes(map[byte]Code{2: spam})},
			{Name: "a b.example", Key: "x.y", NoIPv4: true},
			{Name: "twice.example", Codes: codes(map[byte]Code{2: spam})},
			{Name: "Twice.example.", Codes: codes(map[byte]Code{1: spam})},
			{Name: "codes.example", Codes: map[netip.Addr]Code{
				netip.MustParseAddr("10.0.0.2"): spam, netip.MustParseAddr("127.255.255.254"): spam, netip.MustParseAddr("127.0.0.9"): {Traits: ipwarden.Bogon},
			}},
			{Name: strings.Repeat("long.", 40) + "example", Codes: codes(map[byte]Code{2: spam})},
		},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`"dns.example" is no address of a resolver`, "Timeout is -1ns", "Workers is -2", "MaxTTL", "IPv6Bits is 200",
		`"nodots" is no name of a zone`, `"a b.example" is no name`, "the key of a b.example", "has 0 codes", "neither IPv4 nor IPv6",
		"Twice.example. is there twice", "127.0.0.1 says that the list refuses", "10.0.0.2 is no code", "127.255.255.254 says", "asserts [bogon]",
		"no address fits before",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if _, err := New(Config{Resolvers: []string{"::1"}}); err == nil || !strings.Contains(err.Error(), "there are 0 zones") {
		t.Error(err)
	}
}

// Codes are read strictly (E6).
func TestJudge(t *testing.T) {
	z := newZone(Zone{Name: "bl.example", Codes: codes(map[byte]Code{2: spam, 4: attack, 10: {}})})
	for _, c := range []struct {
		addrs   string
		listed  int
		unknown int
		err     error
		says    string
	}{
		{addrs: ""},
		{addrs: "127.0.0.2", listed: 1},
		{addrs: "127.0.0.4 127.0.0.10", listed: 2},
		{addrs: "127.0.0.3", unknown: 1},
		{addrs: "127.0.1.2 127.0.0.2", listed: 1, unknown: 1},
		{addrs: "127.0.0.1", err: errRefused},
		{addrs: "127.255.255.252", err: errRefused, says: "misspelled"},
		{addrs: "127.255.255.254", err: errRefused, says: "public resolver"},
		{addrs: "127.255.255.255", err: errRefused, says: "too often"},
		{addrs: "127.0.0.2 127.255.255.254", err: errRefused},
		{addrs: "93.184.216.34", err: errLies},
		{addrs: "127.0.0.2 10.0.0.1", err: errLies},
		{addrs: "126.255.255.255", err: errLies},
		{addrs: "128.0.0.2", err: errLies},
		{addrs: "0.0.0.0", err: errLies},
	} {
		var addrs []netip.Addr
		for _, s := range strings.Fields(c.addrs) {
			addrs = append(addrs, netip.MustParseAddr(s))
		}
		listed, unknown, err := z.judge(addrs)
		n := 0
		for ; listed != 0; listed &= listed - 1 {
			n++
		}
		if n != c.listed || unknown != c.unknown || !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d listed, %d unknown, %v", c.addrs, n, unknown, err)
		}
	}
}

// The catalogue is right in itself: a List takes all of it.
func TestKnown(t *testing.T) {
	l, err := New(Config{Zones: Known(), Resolvers: []string{"127.0.0.1:1"}, CheckEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	last := ""
	for _, z := range Known() {
		if z.Terms == "" || z.URL == "" || z.Listing == "" || z.Name <= last {
			t.Errorf("%s lacks something, or its place", z.Name)
		}
		last = z.Name
		if _, gone := GoneNamed(z.Name); gone {
			t.Errorf("%s is gone", z.Name)
		}
	}
	if _, ok := KnownNamed("ZEN.spamhaus.org."); !ok {
		t.Error("zen is not known")
	}
	if g, ok := GoneNamed("spam.dnsbl.sorbs.net"); !ok || g.Since == "" {
		t.Error("SORBS is not gone")
	}
}
