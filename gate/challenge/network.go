package challenge

import "net/netip"

// A network is what tickets and clearances are bound to: 4 or 6, and the first
// 24 bits of an IPv4 address or 64 of an IPv6 one. 0 and zeros for none.
type network [9]byte

// networkOf returns the network of a canonical address.
func networkOf(a netip.Addr) (n network) {
	switch {
	case a.Is4() || a.Is4In6():
		b := a.Unmap().As4()
		n[0] = 4
		copy(n[1:], b[:3])
	case a.Is6():
		b := a.As16()
		n[0] = 6
		copy(n[1:], b[:8])
	}
	return n
}

// prefix returns the network as a prefix, the zero one for none.
func (n network) prefix() netip.Prefix {
	switch n[0] {
	case 4:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{n[1], n[2], n[3], 0}), 24)
	case 6:
		var b [16]byte
		copy(b[:8], n[1:])
		return netip.PrefixFrom(netip.AddrFrom16(b), 64)
	}
	return netip.Prefix{}
}
