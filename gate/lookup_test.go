package gate_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// A Source that may wait and is no Asker has the budget of the route, the default
// one too, and no more look-ups at once than there is room for.
func TestBudgetBoundsTheSource(t *testing.T) {
	for path, want := range map[string]time.Duration{
		"/": policy.DefaultBudget, "/closed": 20 * time.Millisecond, "/open": 20 * time.Millisecond, "/tight": time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			released := make(chan struct{})
			var asked atomic.Int32
			stuck := ipwarden.SourceFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
				asked.Add(1)
				<-released
				return ipwarden.MakeRecord(a, nil, 0), nil
			})
			g := newGate(t, budgetPolicy(), func(c *gate.Config) { c.Source = stuck })
			q := request("8.8.8.8")
			q.Path = path
			var d gate.Decision
			for i := range 4100 {
				begun := time.Now()
				g.Decide(t.Context(), q, &d)
				took := time.Since(begun)
				if i < 4096 && took != want || i >= 4096 && took != 0 {
					t.Fatalf("%s: request %d is decided after %s, want %s", path, i, took, want)
				}
				if !d.Degraded || path == "/closed" && d.Passes() {
					t.Fatalf("%s: %s by %s, degraded %v", path, d.Verdict, d.Reason, d.Degraded)
				}
			}
			synctest.Wait()
			if n := asked.Load(); n != 4096 {
				t.Errorf("%s: %d look-ups at once", path, n)
			}
			close(released)
			synctest.Wait()
			g.Decide(t.Context(), q, &d)
			if d.Degraded {
				t.Errorf("%s: degraded when it answers again", path)
			}
		})
	}
}

// A Source that panics does it to who asked, which a server can bear.
func TestSourcePanics(t *testing.T) {
	broken := ipwarden.SourceFunc(func(context.Context, netip.Addr) (ipwarden.Record, error) { panic("broken") })
	synctest.Test(t, func(t *testing.T) { // so that it does so in its time
		g := newGate(t, policy.Config{}, func(c *gate.Config) { c.Source = broken })
		defer func() {
			if recover() != "broken" {
				t.Error("nobody panics")
			}
		}()
		var d gate.Decision
		g.Decide(t.Context(), request("8.8.8.8"), &d)
	})
}

// What is in memory is asked in place.
func TestLocalSources(t *testing.T) {
	g := newGate(t, policy.Config{}, known)
	var d gate.Decision
	q := request("8.8.8.8")
	g.Decide(t.Context(), q, &d)
	if n := testing.AllocsPerRun(100, func() { g.Decide(t.Context(), q, &d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
