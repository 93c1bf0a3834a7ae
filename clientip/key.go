package clientip

import (
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// Key returns the network that counts as one client: the address itself of
// IPv4, the /64 of IPv6, which is what one subscriber has at least (RFC 6177).
// The address need not be canonical. The invalid address has the invalid key.
func Key(addr netip.Addr) netip.Prefix {
	addr, _ = ipwarden.Canonical(addr)
	if addr.Is4() {
		return netip.PrefixFrom(addr, 32)
	}
	return within(addr, 64)
}

// Rollups returns the networks over an IPv6 key that count together, the /56
// and the /48, so that a spray from many /64 of one site is seen. They are
// invalid for IPv4, which has none.
func Rollups(addr netip.Addr) (site56, site48 netip.Prefix) {
	addr, _ = ipwarden.Canonical(addr)
	if addr.Is4() {
		return netip.Prefix{}, netip.Prefix{}
	}
	return within(addr, 56), within(addr, 48)
}

func within(addr netip.Addr, bits int) netip.Prefix {
	p, err := addr.Prefix(bits)
	if err != nil { // the invalid address
		return netip.Prefix{}
	}
	return p
}
