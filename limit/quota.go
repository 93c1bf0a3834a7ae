package limit

import (
	"math"
	"math/bits"
	"time"
)

// A state is what is known of a key: 16 bytes, and all zero for a key that was
// never seen. Times are nanoseconds on the limiter's clock.
type state struct {
	// until is when everything here is forgotten. Of GCRA it is the theoretical
	// arrival time; of Sliding the end of the cell after the present one; of Fixed
	// the end of the cell.
	until int64
	// current and previous are the counts of the cells; GCRA has none.
	current, previous uint32
}

// A quota is a Rate, raised, in the form that is counted with.
type quota struct {
	algorithm Algorithm
	limit     uint64 // units a window
	burst     uint64 // units at once
	window    int64  // nanoseconds
}

func (r *Rate) quota(raise uint16) quota {
	q := quota{algorithm: r.Algorithm, limit: uint64(r.Limit), burst: uint64(r.Burst), window: int64(r.Window)}
	if q.burst == 0 || q.algorithm != GCRA {
		q.burst = q.limit
	}
	if raise > 1 {
		q.limit = min(q.limit*uint64(raise), math.MaxUint32)
		q.burst = min(q.burst*uint64(raise), math.MaxUint32)
	}
	return q
}

// none answers for a quota that has nothing to give: a Limit or Window of 0, or
// a cost above what there ever is. What is used is left as it is.
func (q *quota) none(res *Result, used uint64, reset int64) {
	res.Remaining = saturate(q.burst - min(q.burst, used))
	res.Reset = time.Duration(reset)
	res.RetryAfter = time.Duration(q.window)
}

// take charges cost to s at the time now and answers. When it is denied, s
// stays as it is.
func (q *quota) take(s *state, now int64, cost uint64, res *Result) bool {
	*res = Result{Limit: saturate(q.limit)}
	if q.limit == 0 || q.window <= 0 || q.burst == 0 {
		q.none(res, 0, 0)
		return false
	}
	if q.algorithm == GCRA {
		res.Allowed = q.takeGCRA(s, now, cost, res)
	} else {
		res.Allowed = q.takeCells(s, now, cost, res)
	}
	return res.Allowed
}

// add charges cost to s without asking, up to twice what there is at once: what
// other nodes admitted is counted, and no sum of reports locks a key for long.
func (q *quota) add(s *state, now int64, cost uint64) {
	switch {
	case cost == 0 || q.limit == 0 || q.window <= 0 || q.burst == 0:
	case q.algorithm == GCRA:
		interval := q.interval()
		level := q.level(s, now)
		s.until = now + min(level+mul(interval, cost), 2*mul(interval, q.burst))
	default:
		q.roll(s, now)
		s.current = saturate(min(uint64(s.current)+cost, 2*q.limit))
	}
}

// heal makes a key full whose time is further ahead than it can be: the clock of a
// store was set back, or another store's took over that was ahead. Nobody is shut out
// for as long as that, and nothing is given away. A microsecond is for rounding.
func (q *quota) heal(s *state, now int64) {
	if q.limit == 0 || q.window <= 0 || q.burst == 0 {
		return
	}
	full := q.window // of Fixed, and half of what Sliding has
	most := full
	switch q.algorithm {
	case GCRA:
		full = mul(q.interval(), q.burst)
		most = 2 * full
	case Sliding:
		full *= 2
		most = full
	}
	if s.until-now > most+int64(time.Microsecond) {
		s.until = now + full
	}
}

// interval is the time in which GCRA gives one unit back, rounded up so that
// the limit is never exceeded.
func (q *quota) interval() int64 {
	return int64((uint64(q.window) + q.limit - 1) / q.limit)
}

// level is how much of GCRA's tolerance is used at the time now. A clock that
// was set back makes it look larger than it can be; it never counts for more
// than twice the tolerance.
func (q *quota) level(s *state, now int64) int64 {
	if s.until <= now {
		return 0
	}
	return min(s.until-now, 2*mul(q.interval(), q.burst))
}

func (q *quota) takeGCRA(s *state, now int64, cost uint64, res *Result) bool {
	interval := q.interval()
	tolerance := mul(interval, q.burst)
	level := int64(0)
	if s.until > now {
		level = min(s.until-now, 2*tolerance)
	}
	if cost > q.burst {
		q.none(res, uint64((level+interval-1)/interval), level)
		return false
	}
	ask := interval * int64(cost)
	if cost == 0 {
		ask = interval // a peek asks whether one could be had
	}
	allowed := level+ask <= tolerance
	if !allowed {
		res.RetryAfter = time.Duration(level + ask - tolerance)
	} else if cost > 0 {
		level += ask
		s.until = now + level
	}
	if level < tolerance {
		res.Remaining = saturate(uint64(tolerance-level) / uint64(interval))
	}
	res.Reset = time.Duration(level)
	return allowed
}

// roll moves the cells of s to those of the time now.
func (q *quota) roll(s *state, now int64) {
	if q.algorithm == Fixed {
		// A cell that ends later than one that began now is of a clock that was set
		// back since: it ends a Window from now at the latest.
		if s.until = min(s.until, now+q.window); s.until <= now {
			*s = state{until: now + q.window}
		}
		return
	}
	s.until = min(s.until, now+2*q.window)
	switch left := s.until - now; {
	case left <= 0:
		*s = state{until: now + 2*q.window}
	case left <= q.window: // the present cell is over: it becomes the one before
		*s = state{until: s.until + q.window, previous: s.current}
	}
}

// takeCells is Sliding and Fixed.
func (q *quota) takeCells(s *state, now int64, cost uint64, res *Result) bool {
	at := *s
	q.roll(&at, now)
	left := at.until - now // until the end of the present cell
	if q.algorithm == Sliding {
		left -= q.window
	}
	used := uint64(at.current) + part(uint64(at.previous), left, q.window)
	reset := at.until - now
	if at.current == 0 {
		reset = left
	}
	if used == 0 {
		reset = 0
	}
	if cost > q.limit {
		q.none(res, used, reset)
		return false
	}
	ask := max(cost, 1) // a peek asks whether one could be had
	if used+ask > q.limit {
		res.Remaining = saturate(q.limit - min(q.limit, used))
		res.Reset = time.Duration(reset)
		res.RetryAfter = time.Duration(q.wait(&at, left, q.limit-ask))
		return false
	}
	if cost > 0 {
		at.current += uint32(cost)
		used += cost
		*s = at
		reset = at.until - now
	}
	res.Remaining = saturate(q.limit - used)
	res.Reset = time.Duration(reset)
	return true
}

// wait is the time until at most room units are used, left before the end of
// the present cell.
func (q *quota) wait(s *state, left int64, room uint64) int64 {
	if q.algorithm == Fixed {
		return left
	}
	if uint64(s.current) <= room { // enough of the older cell must pass
		return left - share(room-uint64(s.current), uint64(s.previous), q.window)
	}
	return left + q.window - share(room, uint64(s.current), q.window)
}

// part is ceil(n·left/window): rounded up, so that a count which is shown as
// full is full.
func part(n uint64, left, window int64) uint64 {
	if n == 0 || left <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(n, uint64(left))
	lo, carry := bits.Add64(lo, uint64(window)-1, 0)
	quo, _ := bits.Div64(hi+carry, lo, uint64(window)) // hi < window: left ≤ window, n < 2³²
	return quo
}

// share is floor(window·room/of): what may be left of a cell so that at most
// room of its of units count.
func share(room, of uint64, window int64) int64 {
	if of == 0 || room >= of {
		return window
	}
	hi, lo := bits.Mul64(room, uint64(window))
	quo, _ := bits.Div64(hi, lo, of)
	return int64(quo)
}

// mul is a·b, at most a quarter of what an int64 holds.
func mul(a int64, b uint64) int64 {
	const most = math.MaxInt64 / 4
	hi, lo := bits.Mul64(uint64(a), b)
	if hi != 0 || lo > most {
		return most
	}
	return int64(lo)
}

func saturate(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }
