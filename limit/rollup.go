package limit

import (
	"math"
	"net/netip"
)

// Networks returns what an address is counted by, the narrowest first: an IPv4
// address by itself; an IPv6 address by its /64, which is one link and so
// commonly one host's to choose from (RFC 7421), and by the /56 and the /48
// round it, which are what one site commonly gets (RFC 6177). They are masked.
// It is none for the zero Addr.
func Networks(addr netip.Addr) (networks [3]netip.Prefix, n int) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return networks, 0
	}
	if addr.Is4() {
		networks[0] = netip.PrefixFrom(addr, 32)
		return networks, 1
	}
	for i, bits := range [...]int{64, 56, 48} {
		networks[i], _ = addr.Prefix(bits) // fails for no length up to 128
	}
	return networks, 3
}

// A Rollup is how much more the networks round an IPv6 address may have than
// its /64, so that a spray through one of them trips, and its other inhabitants
// are not held for one. The zero value is 4 for a /56, which has 256 of /64, and
// 16 for a /48, which has 65,536.
type Rollup struct {
	Raise56, Raise48 uint16
}

// Append appends the requests of an address for a rate: one for an IPv4
// address, three for an IPv6 one. raise is what the address itself may have
// more, as in [Request]. It does not allocate if dst has room for three.
func (r Rollup) Append(dst []Request, h Hasher, salt Salt, addr netip.Addr, rate *Rate, cost uint32, raise uint16) []Request {
	factors := [3]uint16{1, r.Raise56, r.Raise48}
	if factors[1] == 0 {
		factors[1] = 4
	}
	if factors[2] == 0 {
		factors[2] = 16
	}
	networks, n := Networks(addr)
	for i := range n {
		factor := uint32(factors[i]) * uint32(max(raise, 1))
		dst = append(dst, Request{
			Rate: rate, Key: h.SumPrefix(salt, networks[i]), Cost: cost,
			Raise: uint16(min(factor, math.MaxUint16)),
		})
	}
	return dst
}
