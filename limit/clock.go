package limit

import (
	"sync/atomic"
	"time"
)

// A coarseClock tells the time since its start. While it is read more often than
// every ten microseconds it tells the time of the last millisecond, which costs
// a twentieth of reading the system's clock; else it reads that. It never runs
// ahead, so nothing is given back too early. It has no goroutine: a timer runs
// while it is busy, and stops by itself.
type coarseClock struct {
	start time.Time
	ticks atomic.Int64 // nanoseconds since the start, of the last tick; 0 while it does not tick
	used  atomic.Bool  // since the last tick
	read  atomic.Int64 // when the system's clock was read last
	timer *time.Timer
}

const (
	tick = time.Millisecond
	busy = 10 * time.Microsecond
)

func newCoarseClock() *coarseClock {
	c := &coarseClock{start: time.Now()}
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.timer.Stop()
	return c
}

// since is the time since the start.
func (c *coarseClock) since() time.Duration {
	if t := c.ticks.Load(); t != 0 {
		if !c.used.Load() {
			c.used.Store(true)
		}
		return time.Duration(t)
	}
	t := time.Since(c.start)
	if last := c.read.Swap(int64(t)); t > 0 && int64(t)-last < int64(busy) && c.ticks.CompareAndSwap(0, int64(t)) {
		c.used.Store(true)
		c.timer.Reset(tick)
	}
	return t
}

// tick is the timer's.
func (c *coarseClock) tick() {
	if !c.used.Swap(false) {
		c.ticks.Store(0)
		return
	}
	c.ticks.Store(int64(time.Since(c.start)))
	c.timer.Reset(tick)
}
