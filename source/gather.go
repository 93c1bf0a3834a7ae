package source

import (
	"context"
	"sync/atomic"
	"time"
)

// Flights look into the Store together: who asks while a question to it is on its
// way is part of the next, so that a question, a timer and a goroutine serve many.
const (
	lookersAtOnce = 2   // questions on their way
	lookTogether  = 128 // flights of one
	lookersStuck  = 4   // that have not come back though their time is over; then the Store is let alone
)

// gather has a flight looked for in the Store. c.mu is held.
func (c *Cached) gather(f *flight) {
	c.waiting = append(c.waiting, f)
	if c.lookers < lookersAtOnce {
		c.lookers++
		go c.look()
	}
}

// A batch is flights that look into the Store together.
type batch struct {
	flights []*flight
	likely  []int // the length at which each is looked for, 0 for all there are
	ends    []int // of each one's keys
	keys    []Key
	values  [][]byte
}

// look is the goroutine of a looker: it goes on while flights wait.
func (c *Cached) look() {
	b := &batch{}
	for c.next(b) {
		if !c.lookFor(b) {
			return // another has taken its place
		}
	}
}

// next takes flights that wait; false when there are none, and this was a looker.
func (c *Cached) next(b *batch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), lookTogether)
	if n == 0 {
		c.lookers--
		return false
	}
	b.flights = append(b.flights[:0], c.waiting[:n]...)
	rest := copy(c.waiting, c.waiting[n:])
	clear(c.waiting[rest:])
	c.waiting = c.waiting[:rest]
	return true
}

// lookFor asks the Store about a batch. False says that the Store did not come back
// when it should have, and that the flights went on without it.
func (c *Cached) lookFor(b *batch) bool {
	b.likely, b.ends, b.keys = b.likely[:0], b.ends[:0], b.keys[:0]
	for _, f := range b.flights {
		likely := c.likely(f)
		b.keys = c.firstKeys(b.keys, f, likely)
		b.likely, b.ends = append(b.likely, likely), append(b.ends, len(b.keys))
	}
	if !c.permitted() {
		c.goOn(b, 0)
		return true
	}
	if cap(b.values) < len(b.keys) {
		b.values = make([][]byte, len(b.keys))
	}
	b.values = b.values[:len(b.keys)]
	clear(b.values)
	var given atomic.Bool // whoever sets it sees to the flights
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.StoreTimeout)
	defer cancel()
	late := time.AfterFunc(c.cfg.StoreTimeout, func() {
		if !given.CompareAndSwap(false, true) {
			return
		}
		c.stuck.Add(1)
		c.storeFailed()
		c.goOn(b, 0)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lookers--; len(c.waiting) > 0 {
			c.lookers++
			go c.look()
		}
	})
	err := c.cfg.Store.Get(ctx, b.keys, b.values)
	late.Stop()
	if !given.CompareAndSwap(false, true) {
		c.stuck.Add(-1)
		return false
	}
	if err != nil {
		c.storeFailed()
		c.goOn(b, 0)
		return true
	}
	c.well.RecordSuccess()
	c.settle(b)
	return true
}

// permitted reports whether the Store may be asked: it is not away, and does not
// keep who asks.
func (c *Cached) permitted() bool {
	return c.stuck.Load() < lookersStuck && c.well.TryAcquirePermit()
}

func (c *Cached) storeFailed() {
	c.stats.storeErrors.Add(1)
	c.well.RecordFailure()
}

// settle lands the flights for which the Store has an answer. The others go on.
func (c *Cached) settle(b *batch) {
	now := c.cfg.Now().UnixNano()
	start, landed := 0, 0
	for i, f := range b.flights {
		a := c.accept(f, b.values[start:b.ends[i]], now)
		start = b.ends[i]
		switch {
		case a != nil:
			c.land(f, c.keep(f, a), nil)
			landed++
		case b.likely[i] != 0:
			go c.run(f, b.likely[i])
		default:
			c.stats.storeMisses.Add(1)
			go c.run(f, 0)
		}
	}
	if landed > 0 {
		c.mu.Lock()
		c.running -= landed
		c.mu.Unlock()
	}
}

// goOn has the flights of a batch go on by themselves.
func (c *Cached) goOn(b *batch, looked int) {
	for _, f := range b.flights {
		go c.run(f, looked)
	}
}
