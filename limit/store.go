package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A Store holds counts that several nodes share; package redis has one. It is
// what [Shared] asks.
type Store interface {
	// Exchange carries out the asks in order, each by itself at once, and fills in
	// their answers. It is called by one goroutine at a time and must return soon
	// after ctx ends; asks are not its own after that. An error is about all asks; an Ask's own Err is about
	// that one. An error that is [ErrNotApplied] says that nothing was counted;
	// after any other one that is in doubt.
	Exchange(ctx context.Context, asks []*Ask) error
	// Ping connects if need be, and reports whether the store answers and counts.
	Ping(ctx context.Context) error
}

// ErrNotApplied is what an error of a Store is (errors.Is) after which surely
// nothing was counted; see [NotApplied].
var ErrNotApplied = errors.New("limit: the shared store was not reached")

// NotApplied marks an error as ErrNotApplied, and leaves its words as they are.
func NotApplied(err error) error { return notApplied{err} }

type notApplied struct{ error }

func (e notApplied) Unwrap() error { return e.error }

func (notApplied) Is(target error) bool { return target == ErrNotApplied }

// An Ask is what one Take asks of a Store: to count what was admitted before,
// and then to charge all of its items, or none.
type Ask struct {
	Items []Item
	// Allowed and Err are the answer.
	Allowed bool
	Err     error

	// Of Shared.
	stage atomic.Int32
	waits bool          // a Take waits for it
	done  chan struct{} // has room for one
	timer *time.Timer
}

// An Item is one key of an Ask.
type Item struct {
	Key   Key
	Rate  *Rate
	Raise uint16
	// Report is what this node admitted and has not told yet: it is counted,
	// whatever the limit says, up to twice what there is at once.
	Report uint32
	// Cost is then taken if every item of the Ask can be; 0 only asks whether one
	// could be had.
	Cost uint32

	// The answer. Allowed is this item's own; the rest is the key's state after the
	// Ask. Until is the time until all of it is forgotten, Current and Previous are
	// the counts of the cells, as [Charge] has them.
	Allowed           bool
	Until             time.Duration
	Current, Previous uint32

	unheard uint32 // of this key, charged here and not in the answer
	leases  bool   // of the asks for a key on their way this one sets its lease
}

// Carry out an Ask on the states of its keys: get reads one, and put keeps one.
// It is what a Store does, for stores that can run Go, and for tests of others.
// now is on the store's own clock, in nanoseconds.
func (a *Ask) Carry(now int64, get func(Key) (until int64, current, previous uint32), put func(k Key, until int64, current, previous uint32)) {
	states := make(map[Key]state, len(a.Items))
	reported := make(map[Key]state, len(a.Items))
	for i := range a.Items {
		it := &a.Items[i]
		if _, ok := states[it.Key]; !ok {
			var s state
			s.until, s.current, s.previous = get(it.Key)
			states[it.Key] = s
		}
		s, q := states[it.Key], it.Rate.quota(it.Raise)
		q.heal(&s, now)
		q.add(&s, now, uint64(it.Report))
		states[it.Key], reported[it.Key] = s, s
	}
	a.Allowed = true
	for i := range a.Items {
		it := &a.Items[i]
		s, q := states[it.Key], it.Rate.quota(it.Raise)
		var res Result
		it.Allowed = q.take(&s, now, uint64(it.Cost), &res)
		a.Allowed = a.Allowed && it.Allowed
		states[it.Key] = s
	}
	if !a.Allowed {
		states = reported
	}
	for i := range a.Items {
		it := &a.Items[i]
		s := states[it.Key]
		put(it.Key, s.until, s.current, s.previous)
		it.Until, it.Current, it.Previous = time.Duration(max(s.until-now, 0)), s.current, s.previous
	}
}
