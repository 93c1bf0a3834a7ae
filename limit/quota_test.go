package limit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// log is the oracle: it keeps every charge, and counts them afresh.
type log struct {
	rate    Rate
	raise   uint64
	charges []charge
	// of GCRA
	bucket float64 // units used
	seen   time.Duration
	// of cells
	start time.Duration // of the present cell; charges hold the counts
	begun bool
}

type charge struct {
	at   time.Duration
	cost uint64
}

func (l *log) limit() float64 { return float64(l.rate.Limit) * float64(max(l.raise, 1)) }

func (l *log) burst() float64 {
	if l.rate.Algorithm == GCRA && l.rate.Burst > 0 {
		return float64(l.rate.Burst) * float64(max(l.raise, 1))
	}
	return l.limit()
}

// sum adds up the charges of [from, to).
func (l *log) sum(from, to time.Duration) (n float64) {
	for _, c := range l.charges {
		if c.at >= from && c.at < to {
			n += float64(c.cost)
		}
	}
	return n
}

// used is how much is used at a time, as the documentation says it.
func (l *log) used(now time.Duration) float64 {
	switch w := l.rate.Window; l.rate.Algorithm {
	case GCRA: // a bucket that leaks Limit in a Window
		l.bucket = max(0, l.bucket-float64(now-l.seen)*l.limit()/float64(w))
		l.seen = now
		return l.bucket
	case Sliding:
		for l.begun && now >= l.start+w {
			if l.start += w; l.sum(l.start-w, l.start) == 0 {
				l.begun = false
			}
		}
		if !l.begun {
			return 0
		}
		older := l.sum(l.start-w, l.start)
		return l.sum(l.start, now+1) + older*float64(l.start+w-now)/float64(w)
	default:
		if l.begun && now >= l.start+w {
			l.begun = false
		}
		if !l.begun {
			return 0
		}
		return l.sum(l.start, now+1)
	}
}

func (l *log) charge(now time.Duration, cost uint64) {
	if !l.begun {
		l.begun, l.start = true, now
	}
	l.bucket += float64(cost)
	l.charges = append(l.charges, charge{now, cost})
}

// A quota answers as the slow log of all charges does.
func TestQuotaIsTheOracles(t *testing.T) {
	for _, rate := range []Rate{
		{Name: "minute", Limit: 60, Window: time.Minute},
		{Name: "burst", Limit: 100, Burst: 7, Window: 10 * time.Second},
		{Name: "one", Limit: 1, Window: time.Second},
		{Name: "uneven", Limit: 7, Window: time.Second},
		{Name: "failures", Algorithm: Sliding, Limit: 3, Window: time.Hour},
		{Name: "sliding", Algorithm: Sliding, Limit: 50, Window: time.Minute},
		{Name: "fixed", Algorithm: Fixed, Limit: 20, Window: 5 * time.Second},
	} {
		for _, raise := range []uint16{0, 4} {
			t.Run(rate.Name, func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, uint64(raise)))
				oracle := &log{rate: rate, raise: uint64(raise)}
				var s state
				q := rate.quota(raise)
				now := time.Duration(0)
				for i := range 4000 {
					now += time.Duration(r.Int64N(int64(rate.Window) / int64(2*rate.Limit)))
					if r.IntN(100) == 0 {
						now += time.Duration(r.Int64N(int64(3 * rate.Window)))
					}
					cost := uint64(r.IntN(3))
					var res Result
					before := s
					allowed := q.take(&s, at(now), cost, &res)
					used := oracle.used(now)
					over := used + float64(max(cost, 1)) - oracle.burst()
					const slack = 1e-3 // the interval is in whole nanoseconds
					if (over < -slack) != allowed && (over > slack) == allowed {
						t.Fatalf("%d: at %s a cost of %d with %.4f of %.0f used: allowed %v", i, now, cost, used, oracle.burst(), allowed)
					}
					if !allowed && s != before {
						t.Fatalf("%d: a denial changed the state", i)
					}
					if !allowed {
						checkWait(t, q, s, now, cost, res)
						continue
					}
					if cost > 0 {
						oracle.charge(now, cost)
					}
					left := oracle.burst() - used - float64(cost)
					if d := left - float64(res.Remaining); d < -slack || d > 1+slack {
						t.Fatalf("%d: %d remaining, want %.4f", i, res.Remaining, left)
					}
					if res.RetryAfter != 0 || res.Reset < 0 {
						t.Fatalf("%d: %+v", i, res)
					}
				}
			})
		}
	}
}

// After RetryAfter the same request is allowed, and a little before it is not.
func checkWait(t *testing.T, q quota, s state, now time.Duration, cost uint64, res Result) {
	t.Helper()
	var again Result
	if res.RetryAfter <= 0 {
		t.Fatalf("denied, and come back after %s", res.RetryAfter)
	}
	if cost > q.burst {
		return
	}
	late, early := s, s
	if !q.take(&late, at(now+res.RetryAfter), cost, &again) {
		t.Fatalf("denied again after the %s it was told to wait: %+v", res.RetryAfter, again)
	}
	if q.take(&early, at(now+res.RetryAfter-time.Microsecond), cost, &again) && res.RetryAfter > time.Millisecond {
		t.Fatalf("allowed a microsecond before the %s it was told to wait", res.RetryAfter)
	}
}

func TestCostAboveTheLimit(t *testing.T) {
	for _, alg := range []Algorithm{GCRA, Sliding, Fixed} {
		rate := Rate{Name: "x", Algorithm: alg, Limit: 10, Window: time.Minute}
		q := rate.quota(1)
		var s state
		var res Result
		for range 100 {
			if q.take(&s, at(0), 11, &res) {
				t.Fatalf("%s: 11 of 10 allowed", alg)
			}
		}
		if res.RetryAfter != time.Minute || res.Remaining != 10 {
			t.Errorf("%s: %+v", alg, res)
		}
		if !q.take(&s, at(0), 10, &res) || res.Remaining != 0 {
			t.Errorf("%s: the key is poisoned: %+v", alg, res)
		}
	}
}

// A clock that jumps locks nobody out for longer than it jumped, and a jump
// there and back gives nothing away.
func TestClockJumps(t *testing.T) {
	for _, alg := range []Algorithm{GCRA, Sliding, Fixed} {
		rate := Rate{Name: "x", Algorithm: alg, Limit: 10, Window: 10 * time.Second}
		q := rate.quota(1)
		drain := func(s *state, now time.Duration) (n int) {
			var res Result
			for q.take(s, at(now), 1, &res) {
				n++
			}
			return n
		}
		var s state
		drain(&s, time.Minute)
		var res Result
		q.take(&s, at(time.Minute), 1, &res)
		wait := res.RetryAfter
		q.take(&s, at(time.Minute-5*time.Second), 1, &res) // back five seconds
		if res.Allowed || res.RetryAfter > wait+5*time.Second {
			t.Errorf("%s: five seconds back: %+v, before %s", alg, res, wait)
		}
		q.take(&s, at(time.Minute-time.Hour), 1, &res) // an hour
		if res.Allowed || res.RetryAfter > 2*rate.Window {
			t.Errorf("%s: an hour back: %+v", alg, res)
		}
		there := drain(&s, time.Minute+5*time.Second)
		if n := drain(&s, time.Minute); n > 0 {
			t.Errorf("%s: %d more after a jump there and back", alg, n)
		}
		if there > 10 {
			t.Errorf("%s: five seconds forth gave %d", alg, there)
		}
	}
}

// The edge of a window admits no more than the limit and the burst in any
// window's length.
func TestWindowEdge(t *testing.T) {
	for _, alg := range []Algorithm{GCRA, Sliding, Fixed} {
		rate := Rate{Name: "x", Algorithm: alg, Limit: 100, Window: time.Minute}
		q := rate.quota(1)
		var s state
		var res Result
		n := 0
		for _, now := range []time.Duration{0, 59900 * time.Millisecond, 60100 * time.Millisecond, 119 * time.Second} {
			got := 0
			for range 100 {
				if q.take(&s, at(now), 1, &res) {
					got++
				}
			}
			if now > 0 && now < 119*time.Second {
				n += got
			}
		}
		if n > 200 {
			t.Errorf("%s: %d within a fifth of a second", alg, n)
		}
		if alg == GCRA && n > 101 {
			t.Errorf("gcra: %d within a fifth of a second after a full burst a minute before", n)
		}
	}
}
