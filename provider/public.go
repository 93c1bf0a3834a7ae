package provider

import (
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// Special-purpose space, as of the IANA registries (RFC 6890) and the RFCs that
// set aside what those do not list. Of the blocks inside of another the longest
// decides. It is in the code because what must not be sent out must not depend
// on a dataset that may be missing.
var special = [...]block{
	no("0.0.0.0/8"), no("10.0.0.0/8"), no("100.64.0.0/10"), no("127.0.0.0/8"), no("169.254.0.0/16"), no("172.16.0.0/12"),
	no("192.0.0.0/24"), yes("192.0.0.9/32"), yes("192.0.0.10/32"), no("192.0.2.0/24"), no("192.88.99.0/24"), no("192.168.0.0/16"),
	no("198.18.0.0/15"), no("198.51.100.0/24"), no("203.0.113.0/24"), no("224.0.0.0/4"), no("240.0.0.0/4"),
	no("::/3"), no("4000::/2"), no("8000::/1"), // of IPv6 only 2000::/3 is given out
	no("2001::/23"), yes("2001:1::1/128"), yes("2001:1::2/128"), yes("2001:1::3/128"), yes("2001:3::/32"), yes("2001:4:112::/48"),
	yes("2001:20::/28"), yes("2001:30::/28"), no("2001:db8::/32"), no("2002::/16"), no("3fff::/20"),
}

// block is a network, and whether its addresses may be somebody's.
type block struct {
	prefix netip.Prefix
	public bool
}

func no(s string) block  { return block{prefix: netip.MustParsePrefix(s)} }
func yes(s string) block { return block{prefix: netip.MustParsePrefix(s), public: true} }

// Public reports whether an address may be somebody's on the Internet, so that
// asking about it tells nothing of one's own network: not private, reserved,
// documentation, multicast, or a bogon otherwise. The canonical form decides:
// a private address inside of an IPv6 one is private.
func Public(addr netip.Addr) bool {
	addr, _ = ipwarden.Canonical(addr)
	if !addr.IsValid() {
		return false
	}
	public, bits := true, -1
	for i := range special {
		if s := &special[i]; s.prefix.Bits() > bits && s.prefix.Contains(addr) {
			public, bits = s.public, s.prefix.Bits()
		}
	}
	return public
}
