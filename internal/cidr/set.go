package cidr

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"github.com/ipwarden/ipwarden"
)

// A Set answers whether addresses are in any of some ranges, however these
// overlap.
type Set struct {
	given  bart.Lite // the networks as they were given
	joined bart.Lite // the fewest that hold the same addresses
}

// NewSet makes the set of some ranges.
func NewSet(ranges []Range) *Set {
	s := new(Set)
	var g Aggregator
	for _, r := range ranges {
		g.Add(r)
		for p := range r.Prefixes() {
			s.given.Insert(p)
		}
	}
	for p := range g.Prefixes() {
		s.joined.Insert(p)
	}
	return s
}

// Has reports whether an address, as it is written or without its wrapping, is
// in the set: 2002:808:808::1 is in 2002::/16 and, being what a 6to4 gateway
// makes of 8.8.8.8, in 8.8.8.0/24.
func (s *Set) Has(a netip.Addr) bool {
	b, wrapped := ipwarden.Canonical(a)
	return s.joined.Lookup(b) || wrapped > ipwarden.Mapped && s.joined.Lookup(a.WithZone(""))
}

// Holds reports whether the whole range is in the set.
func (s *Set) Holds(r Range) bool {
	if r.from == r.to {
		return s.Has(r.From())
	}
	for p := range r.Prefixes() {
		if !s.joined.LookupPrefix(p) {
			return false
		}
	}
	return true
}

// Network is the smallest network of those given that holds the whole range;
// ok is false when none does, though several may together.
func (s *Set) Network(r Range) (p netip.Prefix, ok bool) {
	if r.from == r.to {
		a := r.From()
		b, _ := ipwarden.Canonical(a)
		if p, ok = s.given.LookupPrefixLPM(netip.PrefixFrom(b, b.BitLen())); ok {
			return p, true
		}
		return s.given.LookupPrefixLPM(netip.PrefixFrom(a, a.BitLen()))
	}
	// The smallest network about a range is the one about its two ends.
	n := r.width()
	differ := number{r.from.hi ^ r.to.hi, r.from.lo ^ r.to.lo}
	about, _ := r.From().Prefix(n - differ.size())
	return s.given.LookupPrefixLPM(about)
}
