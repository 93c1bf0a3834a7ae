package main

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// bartTable finds the number of an answer; the answers behind it are not
// touched when it is timed.
type bartTable struct {
	table   bart.Table[uint32]
	answers []answer
}

func openBart(w *world) (contestant, error) {
	c := &bartTable{}
	ids := map[answer]uint32{}
	err := eachRange(w.ranges(), func(s *span) error {
		id, ok := ids[s.answer]
		if !ok {
			id = uint32(len(c.answers))
			ids[s.answer] = id
			c.answers = append(c.answers, s.answer)
		}
		for _, p := range prefixes(s.from, s.to) {
			c.table.Insert(p, id)
		}
		return nil
	})
	return c, err
}

func (c *bartTable) pass(addrs []netip.Addr) (sum uint64) {
	for _, a := range addrs {
		id, _ := c.table.Lookup(a)
		sum += uint64(id)
	}
	return sum
}

func (c *bartTable) answer(a netip.Addr) answer {
	id, ok := c.table.Lookup(a)
	if !ok {
		return answer{}
	}
	return c.answers[id]
}
