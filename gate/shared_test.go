package gate_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// twoNodes share limits and attempts.
func twoNodes(t *testing.T, cfg policy.Config) (nodes [2]*gate.Gate, shared *ipwardentest.Attempts, clock *clock) {
	t.Helper()
	store, err := limit.NewMemory(limit.MemoryConfig{Entries: 1024})
	if err != nil {
		t.Fatal(err)
	}
	clock = newClock()
	shared = &ipwardentest.Attempts{Now: clock.now}
	for i := range nodes {
		nodes[i] = newGate(t, cfg, func(c *gate.Config) {
			c.Limiter, c.Attempts, c.Seed, c.Now = store, shared, [16]byte{1}, clock.now
		})
	}
	return nodes, shared, clock
}

// Attempts at once at two nodes are as if at one; outcomes are told to either.
func TestAttemptsOnTwoNodes(t *testing.T) {
	nodes, _, clock := twoNodes(t, policy.Config{Limits: []policy.Limit{failures("login", 3)}})
	passed := make(chan *gate.Decision, 200)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if d := attempt(nodes[i%2]); d.Verdict.Passes() {
				passed <- d
			}
		})
	}
	all.Wait()
	close(passed)
	if n := len(passed); n != 3 {
		t.Fatalf("%d of 200 passed, want 3", n)
	}
	clock.pass(policy.DefaultPending)
	var ids []gate.ID
	for i := range 3 {
		d := attempt(nodes[i%2])
		if !d.Verdict.Passes() {
			t.Fatalf("attempt %d: %s", i+1, d.Verdict)
		}
		ids = append(ids, d.ID)
	}
	refused := func(want bool) {
		t.Helper()
		for i, g := range nodes {
			if d := attempt(g); d.Verdict.Passes() == want {
				t.Errorf("node %d: %s", i, d.Verdict)
			} else if !want {
				report(t, nodes[1-i], d.ID, policy.Outcome{Status: 200}, true)
			}
		}
	}
	refused(true)
	report(t, nodes[1], ids[0], policy.Outcome{Status: 200}, true) // made by node 0, told to node 1
	report(t, nodes[0], ids[0], policy.Outcome{Status: 200}, false)
	refused(false)
	report(t, nodes[1], ids[2], policy.Outcome{Status: 401}, true)
	report(t, nodes[0], ids[1], policy.Outcome{Status: 401}, true)
	refused(false) // two have failed, and there is room for one at a time
	report(t, nodes[0], ids[2], policy.Outcome{Event: "login_failed"}, true)
	refused(false) // the same log-in, in other words
}

// An outcome that is told to both nodes, many times at once, counts once.
func TestOutcomeCountsOnceOnAllNodes(t *testing.T) {
	shadow := failures("shadow", 10)
	shadow.Shadow = true
	nodes, _, _ := twoNodes(t, policy.Config{Limits: []policy.Limit{failures("login", 10), shadow}})
	for round := range 5 {
		d := attempt(nodes[0])
		if n := left(d, "login"); n != 10-round {
			t.Fatalf("round %d: %d left", round, n)
		}
		var all sync.WaitGroup
		var times atomic.Int64
		for i := range 40 {
			all.Go(func() {
				counted, err := nodes[i%2].Outcome(context.Background(), d.ID, policy.Outcome{Status: 401})
				if err != nil {
					t.Error(err)
				}
				if counted {
					times.Add(1)
				}
			})
		}
		all.Wait()
		if n := times.Load(); n != 1 {
			t.Errorf("round %d: it is said to have counted %d times", round, n)
		}
	}
}

// The middleware of one node, and a report to the other.
func TestSettleCountsOnceOnAllNodes(t *testing.T) {
	nodes, _, _ := twoNodes(t, policy.Config{Limits: []policy.Limit{failures("login", 5)}})
	for _, reportFirst := range []bool{true, false} {
		var d gate.Decision
		nodes[0].Begin(context.Background(), request("8.8.8.8"), &d)
		id := d.ID
		settle := func() {
			if err := nodes[0].Settle(context.Background(), &d, policy.Outcome{Status: 401}); err != nil {
				t.Error(err)
			}
		}
		if !reportFirst {
			settle()
		}
		report(t, nodes[1], id, policy.Outcome{Event: "login_failed"}, true) // an event of its own
		if reportFirst {
			settle()
		}
	}
	if n := left(attempt(nodes[1]), "login"); n != 3 {
		t.Errorf("%d left of 5 after two failures", n)
	}
}

// While what nodes share is away each holds its limits alone, as the fail mode
// says, and takes the outcomes of its own decisions.
func TestAttemptsAway(t *testing.T) {
	nodes, shared, _ := twoNodes(t, policy.Config{Limits: []policy.Limit{failures("login", 2)}})
	shared.Err = errors.New("away")
	var ids []gate.ID
	for i := range 3 {
		d := attempt(nodes[0])
		if d.Verdict.Passes() != (i < 2) || !d.Degraded {
			t.Errorf("attempt %d: %s, degraded %v", i+1, d.Verdict, d.Degraded)
		}
		ids = append(ids, d.ID)
	}
	if _, err := nodes[1].Outcome(context.Background(), ids[0], policy.Outcome{Status: 401}); !errors.Is(err, gate.ErrAttemptsAway) {
		t.Errorf("told to the other node: %v", err)
	}
	report(t, nodes[0], ids[0], policy.Outcome{Status: 401}, true)
	report(t, nodes[0], ids[0], policy.Outcome{Status: 401}, false)
	if nodes[0].Stats().AttemptErrors == 0 {
		t.Error("nothing is counted")
	}
	shared.Err = nil
	if d := attempt(nodes[0]); left(d, "login") != 1 {
		t.Errorf("%+v", d.Limits)
	}
	if _, err := nodes[1].Outcome(context.Background(), ids[1], policy.Outcome{Status: 401}); !errors.Is(err, gate.ErrUnknownDecision) {
		t.Errorf("what was never kept: %v", err)
	}
}

// A node with another policy charges what it knows of the decision, and nothing
// else.
func TestOutcomeUnderAnotherPolicy(t *testing.T) {
	nodes, _, _ := twoNodes(t, policy.Config{Limits: []policy.Limit{failures("old", 3), failures("both", 3)}})
	d := attempt(nodes[0])
	p, err := policy.New(policy.Config{Limits: []policy.Limit{perMinute("first", 100), failures("both", 5), perMinute("old", 3)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].Use(p, nil); err != nil {
		t.Fatal(err)
	}
	report(t, nodes[1], d.ID, policy.Outcome{Status: 401}, true)
	if d = attempt(nodes[0]); left(d, "both") != 2 || left(d, "old") != 3 {
		t.Errorf("%+v", d.Limits)
	}
	// And what another node does not know is left for the one that does.
	report(t, nodes[0], d.ID, policy.Outcome{Status: 401}, true)
	if d = attempt(nodes[0]); left(d, "both") != 1 || left(d, "old") != 2 {
		t.Errorf("%+v", d.Limits)
	}
}
