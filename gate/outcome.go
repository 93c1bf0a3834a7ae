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
// count only some outcomes (a log-in that failed) are charged. Each event of a
// decision counts once, however often it is reported: counted is false for one
// that is known already. The error is ErrUnknownDecision, or the limiter's.
func (g *Gate) Outcome(ctx context.Context, id ID, o policy.Outcome) (counted bool, err error) {
	k, _, _, ok := g.recent.find(id)
	if !ok {
		return false, ErrUnknownDecision
	}
	if !g.recent.event(id, eventHash(o)) {
		return false, nil
	}
	g.stats.outcomes.Add(1)
	return true, g.settle(ctx, k.pending[:k.nPending], &o)
}

// Settle is Outcome for who still has the decision, as the middleware does. It
// must be called once, before d is used again.
func (g *Gate) Settle(ctx context.Context, d *Decision, o policy.Outcome) error {
	if len(d.pending) == 0 {
		return nil
	}
	if g.recent != nil && !g.recent.event(d.ID, eventHash(o)) {
		if _, _, _, known := g.recent.find(d.ID); known {
			return nil // the application has reported it itself
		}
	}
	g.stats.outcomes.Add(1)
	return g.settle(ctx, d.pending, &o)
}

func (g *Gate) settle(ctx context.Context, pending []pendingUse, o *policy.Outcome) error {
	var takes [maxPending]limit.Request
	var results [maxPending]limit.Result
	n := 0
	for i := range pending {
		if pending[i].limit.Counts(nil, o) {
			takes[n] = pending[i].request
			n++
		}
	}
	// One by one: what has happened counts, even where another limit is full.
	var errs []error
	for i := range n {
		errs = append(errs, g.cfg.Limiter.Take(ctx, takes[i:i+1], results[i:i+1]))
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
func (d *Decision) Summary() Summary {
	s := Summary{
		ID: d.ID, Time: d.Time, Verdict: d.Verdict, Reason: d.Reason, By: d.By(), Client: d.Client.Addr,
		ClientStatus: d.Client.Status.String(), Record: d.Record, Score: d.Score, Shared: d.Shared, Degraded: d.Degraded,
		Status: d.Status(), Method: knownMethod(d.request.Method), Host: d.request.Host, Path: d.request.Path,
	}
	if d.Tier != nil {
		s.Tier = d.Tier.Name
	}
	return s
}

// Recall returns what is remembered of a decision. The error is
// ErrUnknownDecision.
func (g *Gate) Recall(id ID) (Summary, error) {
	k, host, path, ok := g.recent.find(id)
	if !ok {
		return Summary{}, ErrUnknownDecision
	}
	return Summary{
		ID: id, Time: k.at, Verdict: k.verdict, Reason: k.reason, By: k.by, Tier: k.tier,
		Client: k.record.Addr(), ClientStatus: k.status, Record: k.record, Score: k.score, Shared: k.shared,
		Degraded: k.degraded, Status: int(k.answer), Method: k.method, Host: host, Path: path,
	}, nil
}
