package dataset

import (
	"cmp"
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

// spans collects rows in chunks: one large slice would be copied as it grows.
type spans struct {
	chunks   [][]span
	last     span
	unsorted bool
}

const spansPerChunk = 8192

func (s *spans) add(v *span) {
	last := len(s.chunks) - 1
	if last < 0 || len(s.chunks[last]) == spansPerChunk {
		size := spansPerChunk
		if last < 0 {
			size = 0 // many feeds are small
		}
		s.chunks = append(s.chunks, make([]span, 0, size))
		last++
	}
	s.chunks[last] = append(s.chunks[last], *v)
	if c := s.last.from.compare(v.from); c > 0 || c == 0 && s.last.to.compare(v.to) <= 0 {
		s.unsorted = true // or two on the same prefix, of which one is preferred
	}
	s.last = *v
}

// sort orders the rows by where they begin, the wider one first, and rows on
// the same prefix by prefer, then by the numbers of their claims, so that the
// order does not depend on the sorting.
func (s *spans) sort(prefer func(a, b *span) int) {
	byPlace := func(a, b span) int {
		if c := a.from.compare(b.from); c != 0 {
			return c
		}
		if c := b.to.compare(a.to); c != 0 {
			return c
		}
		x, y := a, b // these escape; a and b, of every comparison, must not
		return cmp.Or(prefer(&x, &y), cmp.Compare(a.loc, b.loc), cmp.Compare(a.net, b.net), cmp.Compare(a.sec, b.sec))
	}
	if !s.unsorted {
		return
	}
	all := slices.Concat(s.chunks...)
	slices.SortFunc(all, byPlace)
	s.chunks = [][]span{all}
}

// layer is a feed flattened for one family: steps in order, in chunks that
// become the blocks of the evidence.
type layer struct {
	fam    family
	chunks [][]step
}

// flatten turns rows, which may nest and overlap, into steps; at each address
// the most specific row wins, which is the one that begins last. Of rows on the
// same prefix the last one in prefer's order wins. It empties rows.
func flatten(fam family, rows *spans, prefer func(a, b *span) int) layer {
	rows.sort(prefer)
	f := flattener{layer: layer{fam: fam}}
	for i, c := range rows.chunks {
		for j := range c {
			f.row(&c[j])
		}
		rows.chunks[i] = nil
	}
	f.close(position{}, true)
	*rows = spans{}
	return f.layer
}

// flattener holds the rows that contain the current position, the innermost last.
type flattener struct {
	layer
	open []span
}

func (f *flattener) row(s *span) {
	if n := len(f.open); n > 0 && f.open[n-1].to.less(s.from) {
		f.close(s.from, false)
	}
	f.emit(step{s.from, s.loc, s.net, s.sec, s.bits})
	f.open = append(f.open, *s)
}

func (f *flattener) emit(s step) {
	var before, last *step
	if c := len(f.chunks); c > 0 {
		tail := f.chunks[c-1]
		last = &tail[len(tail)-1]
		switch {
		case len(tail) > 1:
			before = &tail[len(tail)-2]
		case c > 1:
			before = &f.chunks[c-2][stepsPerBlock-1]
		}
	}
	if last != nil && last.from == s.from { // the last one would be in force for no address
		if s.silent() && (before == nil || before.silent()) {
			f.drop()
			return
		}
		*last = s
		return
	}
	if s.silent() && (last == nil || last.silent()) {
		return
	}
	c := len(f.chunks) - 1
	if c < 0 || len(f.chunks[c]) == stepsPerBlock {
		size := stepsPerBlock
		if c < 0 {
			size = 1
		}
		f.chunks = append(f.chunks, make([]step, 0, size))
		c++
	}
	f.chunks[c] = append(f.chunks[c], s)
}

// drop takes the last step back.
func (f *flattener) drop() {
	c := len(f.chunks) - 1
	f.chunks[c] = f.chunks[c][:len(f.chunks[c])-1]
	if len(f.chunks[c]) == 0 {
		f.chunks = f.chunks[:c]
	}
}

// close ends the rows that end before pos, or all.
func (f *flattener) close(pos position, all bool) {
	for len(f.open) > 0 {
		top := f.open[len(f.open)-1]
		if !all && top.to.compare(pos) >= 0 {
			return
		}
		f.open = f.open[:len(f.open)-1]
		for len(f.open) > 0 && f.open[len(f.open)-1].to.compare(top.to) <= 0 {
			f.open = f.open[:len(f.open)-1] // overlapped, not nested: over as well
		}
		if top.to == f.fam.last() {
			return // the end of the address space
		}
		after := step{from: top.to.next(), bits: -1}
		if n := len(f.open); n > 0 {
			o := &f.open[n-1]
			after = step{after.from, o.loc, o.net, o.sec, o.bits}
		}
		f.emit(after)
	}
}
