package cidr

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// A Pool draws addresses from ranges, each address as likely as any other; what
// several of the ranges hold is not likelier for that.
type Pool struct {
	ranges []Range
	// ends[i] is the number of the last address of ranges[i], counted from 0
	// over all of them.
	ends []number
	rand *rand.Rand

	// With unique, drawn is a shuffle of all numbers, of which those alone are
	// kept that are not in their places: memory grows with what was drawn.
	unique bool
	drawn  map[number]number
	at     number
	empty  bool
}

// ErrPool says that the ranges cannot be drawn from.
var ErrPool = errors.New("there are no addresses to draw from, or all of IPv6 and more; give networks such as 10.0.0.0/8")

// NewPool makes a pool of ranges, from which, with unique, no address is drawn
// twice. The same source of chance draws the same addresses.
func NewPool(ranges []Range, source rand.Source, unique bool) (*Pool, error) {
	var g Aggregator
	for _, r := range ranges {
		g.Add(r)
	}
	p := &Pool{rand: rand.New(source), unique: unique, drawn: map[number]number{}}
	var next number
	for r := range g.Ranges() {
		end, ok := next.plus(r.to.minus(r.from))
		if !ok || len(p.ends) > 0 && next == (number{}) {
			return nil, ErrPool
		}
		p.ranges, p.ends = append(p.ranges, r), append(p.ends, end)
		next = end.next()
	}
	if len(p.ends) == 0 {
		return nil, ErrPool
	}
	return p, nil
}

// Fewer reports whether the pool has fewer than n addresses.
func (p *Pool) Fewer(n uint64) bool {
	last := p.ends[len(p.ends)-1]
	return n > 0 && last.less(number{0, n - 1})
}

// Next draws an address; ok is false when all were drawn.
func (p *Pool) Next() (a netip.Addr, ok bool) {
	if p.empty {
		return a, false
	}
	last := p.ends[len(p.ends)-1]
	if !p.unique {
		return p.address(p.upTo(last)), true
	}
	j, _ := p.at.plus(p.upTo(last.minus(p.at)))
	n, moved := p.drawn[j]
	if !moved {
		n = j
	}
	here, moved := p.drawn[p.at]
	if !moved {
		here = p.at
	}
	p.drawn[j] = here
	delete(p.drawn, p.at)
	p.empty = p.at == last
	p.at = p.at.next()
	return p.address(n), true
}

// upTo draws a number from 0 to last: as many bits as last has, until it is not
// beyond, which takes two draws on average at most.
func (p *Pool) upTo(last number) number {
	mask := ones(last.size())
	for {
		n := number{0, p.rand.Uint64() & mask.lo}
		if mask.hi != 0 {
			n.hi = p.rand.Uint64() & mask.hi
		}
		if !last.less(n) {
			return n
		}
	}
}

// address is the address with a number.
func (p *Pool) address(n number) netip.Addr {
	i, _ := slices.BinarySearchFunc(p.ends, n, number.cmp)
	r := p.ranges[i]
	return r.to.minus(p.ends[i].minus(n)).addr(r.four)
}
