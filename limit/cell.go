package limit

import (
	"sync/atomic"
	"time"
)

// A Cell is the GCRA state of one key, kept by who has few keys and knows them
// all, such as the accounts of a service: nothing is looked up, nothing is
// displaced, and a Cell is 8 bytes. The zero value was never used. Any number of
// goroutines may use it.
type Cell struct {
	until atomic.Int64 // nanoseconds on the clock of the callers
}

// Take charges cost units of r at now, or none. now is the time since any moment
// that stays the same, on a clock that is never set back, such as time.Since of
// the start of the process. r is of algorithm GCRA.
//
// A cost above the burst, which a [Limiter] always denies, is admitted when
// nothing is used, and charged whole: who asks for ten thousand at once gets them,
// and then waits until they are paid off. Over any time t at most
// Burst + Limit·t/Window, or one such cost instead of Burst, is admitted.
func (c *Cell) Take(now time.Duration, r *Rate, cost uint32) Result {
	if r.Limit == 0 || r.Window <= 0 {
		return Result{RetryAfter: r.Window}
	}
	limit, burst := int64(r.Limit), int64(r.Burst)
	if burst == 0 {
		burst = limit
	}
	interval := (int64(r.Window) + limit - 1) / limit
	tolerance := mul(interval, uint64(burst))
	charge := mul(interval, uint64(cost))
	ask := charge
	switch {
	case cost == 0: // a peek asks whether one could be had
		ask = interval
	case ask > tolerance:
		ask = tolerance
	}
	for {
		until := c.until.Load()
		level := max(until-int64(now), 0)
		res := Result{Limit: r.Limit}
		if level+ask > tolerance {
			res.RetryAfter = time.Duration(level + ask - tolerance)
		} else {
			res.Allowed = true
			level += charge
			if cost > 0 && !c.until.CompareAndSwap(until, int64(now)+level) {
				continue
			}
		}
		if level < tolerance {
			res.Remaining = saturate(uint64(tolerance-level) / uint64(interval))
		}
		res.Reset = time.Duration(level)
		return res
	}
}

// Give takes back what a Take charged, because another limit denied.
func (c *Cell) Give(r *Rate, cost uint32) {
	if r.Limit > 0 && r.Window > 0 {
		interval := (int64(r.Window) + int64(r.Limit) - 1) / int64(r.Limit)
		c.until.Add(-mul(interval, uint64(cost)))
	}
}
