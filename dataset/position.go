package dataset

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// position is an address as a number; those of IPv4 have hi = 0.
type position struct{ hi, lo uint64 }

func positionOf(a netip.Addr) position {
	if a.Is4() {
		b := a.As4()
		return position{lo: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return position{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// addr turns a position of the family back into an address.
func (p position) addr(fam family) netip.Addr {
	if fam == ipv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(p.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], p.hi)
	binary.BigEndian.PutUint64(b[8:], p.lo)
	return netip.AddrFrom16(b)
}

func (p position) less(q position) bool {
	return p.hi < q.hi || p.hi == q.hi && p.lo < q.lo
}

func (p position) compare(q position) int {
	switch {
	case p.less(q):
		return -1
	case q.less(p):
		return 1
	}
	return 0
}

// next returns p+1; it wraps.
func (p position) next() position {
	lo := p.lo + 1
	if lo == 0 {
		return position{p.hi + 1, 0}
	}
	return position{p.hi, lo}
}

// plus adds d; it wraps.
func (p position) plus(d position) position {
	lo, carry := bits.Add64(p.lo, d.lo, 0)
	hi, _ := bits.Add64(p.hi, d.hi, carry)
	return position{hi, lo}
}

// prev returns p-1; it wraps.
func (p position) prev() position {
	if p.lo == 0 {
		return position{p.hi - 1, ^uint64(0)}
	}
	return position{p.hi, p.lo - 1}
}

// family is 4 or 6.
type family uint8

const (
	ipv4 family = 4
	ipv6 family = 6
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// bits is the length of an address.
func (f family) bits() int {
	if f == ipv4 {
		return 32
	}
	return 128
}

// last is the highest position.
func (f family) last() position {
	if f == ipv4 {
		return position{0, 1<<32 - 1}
	}
	return position{^uint64(0), ^uint64(0)}
}

// block is the number of trailing bits of a prefix of n bits, as a mask.
func (f family) hostMask(n int) position {
	host := f.bits() - n
	switch {
	case host >= 128:
		return position{^uint64(0), ^uint64(0)}
	case host >= 64:
		return position{1<<(host-64) - 1, ^uint64(0)}
	}
	return position{0, 1<<host - 1}
}

// masked clears the host bits of a prefix of n bits.
func (p position) masked(f family, n int) position {
	m := f.hostMask(n)
	return position{p.hi &^ m.hi, p.lo &^ m.lo}
}

// endOf sets the host bits of a prefix of n bits.
func (p position) endOf(f family, n int) position {
	m := f.hostMask(n)
	return position{p.hi | m.hi, p.lo | m.lo}
}

// trailingZeros counts them over 128 bits.
func (p position) trailingZeros() int {
	if p.lo != 0 {
		return bits.TrailingZeros64(p.lo)
	}
	return 64 + bits.TrailingZeros64(p.hi)
}

// largestPrefix returns the length of the longest-reaching prefix that starts
// at from and does not go beyond to.
func largestPrefix(f family, from, to position) int {
	n := f.bits() - min(from.trailingZeros(), f.bits())
	for from.endOf(f, n).compare(to) > 0 {
		n++
	}
	return n
}
