package compile

import (
	"fmt"
	"iter"
	"net/netip"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

// allFields yields the dotted names of the JSON.
func allFields() iter.Seq[string] {
	return func(yield func(string) bool) {
		for f := range ipwarden.AllFields() {
			if !yield(f.String()) {
				return
			}
		}
	}
}

// isCountry reports whether s has the form of an ISO 3166-1 code.
func isCountry(s string) bool {
	return len(s) == 2 && 'A' <= s[0] && s[0] <= 'Z' && 'A' <= s[1] && s[1] <= 'Z'
}

// badPrefix says what is wrong with a prefix, "" when nothing is. A length that
// was mistyped would otherwise take in a far larger network.
func badPrefix(s string) string {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no prefix; write \"203.0.113.0/24\" or \"2001:db8::/32\"", yamldoc.Clip(s, 64))
	case p.Addr().Is4In6():
		return fmt.Sprintf("%q is IPv4 inside IPv6; write the IPv4 prefix", s)
	case p != p.Masked():
		return fmt.Sprintf("%s has bits set after its length; the network is %s, the address alone %s",
			p, p.Masked(), netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
	}
	return ""
}

// rateOf is a limit's rate as text: "5/1m0s".
func rateOf(l *policy.Limit) string { return fmt.Sprintf("%d/%v", l.Limit, l.Window) }
