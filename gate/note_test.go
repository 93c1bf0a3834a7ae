package gate

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// emptySource knows nothing, at once.
type emptySource struct{}

func (emptySource) Lookup(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	return ipwarden.NewRecord(a, ipwarden.Full{}), nil
}

func (emptySource) Local() bool { return true }

func noteGate(t testing.TB, cfg Config) *Gate {
	t.Helper()
	p, err := policy.New(policy.Config{Limits: []policy.Limit{{
		Name: "login", Limit: 3, Window: time.Hour, Algorithm: policy.Sliding,
		Count: policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{{Op: policy.OpStatus, Type: policy.Int}, {Op: policy.OpConst, Type: policy.Int, Int: 401}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Program = p
	cfg.Source = emptySource{}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// What somebody else has put into the store is a mistake, never more than limits
// of ours.
func FuzzNote(f *testing.F) {
	g := noteGate(f, Config{Seed: [16]byte{1}})
	var d Decision
	g.Decide(context.Background(), &ipwarden.Request{Peer: netip.MustParseAddr("2a00::1"), Path: "/"}, &d)
	good := d.appendNote(nil)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{noteVersion})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := g.core.program.Load()
		pending, err := p.readNote(b)
		if err != nil {
			return
		}
		if len(pending) > maxPending || len(b) != 1+len(pending)*noteSize {
			t.Fatalf("%d of %d bytes", len(pending), len(b))
		}
		_ = charges(pending, &policy.Outcome{Status: 401})
		_ = appendPlaces(nil, pending)
	})
}

// alwaysDenies has no room, but for who takes it in the next moment.
type alwaysDenies struct{ limit.Limiter }

func (alwaysDenies) Denies([]limit.Request) bool { return true }

type neverAsked struct{ limit.Attempts }

// What is denied anyhow asks nobody for a place; if it is not denied after all, it
// does not pass without one.
func TestPlaceless(t *testing.T) {
	m, err := limit.NewMemory(limit.MemoryConfig{Entries: 64})
	if err != nil {
		t.Fatal(err)
	}
	g := noteGate(t, Config{Limiter: alwaysDenies{m}, Attempts: neverAsked{}})
	var d Decision
	g.Decide(context.Background(), &ipwarden.Request{Peer: netip.MustParseAddr("8.8.8.8"), Path: "/"}, &d)
	if d.Verdict != ipwarden.Throttle || d.By() != "login" || d.RetrySeconds() != 1 {
		t.Errorf("%s by %q, %d", d.Verdict, d.By(), d.RetrySeconds())
	}
}
