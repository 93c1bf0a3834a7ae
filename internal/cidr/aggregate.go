package cidr

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
)

// An Aggregator joins ranges that overlap or touch. Its memory grows with how
// many are left apart and not with how many were added: whenever those that
// were added since the last time are as many as those left then, they are
// joined. The zero value is ready.
type Aggregator struct {
	// four has the first address in the high half, the last in the low: in the
	// order of numbers they are in the order of first addresses.
	four []uint64
	six  []Range
	// At these lengths it is time to join.
	full4, full6 int
}

// leastJoined is how many ranges are gathered before they are joined at all.
const leastJoined = 1 << 14

// Add adds a range.
func (g *Aggregator) Add(r Range) {
	if r.four {
		g.four = append(g.four, r.from.lo<<32|r.to.lo)
		if len(g.four) >= max(g.full4, leastJoined) {
			g.four = join4(g.four)
			g.full4 = 2 * len(g.four)
		}
		return
	}
	g.six = append(g.six, r)
	if len(g.six) >= max(g.full6, leastJoined) {
		g.six = join6(g.six)
		g.full6 = 2 * len(g.six)
	}
}

// Ranges yields the ranges that are left, none of which touches another: IPv4
// first, each family in order.
func (g *Aggregator) Ranges() iter.Seq[Range] {
	g.four, g.six = join4(g.four), join6(g.six)
	return func(yield func(Range) bool) {
		for _, r := range g.four {
			if !yield(Range{number{0, r >> 32}, number{0, r & (1<<32 - 1)}, true}) {
				return
			}
		}
		for _, r := range g.six {
			if !yield(r) {
				return
			}
		}
	}
}

// Prefixes yields the fewest networks that hold just what was added.
func (g *Aggregator) Prefixes() iter.Seq[netip.Prefix] {
	ranges := g.Ranges()
	return func(yield func(netip.Prefix) bool) {
		for r := range ranges {
			for p := range r.Prefixes() {
				if !yield(p) {
					return
				}
			}
		}
	}
}

func join4(all []uint64) []uint64 {
	const low = 1<<32 - 1
	slices.Sort(all)
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && r>>32 <= out[n-1]&low+1 {
			if r&low > out[n-1]&low {
				out[n-1] = out[n-1]&^low | r&low
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

func join6(all []Range) []Range {
	slices.SortFunc(all, func(a, b Range) int { return cmp.Or(a.from.cmp(b.from), a.to.cmp(b.to)) })
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 {
			last := &out[n-1]
			// The range behind the last address of all has no beginning.
			if after := last.to.next(); after == (number{}) || !after.less(r.from) {
				if last.to.less(r.to) {
					last.to = r.to
				}
				continue
			}
		}
		out = append(out, r)
	}
	return out
}
