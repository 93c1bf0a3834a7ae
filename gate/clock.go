package gate

import (
	"sync/atomic"
	"time"
)

// A clock tells the time. While it is read more often than every ten microseconds
// it tells that of the last millisecond, which costs a tenth of reading the
// system's clocks; else it reads those. It never runs ahead. It has no goroutine: a
// timer runs while it is busy, and stops by itself.
type clock struct {
	ticked atomic.Pointer[time.Time] // the last tick; nil while it does not tick
	used   atomic.Bool               // since the last tick
	start  time.Time
	last   atomic.Int64 // when the system's clock was read last, since the start
	timer  *time.Timer
}

const (
	tick = time.Millisecond
	busy = 10 * time.Microsecond
)

func newClock() *clock {
	c := &clock{start: time.Now()}
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.timer.Stop()
	return c
}

// now is the time, at most a tick ago.
func (c *clock) now() time.Time {
	t := c.ticked.Load()
	if t == nil {
		return c.read()
	}
	if !c.used.Load() {
		c.used.Store(true)
	}
	return *t
}

// read reads the system's clocks, and begins to tick when that is done often.
func (c *clock) read() time.Time {
	t := time.Now()
	since := int64(t.Sub(c.start))
	if last := c.last.Swap(since); since-last < int64(busy) && last > 0 {
		if kept := t; c.ticked.CompareAndSwap(nil, &kept) {
			c.used.Store(true)
			c.timer.Reset(tick)
		}
	}
	return t
}

// tick is the timer's.
func (c *clock) tick() {
	if !c.used.Swap(false) {
		c.ticked.Store(nil)
		return
	}
	t := time.Now()
	c.ticked.Store(&t)
	c.timer.Reset(tick)
}
