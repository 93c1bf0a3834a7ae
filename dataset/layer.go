package dataset

import (
	"slices"
)

// span is one row of a feed: the claims of three channels on from..to.
type span struct {
	from, to      position
	loc, net, sec uint32
	bits          int16 // of the row's prefix, -1 for a range
}

// step is where the claims in force change. The claims of the step before end
// there; all zero means that the feed says nothing from here on.
type step struct {
	from          position
	loc, net, sec uint32
	bits          int16
}

func (s *step) silent() bool { return s.loc|s.net|s.sec == 0 }

// layer is a feed flattened for one family: steps in order, no two alike
// neighbours, the first at position 0 or later.
type layer struct {
	feed  int // index of the input
	fam   family
	steps []step
}

// flatten turns rows, which may nest and overlap, into steps; at each address
// the most specific row wins, which is the one that begins last. Of rows on the
// same prefix the last one in prefer's order wins.
func flatten(feed int, fam family, spans []span, prefer func(a, b *span) int) layer {
	byPlace := func(a, b span) int {
		if c := a.from.compare(b.from); c != 0 {
			return c
		}
		if c := b.to.compare(a.to); c != 0 { // the wider one first
			return c
		}
		return prefer(&a, &b)
	}
	if !slices.IsSortedFunc(spans, byPlace) {
		slices.SortStableFunc(spans, byPlace)
	}
	l := layer{feed: feed, fam: fam, steps: make([]step, 0, len(spans)+len(spans)/2)}
	emit := func(s step) {
		n := len(l.steps)
		if n > 0 && l.steps[n-1].from == s.from { // it would be in force for no address
			n--
			l.steps = l.steps[:n]
		}
		if s.silent() && (n == 0 || l.steps[n-1].silent()) {
			return
		}
		l.steps = append(l.steps, s)
	}
	var open []span // rows that contain the current position, the innermost last
	// closeUntil ends the rows that end before pos.
	closeUntil := func(pos position, all bool) {
		for len(open) > 0 {
			top := open[len(open)-1]
			if !all && top.to.compare(pos) >= 0 {
				return
			}
			open = open[:len(open)-1]
			after := top.to.next()
			for len(open) > 0 && open[len(open)-1].to.compare(top.to) <= 0 {
				open = open[:len(open)-1] // overlapped, not nested: over as well
			}
			if after == (position{}) || fam == ipv4 && after.lo > 1<<32-1 {
				return // the end of the address space
			}
			if len(open) == 0 {
				emit(step{from: after, bits: -1})
			} else {
				o := &open[len(open)-1]
				emit(step{after, o.loc, o.net, o.sec, o.bits})
			}
		}
	}
	for i := range spans {
		s := &spans[i]
		closeUntil(s.from, false)
		emit(step{s.from, s.loc, s.net, s.sec, s.bits})
		open = append(open, *s)
	}
	closeUntil(position{}, true)
	return l
}

// at returns the step in force at p, and where it ends.
func (l *layer) at(p position) (step, bool) {
	i, ok := slices.BinarySearchFunc(l.steps, p, func(s step, p position) int { return s.from.compare(p) })
	if !ok {
		i--
	}
	if i < 0 || l.steps[i].silent() {
		return step{}, false
	}
	return l.steps[i], true
}
