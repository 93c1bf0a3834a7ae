package usage

import (
	"iter"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/prefetch"
)

// accounts are all Subjects: in blocks that stay where they are, so that a Standing may
// be pointed at, and found by an open-addressing table of their numbers. That is some 8
// bytes beside the account's 128. None is ever taken out.
type accounts struct {
	Directory
	n      uint32
	keys   uint32 // of them, Subjects that are a key's
	places places
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

// Find is At for who does not know that there is one: nil when there is none.
func (d *Directory) Find(n uint32) *Standing {
	all := d.blocks.Load()
	if all == nil || uint64(n)/block >= uint64(len(*all)) {
		return nil
	}
	return &(*all)[n/block][n%block].Standing // of one that is not made yet, nothing
}

// Memory calls add with where all of them are.
func (d *Directory) Memory(add func(unsafe.Pointer, uintptr)) {
	if all := d.blocks.Load(); all != nil {
		for _, b := range *all {
			add(unsafe.Pointer(b), unsafe.Sizeof(*b))
		}
	}
}

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

func (s Subject) hash() uint64 { return mix(uint64(s.Account), uint64(s.Key)) }

// find returns a Subject's account, nil when it is not known.
func (a *accounts) find(s Subject) *account { return a.findHash(s, s.hash()) }

// findHash is find for who has the hash.
func (a *accounts) findHash(s Subject, h uint64) *account {
	if a.n == 0 {
		return nil
	}
	for i := a.places.home(h); ; i++ {
		var n uint32
		var found bool
		if i, n, found = a.places.seek(h, i); !found {
			return nil
		}
		if acc := a.at(n); acc.subject == s {
			return acc
		}
	}
}

// fetch begins to fetch the account of a hash from memory.
func (a *accounts) fetch(h uint64) {
	if n, found := a.places.guess(h); found {
		prefetch.Object(unsafe.Pointer(a.at(n)), unsafe.Sizeof(account{}))
	}
}

// make makes the account of a Subject that is not known.
func (a *accounts) make(s Subject) *account {
	if a.places.full(int(a.n)) {
		a.places.grow()
		for i := range a.n {
			a.places.insert(a.at(i).subject.hash(), i)
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
	acc.subject, acc.epoch = s, noEpoch
	a.places.insert(s.hash(), a.n)
	a.n++
	if s.Key != 0 {
		a.keys++
	}
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
