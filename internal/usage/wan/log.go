// Package wan has a stream in memory that does what streams and networks do: it delays,
// repeats, stops and is cut off. Tests and measurements read it from far away.
package wan

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/usage"
)

// Log is a stream in memory. The zero value is ready.
type Log struct {
	mu      sync.Mutex
	items   [][]byte
	when    []time.Time
	changed chan struct{} // closed with the next item
	stopped bool
	repeat  int // of a hundred appends, how many are kept twice
}

// ErrStopped is of a Log that is stopped, and of one that a View is cut off from.
var ErrStopped = errors.New("the stream is away")

// Stop makes every call fail until Start.
func (l *Log) Stop() { l.set(func() { l.stopped = true }) }

// Start ends that.
func (l *Log) Start() { l.set(func() { l.stopped = false }) }

// Repeat keeps so many of a hundred batches twice, the second somewhere later.
func (l *Log) Repeat(percent int) { l.set(func() { l.repeat = percent }) }

func (l *Log) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.wake()
}

func (l *Log) wake() { // l.mu is held
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

// Len is how many items there are.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.items)
}

// Append keeps a batch.
func (l *Log) Append(_ context.Context, s usage.Sealed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return ErrStopped
	}
	keep := func(b []byte) {
		l.items = append(l.items, append([]byte(nil), b...))
		l.when = append(l.when, time.Now())
	}
	keep(s.Data)
	if l.repeat > 0 && rand.IntN(100) < l.repeat {
		keep(l.items[rand.IntN(len(l.items))])
	}
	l.wake()
	return nil
}

// Read follows it.
func (l *Log) Read(ctx context.Context, after uint64, take func(usage.Item) error) error {
	return l.read(ctx, after, nil, take)
}

func (l *Log) read(ctx context.Context, after uint64, v *View, take func(usage.Item) error) error {
	for {
		l.mu.Lock()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		if after > uint64(len(l.items)) {
			after = 0
		}
		stopped, changed := l.stopped, l.changed
		var item []byte
		var when time.Time
		if after < uint64(len(l.items)) {
			item, when = l.items[after], l.when[after]
		}
		l.mu.Unlock()
		delay, cut := v.state()
		if stopped || cut {
			return ErrStopped
		}
		if item != nil {
			if wait := time.Until(when.Add(delay)); wait > 0 {
				if !sleep(ctx, wait) {
					return ctx.Err()
				}
				continue // it may have been cut meanwhile
			}
			after++
			if err := take(usage.Item{Position: after, Data: item}); err != nil {
				return err
			}
			continue
		}
		if err := take(usage.Item{Position: after}); err != nil {
			return err
		}
		t := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// A View is a Log as it is seen from far away.
type View struct {
	*Log
	mu    sync.Mutex
	delay time.Duration
	cut   bool
}

// From returns a view of l that is so far away, one way.
func (l *Log) From(delay time.Duration) *View { return &View{Log: l, delay: delay} }

// Cut says whether the view is cut off.
func (v *View) Cut(cut bool) {
	v.mu.Lock()
	v.cut = cut
	v.mu.Unlock()
	v.Log.set(func() {})
}

func (v *View) state() (time.Duration, bool) {
	if v == nil {
		return 0, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.delay, v.cut
}

// Append keeps a batch, if the view is not cut off.
func (v *View) Append(ctx context.Context, s usage.Sealed) error {
	delay, cut := v.state()
	if cut {
		return ErrStopped
	}
	if !sleep(ctx, delay) {
		return ctx.Err()
	}
	return v.Log.Append(ctx, s)
}

// Read follows it.
func (v *View) Read(ctx context.Context, after uint64, take func(usage.Item) error) error {
	return v.Log.read(ctx, after, v, take)
}
