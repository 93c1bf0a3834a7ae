package ipwardentest

import (
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/limit"
)

// TestLimiter checks that a [limit.Limiter] keeps its contract: limits are held
// exactly, all of a Take are charged or none, denials and peeks cost nothing,
// what there never is is denied and does no harm, and all of it holds under
// concurrency. Its keys are new each time, so a store needs not be empty. A
// limiter of several nodes is tested as one of them.
//
//	ipwardentest.TestLimiter(t, l)
func TestLimiter(t *testing.T, l limit.Limiter) {
	t.Helper()
	for _, alg := range []limit.Algorithm{limit.GCRA, limit.Sliding, limit.Fixed} {
		t.Run(alg.String(), func(t *testing.T) {
			s := &limiterSuite{l: l, alg: alg}
			var seed [16]byte
			_, _ = rand.Read(seed[:]) // never fails
			s.hasher = limit.NewHasher(seed)
			t.Run("limit", s.limit)
			t.Run("cost", s.cost)
			t.Run("peek", s.peek)
			t.Run("all or none", s.allOrNone)
			t.Run("one key twice", s.oneKeyTwice)
			t.Run("many keys", s.manyKeys)
			t.Run("raise", s.raise)
			t.Run("nothing to give", s.nothing)
			t.Run("at once", s.atOnce)
			t.Run("arguments", s.arguments)
		})
	}
}

type limiterSuite struct {
	l      limit.Limiter
	alg    limit.Algorithm
	hasher limit.Hasher
	keys   atomic.Uint32
}

// rate is a rate of which nothing comes back while a test runs.
func (s *limiterSuite) rate(n uint32) *limit.Rate {
	return &limit.Rate{Name: "suite", Algorithm: s.alg, Limit: n, Window: 1000 * time.Hour}
}

// key is a key that nobody has used.
func (s *limiterSuite) key() limit.Key {
	return s.hasher.Sum(limit.AppendPart(nil, string(rune(s.keys.Add(1)))))
}

func (s *limiterSuite) take(t *testing.T, reqs ...limit.Request) []limit.Result {
	t.Helper()
	results := make([]limit.Result, len(reqs))
	if err := s.l.Take(t.Context(), reqs, results); err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Allowed != (r.RetryAfter == 0) || r.RetryAfter < 0 || r.Reset < 0 || r.Source == limit.Local {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	return results
}

func (s *limiterSuite) limit(t *testing.T) {
	r := limit.Request{Rate: s.rate(30), Key: s.key(), Cost: 1}
	for n := range uint32(40) {
		got := s.take(t, r)[0]
		if want := n < 30; got.Allowed != want || got.Limit != 30 || got.Remaining != 30-min(n+1, 30) {
			t.Fatalf("request %d: %+v", n, got)
		}
	}
}

func (s *limiterSuite) cost(t *testing.T) {
	r := limit.Request{Rate: s.rate(30), Key: s.key(), Cost: 31}
	for range 3 {
		if got := s.take(t, r)[0]; got.Allowed || got.Remaining != 30 {
			t.Errorf("31 of 30: %+v", got)
		}
	}
	for _, c := range []struct {
		cost    uint32
		allowed bool
		left    uint32
	}{{20, true, 10}, {11, false, 10}, {10, true, 0}, {1, false, 0}} {
		r.Cost = c.cost
		if got := s.take(t, r)[0]; got.Allowed != c.allowed || got.Remaining != c.left {
			t.Errorf("a cost of %d: %+v, want %d left", c.cost, got, c.left)
		}
	}
}

func (s *limiterSuite) peek(t *testing.T) {
	r := limit.Request{Rate: s.rate(20), Key: s.key()}
	for range 3 {
		if got := s.take(t, r)[0]; !got.Allowed || got.Remaining != 20 {
			t.Errorf("a peek at nothing: %+v", got)
		}
	}
	r.Cost = 20
	s.take(t, r)
	r.Cost = 0
	for range 3 {
		if got := s.take(t, r)[0]; got.Allowed || got.Remaining != 0 {
			t.Errorf("a peek at what is spent: %+v", got)
		}
	}
}

func (s *limiterSuite) allOrNone(t *testing.T) {
	wide := limit.Request{Rate: s.rate(50), Key: s.key(), Cost: 1}
	tight := limit.Request{Rate: s.rate(2), Key: s.key(), Cost: 1}
	for n := range uint32(5) {
		got := s.take(t, wide, tight)
		if limit.Allowed(got) != (n < 2) || !got[0].Allowed {
			t.Errorf("take %d: %+v", n, got)
		}
	}
	wide.Cost, tight.Cost = 0, 0
	if got := s.take(t, wide)[0]; got.Remaining != 48 {
		t.Errorf("%+v: denied Takes were charged", got)
	}
	wide.Cost = 1
	if got := s.take(t, wide, tight); limit.Allowed(got) { // a peek denies too
		t.Errorf("%+v", got)
	}
	wide.Cost = 0
	if got := s.take(t, wide)[0]; got.Remaining != 48 {
		t.Errorf("%+v: what a peek denied was charged", got)
	}
}

func (s *limiterSuite) oneKeyTwice(t *testing.T) {
	r := limit.Request{Rate: s.rate(3), Key: s.key(), Cost: 2}
	if got := s.take(t, r, r); limit.Allowed(got) {
		t.Errorf("4 of 3: %+v", got)
	}
	one := r
	one.Cost = 1
	if got := s.take(t, r, one); !limit.Allowed(got) {
		t.Errorf("3 of 3: %+v", got)
	}
	if got := s.take(t, one); limit.Allowed(got) {
		t.Errorf("4 of 3: %+v", got)
	}
}

func (s *limiterSuite) manyKeys(t *testing.T) {
	reqs := make([]limit.Request, limit.MaxRequests)
	for i := range reqs {
		reqs[i] = limit.Request{Rate: s.rate(uint32(3 + i)), Key: s.key(), Cost: 1}
	}
	for n := range 5 {
		if got := s.take(t, reqs...); limit.Allowed(got) != (n < 3) || n >= 3 && limit.Tightest(got) != 0 {
			t.Errorf("take %d: %+v", n, got)
		}
	}
	reqs[31].Cost = 0
	if got := s.take(t, reqs[31])[0]; got.Remaining != 31 {
		t.Errorf("%+v, want 31 left", got)
	}
}

func (s *limiterSuite) raise(t *testing.T) {
	r := limit.Request{Rate: s.rate(5), Key: s.key(), Cost: 1, Raise: 4}
	n := 0
	for limit.Allowed(s.take(t, r)) {
		if n++; n > 20 {
			break
		}
	}
	if n != 20 {
		t.Errorf("%d passed four times a limit of 5", n)
	}
}

func (s *limiterSuite) nothing(t *testing.T) {
	r := limit.Request{Rate: s.rate(0), Key: s.key(), Cost: 1}
	if got := s.take(t, r)[0]; got.Allowed || got.Remaining != 0 || got.Limit != 0 {
		t.Errorf("a limit of 0: %+v", got)
	}
}

func (s *limiterSuite) atOnce(t *testing.T) {
	r := limit.Request{Rate: s.rate(100), Key: s.key(), Cost: 1}
	other := limit.Request{Rate: s.rate(1000), Key: s.key(), Cost: 1}
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			var results [2]limit.Result
			for range 100 {
				if err := s.l.Take(t.Context(), []limit.Request{other, r}, results[:]); err != nil {
					t.Error(err)
				} else if limit.Allowed(results[:]) {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 100 {
		t.Errorf("%d of 2,000 at once passed a limit of 100", n)
	}
}

func (s *limiterSuite) arguments(t *testing.T) {
	r := limit.Request{Rate: s.rate(1), Key: s.key(), Cost: 1}
	for want, c := range map[string]struct {
		reqs    []limit.Request
		results int
	}{
		"as many results": {[]limit.Request{r}, 0},
		"at most 32":      {make([]limit.Request, 33), 33},
		"without a Rate":  {make([]limit.Request, 1), 1},
	} {
		err := s.l.Take(t.Context(), c.reqs, make([]limit.Result, c.results))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	if err := s.l.Take(t.Context(), nil, nil); err != nil {
		t.Errorf("a Take of nothing: %v", err)
	}
}
