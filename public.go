package ipwarden

import "net/netip"

// Special-purpose space, as of the IANA registries (RFC 6890) and the RFCs that
// set aside what those do not list. Of the blocks inside of another the longest
// decides. It is in the code because what must not be sent out must not depend
// on a dataset that may be missing.
var special = [...]addressBlock{
	reserved("0.0.0.0/8"), reserved("10.0.0.0/8"), reserved("100.64.0.0/10"), reserved("127.0.0.0/8"), reserved("169.254.0.0/16"), reserved("172.16.0.0/12"),
	reserved("192.0.0.0/24"), assigned("192.0.0.9/32"), assigned("192.0.0.10/32"), reserved("192.0.2.0/24"), reserved("192.88.99.0/24"), reserved("192.168.0.0/16"),
	reserved("198.18.0.0/15"), reserved("198.51.100.0/24"), reserved("203.0.113.0/24"), reserved("224.0.0.0/4"), reserved("240.0.0.0/4"),
	reserved("::/3"), reserved("4000::/2"), reserved("8000::/1"), // of IPv6 only 2000::/3 is given out
	reserved("2001::/23"), assigned("2001:1::1/128"), assigned("2001:1::2/128"), assigned("2001:1::3/128"), assigned("2001:3::/32"), assigned("2001:4:112::/48"),
	assigned("2001:20::/28"), assigned("2001:30::/28"), reserved("2001:db8::/32"), reserved("2002::/16"), reserved("3fff::/20"),
}

// An addressBlock is a network, and whether its addresses may be somebody's.
type addressBlock struct {
	prefix netip.Prefix
	public bool
}

func reserved(s string) addressBlock { return addressBlock{prefix: netip.MustParsePrefix(s)} }
func assigned(s string) addressBlock {
	return addressBlock{prefix: netip.MustParsePrefix(s), public: true}
}

// Public reports whether an address may be somebody's on the Internet, so that
// asking about it tells nothing of one's own network: not private, reserved,
// documentation, multicast, or a bogon otherwise. The canonical form decides:
// a private address inside of an IPv6 one is private.
func Public(addr netip.Addr) bool {
	addr, _ = Canonical(addr)
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
