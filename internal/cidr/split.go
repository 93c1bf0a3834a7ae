package cidr

import (
	"iter"
	"math/bits"
	"net/netip"
)

// Split yields the networks of the given prefix length that p is made of; none
// when p is smaller than that or there is no such length.
func Split(p netip.Prefix, length int) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		r := Of(p)
		if length < p.Bits() || length > r.width() {
			return
		}
		for from := r.from; ; {
			if !yield(netip.PrefixFrom(from.addr(r.four), length)) {
				return
			}
			last := from.or(ones(r.width() - length))
			if last == r.to {
				return
			}
			from = last.next()
		}
	}
}

// Parts yields p as n networks that are as equal as networks can be: the first
// are twice as large as the last, or all are equal when n is a power of 2. ok
// is false when p has fewer addresses.
func Parts(p netip.Prefix, n uint64) (seq iter.Seq[netip.Prefix], ok bool) {
	if n == 0 {
		return nil, false
	}
	length := p.Bits() + bits.Len64(n) - 1
	whole := uint64(1) << (bits.Len64(n) - 1)
	width := p.Addr().BitLen()
	if length > width || length == width && n > whole {
		return nil, false
	}
	return func(yield func(netip.Prefix) bool) {
		left := 2*whole - n // of the larger ones; the others are halved
		for q := range Split(p, length) {
			if left > 0 {
				left--
				if !yield(q) {
					return
				}
				continue
			}
			for half := range Split(q, length+1) {
				if !yield(half) {
					return
				}
			}
		}
	}, true
}
