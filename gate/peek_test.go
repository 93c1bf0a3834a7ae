package gate_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// Who peeks sees what is left, and changes nothing: no limit (of the address, of
// the networks round it, in shadow, of outcomes), no count, no memory, no log.
func TestPeek(t *testing.T) {
	shadow := perMinute("shadow", 2)
	shadow.Shadow = true
	failures := perMinute("failures", 2)
	failures.Count = policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpStatus, Type: policy.Int}, {Op: policy.OpConst, Type: policy.Int, Int: 401},
	}}
	var log bytes.Buffer
	journal, err := gate.NewJournal(gate.JournalConfig{To: &log, Sample: 1000})
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 2), shadow, failures}}, func(c *gate.Config) { c.Journal = journal })
	for _, peer := range []string{"8.8.8.8", "2001:4860:4860::8888"} {
		var d gate.Decision
		peek := func(verdict ipwarden.Verdict, left uint32) {
			t.Helper()
			for range 3 {
				g.Peek(context.Background(), request(peer), &d)
				if d.Verdict != verdict || len(d.Limits) == 0 || d.Limits[0].Remaining != left {
					t.Fatalf("%s: %s by %s, %+v, want %s and %d left", peer, d.Verdict, d.Reason, d.Limits, verdict, left)
				}
				if _, err := g.Recall(d.ID); !errors.Is(err, gate.ErrUnknownDecision) {
					t.Errorf("it is remembered: %v", err)
				}
				if _, err := g.Outcome(context.Background(), d.ID, policy.Outcome{Status: 401}); !errors.Is(err, gate.ErrUnknownDecision) {
					t.Errorf("an outcome is taken for it: %v", err)
				}
				if err := g.Settle(context.Background(), &d, policy.Outcome{Status: 401}); err != nil {
					t.Error(err)
				}
			}
		}
		peek(ipwarden.Allow, 2)
		for i := range uint32(2) {
			g.Decide(context.Background(), request(peer), &d)
			if d.Verdict != ipwarden.Allow || d.WouldLimit != "" || left(&d, "failures") != 2 {
				t.Fatalf("%s: %s by %s, %+v", peer, d.Verdict, d.Reason, d.Limits)
			}
			if i == 0 {
				peek(ipwarden.Allow, 1)
			}
		}
		peek(ipwarden.Throttle, 0)
		if d.RetryAfter <= 0 {
			t.Error("nothing is said of when to come back")
		}
	}
	total := uint64(0)
	for _, byReason := range g.Stats().Decisions {
		for _, n := range byReason {
			total += n
		}
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(log.Bytes(), []byte("\n")); total != 4 || lines != 4 {
		t.Errorf("%d decisions counted and %d written, want the 4 that were made", total, lines)
	}
}

// A decision that was used to peek is used to decide, and counts.
func TestPeekThenDecide(t *testing.T) {
	store, err := limit.NewMemory(limit.MemoryConfig{Entries: 64})
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, policy.Config{Limits: []policy.Limit{{Name: "all", Limit: 1, Window: time.Hour}}}, func(c *gate.Config) { c.Limiter = store })
	var d gate.Decision
	g.Peek(context.Background(), request("8.8.8.8"), &d)
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	g.Peek(context.Background(), request("8.8.8.8"), &d)
	if d.Verdict != ipwarden.Throttle {
		t.Errorf("%s: the decision did not count", d.Verdict)
	}
}
