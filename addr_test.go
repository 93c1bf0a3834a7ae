package ipwarden_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		in, want string
		how      ipwarden.Transition
	}{
		{"203.0.113.66", "203.0.113.66", ipwarden.NotWrapped},
		{"::ffff:203.0.113.66", "203.0.113.66", ipwarden.Mapped},
		{"::ffff:cb00:7142", "203.0.113.66", ipwarden.Mapped},
		{"0:0:0:0:0:ffff:203.0.113.66", "203.0.113.66", ipwarden.Mapped},
		{"::ffff:203.0.113.66%eth0", "203.0.113.66", ipwarden.Mapped},
		{"64:ff9b::cb00:7142", "203.0.113.66", ipwarden.NAT64},
		{"64:ff9b::1:cb00:7142", "64:ff9b::1:cb00:7142", ipwarden.NotWrapped}, // beyond the /96
		{"64:ff9b:1::cb00:7142", "64:ff9b:1::cb00:7142", ipwarden.NotWrapped}, // RFC 8215, local use
		{"2002:cb00:7142:1::1", "203.0.113.66", ipwarden.SixToFour},
		{"2002:cb00:7142:ffff::9", "203.0.113.66", ipwarden.SixToFour},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45", ipwarden.Teredo},
		{"2001:1::1", "2001:1::1", ipwarden.NotWrapped},
		{"2001:DB8:1:2:0:0:0:1", "2001:db8:1:2::1", ipwarden.NotWrapped},
		{"2001:db8:1:2::1%eth0", "2001:db8:1:2::1", ipwarden.NotWrapped},
		{"::203.0.113.66", "::cb00:7142", ipwarden.NotWrapped}, // IPv4-compatible, deprecated: not the same host
		{"::", "::", ipwarden.NotWrapped},
	} {
		got, how := ipwarden.Canonical(netip.MustParseAddr(c.in))
		if got != netip.MustParseAddr(c.want) || how != c.how {
			t.Errorf("%s: %s %q, want %s %q", c.in, got, how, c.want, c.how)
		}
	}
	if a, _ := ipwarden.Canonical(netip.Addr{}); a.IsValid() {
		t.Errorf("the invalid address became %s", a)
	}
}

func TestParseAddr(t *testing.T) {
	for _, good := range []string{"8.8.8.8", "0.0.0.0", "::", "2001:DB8::1", "fe80::1%eth0.1-a_b", "::ffff:1.2.3.4"} {
		if _, err := ipwarden.ParseAddr(good); err != nil {
			t.Errorf("%q %v", good, err)
		}
	}
	for in, want := range map[string]error{
		"":                                    ipwarden.ErrAddrEmpty,
		"localhost":                           ipwarden.ErrAddrNotPlain,
		"1.2.3":                               ipwarden.ErrAddrNotPlain,
		"0x7f.1":                              ipwarden.ErrAddrNotPlain,
		"0203.0.113.66":                       ipwarden.ErrAddrNotPlain,
		"203.0.0113.66":                       ipwarden.ErrAddrNotPlain,
		"203.0.113.066":                       ipwarden.ErrAddrNotPlain,
		"0xcb.0.113.66":                       ipwarden.ErrAddrNotPlain,
		"3405803842":                          ipwarden.ErrAddrNotPlain,
		"203.0.28994":                         ipwarden.ErrAddrNotPlain,
		" 8.8.8.8":                            ipwarden.ErrAddrNotPlain,
		"8.8.8.8\n":                           ipwarden.ErrAddrNotPlain,
		"8.8.8.8/32":                          ipwarden.ErrAddrNotPlain,
		"::1::2":                              ipwarden.ErrAddrNotPlain,
		"8.8.8.8:53":                          ipwarden.ErrAddrPort,
		"[2001:db8::9]:51234":                 ipwarden.ErrAddrPort,
		"[2001:db8::9]":                       ipwarden.ErrAddrPort,
		"fe80::1%a b":                         ipwarden.ErrAddrZone,
		"fe80::1%\r\nX: y":                    ipwarden.ErrAddrZone,
		"fe80::1%" + "é":                      ipwarden.ErrAddrZone,
		"8.8.8.8%eth0":                        ipwarden.ErrAddrNotPlain,
		"fe80::1%":                            ipwarden.ErrAddrNotPlain,
		"fe80::1%" + strings.Repeat("a", 200): ipwarden.ErrAddrTooLong,
	} {
		if a, err := ipwarden.ParseAddr(in); !errors.Is(err, want) {
			t.Errorf("%q: %v %v, want %v", in, a, err, want)
		}
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "::ffff:1.2.3.4%x", "2002::1", "[::1]:80", "0x7f.1", "fe80::1%é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ipwarden.ParseAddr(s)
		if err != nil {
			return
		}
		c, how := ipwarden.Canonical(a)
		if !c.IsValid() || c.Zone() != "" || c.Is4In6() {
			t.Errorf("%q: %s is not canonical", s, c)
		}
		again, more := ipwarden.Canonical(c)
		if again != c || more != ipwarden.NotWrapped {
			t.Errorf("%q: canonical twice is %s %s, once %s %s", s, again, more, c, how)
		}
	})
}
