package gate_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// A clock that stands until it is moved.
type clock struct{ since atomic.Int64 }

func (c *clock) now() time.Time           { return time.Unix(1_800_000_000, c.since.Load()) }
func (c *clock) pass(d time.Duration)     { c.since.Add(int64(d)) }
func (c *clock) use(cfg *gate.Config)     { cfg.Now = c.now }
func attempt(g *gate.Gate) *gate.Decision { return attemptOf(g, "8.8.8.8") }

func newClock() *clock { return new(clock) }

func attemptOf(g *gate.Gate, client string) *gate.Decision {
	d := new(gate.Decision)
	g.Decide(context.Background(), request(client), d)
	return d
}

// Behind a proxy that only asks, attempts sent at once do not all pass before the
// first of them has failed. What became of one is told later, and that one makes
// room for the next, if it has not failed.
func TestAttemptsAtOnce(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("login", 3)}}, new(clock).use)
	passed := make(chan *gate.Decision, 500)
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			if d := attempt(g); d.Verdict.Passes() {
				passed <- d
			} else if d.By() != "login" || d.RetrySeconds() != 1 || d.AwaitsOutcome() {
				t.Errorf("refused by %q, Retry-After %d", d.By(), d.RetrySeconds())
			}
		})
	}
	all.Wait()
	if n := len(passed); n != 3 {
		t.Fatalf("%d of 500 passed, want 3", n)
	}
	ok, bad := <-passed, <-passed
	if !ok.AwaitsOutcome() {
		t.Error("it is not said that an outcome is awaited")
	}
	report(t, g, ok.ID, policy.Outcome{Event: "login_ok"}, true)
	report(t, g, ok.ID, policy.Outcome{Event: "login_ok"}, false) // gives back once
	if d := attempt(g); !d.Verdict.Passes() {
		t.Errorf("after one that succeeded: %s", d.Verdict)
	}
	if d := attempt(g); d.Verdict.Passes() {
		t.Error("a fourth at once passes")
	}
	report(t, g, bad.ID, policy.Outcome{Event: "login_failed"}, true)
	if d := attempt(g); d.Verdict.Passes() {
		t.Error("one has failed, two are on their way, and another passes")
	}
}

// Who only wants to know hears that there is no room, and takes none.
func TestPeekSeesAttempts(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("login", 2)}}, new(clock).use)
	var d gate.Decision
	for i, want := range []ipwarden.Verdict{ipwarden.Allow, ipwarden.Allow, ipwarden.Throttle} {
		for range 3 {
			if g.Peek(context.Background(), request("8.8.8.8"), &d); d.Verdict != want {
				t.Fatalf("with %d on their way: %s", i, d.Verdict)
			}
		}
		if i < 2 && attempt(g).Verdict != ipwarden.Allow {
			t.Fatalf("attempt %d is refused", i+1)
		}
	}
}

// Where nobody reports what became of attempts, they make room when their time is
// up: nobody is shut out for good.
func TestAttemptsExpire(t *testing.T) {
	for _, c := range []struct {
		pending, holds time.Duration
	}{{0, policy.DefaultPending}, {time.Second, time.Second}, {-1, 0}} {
		var clock clock
		login := failures("login", 2)
		login.Pending = c.pending
		g := newGate(t, policy.Config{Limits: []policy.Limit{login}}, clock.use)
		for range 5 {
			for i := range 4 {
				if d, want := attempt(g), i < 2 || c.holds == 0; d.Verdict.Passes() != want {
					t.Fatalf("pending %v: attempt %d: %s", c.pending, i+1, d.Verdict)
				}
			}
			clock.pass(c.holds - 1)
			if d := attempt(g); c.holds > 0 && d.Verdict.Passes() {
				t.Errorf("pending %v: room too early", c.pending)
			}
			clock.pass(1)
		}
	}
}

// What counts when its time is up counts still, and gives no place back twice.
func TestOutcomeAfterItsTime(t *testing.T) {
	var clock clock
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("login", 2)}}, clock.use)
	late := attempt(g)
	clock.pass(policy.DefaultPending)
	if d := attempt(g); !d.Verdict.Passes() {
		t.Fatalf("%s by %s", d.Verdict, d.By())
	}
	report(t, g, late.ID, policy.Outcome{Status: 401}, true)
	// One has failed, and one is on its way.
	if d := attempt(g); d.Verdict.Passes() {
		t.Error("a third passes")
	}
	clock.pass(policy.DefaultPending)
	if d := attempt(g); !d.Verdict.Passes() {
		t.Errorf("one has failed of two: %s by %s", d.Verdict, d.By())
	}
}

// A decision that is used again, as doors do, keeps the place of the attempt; one
// that does not go on has none.
func TestPlacesOutliveDecisions(t *testing.T) {
	g := newGate(t, policy.Config{
		Limits: []policy.Limit{failures("login", 1), perMinute("all", 3)},
	}, new(clock).use)
	var d gate.Decision
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	id := d.ID
	d.Reset()
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	if d.Verdict.Passes() {
		t.Error("the place was given up with the decision")
	}
	report(t, g, id, policy.Outcome{Status: 200}, true)
	if g.Decide(context.Background(), request("8.8.8.8"), &d); !d.Verdict.Passes() {
		t.Errorf("%s by %s", d.Verdict, d.By())
	}
	report(t, g, d.ID, policy.Outcome{Status: 200}, true)
	// Refused by another limit: it takes no place.
	for range 5 {
		if g.Decide(context.Background(), request("8.8.8.8"), &d); d.Verdict.Passes() {
			report(t, g, d.ID, policy.Outcome{Status: 200}, true)
		}
	}
	if d.By() != "all" {
		t.Errorf("%s by %s", d.Verdict, d.By())
	}
}

// Memory is bounded: what would end first gives way, and what is on its way is
// counted for everybody else.
func TestPlacesAreBounded(t *testing.T) {
	var clock clock
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("login", 1)}}, clock.use)
	const many = 80_000
	var d gate.Decision
	for i := range many {
		clock.pass(time.Microsecond)
		g.Decide(context.Background(), request(fmt.Sprintf("%d.%d.%d.%d", 11+i>>24, i>>16&255, i>>8&255, i&255)), &d)
	}
	held := many - g.Stats().Unheld
	if held > 1<<16 || held < 1<<15 {
		t.Errorf("%d attempts hold a place, want 65,536 at most", held)
	}
	if attempt(g).Verdict != ipwarden.Allow || attempt(g).Verdict != ipwarden.Throttle {
		t.Error("a new one holds no place")
	}
	clock.pass(policy.DefaultPending)
	if attempt(g).Verdict != ipwarden.Allow {
		t.Error("its time was up")
	}
}

// Whatever is decided, told and forgotten in whatever order, what is on its way
// never exceeds what may fail.
func TestPlacesAddUp(t *testing.T) {
	const limit = 4
	var clock clock
	short, long := failures("short", limit), failures("long", limit)
	short.Pending, long.Pending = time.Second, 7*time.Second
	g := newGate(t, policy.Config{Limits: []policy.Limit{short, long}}, clock.use)
	rng := rand.New(rand.NewPCG(1, 2))
	type held struct {
		id    gate.ID
		until time.Time
	}
	var under []held // what holds a place under the longer limit
	for step := range 5000 {
		now := clock.now()
		for i := 0; i < len(under); i++ {
			if !now.Before(under[i].until) {
				under = append(under[:i], under[i+1:]...)
				i--
			}
		}
		switch n := len(under); {
		case rng.IntN(3) > 0:
			d := attempt(g)
			if want := n < limit; d.Verdict.Passes() != want {
				t.Fatalf("step %d: %s with %d on their way", step, d.Verdict, n)
			} else if want {
				under = append(under, held{d.ID, now.Add(7 * time.Second)})
			}
		case n > 0 && rng.IntN(2) == 0:
			i := rng.IntN(n)
			report(t, g, under[i].id, policy.Outcome{Status: 200}, true)
			under = append(under[:i], under[i+1:]...)
		default:
			clock.pass(time.Duration(rng.IntN(2000)) * time.Millisecond)
		}
	}
}
