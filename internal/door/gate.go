package door

import (
	"context"
	"sync"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// A Gate is a gate.Gate as doors ask it. It is safe for concurrent use.
type Gate struct {
	gate    *gate.Gate
	forward bool
	pool    sync.Pool // of *turn
}

// A turn is the memory for one decision.
type turn struct {
	decision gate.Decision
	fields   []clientip.Field
	answer   *Answer
	reply    func(name, value string) // adds to answer
}

// NewGate makes a Gate. With forward the application gets X-Forwarded-For,
// X-Real-Ip and Forwarded with the client's address; without, as behind a proxy
// that writes them itself, it finds it in X-Ipwarden-Ip.
func NewGate(g *gate.Gate, forward bool) *Gate {
	d := &Gate{gate: g, forward: forward}
	d.pool.New = func() any {
		t := new(turn)
		t.reply = func(name, value string) {
			if name != "Retry-After" { // the Answer's own
				t.answer.SetReply(name, t.answer.kept(value))
			}
		}
		return t
	}
	return d
}

var _ Decide = (*Gate)(nil).Decide

// Decide asks the gate about a request.
func (g *Gate) Decide(ctx context.Context, req *ipwarden.Request, a *Answer) {
	t := g.pool.Get().(*turn)
	d := &t.decision
	g.gate.Decide(ctx, req, d)
	a.Verdict, a.Status = d.Verdict, d.Status()
	a.Awaits = d.AwaitsOutcome()
	if a.Status == 0 {
		d.Enrich(func(name, value string) { a.SetUpstream(name, a.kept(value)) })
		if g.forward {
			t.fields = g.gate.Client().AppendUpstream(t.fields[:0], d.Client)
			for _, f := range t.fields {
				a.SetUpstream(f.Name, f.Value)
			}
		}
	} else {
		a.RetryAfter, a.Location = d.RetrySeconds(), d.Location
		accept := ""
		if req.Header == nil {
			// A request without a header accepts anything.
		} else if v := req.Header.Values("Accept"); len(v) > 0 {
			accept = v[0]
		}
		page := gate.WantsPage(accept)
		a.Body, a.Type = d.AppendRefusal(a.Body[:0], page)
		a.SetReply("Vary", "Accept")
		if len(a.Body) > 0 && page && d.OwnPage() {
			a.SetReply("Content-Security-Policy", gate.PagePolicy)
		}
		a.SetUpstream(gate.HeaderDecision, d.ID.String())
	}
	t.answer = a
	d.Reply(t.reply)
	t.answer = nil
	// What t holds of the request and of the dataset is written over by its next turn; a
	// pool keeps nothing for long that nobody takes.
	g.pool.Put(t)
}

// Outcome tells the gate what became of the request with this decision id. What
// is not remembered any more, and what no limit counts, is not an error.
func (g *Gate) Outcome(ctx context.Context, decision string, status int) {
	if id, ok := gate.ParseID(decision); ok {
		_, _ = g.gate.Outcome(ctx, id, policy.Outcome{Status: status}) // the gate counts what went wrong
	}
}

// Removes reports whether a field of a request must not go on.
func (g *Gate) Removes(name string) bool { return g.gate.Client().Removes(name) }
