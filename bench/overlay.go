package main

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// An answer is what the contestants are compared by.
type answer struct {
	Country string
	AS      uint32
	Traits  ipwarden.Traits
}

// worldTraits are those that the world has. The networks have more, of which
// the catalogue says that they go stale within months.
const worldTraits = ipwarden.Anycast | ipwarden.Satellite

// A span is a range of addresses with one answer.
type span struct {
	from, to netip.Addr
	answer
}

// overlay joins two feeds into disjoint spans in address order, IPv4 first. It
// is the slow and obvious way, on purpose: package dataset does the same with a
// sweep, and the two have to agree.
//
// networks nest, and the most specific one is what counts, as a whole; the
// ranges of countries, which are newer, do not overlap, and win over the
// country of a network; one that names but a continent takes away a country
// that lies in another one. continent tells where a country lies.
func overlay(networks, countries iter.Seq2[*feed.Fact, error], continent func(country string) string) ([]span, error) {
	var table bart.Table[answer]
	var ranges []place
	var edges []netip.Addr
	edge := func(from, to netip.Addr) {
		edges = append(edges, from)
		if next := to.Next(); next.IsValid() {
			edges = append(edges, next)
		}
	}
	for f, err := range networks {
		if err != nil {
			return nil, err
		}
		if !f.From.IsValid() {
			continue // speaks of an autonomous system
		}
		table.Insert(netip.PrefixFrom(f.From, f.Bits), answer{f.Country, f.Origin, f.Traits & worldTraits})
		edge(f.From, f.To)
	}
	for f, err := range countries {
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, place{f.From, f.To, f.Country, f.Continent})
		edge(f.From, f.To)
	}
	slices.SortFunc(edges, netip.Addr.Compare)
	edges = slices.Compact(edges)
	slices.SortFunc(ranges, func(a, b place) int { return a.from.Compare(b.from) })

	var out []span
	for i, from := range edges {
		to := lastAddr(from)
		if i+1 < len(edges) && edges[i+1].BitLen() == from.BitLen() {
			to = edges[i+1].Prev()
		}
		a, _ := table.Lookup(from)
		switch p := placeAt(ranges, from); {
		case p.country != "":
			a.Country = p.country
		case p.continent != "" && a.Country != "" && continent(a.Country) != p.continent:
			a.Country = ""
		}
		if a == (answer{}) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].answer == a && out[n-1].to.Next() == from {
			out[n-1].to = to
			continue
		}
		out = append(out, span{from, to, a})
	}
	return out, nil
}

// A place is where the addresses of a range are used: a country, or only a
// continent.
type place struct {
	from, to           netip.Addr
	country, continent string
}

// placeAt finds the place of an address in sorted ranges.
func placeAt(ranges []place, a netip.Addr) place {
	i, found := slices.BinarySearchFunc(ranges, a, func(p place, a netip.Addr) int { return p.from.Compare(a) })
	if !found {
		i--
	}
	if i < 0 || ranges[i].to.Less(a) || ranges[i].from.BitLen() != a.BitLen() {
		return place{}
	}
	return ranges[i]
}

// lastAddr is the last address of a's family.
func lastAddr(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	var b [16]byte
	for i := range b {
		b[i] = 0xff
	}
	return netip.AddrFrom16(b)
}

// answerAt finds the answer of an address in disjoint sorted spans.
func answerAt(spans []span, a netip.Addr) answer {
	i, found := slices.BinarySearchFunc(spans, a, func(s span, a netip.Addr) int { return s.from.Compare(a) })
	if !found {
		i--
	}
	if i < 0 || spans[i].to.Less(a) || spans[i].from.BitLen() != a.BitLen() {
		return answer{}
	}
	return spans[i].answer
}
