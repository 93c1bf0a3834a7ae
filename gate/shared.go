package gate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// What follows tells other nodes of attempts, where there is a Config.Attempts: who
// is on the way with what, and what is to be charged when the outcome is told to one
// of them.

// A denier knows of some requests, without asking anybody, that they will be denied.
type denier interface {
	Denies(reqs []limit.Request) bool
}

// join gives the attempt a place among those of all nodes, in place of that among
// this node's own; false when that could not be done. What is denied anyhow needs
// none.
func (g *Gate) join(ctx context.Context, d *Decision) (whole bool) {
	if g.cfg.Attempts == nil || d.peek || len(d.pending) == 0 {
		return true
	}
	if g.denier != nil && g.denier.Denies(d.takes) {
		d.placeless = true
		return true
	}
	d.places = appendPlaces(d.places[:0], d.pending)
	if len(d.places) == 0 {
		return true
	}
	d.joined = true // also when it is in doubt
	if err := g.cfg.Attempts.Enter(ctx, d.ID, d.places); err != nil {
		g.stats.attemptErrors.Add(1)
		return false
	}
	n := 0
	for i := range d.pending {
		if p := &d.pending[i]; p.holds() > 0 {
			p.among = d.places[n].Count
			n++
		}
	}
	return true
}

// refusePlaceless refuses an attempt that was thought to be denied anyhow, when the
// limit has got room in this moment: it has no place among the others.
func (d *Decision) refusePlaceless() {
	for i := range d.pending {
		p := &d.pending[i]
		if p.holds() == 0 {
			continue
		}
		d.Verdict, d.Reason = ipwarden.Throttle, policy.ByLimit
		d.Response, d.RetryAfter, d.crowded = d.program.OverLimit(p.limit), time.Second, true
		for j := range d.Limits {
			if l := &d.Limits[j]; l.Name == p.limit.Name {
				l.Allowed, l.Remaining, l.RetryAfter = false, 0, time.Second
			}
		}
		return
	}
}

// holds is how long what is pending holds a place.
func (p *pendingUse) holds() time.Duration {
	if p.limit == nil || p.limit.Shadow {
		return 0
	}
	return p.limit.Holds()
}

func appendPlaces(to []limit.Place, pending []pendingUse) []limit.Place {
	for i := range pending {
		p := &pending[i]
		if life := p.holds(); life > 0 {
			most := max(p.request.Rate.Limit, p.request.Rate.Burst)
			raised := uint64(most) * uint64(max(p.request.Raise, 1))
			to = append(to, limit.Place{Key: p.request.Key, For: life, Most: uint32(min(raised, math.MaxUint32-1))})
		}
	}
	return to
}

// part gives the places of a request back that does not go on.
func (g *Gate) part(ctx context.Context, d *Decision) {
	d.land()
	if d.joined {
		g.leave(ctx, d.ID, d.places)
	}
}

func (g *Gate) leave(ctx context.Context, id ID, places []limit.Place) {
	if len(places) == 0 {
		return
	}
	if err := g.cfg.Attempts.Leave(ctx, id, places); err != nil {
		g.stats.attemptErrors.Add(1) // they end when their time is up
	}
}

// keep lets any node take the outcome.
func (g *Gate) keep(ctx context.Context, d *Decision) {
	var note [limit.MaxNote]byte
	if err := g.cfg.Attempts.Keep(ctx, d.ID, d.appendNote(note[:0])); err != nil {
		g.stats.attemptErrors.Add(1) // it can be told to this node
	}
}

// A note is a version and, of each limit that waits, what it is, under which key,
// how much it charges, and how it is raised. Nodes may have different policies for a
// while: a limit is known by its name and by how it counts.
const (
	noteVersion = 1
	noteSize    = 8 + 16 + 4 + 2
)

func (d *Decision) appendNote(b []byte) []byte {
	b = append(b, noteVersion)
	for i := range d.pending {
		p := &d.pending[i]
		b = binary.BigEndian.AppendUint64(b, d.program.prints[p.limit.Index])
		b = binary.BigEndian.AppendUint64(b, p.request.Key[0])
		b = binary.BigEndian.AppendUint64(b, p.request.Key[1])
		b = binary.BigEndian.AppendUint32(b, p.request.Cost)
		b = binary.BigEndian.AppendUint16(b, p.request.Raise)
	}
	return b
}

var errNote = errors.New("gate: the note of an attempt is not one of ours")

// readNote reads a note by a program. What this node's policy does not have, is
// there without a limit.
func (p *program) readNote(b []byte) ([]pendingUse, error) {
	if len(b) == 0 || b[0] != noteVersion || (len(b)-1)%noteSize != 0 || (len(b)-1)/noteSize > maxPending {
		return nil, errNote
	}
	var pending []pendingUse
	for b = b[1:]; len(b) > 0; b = b[noteSize:] {
		var use pendingUse
		if l := p.limitOf(binary.BigEndian.Uint64(b)); l != nil {
			use.limit = l
			use.request = limit.Request{
				Rate: &p.rates[l.Index], Key: limit.Key{binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])},
				Cost: binary.BigEndian.Uint32(b[24:]), Raise: binary.BigEndian.Uint16(b[28:]),
			}
		}
		pending = append(pending, use)
	}
	return pending, nil
}

func (p *program) limitOf(print uint64) *policy.Limit {
	for i, l := range p.Limits() {
		if p.prints[i] == print && l.CountsOutcomes() {
			return l
		}
	}
	return nil
}

// charges are the limits that an outcome charges, a bit each.
func charges(pending []pendingUse, o *policy.Outcome) (set uint16) {
	for i := range pending {
		if l := pending[i].limit; l != nil && l.Counts(nil, o) {
			set |= 1 << i
		}
	}
	return set
}

// event is the same on all nodes.
func (g *Gate) event(o *policy.Outcome) uint64 {
	tuple := limit.AppendPart(limit.AppendPart(nil, "event"), o.Event)
	return g.hasher.Sum(limit.AppendPart(tuple, strconv.Itoa(o.Status)))[0]
}

// ErrAttemptsAway is returned for the outcome of a decision that another node has
// made, when what nodes share is not to be had.
var ErrAttemptsAway = errors.New("what nodes share of attempts is not to be had now")

// outcome is Outcome where nodes share attempts. first and due are what this node
// knows alone.
func (g *Gate) outcome(ctx context.Context, id ID, o *policy.Outcome, known, first, waits bool, due *due) (counted bool, err error) {
	pending := due.pending[:due.all]
	if !waits {
		note, err := g.cfg.Attempts.Recall(ctx, id)
		if err != nil {
			g.stats.attemptErrors.Add(1)
		}
		if note == nil && known { // it waits for none
			return g.noted(first), nil
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrAttemptsAway, err)
		}
		if note == nil {
			return false, ErrUnknownDecision
		}
		if pending, err = g.core.program.Load().readNote(note); err != nil {
			return false, err
		}
	}
	// All that it charges, whatever this node has noted: of reports that come at once
	// the one that the store hears first is the one that counts.
	settled, err := g.settleShared(ctx, id, o, pending, waits)
	switch {
	case err != nil && !waits:
		g.stats.attemptErrors.Add(1)
		return false, fmt.Errorf("%w: %w", ErrAttemptsAway, err)
	case err != nil:
		g.stats.attemptErrors.Add(1)
		g.recent.alone(id, due.set) // this node knows what it has to do
	case settled.Known:
		due.set, first = settled.Due&^due.alone, settled.First
	case !waits:
		return false, ErrUnknownDecision // it was forgotten just now
	}
	if !first && due.set == 0 {
		return false, nil
	}
	g.stats.outcomes.Add(1)
	err = g.chargeDue(ctx, pending, due.set)
	g.leave(ctx, id, appendPlaces(nil, pending))
	return true, err
}

// lateSettler are Attempts that tell what was noted also when nobody waits any more.
type lateSettler interface {
	SettleLate(ctx context.Context, attempt [16]byte, event uint64, charges uint16, late func(limit.Settled)) (limit.Settled, error)
}

// settleShared notes an outcome where all nodes see it. What was noted when this node
// has given up is charged by it then: it is due to nobody else, however often the
// outcome is told. Who decided about the request charges it by itself at once.
func (g *Gate) settleShared(ctx context.Context, id ID, o *policy.Outcome, pending []pendingUse, mine bool) (limit.Settled, error) {
	s, ok := g.cfg.Attempts.(lateSettler)
	if mine || !ok {
		return g.cfg.Attempts.Settle(ctx, id, g.event(o), charges(pending, o))
	}
	return s.SettleLate(ctx, id, g.event(o), charges(pending, o), func(late limit.Settled) {
		if !late.Known || !late.First && late.Due == 0 {
			return
		}
		ctx := context.Background()
		g.stats.outcomes.Add(1)
		if err := g.chargeDue(ctx, pending, late.Due); err != nil {
			g.stats.limiterErrors.Add(1)
		}
		g.leave(ctx, id, appendPlaces(nil, pending))
	})
}

func (g *Gate) noted(first bool) bool {
	if first {
		g.stats.outcomes.Add(1)
	}
	return first
}

// chargeDue charges what is due.
func (g *Gate) chargeDue(ctx context.Context, pending []pendingUse, set uint16) error {
	var uses [maxPending]limit.Request
	n := 0
	for i := range pending {
		if set&(1<<i) != 0 {
			uses[n] = pending[i].request
			n++
		}
	}
	return g.settle(ctx, uses[:n])
}
