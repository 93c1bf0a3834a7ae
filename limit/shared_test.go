package limit

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStore is a store in this process, with a delay there and back, that can
// refuse, be silent, and lose everything.
type fakeStore struct {
	mu        sync.Mutex // guards what is below
	states    map[Key]state
	start     time.Time
	delay     func() time.Duration // one way
	err       error
	silent    bool
	deaf      bool // counts, and then fails
	exchanges int
	items     int
	pings     int
}

func newFakeStore() *fakeStore {
	return &fakeStore{states: map[Key]state{}, start: time.Now(), delay: func() time.Duration { return 0 }}
}

// wait is a way to the store or back.
func (f *fakeStore) wait(ctx context.Context) error {
	f.mu.Lock()
	d, err, silent := f.delay(), f.err, f.silent
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *fakeStore) Ping(ctx context.Context) error {
	f.mu.Lock()
	f.pings++
	f.mu.Unlock()
	return f.wait(ctx)
}

func (f *fakeStore) Exchange(ctx context.Context, asks []*Ask) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	f.exchanges++
	now := int64(MaxHorizon) + int64(time.Since(f.start))
	for _, a := range asks {
		f.items += len(a.Items)
		a.Carry(now, func(k Key) (int64, uint32, uint32) {
			s := f.states[k]
			return s.until, s.current, s.previous
		}, func(k Key, until int64, current, previous uint32) {
			f.states[k] = state{until, current, previous}
		})
	}
	deaf := f.deaf
	f.mu.Unlock()
	if deaf {
		return errors.New("the line went dead")
	}
	return f.wait(ctx)
}

func (f *fakeStore) set(change func(*fakeStore)) {
	f.mu.Lock()
	change(f)
	f.mu.Unlock()
}

// counted returns how many batches and keys came.
func (f *fakeStore) counted() (exchanges, items, pings int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.exchanges, f.items, f.pings
}

func (f *fakeStore) state(k Key) state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states[k]
}

func shared(t testing.TB, c SharedConfig) *Shared {
	t.Helper()
	if c.Entries == 0 {
		c.Entries = 4096
	}
	s, err := NewShared(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSharedConfig(t *testing.T) {
	_, err := NewShared(t.Context(), SharedConfig{Budget: -1, Lease: 99, Interval: time.Hour, Entries: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Store", "Budget", "Lease", "Interval", "Entries"} {
		if !contains(err.Error(), want) {
			t.Errorf("%v: nothing of %s", err, want)
		}
	}
}

func contains(s, sub string) bool {
	for i := range len(s) - len(sub) + 1 {
		if s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}

func TestSharedEntrySize(t *testing.T) {
	if st := shared(t, SharedConfig{Store: newFakeStore(), Entries: 1000}).Stats(); st.Entries != 1000 || st.Bytes != 40_000 {
		t.Errorf("%+v", st)
	}
}

// Through a store that answers, four nodes hold a limit exactly.
func TestSharedIsExact(t *testing.T) {
	for _, alg := range []Algorithm{GCRA, Sliding, Fixed} {
		t.Run(alg.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newFakeStore()
				store.delay = func() time.Duration { return rand.N(time.Millisecond) }
				rate := &Rate{Name: "x", Algorithm: alg, Limit: 100, Window: time.Hour}
				other := &Rate{Name: "y", Limit: 1000, Window: time.Hour}
				var mu sync.Mutex
				passed := 0
				var wg sync.WaitGroup
				for range 4 {
					node := shared(t, SharedConfig{Store: store})
					for range 50 {
						wg.Go(func() {
							for range 10 {
								got := take(t, node, Request{Rate: other, Key: key(2), Cost: 1}, Request{Rate: rate, Key: key(1), Cost: 1})
								if Allowed(got) {
									mu.Lock()
									passed++
									mu.Unlock()
								}
								if got[0].Source == Local {
									t.Errorf("%+v", got)
								}
							}
						})
					}
				}
				wg.Wait()
				if passed != 100 {
					t.Errorf("%d passed a limit of 100", passed)
				}
				s := store.state(key(2))
				q := other.quota(1)
				if used := (s.until - int64(MaxHorizon) - int64(time.Since(store.start)) + q.interval()/2) / q.interval(); used != 100 {
					t.Errorf("the other limit was charged %d, want 100: all or none", used)
				}
			})
		})
	}
}

// In fast mode nodes admit at most the bound more than a limit, whatever the
// delays, the number of nodes and the order; and they do overshoot, or the test
// would show nothing.
func TestOvershootBound(t *testing.T) {
	for _, alg := range []Algorithm{GCRA, Sliding, Fixed} {
		worst := int64(0)
		for seed := range uint64(12) {
			nodes := 2 + int(seed%4)
			t.Run(alg.String()+strconv.FormatUint(seed, 10), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 1))
					store := newFakeStore()
					ways := rand.New(rand.NewPCG(seed, 2)) // the store's own: it is asked under its lock
					store.delay = func() time.Duration { return time.Duration(ways.Int64N(int64(2 * time.Millisecond))) }
					config := SharedConfig{Store: store, Fast: true, Lease: 5 + random.IntN(30), Budget: time.Second}
					rate := &Rate{Name: "x", Algorithm: alg, Limit: 200 + uint32(random.IntN(2000)), Window: 24 * time.Hour}
					var mu sync.Mutex
					passed, fast := int64(0), 0
					var wg sync.WaitGroup
					for range nodes {
						node := shared(t, config)
						pause := time.Duration(random.Int64N(int64(3 * time.Millisecond)))
						callers := 1 + random.IntN(8)
						for range callers {
							wg.Go(func() {
								denied := 0
								for denied < 20 {
									got := take(t, node, Request{Rate: rate, Key: key(1), Cost: 1})
									mu.Lock()
									if got[0].Allowed {
										passed++
									} else {
										denied++
									}
									if got[0].Source == Fast {
										fast++
									}
									mu.Unlock()
									if got[0].Source == Local {
										t.Errorf("%+v", got[0])
									}
									time.Sleep(pause)
								}
							})
						}
					}
					wg.Wait()
					over := passed - int64(rate.Limit)
					bound := int64(config.Overshoot(rate, 1, nodes))
					worst = max(worst, over)
					if over > bound {
						t.Errorf("%d of %d passed through %d nodes: %d more, the bound is %d", passed, rate.Limit, nodes, over, bound)
					}
					if over < 0 {
						t.Errorf("only %d of %d passed", passed, rate.Limit)
					}
					if fast < int(rate.Limit)/2 {
						t.Errorf("only %d decisions without the store", fast)
					}
				})
			})
		}
		if worst == 0 {
			t.Errorf("%s: no overshoot at all in 12 runs", alg)
		}
	}
}

// A node that never spends half of a lease is heard of all the same: what it
// admits is told at the interval.
func TestCountsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		a := shared(t, SharedConfig{Store: store, Fast: true})
		b := shared(t, SharedConfig{Store: store, Fast: true})
		rate := &Rate{Name: "x", Limit: 1000, Window: 24 * time.Hour}
		for range 30 {
			take(t, a, Request{Rate: rate, Key: key(1), Cost: 1})
		}
		if n, _, _ := store.counted(); n > 0 {
			t.Errorf("%d exchanges for a third of a lease", n)
		}
		time.Sleep(250 * time.Millisecond)
		take(t, b, Request{Rate: rate, Key: key(1)})
		time.Sleep(250 * time.Millisecond)
		if got := take(t, b, Request{Rate: rate, Key: key(1)}); got[0].Remaining != 970 {
			t.Errorf("%+v, want 970 remaining", got[0])
		}
	})
}

// What was denied is denied here until it can be allowed, without asking.
func TestDenialsAreRemembered(t *testing.T) {
	for _, fast := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore()
			s := shared(t, SharedConfig{Store: store, Fast: fast})
			rate := &Rate{Name: "x", Limit: 2, Window: time.Minute}
			ask := func() Result { return take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})[0] }
			for range 3 {
				ask()
			}
			before, _, _ := store.counted()
			for range 1000 {
				if r := ask(); r.Allowed || r.Source != Fast || r.RetryAfter <= 0 {
					t.Fatalf("%+v", r)
				}
			}
			if n, _, _ := store.counted(); n != before {
				t.Errorf("%d exchanges for what was known to be denied", n-before)
			}
			time.Sleep(ask().RetryAfter)
			if r := ask(); !r.Allowed || r.Source != Exact {
				t.Errorf("after the wait: %+v", r)
			}
			if n, _, _ := store.counted(); n == before {
				t.Error("nothing was read again")
			}
		})
	}
}

// A store that refuses, is silent, or slow: each Take is decided within the
// budget by what this node knows, the store is left alone but for one probe at a
// time, and what was admitted meanwhile is told when it is back.
func TestStoreAway(t *testing.T) {
	for name, c := range map[string]struct {
		away, back func(*fakeStore)
	}{
		"refused": {
			func(f *fakeStore) { f.err = NotApplied(errors.New("connection refused")) },
			func(f *fakeStore) { f.err = nil },
		},
		"silent": {func(f *fakeStore) { f.silent = true }, func(f *fakeStore) { f.silent = false }},
		"slow": {
			func(f *fakeStore) { f.delay = func() time.Duration { return 200 * time.Millisecond } },
			func(f *fakeStore) { f.delay = func() time.Duration { return 0 } },
		},
	} {
		for _, fast := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := newFakeStore()
					var notes []error // of the sender; read when it is at rest
					s := shared(t, SharedConfig{Store: store, Fast: fast, Notify: func(err error) { notes = append(notes, err) }})
					rate := &Rate{Name: "x", Limit: 50, Window: time.Hour, Algorithm: Sliding}
					ask := func() Result {
						begun := time.Now()
						r := take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})[0]
						if took := time.Since(begun); took > s.config.Budget {
							t.Fatalf("a Take took %s", took)
						}
						return r
					}
					for range 20 { // the store knows of these, and so does the shadow
						if r := ask(); !r.Allowed || r.Source == Local {
							t.Fatalf("%+v", r)
						}
					}
					synctest.Wait()
					goroutines := runtime.NumGoroutine()
					store.set(c.away)
					passed, locals := 0, 0
					for range 200 {
						r := ask()
						if r.Allowed {
							passed++
						}
						if r.Source == Local {
							locals++
						}
						time.Sleep(10 * time.Millisecond)
					}
					if passed > 30+1 || passed < 30-1 {
						t.Errorf("%d passed of the 30 that were left", passed)
					}
					if locals < 150 {
						t.Errorf("%d of 200 say that they are local", locals)
					}
					synctest.Wait() // a timer's own goroutine, begun at this instant, is no waiter
					if n := runtime.NumGoroutine(); n > goroutines+5 {
						t.Errorf("%d goroutines after 200 questions, %d before", n, goroutines)
					}
					st := s.Stats()
					if !st.Away || st.Err == nil {
						t.Errorf("%+v", st)
					}
					time.Sleep(3 * time.Minute)
					store.set(func(f *fakeStore) { f.pings, f.exchanges, f.items = 0, 0, 0 })
					store.set(c.back)
					time.Sleep(15 * time.Second)
					if st := s.Stats(); st.Away {
						t.Errorf("not back: %v", st.Err)
					}
					_, items, pings := store.counted()
					if pings > 4 {
						t.Errorf("%d pings: a probe is two at most", pings)
					}
					if items > 2 {
						t.Errorf("%d items for one key after the return", items)
					}
					synctest.Wait()
					if len(notes) < 4 || notes[0] == nil || notes[len(notes)-1] != nil || len(notes) > 6 {
						t.Errorf("notes: %v; want one when it went, one a minute, one when it was back", notes)
					}
					// Another node hears of it.
					other := shared(t, SharedConfig{Store: store})
					got := take(t, other, Request{Rate: rate, Key: key(1), Cost: 1})[0]
					if got.Source != Exact || got.Remaining > 7 {
						t.Errorf("%+v: what was admitted while the store was away is not counted", got)
					}
				})
			})
		}
	}
}

// An ask that the store may have counted is not told again.
// A store that pauses for a moment is late for all who wait at once, and is not
// away for that; nor is one that takes its time for what nobody waits for.
func TestStorePauses(t *testing.T) {
	rate := &Rate{Name: "x", Limit: 50, Window: time.Hour}
	t.Run("exact", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore()
			s := shared(t, SharedConfig{Store: store})
			store.set(func(f *fakeStore) { f.delay = func() time.Duration { return 4 * time.Millisecond } })
			var all sync.WaitGroup
			for i := range uint64(100) {
				all.Go(func() {
					if r := take(t, s, Request{Rate: rate, Key: key(i), Cost: 1})[0]; !r.Allowed {
						t.Errorf("%+v", r)
					}
				})
			}
			all.Wait()
			store.set(func(f *fakeStore) { f.delay = func() time.Duration { return 0 } })
			time.Sleep(50 * time.Millisecond) // what was on its way has come
			st := s.Stats()
			if st.Late < 50 || st.Away {
				t.Errorf("%+v", st)
			}
			if r := take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})[0]; r.Source != Exact {
				t.Errorf("%+v", r)
			}
		})
	})
	t.Run("fast", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore()
			s := shared(t, SharedConfig{Store: store, Fast: true, Entries: 1 << 16})
			store.set(func(f *fakeStore) { f.delay = func() time.Duration { return 4 * time.Millisecond } })
			for round := range uint64(10) {
				for i := range uint64(1000) {
					if r := take(t, s, Request{Rate: rate, Key: key(1000*round + i), Cost: 1})[0]; r.Source != Fast {
						t.Fatalf("%+v", r)
					}
				}
				time.Sleep(200 * time.Millisecond)
			}
			if st := s.Stats(); st.Away || st.Err != nil {
				t.Errorf("%+v", st)
			}
			if _, items, _ := store.counted(); items < 10_000 {
				t.Errorf("the store was told of %d keys", items)
			}
		})
	})
}

func TestDoubtIsNotCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		s := shared(t, SharedConfig{Store: store})
		rate := &Rate{Name: "x", Limit: 100, Window: 24 * time.Hour, Algorithm: Fixed}
		store.set(func(f *fakeStore) { f.deaf = true })
		for range 4 {
			if r := take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})[0]; !r.Allowed || r.Source != Local {
				t.Fatalf("%+v", r)
			}
		}
		store.set(func(f *fakeStore) { f.deaf = false })
		if r := take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})[0]; r.Remaining != 95 || r.Source != Exact {
			t.Errorf("%+v, want 95 remaining", r)
		}
	})
}

// An answer that comes as its Take gives up is charged here once: by the answer, which
// has the charge in it, or before it. Twice would be a denial too early, and a denial is
// remembered without asking.
func TestLateAnswerIsChargedOnce(t *testing.T) {
	s := shared(t, SharedConfig{Store: newFakeStore(), Budget: time.Minute})
	rate := &Rate{Name: "x", Limit: 100, Window: 24 * time.Hour, Algorithm: Fixed}
	const callers, each = 8, 500
	var callersEnd sync.WaitGroup
	for c := range callers {
		callersEnd.Go(func() {
			for n := range each {
				reqs := []Request{{Rate: rate, Key: key(uint64(c*each + n)), Cost: 1}}
				var results [1]Result
				// About as long as the store takes.
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(20*time.Microsecond))
				if err := s.Take(ctx, reqs, results[:]); err != nil || !results[0].Allowed {
					t.Errorf("%+v, %v", results[0], err)
				}
				cancel()
			}
		})
	}
	callersEnd.Wait()
	s.Close() // the last answers are taken over
	for n := range callers * each {
		s.at(key(uint64(n)), func(b *bucket, way int, _ *debt) {
			if st := b.state(way); st.current != 1 {
				t.Errorf("key %d was charged %d times", n, st.current)
			}
		})
	}
	if s.Stats().Local == 0 {
		t.Error("no answer was late")
	}
}

// A store that was emptied does not forgive what this node knows of.
func TestStoreEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		s := shared(t, SharedConfig{Store: store})
		rate := &Rate{Name: "x", Limit: 5, Window: time.Hour}
		for range 6 {
			take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})
		}
		store.set(func(f *fakeStore) { clear(f.states) })
		if r := take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})[0]; r.Allowed {
			t.Errorf("%+v", r)
		}
	})
}

// A client that goes away is charged, and is not the store's fault.
func TestClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		s := shared(t, SharedConfig{Store: store})
		store.set(func(f *fakeStore) { f.delay = func() time.Duration { return 2 * time.Millisecond } })
		rate := &Rate{Name: "x", Limit: 100, Window: time.Hour}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var res [1]Result
		for range 20 {
			if err := s.Take(ctx, []Request{{Rate: rate, Key: key(1), Cost: 1}}, res[:]); err != nil || !res[0].Allowed || res[0].Source != Exact {
				t.Errorf("%v %+v", err, res[0])
			}
		}
		if s.Stats().Away {
			t.Error("the store is taken to be away")
		}
	})
}

// Closed, it decides by itself, and its goroutines are gone.
func TestSharedClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		s, err := NewShared(t.Context(), SharedConfig{Store: store, Fast: true})
		if err != nil {
			t.Fatal(err)
		}
		rate := &Rate{Name: "x", Limit: 100, Window: time.Hour, Algorithm: Fixed}
		take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if store.state(key(1)).current != 1 {
			t.Error("what was admitted was not told")
		}
		if r := take(t, s, Request{Rate: rate, Key: key(1), Cost: 1})[0]; r.Source != Local {
			t.Errorf("%+v", r)
		}
	})
}

func TestSharedDoesNotAllocateWhenItDecidesHere(t *testing.T) {
	s := shared(t, SharedConfig{Store: newFakeStore(), Fast: true, Lease: 50})
	reqs := []Request{{Rate: &Rate{Name: "x", Limit: 4e9, Window: time.Hour}, Key: key(1), Cost: 1}}
	results := make([]Result, 1)
	if n := testing.AllocsPerRun(1000, func() {
		if err := s.Take(t.Context(), reqs, results); err != nil || results[0].Source != Fast {
			t.Error(err, results[0])
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A Take whose context has a deadline before the budget is decided by then, in
// either mode, and however long the store is silent.
func TestDeadlineBeforeTheBudget(t *testing.T) {
	for _, fast := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore()
			s := shared(t, SharedConfig{Store: store, Fast: fast, Budget: time.Second})
			store.set(func(f *fakeStore) { f.silent = true })
			rate := &Rate{Name: "x", Limit: 3, Window: time.Hour, Algorithm: Sliding} // no lease
			for i, wait := range []time.Duration{5 * time.Millisecond, 300 * time.Millisecond, time.Minute, 0, -time.Second} {
				begun := time.Now()
				ctx, cancel := context.WithDeadline(t.Context(), begun.Add(wait))
				var results [1]Result
				err := s.Take(ctx, []Request{{Rate: rate, Key: key(uint64(i)), Cost: 1}}, results[:])
				cancel()
				took, want := time.Since(begun), min(max(wait, 0), time.Second)
				if err != nil || took != want || !results[0].Allowed || results[0].Source != Local {
					t.Errorf("a deadline in %s: decided after %s, want %s: %+v, %v", wait, took, want, results[0], err)
				}
			}
			if n := s.Stats().Late; n != 3 {
				t.Errorf("the store was late %d times, want 3: it is not to blame where no time was left", n)
			}
		})
	}
}

// A store that is slow while nodes begin is waited for, as long as connecting may
// take; one that stays slow is away.
func TestSlowAtTheStart(t *testing.T) {
	for slow, away := range map[time.Duration]bool{0: false, 700 * time.Millisecond: false, time.Hour: true} {
		synctest.Test(t, func(t *testing.T) {
			store, begun := newFakeStore(), time.Now()
			store.delay = func() time.Duration {
				if time.Since(begun) < slow {
					return 50 * time.Millisecond
				}
				return time.Millisecond
			}
			s := shared(t, SharedConfig{Store: store})
			if s.Away() != away || time.Since(begun) > 2*time.Second {
				t.Errorf("slow for %s: away is %v after %s", slow, s.Away(), time.Since(begun))
			}
		})
	}
}
