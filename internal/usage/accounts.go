package usage

import (
	"iter"
	"slices"
	"sync/atomic"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// accounts are all Subjects: in blocks that stay where they are, so that a Standing may
// be pointed at, and found by an open-addressing table of their numbers. That is some 8
// bytes beside the account's 128. None is ever taken out.
type accounts struct {
	Directory
	n      uint32
	index  []uint32 // number and one; 0 is none. A power of two, at most three quarters are taken
	bounds map[terms]*bounds
}

const block = 1 << 12

// A Directory gives Standings by their numbers, to whoever has another way to find out
// which: from 0 on, without gaps, and the same for ever.
type Directory struct {
	blocks atomic.Pointer[[]*[block]account] // a new slice with each block
}

// At returns the Standing of a number, which there must be.
func (d *Directory) At(n uint32) *Standing { return &d.at(n).Standing }

func (d *Directory) at(n uint32) *account { return &(*d.blocks.Load())[n/block][n%block] }

// terms are what bounds are shared by.
type terms struct {
	perDay, perMonth int64
	window           customer.Window
}

// mostBounds is how many are shared; what is more has its own.
const mostBounds = 1 << 12

// of are the bounds of terms.
func (a *accounts) of(t terms) *bounds {
	b := a.bounds[t]
	if b == nil {
		b = &bounds{perDay: t.perDay, perMonth: t.perMonth, window: t.window}
		if a.bounds == nil {
			a.bounds = map[terms]*bounds{}
		}
		if len(a.bounds) < mostBounds {
			a.bounds[t] = b
		}
	}
	return b
}

// place is where the table says something of a Subject: its number and one, or 0.
func (a *accounts) place(s Subject) *uint32 {
	mask := uint64(len(a.index) - 1)
	for h := scramble(uint64(s.Account)*0x9e3779b97f4a7c15 ^ uint64(s.Key)); ; h++ {
		p := &a.index[h&mask]
		if *p == 0 || a.at(*p-1).subject == s {
			return p
		}
	}
}

// find returns a Subject's account, nil when it is not known.
func (a *accounts) find(s Subject) *account {
	if a.n == 0 {
		return nil
	}
	if p := *a.place(s); p != 0 {
		return a.at(p - 1)
	}
	return nil
}

// make makes the account of a Subject that is not known.
func (a *accounts) make(s Subject) *account {
	if int(a.n)+1 > len(a.index)/4*3 {
		a.index = make([]uint32, max(64, 2*len(a.index)))
		for i := range a.n {
			*a.place(a.at(i).subject) = i + 1
		}
	}
	if a.n%block == 0 {
		var before []*[block]account
		if b := a.blocks.Load(); b != nil {
			before = *b
		}
		after := append(slices.Clip(before), new([block]account))
		a.blocks.Store(&after)
	}
	acc := a.at(a.n)
	acc.number = a.n
	a.n++
	*a.place(s) = a.n
	acc.subject, acc.epoch = s, noEpoch
	acc.bounds.Store(a.of(terms{}))
	return acc
}

// all are the accounts, in the order in which they were made.
func (a *accounts) all() iter.Seq[*account] {
	return func(yield func(*account) bool) {
		for i := range a.n {
			if !yield(a.at(i)) {
				return
			}
		}
	}
}
