package gate_test

import (
	"context"
	"io"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/redis"
)

// silent is a store that answers pings, and nothing else.
type silent struct{}

func (silent) Ping(context.Context) error { return nil }

func (silent) Exchange(ctx context.Context, _ []*limit.Ask) error {
	<-ctx.Done()
	return ctx.Err()
}

// routes of each fail mode, with a budget and without one; a limit, one that
// counts outcomes, and one in shadow.
func budgetPolicy() policy.Config {
	shadow := perMinute("shadow", 10)
	shadow.Shadow = true
	return policy.Config{
		Routes: []policy.Route{
			{Name: "closed", Paths: []string{"/closed"}, FailMode: policy.FailClosed, Budget: 20 * time.Millisecond},
			{Name: "open", Paths: []string{"/open"}, FailMode: policy.FailOpen, Budget: 20 * time.Millisecond},
			{Name: "safe", Paths: []string{"/safe"}, Budget: 20 * time.Millisecond},
			{Name: "tight", Paths: []string{"/tight"}, Budget: time.Millisecond},
		},
		Limits: []policy.Limit{perMinute("all", 100), shadow},
	}
}

// C12: the budget of a route bounds the whole decision, however long the limiter
// would wait, and whatever is asked of it: limits, the safe tier's, those in
// shadow.
func TestBudgetBoundsTheDecision(t *testing.T) {
	for path, want := range map[string]time.Duration{
		"/": policy.DefaultBudget, "/closed": 20 * time.Millisecond, "/open": 20 * time.Millisecond,
		"/safe": 20 * time.Millisecond, "/tight": time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			l, err := limit.NewShared(t.Context(), limit.SharedConfig{Store: silent{}, Budget: time.Second, Entries: 4096})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			g := newGate(t, budgetPolicy(), func(c *gate.Config) { c.Limiter = l })
			q := request("8.8.8.8")
			q.Path = path
			var d gate.Decision
			for range 3 {
				begun := time.Now()
				g.Decide(t.Context(), q, &d)
				if took := time.Since(begun); took != want {
					t.Errorf("%s: decided after %s, want %s", path, took, want)
				}
				if !d.Degraded || d.Passes() != (path != "/closed") {
					t.Errorf("%s: %s by %s, degraded %v", path, d.Verdict, d.Reason, d.Degraded)
				}
			}
		})
	}
}

// The same with a Redis that is stopped, and a limiter that would wait for a
// minute.
func TestBudgetWithRedisStopped(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server := proxytest.Redis(t, addr)
	l, err := redis.New(t.Context(), redis.Config{
		Addresses: []string{addr}, Budget: time.Minute, Entries: 4096, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Signal(syscall.SIGCONT)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := budgetPolicy()
	// Long enough for a busy machine to answer in, while it answers.
	cfg.DefaultRoute.Budget = 5 * time.Second
	g := newGate(t, cfg, func(c *gate.Config) { c.Limiter = l })
	var d gate.Decision
	g.Decide(t.Context(), request("8.8.8.8"), &d)
	if d.Degraded || d.Verdict != ipwarden.Allow {
		t.Fatalf("while it answers: %s, degraded %v", d.Verdict, d.Degraded)
	}
	server.Signal(syscall.SIGSTOP)
	for _, path := range []string{"/closed", "/open", "/safe", "/tight"} {
		q := request("8.8.8.8")
		q.Path = path
		begun := time.Now()
		g.Decide(t.Context(), q, &d)
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%s: decided after %s; its budget is 20ms", path, took)
		}
		if !d.Degraded {
			t.Errorf("%s: %s, and nothing says that the store is away", path, d.Verdict)
		}
	}
}
