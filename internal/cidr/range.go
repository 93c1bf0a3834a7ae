// Package cidr computes with networks: ranges of addresses as people write
// them, the fewest networks that cover many of them, their parts, and addresses
// drawn from them. A mapped IPv4 address is IPv4, and a zone is dropped; other
// wrappings are IPv6 as they stand, save for [Set.Has].
package cidr

import (
	"iter"
	"net/netip"
)

// A Range is every address from the first to the last, both included and of
// one family. Make one with [Parse], [Between] or [Of].
type Range struct {
	from, to number
	four     bool
}

// Of is the range of a network, whose bits beyond the prefix do not count.
func Of(p netip.Prefix) Range {
	from := numberOf(p.Masked().Addr())
	return Range{from, from.or(ones(p.Addr().BitLen() - p.Bits())), p.Addr().Is4()}
}

// Between is the range from a to b; ok is false when they are of two families,
// or the wrong way round.
func Between(a, b netip.Addr) (r Range, ok bool) {
	r = Range{numberOf(a), numberOf(b), a.Is4()}
	return r, a.Is4() == b.Is4() && a.IsValid() && b.IsValid() && !r.to.less(r.from)
}

// From is the first address.
func (r Range) From() netip.Addr { return r.from.addr(r.four) }

// To is the last address.
func (r Range) To() netip.Addr { return r.to.addr(r.four) }

// String is "from-to".
func (r Range) String() string { return r.From().String() + "-" + r.To().String() }

func (r Range) width() int {
	if r.four {
		return 32
	}
	return 128
}

// Prefixes yields the fewest networks that hold just the range, in order.
func (r Range) Prefixes() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for from := r.from; ; {
			// As large as the alignment of its first address and the rest allow.
			k := min(from.zeros(), r.width())
			if left := r.to.minus(from).next(); left != (number{}) { // 0 is all of IPv6
				k = min(k, left.size()-1)
			}
			if !yield(netip.PrefixFrom(from.addr(r.four), r.width()-k)) {
				return
			}
			last := from.or(ones(k))
			if last == r.to {
				return
			}
			from = last.next()
		}
	}
}
