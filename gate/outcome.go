package gate

import (
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// ErrUnknownDecision is returned for a decision that is not remembered: it was
// never made, not by this process, or so many were made since.
var ErrUnknownDecision = errors.New("no such decision is remembered here")

// Outcome says what became of a request that was let in, so that limits which
// count only some outcomes (a log-in that failed) are charged. A limit is charged
// once a decision, and each event counts once, however often it is reported:
// counted is false for one that is known already. The error is ErrUnknownDecision, or the limiter's.
func (g *Gate) Outcome(ctx context.Context, id ID, o policy.Outcome) (counted bool, err error) {
	var due due
	var first, known, waits bool
	if g.recent != nil {
		first, known = g.recent.event(id, eventHash(o))
		waits = g.recent.due(id, &o, &due)
	}
	defer due.giveBack(&g.flights) // when it is counted
	switch {
	case g.cfg.Attempts != nil:
		return g.outcome(ctx, id, &o, known, first, waits, &due)
	case !known && !waits:
		return false, ErrUnknownDecision
	case !first && due.set == 0:
		return false, nil
	}
	g.stats.outcomes.Add(1)
	return true, g.chargeDue(ctx, due.pending[:due.all], due.set)
}

// Settle is Outcome for who still has the decision, as the middleware does. It
// must be called once, before d is used again.
func (g *Gate) Settle(ctx context.Context, d *Decision, o policy.Outcome) error {
	if len(d.pending) == 0 {
		return nil
	}
	var due due
	waits := false
	if g.recent != nil {
		g.recent.event(d.ID, eventHash(o))
		waits = g.recent.due(d.ID, &o, &due) // less what the application has reported itself
	}
	if !waits {
		due.set = charges(d.pending, &o)
	}
	g.stats.outcomes.Add(1)
	ctx = g.soon(ctx)
	if due.set != 0 && g.cfg.Attempts != nil {
		if s, err := g.cfg.Attempts.Settle(ctx, d.ID, g.event(&o), due.set); err != nil {
			g.stats.attemptErrors.Add(1)
		} else if s.Known {
			due.set = s.Due // less what was told to another node
		}
	}
	err := g.chargeDue(ctx, d.pending, due.set)
	g.part(ctx, d) // when it is counted
	return err
}

// soon bounds what comes when the application has answered: whoever waits for the
// end of the request.
func (g *Gate) soon(ctx context.Context) context.Context {
	if !g.waits {
		return ctx
	}
	if _, bounded := ctx.(*within); bounded {
		return ctx
	}
	return &within{ctx, time.Now().Add(policy.DefaultBudget)}
}

func (g *Gate) settle(ctx context.Context, uses []limit.Request) error {
	ctx = g.soon(ctx)
	var result [1]limit.Result
	// One by one: what has happened counts, even where another limit is full.
	var errs []error
	for i := range uses {
		errs = append(errs, g.cfg.Limiter.Take(ctx, uses[i:i+1], result[:]))
	}
	return errors.Join(errs...)
}

var eventSeed = maphash.MakeSeed()

// eventHash tells the events of one decision apart.
func eventHash(o policy.Outcome) uint64 { return maphash.Comparable(eventSeed, o) }

// A Summary is what matters of a decision. It holds when the Decision is used
// again.
type Summary struct {
	ID           ID
	Time         time.Time
	Verdict      ipwarden.Verdict
	Reason       policy.Reason
	By, Tier     string
	Client       netip.Addr
	ClientStatus string
	Record       ipwarden.Record
	Score        uint8
	Shared       bool
	Degraded     bool
	Status       int    // answered to the client; 0 when the request went on
	Method       string // "other" for an unusual one
	Host, Path   string // cut when they are long
}

// Summary returns what matters of d. Host and path are the request's own strings:
// who keeps it longer than those hold clones them.
func (d *Decision) Summary() (s Summary) {
	d.summarize(&s)
	return s
}

// summarize is Summary in the place where it stays. s is empty.
func (d *Decision) summarize(s *Summary) {
	s.ID, s.Time, s.Verdict, s.Reason, s.By = d.ID, d.Time, d.Verdict, d.Reason, d.By()
	s.Client, s.ClientStatus, s.Record = d.Client.Addr, d.Client.Status.String(), d.Record
	s.Score, s.Shared, s.Degraded, s.Status = d.Score, d.Shared, d.Degraded, d.Status()
	s.Method, s.Host, s.Path = knownMethod(d.request.Method), d.request.Host, d.request.Path
	if d.Tier != nil {
		s.Tier = d.Tier.Name
	}
}

// Recall returns what is remembered of a decision; of the Record its country, AS
// and traits. The error is ErrUnknownDecision.
func (g *Gate) Recall(id ID) (Recalled, error) {
	s, ok := g.recent.find(id)
	if !ok {
		return Recalled{}, ErrUnknownDecision
	}
	return s, nil
}
