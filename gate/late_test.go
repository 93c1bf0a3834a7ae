package gate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// slowAttempts answer when nobody waits any more.
type slowAttempts struct {
	*ipwardentest.Attempts
	late func()
}

func (a *slowAttempts) SettleLate(ctx context.Context, attempt [16]byte, event uint64, charges uint16, late func(limit.Settled)) (limit.Settled, error) {
	if a.late != nil { // told again: in time
		return a.Settle(ctx, attempt, event, charges)
	}
	s, err := a.Settle(ctx, attempt, event, charges)
	if err != nil {
		return s, err
	}
	a.late = func() { late(s) }
	return limit.Settled{}, errors.New("not in time")
}

// A failure that is told to another node than the one that decided is charged once,
// also when what nodes share has noted it too late for the one that told it.
func TestOutcomeNotedLateIsCharged(t *testing.T) {
	cfg := policy.Config{Limits: []policy.Limit{failures("login", 3)}}
	shared := &slowAttempts{Attempts: &ipwardentest.Attempts{}}
	store, err := limit.NewMemory(limit.MemoryConfig{Entries: 1024})
	if err != nil {
		t.Fatal(err)
	}
	var nodes [2]*gate.Gate
	for i := range nodes {
		nodes[i] = newGate(t, cfg, func(c *gate.Config) { c.Limiter, c.Attempts, c.Seed = store, shared, [16]byte{1} })
	}
	d := attempt(nodes[0])
	failed := policy.Outcome{Status: 401}
	if _, err := nodes[1].Outcome(context.Background(), d.ID, failed); !errors.Is(err, gate.ErrAttemptsAway) {
		t.Fatalf("not in time: %v", err)
	}
	if n := left(attempt(nodes[1]), "login"); n != 3 {
		t.Fatalf("%d left before the answer", n)
	}
	shared.late()
	report(t, nodes[1], d.ID, failed, false) // told again: it is known
	if n := left(attempt(nodes[1]), "login"); n != 2 {
		t.Errorf("%d left of 3 after a failure, want 2", n)
	}
}
