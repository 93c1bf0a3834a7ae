package dataset

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// canary is an address whose answer is certain for years, whatever the feeds.
type canary struct {
	addr   string
	traits ipwarden.Traits // these, and
	not    ipwarden.Traits // none of these
}

func canaries() []canary {
	harm := ipwarden.Threat | ipwarden.Anonymous | ipwarden.Scanner
	return []canary{
		{"10.1.2.3", ipwarden.Bogon, harm},
		{"127.0.0.1", ipwarden.Bogon, harm},
		{"169.254.169.254", ipwarden.Bogon, harm},
		{"192.0.2.1", ipwarden.Bogon, harm},
		{"224.0.0.1", ipwarden.Bogon, harm},
		{"255.255.255.255", ipwarden.Bogon, harm},
		{"::1", ipwarden.Bogon, harm},
		{"fe80::1", ipwarden.Bogon, harm},
		{"fd00::1", ipwarden.Bogon, harm},
		{"2001:db8::1", ipwarden.Bogon, harm},
		{"8.8.8.8", 0, ipwarden.Bogon | harm},
		{"1.1.1.1", 0, ipwarden.Bogon | harm},
		{"9.9.9.9", 0, ipwarden.Bogon | harm},
		{"2001:4860:4860::8888", 0, ipwarden.Bogon | harm},
		{"2606:4700:4700::1111", 0, ipwarden.Bogon | harm},
		{"192.0.0.9", 0, ipwarden.Bogon},
	}
}

// Canaries asks for addresses whose answers are certain, public resolvers and
// special-purpose space, and says which are wrong. A dataset that fails them
// must not be served.
func (d *Dataset) Canaries() (wrong []string) {
	for _, c := range canaries() {
		r, err := d.Lookup(context.Background(), netip.MustParseAddr(c.addr))
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		t := r.Traits()
		if t&c.traits != c.traits {
			wrong = append(wrong, fmt.Sprintf("%s should be %v and is %v", c.addr, c.traits.Names(), t.Names()))
		}
		if t.Has(c.not) {
			wrong = append(wrong, fmt.Sprintf("%s should not be %v", c.addr, (t&c.not).Names()))
		}
	}
	return wrong
}
