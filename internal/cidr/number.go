package cidr

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// number is 128 bits: an IPv6 address, or an IPv4 address in the low 32 bits.
type number struct{ hi, lo uint64 }

func (n number) less(m number) bool { return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo }

func (n number) cmp(m number) int {
	switch {
	case n.less(m):
		return -1
	case m.less(n):
		return 1
	}
	return 0
}

func (n number) or(m number) number { return number{n.hi | m.hi, n.lo | m.lo} }

func (n number) minus(m number) number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	hi, _ := bits.Sub64(n.hi, m.hi, borrow)
	return number{hi, lo}
}

// plus also reports whether the sum is right, and not beyond 128 bits.
func (n number) plus(m number) (number, bool) {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	hi, carry := bits.Add64(n.hi, m.hi, carry)
	return number{hi, lo}, carry == 0
}

// next is one more; all ones become 0.
func (n number) next() number {
	n, _ = n.plus(number{0, 1})
	return n
}

// ones has the k lowest bits set.
func ones(k int) number {
	switch {
	case k <= 0:
		return number{}
	case k <= 64:
		return number{0, ^uint64(0) >> (64 - k)}
	}
	return number{^uint64(0) >> (128 - k), ^uint64(0)}
}

// size is how many bits it takes to write n.
func (n number) size() int {
	if n.hi != 0 {
		return 64 + bits.Len64(n.hi)
	}
	return bits.Len64(n.lo)
}

// zeros is how many of the lowest bits are 0.
func (n number) zeros() int {
	if n.lo != 0 {
		return bits.TrailingZeros64(n.lo)
	}
	return 64 + bits.TrailingZeros64(n.hi)
}

func numberOf(a netip.Addr) number {
	if a.Is4() {
		b := a.As4()
		return number{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (n number) addr(four bool) netip.Addr {
	if four {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
}
