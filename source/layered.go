package source

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// LayeredConfig says who is asked.
type LayeredConfig struct {
	// Source is asked first, on every question: a dataset, with an overlay on top or
	// without. What an overlay says stays on top. Required.
	Source ipwarden.Source
	// Providers are asked beside it about addresses that are not somebody's own
	// business: not about bogons.
	Providers []*Cached
	// Merge says whose word counts.
	Merge MergePolicy
	// Intelligence is how a question waits that does not say so itself. Default:
	// ipwarden.IntelligenceAsync.
	Intelligence ipwarden.Intelligence
	// Budget is how long such a question waits in all. Default: 100ms.
	Budget time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

const defaultBudget = 100 * time.Millisecond

// Layered merges what providers say into the answers of a Source, field by field.
// The Source is asked every time; the providers' answers come from their caches. It
// is safe for concurrent use.
//
// An answer that several have a part in is remembered with the Source's own, so
// that the next question about the address finds it without merging: as long as the
// Source answers from the same dataset, which must be an ipwarden.Shared.
type Layered struct {
	cfg       LayeredConfig
	rules     *ruleTable
	ranks     []int // of the providers
	underRank int
	byRank    []int // the providers' indexes, the first in rank first

	front     atomic.Pointer[front]
	strangers atomic.Int32 // Records of another dataset than front's

	timers sync.Pool // of *time.Timer, stopped

	stats layeredStats
}

type layeredStats struct{ front, pending, late, failOpen, failed, merges atomic.Uint64 }

// LayeredStats counts what a [Layered] did.
type LayeredStats struct {
	Front    uint64 // answers remembered whole
	Merges   uint64 // answers put together
	Pending  uint64 // answers given while something was still asked for
	Late     uint64 // of those, after the budget was over
	FailOpen uint64 // answers without a provider that failed
	Failed   uint64 // strict questions that got an error
}

var (
	_ ipwarden.Source = (*Layered)(nil)
	_ ipwarden.Asker  = (*Layered)(nil)
)

// NewLayered makes a Layered, or says everything that is wrong with cfg.
func NewLayered(cfg LayeredConfig) (*Layered, error) {
	var errs []error
	if cfg.Source == nil {
		errs = append(errs, errors.New("the Source is missing: say who is asked first, such as a dataset"))
	}
	cfg.Providers = slices.Clone(cfg.Providers)
	cfg.Merge.Order = slices.Clone(cfg.Merge.Order)
	var names []string
	for i, p := range cfg.Providers {
		if p == nil {
			errs = append(errs, fmt.Errorf("the provider %d is nil", i))
			continue
		}
		if slices.Contains(names, p.Name()) || p.Name() == DatasetName {
			errs = append(errs, fmt.Errorf("two sources are called %q", p.Name()))
		}
		names = append(names, p.Name())
	}
	rules, err := cfg.Merge.compile()
	errs = append(errs, err)
	for _, name := range cfg.Merge.Order {
		if name != DatasetName && !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("the order of Merge has %q, which is no provider and not %s", name, DatasetName))
		}
	}
	if cfg.Intelligence == ipwarden.IntelligenceDefault {
		cfg.Intelligence = ipwarden.IntelligenceAsync
	}
	def(&cfg.Budget, defaultBudget)
	if cfg.Budget < 0 || cfg.Budget > time.Minute {
		errs = append(errs, fmt.Errorf("the Budget is %v; it is up to a minute, such as 100ms", cfg.Budget))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("layered: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Layered{cfg: cfg, rules: rules}
	ranks := cfg.Merge.rank(append(names, DatasetName))
	l.ranks, l.underRank = ranks[:len(names)], ranks[len(names)]
	for i := range names {
		l.byRank = append(l.byRank, i)
	}
	slices.SortFunc(l.byRank, func(a, b int) int { return cmp.Compare(l.ranks[a], l.ranks[b]) })
	l.front.Store(newFront(nil))
	return l, nil
}

// Lookup answers as the configuration says that questions wait.
func (l *Layered) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	rec, _, err := l.Ask(ctx, addr, ipwarden.IntelligenceDefault, 0)
	if err != nil {
		return ipwarden.Record{}, err
	}
	return rec, nil
}

// Ask is part of [ipwarden.Asker].
func (l *Layered) Ask(ctx context.Context, addr netip.Addr, how ipwarden.Intelligence, budget time.Duration) (ipwarden.Record, bool, error) {
	rec, err := l.cfg.Source.Lookup(ctx, addr)
	if err != nil || len(l.cfg.Providers) == 0 {
		return rec, false, err
	}
	backing, id := rec.Answer()
	if f := l.front.Load(); backing == f.under && backing != nil {
		hi, lo := words(rec.Addr())
		if m, ok := f.get(hi, lo, id, l.cfg.Now().UnixNano()); ok {
			l.stats.front.Add(1)
			if m == nil {
				return rec, false, nil
			}
			return m.over(rec), false, nil
		}
	}
	return l.ask(ctx, rec, how, budget)
}

// words are the bits of an address, of IPv4 in its mapped form, which is no
// canonical IPv6 address.
func words(a netip.Addr) (hi, lo uint64) {
	if a.Is4() {
		b := a.As4()
		return 0, 0xffff<<32 | uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// ask looks into the providers' caches, and asks them for what is missing.
func (l *Layered) ask(ctx context.Context, rec ipwarden.Record, how ipwarden.Intelligence, budget time.Duration) (ipwarden.Record, bool, error) {
	addr := rec.Addr()
	// Nobody's address is nobody's business outside; an overlay may say that it is
	// somebody's.
	if !addr.IsValid() || rec.Traits().Has(ipwarden.Bogon) {
		return rec, false, nil
	}
	if how == ipwarden.IntelligenceDefault {
		how = l.cfg.Intelligence
	}
	if budget <= 0 {
		budget = l.cfg.Budget
	}
	q := question{l: l, rec: rec, addr: addr, answers: make([]*answer, len(l.cfg.Providers))}
	q.look(how != ipwarden.IntelligenceLocal)
	if q.missing > 0 && (how == ipwarden.IntelligenceSync || how == ipwarden.IntelligenceStrict) {
		q.wait(ctx, budget)
	}
	pending := q.missing > 0 && how != ipwarden.IntelligenceLocal
	if pending {
		l.stats.pending.Add(1)
		if how != ipwarden.IntelligenceAsync {
			l.stats.late.Add(1)
		}
	}
	if q.failed {
		l.stats.failOpen.Add(1)
	}
	if how == ipwarden.IntelligenceStrict && (q.missing > 0 || q.failed) {
		l.stats.failed.Add(1)
		return l.merge(&q), pending, q.err()
	}
	return l.merge(&q), pending, nil
}

// question is one address on its way through the providers.
type question struct {
	l       *Layered
	rec     ipwarden.Record
	addr    netip.Addr
	answers []*answer // by provider
	flights []*flight // by provider; nil where nothing is waited for
	missing int       // providers of which nothing is known yet
	failed  bool
	until   int64 // the soonest that an answer is to be looked at again
}

// look takes what the caches have, and asks for the rest.
func (q *question) look(outside bool) {
	now := q.l.cfg.Now().UnixNano()
	hint := q.rec.Network()
	q.until = 1<<63 - 1
	for i, p := range q.l.cfg.Providers {
		a, due := p.peek(q.addr, now)
		q.answers[i] = a
		if a == nil {
			q.missing++
		} else {
			q.note(a)
		}
		if !outside || a != nil && !due {
			continue
		}
		if f := p.fly(q.addr, hint); f != nil && a == nil {
			if q.flights == nil {
				q.flights = make([]*flight, len(q.answers))
			}
			q.flights[i] = f
		}
	}
}

// note takes an answer's time and failure into account.
func (q *question) note(a *answer) {
	q.until = min(q.until, a.settled())
	q.failed = q.failed || a.err != nil
}

// wait waits until all flights have landed, or the budget is over.
func (q *question) wait(ctx context.Context, budget time.Duration) {
	over, _ := q.l.timers.Get().(*time.Timer)
	if over == nil {
		over = time.NewTimer(budget)
	} else {
		over.Reset(budget)
	}
	defer func() {
		over.Stop() // nothing is left in its channel (Go 1.23)
		q.l.timers.Put(over)
	}()
	for i, f := range q.flights {
		for f != nil && q.answers[i] == nil {
			select {
			case <-f.landed:
			case <-over.C:
				return
			case <-ctx.Done():
				return
			}
			// Of an error there is nothing to note: that no answer came says it.
			if q.answers[i], f, _ = q.l.cfg.Providers[i].from(f, q.addr); q.answers[i] != nil {
				q.missing--
				q.note(q.answers[i])
			}
		}
	}
}

// err says why a strict question has no answer.
func (q *question) err() error {
	var errs []error
	for i, a := range q.answers {
		switch {
		case a == nil:
			errs = append(errs, fmt.Errorf("%s: %w", q.l.cfg.Providers[i].Name(), ErrPending))
		case a.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", q.l.cfg.Providers[i].Name(), a.err))
		}
	}
	return errors.Join(errs...)
}

// laid is the Backing of an answer that has an operator's facts on top, as package
// overlay puts them there.
type laid interface {
	Under() ipwarden.Record              // the answer without them
	Lay(ipwarden.Record) ipwarden.Record // another with them
}

// merge puts the answers together, and remembers what it can.
func (l *Layered) merge(q *question) ipwarden.Record {
	parts := make([]part, 0, len(q.answers))
	for _, i := range l.byRank {
		if a := q.answers[i]; a != nil && a.err == nil && !a.silent() {
			parts = append(parts, part{a, l.cfg.Providers[i].Name(), l.ranks[i]})
		}
	}
	rec := q.rec
	backing, _ := rec.Answer()
	over, isLaid := backing.(laid)
	if isLaid {
		rec = over.Under() // the overlay goes on top again
		backing, _ = rec.Answer()
	}
	f := l.frontOf(backing)
	_, id := rec.Answer()
	var m *merged
	switch {
	case len(parts) == 0:
	case f != nil:
		m = f.merge(id, rec.Network().Bits(), parts, func() *merged { return l.newMerged(rec, parts) })
	default:
		m = l.newMerged(rec, parts)
	}
	if f != nil && q.missing == 0 && !q.failed && !isLaid {
		hi, lo := words(rec.Addr())
		f.put(hi, lo, id, q.until, m)
	}
	if m == nil {
		return q.rec
	}
	out := m.over(q.rec)
	if isLaid {
		out = over.Lay(out)
	}
	return out
}

func (l *Layered) newMerged(rec ipwarden.Record, parts []part) *merged {
	l.stats.merges.Add(1)
	return newMerged(l.rules, rec, l.underRank, parts)
}

// silent reports whether an answer says nothing, not even no.
func (a *answer) silent() bool { return a.empty && a.denies == 0 }

// frontStrangers is how many Records of another dataset come before what was
// remembered of the one before is let go: some belong to questions that began
// before it was replaced.
const frontStrangers = 64

// frontOf returns where merges with a dataset are remembered; nil for nowhere.
func (l *Layered) frontOf(backing ipwarden.Backing) *front {
	if _, ok := backing.(ipwarden.Shared); !ok {
		return nil
	}
	f := l.front.Load()
	if f.under == backing {
		return f
	}
	if f.under != nil && l.strangers.Add(1) < frontStrangers {
		return nil
	}
	next := newFront(backing)
	if !l.front.CompareAndSwap(f, next) {
		return nil
	}
	l.strangers.Store(0)
	return next
}

// Forget lets go of what is remembered with the dataset in use: for who replaces
// it, and does not want to wait until questions have told so.
func (l *Layered) Forget() {
	l.front.Store(newFront(nil))
	l.strangers.Store(0)
}

// Stats returns the counts.
func (l *Layered) Stats() LayeredStats {
	s := &l.stats
	return LayeredStats{
		Front: s.front.Load(), Merges: s.merges.Load(), Pending: s.pending.Load(), Late: s.late.Load(),
		FailOpen: s.failOpen.Load(), Failed: s.failed.Load(),
	}
}
