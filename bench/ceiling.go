package main

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
)

// bareTable is the least that can be done: a number for each /24 of IPv4, and a
// word for each number. It checks nothing, answers nothing, and takes what is
// smaller than a /24 for its first address. Its row says what this machine's
// memory allows, so that the others can be told from it.
type bareTable struct {
	table []uint32 // by the first 24 bits
	words []uint64 // by number, those of the most addresses first
}

func openBare(w *world) (contestant, error) {
	spans, err := readRanges(w.ranges())
	if err != nil {
		return nil, err
	}
	spans = slices.DeleteFunc(spans, func(s span) bool { return !s.from.Is4() })
	covers := map[answer]uint64{}
	for i := range spans {
		covers[spans[i].answer] += uint64(number(spans[i].to)) - uint64(number(spans[i].from)) + 1
	}
	most := slices.SortedFunc(maps.Keys(covers), func(a, b answer) int {
		return cmp.Or(cmp.Compare(covers[b], covers[a]), cmp.Compare(a.AS, b.AS), cmp.Compare(a.Country, b.Country), cmp.Compare(a.Traits, b.Traits))
	})
	numbers := make(map[answer]uint32, len(most))
	c := &bareTable{words: make([]uint64, len(most))}
	if c.table, err = hugeTable(); err != nil {
		return nil, err
	}
	for i, a := range most {
		numbers[a] = uint32(i)
		c.words[i] = uint64(a.AS) + uint64(a.Traits)
	}
	for i := range spans {
		s := &spans[i]
		n := numbers[s.answer]
		for block := (uint64(number(s.from)) + 255) >> 8; block<<8 <= uint64(number(s.to)); block++ {
			c.table[block] = n
		}
	}
	return c, nil
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func (c *bareTable) pass(addrs []netip.Addr) (sum uint64) {
	for _, a := range addrs {
		sum += c.words[c.table[number(a)>>8]]
	}
	return sum
}

func (c *bareTable) answer(netip.Addr) answer { return answer{} }
