package usage

import (
	"context"
	"hash/fnv"
	"math"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// How quotas hold in many regions at once.
//
// Far from the limit a node admits by what it knows: the sums of all regions and all
// that it admitted itself. What others admit at the same time it learns a moment later.
// In the last fifth of a quota that moment would be an overshoot: there a node admits
// only what it has a lease for. Leases of an account are given by one node, that of the
// account's home region, out of what its own sums say is left, less all leases that it
// gave and that are not yet in its sums. So leases never add up to more than there is.
//
// A node that is out of touch with a region keeps within its lease, or, if it has none,
// within its share of what was left when it lost touch: one part in as many as there
// are regions. Where there are several, half of the last fifth is nobody's then, for what
// was admitted before anybody noticed. A day that begins, or another plan, brings a new
// share. The lessor lays the same share aside for regions that it does not hear.

// lease is what a node may admit of an account, as it knows itself.
type lease struct {
	allowed int64 // spent may go up to here
	number  uint64
	asked   time.Time
	spent   int64 // when it asked
	waits   bool  // for an answer
	dry     bool  // the last answer brought nothing
	back    bool  // what it did not spend goes back with the next report
	share   bool  // allowed is the share of a node that is out of touch

	day, month         int64   // of a share: up to here until the span ends; allowed is the smaller one
	dayEnds, monthEnds int64   // Unix seconds
	bounds             *bounds // it is of these terms
	epoch              int64
}

// mark notes of which terms and spans a lease is.
func (l *lease) mark(acc *account, s *spans, now time.Time) {
	l.bounds, l.epoch = acc.bounds.Load(), acc.epoch
	l.dayEnds, l.monthEnds = s.end(l.bounds.window, now)
}

// end is when nothing counts any more of what was used until now, in Unix seconds.
func (s *spans) end(w customer.Window, now time.Time) (dayEnds, monthEnds int64) {
	if w == customer.Rolling {
		const day = 24 * 3600
		return now.Unix() + day, now.Unix() + 30*day
	}
	day, month := s.at(now).of(w)
	return day.Reset.Unix(), month.Reset.Unix()
}

// over reports whether a lease is of other terms, or of a span that has ended.
func (l *lease) over(acc *account, now time.Time) bool {
	return l.other(acc) ||
		l.bounds.perDay > 0 && now.Unix() >= l.dayEnds || l.bounds.perMonth > 0 && now.Unix() >= l.monthEnds
}

// other reports whether a lease is of other terms. They are compared by what they say:
// the same are not always shared.
func (l *lease) other(acc *account) bool {
	return l.bounds == nil || l.bounds.terms() != acc.bounds.Load().terms() || l.epoch != acc.epoch
}

// A LeaseReport is what a node says of one Subject to its lessor.
type LeaseReport struct {
	Subject  Subject
	Allowed  int64  // it admits up to here, in its own count
	Known    int64  // of which this much is in its batches
	Sequence uint64 // up to this one
	Wants    bool   // it has calls to admit; otherwise it gives back what it has
	Number   uint64 // of the report; the answer to an earlier one is not heeded
}

// A LeaseGrant is the answer: how far the node may go. Not ok is that the lessor knows
// too little yet, and that the node asks again.
type LeaseGrant struct {
	Number  uint64
	Allowed int64
	OK      bool
}

// A Lessor asks the node that gives leases in a region.
type Lessor func(ctx context.Context, region string, from uint64, reports []LeaseReport) ([]LeaseGrant, error)

// zone is where leases begin: so many calls before the limit.
func zone(limit int64) int64 { return limit/5 + 1 }

// allow is how far an account's calls are admitted here. a.mu is held.
func (a *aggregator) allow(acc *account, now time.Time) int64 {
	if !acc.limited() {
		return math.MaxInt64
	}
	known, left := acc.inSums(), acc.left()
	if a.c.Lessor == nil { // nobody else admits calls
		acc.lease = nil
		return known + max(0, left)
	}
	free := left - zone(acc.limit())
	touch := a.inTouch()
	switch {
	case touch && (acc.lease == nil || acc.lease.share) && free > 0:
		acc.lease = nil
		return known + free
	case touch && acc.lease != nil && !acc.lease.share && free > zone(acc.limit()):
		acc.lease = nil // a new span, or a larger plan
		return known + free
	case acc.lease == nil && touch:
		// As far as it admits already: the lessor hears of it with the first report.
		acc.lease = &lease{allowed: max(acc.spent.Load(), known+max(0, free))}
	case touch && acc.lease.share:
		acc.lease.share = false // back in touch, and near the limit: from here on the lessor says
	case !touch && (acc.lease == nil || acc.lease.share || acc.lease.over(acc, now)):
		a.shareOut(acc, known, now)
	}
	if touch {
		acc.lease.mark(acc, &a.spans, now)
	} else if acc.lease.share && a.stuck.IsZero() {
		// Others may be in touch with all, and use what is left: what is read of them counts.
		return min(acc.lease.allowed, known+max(0, left))
	}
	return acc.lease.allowed
}

// shareOut gives a node that is out of touch its share of each bound, once in each span.
// a.mu is held.
func (a *aggregator) shareOut(acc *account, known int64, now time.Time) {
	l, b := acc.lease, acc.bounds.Load()
	// Calls of a day that has ended are not of this one, though they may not be in the sums
	// yet: this node's stream may be what is away.
	dayFrom, monthFrom := known, known
	if l != nil && l.bounds != nil && b.window == customer.Calendar && l.bounds.window == b.window {
		if spent := max(known, acc.spent.Load()); l.monthEnds > 0 && now.Unix() >= l.monthEnds {
			dayFrom, monthFrom = spent, spent
		} else if l.dayEnds > 0 && now.Unix() >= l.dayEnds {
			dayFrom = spent
		}
	}
	if l == nil || !l.share || l.other(acc) {
		next := &lease{share: true, bounds: b, epoch: acc.epoch, day: math.MaxInt64, month: math.MaxInt64}
		if l != nil {
			next.number = l.number + 1 // an answer on its way is to another question
		}
		l, acc.lease = next, next
	}
	part := func(from, limit, used int64) int64 {
		if len(a.sources) > 1 {
			used += zone(limit) / 2
		}
		return from + max(0, limit-used)/int64(len(a.sources))
	}
	var t tally
	if acc.tally != nil {
		t = *acc.tally
	}
	day, month := a.spans.end(b.window, now)
	if b.perDay > 0 && now.Unix() >= l.dayEnds {
		l.day, l.dayEnds = part(dayFrom, b.perDay, t.day), day
	}
	if b.perMonth > 0 && now.Unix() >= l.monthEnds {
		l.month, l.monthEnds = part(monthFrom, b.perMonth, t.month), month
	}
	l.allowed = min(l.day, l.month)
}

// inTouch says whether all regions were heard of lately, and this node's batches go
// out. a.mu is held.
func (a *aggregator) inTouch() bool {
	for _, s := range a.sources {
		if !s.reached {
			return false
		}
	}
	return a.stuck.IsZero() || a.c.Now().Sub(a.stuck) <= a.c.Patience
}

// home is the region that gives an account's leases and tells of its alerts: the one
// with the highest number, so that one region more or less moves few accounts.
func (c *Config) homeOf(id customer.AccountID) string {
	var best string
	var high uint64
	for _, s := range c.Sources {
		h := fnv.New64a()
		h.Write([]byte(s.Region))
		n := scramble(h.Sum64() ^ uint64(id))
		if best == "" || n > high || n == high && s.Region < best {
			best, high = s.Region, n
		}
	}
	return best
}

func scramble(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

func (c *Config) home(id customer.AccountID) bool { return c.homeOf(id) == c.Region }

// How often a node reports. A report that brings more budget is made as soon as half of
// what it has is spent.
const (
	renewEvery = 500 * time.Millisecond
	idleAfter  = 2 * time.Second
	askTimeout = 2 * time.Second
)

// reports are what there is to say to each region now. a.mu is held.
func (a *aggregator) reports(now time.Time) map[string][]LeaseReport {
	all := map[string][]LeaseReport{}
	touch := a.inTouch()
	sequence := uint64(0)
	if n := a.nodes[a.node]; n != nil {
		sequence = n.sequence
	}
	for acc := range a.accounts.all() {
		l := acc.lease
		if l == nil || !touch && l.share {
			continue
		}
		if l.waits && now.Sub(l.asked) < askTimeout {
			continue
		}
		spent := acc.spent.Load()
		wants := spent > l.spent || acc.starved.Load()
		unspent := l.allowed - spent
		due := now.Sub(l.asked)
		switch {
		case l.number == 0 || l.back:
			l.back = false
		case wants && !l.dry && unspent <= (l.allowed-acc.inSums())/2 && due >= a.c.LeasePause:
		case wants && due >= renewEvery:
		case !wants && unspent > 0 && due >= idleAfter:
			// Nobody spends here: it goes back, so that it can be spent elsewhere. The report
			// of it is the next time: whoever read the old bound has spent by then.
			l.allowed, l.back = spent, true
			acc.allowed.Store(spent)
			continue
		default:
			if due < idleAfter || !wants && due < 5*time.Second {
				continue
			}
		}
		l.number++
		l.asked, l.spent, l.waits = now, spent, true
		home := a.c.homeOf(acc.subject.Account)
		all[home] = append(all[home], LeaseReport{acc.subject, max(l.allowed, spent, acc.inSums()), acc.inSums(), sequence, wants, l.number})
		acc.starved.Store(false)
	}
	return all
}

// granted takes a lessor's answers.
func (a *aggregator) granted(reports []LeaseReport, grants []LeaseGrant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.c.Now()
	for i, r := range reports {
		acc := a.accounts.find(r.Subject)
		if acc == nil || acc.lease == nil || acc.lease.number != r.Number {
			continue
		}
		acc.lease.waits = false
		if i < len(grants) && grants[i].OK && grants[i].Number == r.Number {
			acc.lease.dry = grants[i].Allowed <= r.Allowed
			acc.lease.allowed = grants[i].Allowed
			a.settle(acc, now)
		}
	}
}

// lessor is the half that gives leases.
type lessor struct {
	began time.Time
	given map[Subject]*given
}

// given is what nodes hold of one Subject.
type given struct {
	began time.Time
	nodes map[uint64]*holding
}

type holding struct {
	allowed, known int64 // known is in the lessor's sums
	wants          bool
	heard          time.Time
}

// grace is how long a lessor that just began only listens: it does not know yet what
// one before it gave.
const grace = 3 * time.Second

// grant answers reports of a node.
func (a *aggregator) grant(l *lessor, node uint64, reports []LeaseReport) []LeaseGrant {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.c.Now()
	grants := make([]LeaseGrant, len(reports))
	sequence := uint64(0)
	if n := a.nodes[node]; n != nil {
		sequence = n.sequence
	}
	for i, r := range reports {
		grants[i].Number = r.Number
		acc := a.accounts.find(r.Subject)
		if acc != nil && acc.limited() && acc.left()-zone(acc.limit()) > zone(acc.limit()) {
			delete(l.given, r.Subject) // a new span: nobody needs leases
		}
		if acc == nil || !acc.limited() || r.Known > r.Allowed || r.Allowed < 0 || r.Known < 0 || sequence < r.Sequence {
			continue // not known here, or not yet
		}
		g := l.given[r.Subject]
		if g == nil {
			g = &given{began: now, nodes: map[uint64]*holding{}}
			l.given[r.Subject] = g
		}
		h := g.nodes[node]
		if h == nil {
			if len(g.nodes) == maxNodes {
				continue
			}
			h = &holding{}
			g.nodes[node] = h
		}
		*h = holding{r.Allowed, r.Known, r.Wants, now}
		if now.Sub(l.began) < a.c.Grace {
			continue
		}
		if to := a.share(acc, g, h, now); to > h.allowed {
			h.allowed = to
			grants[i].Allowed, grants[i].OK = to, true
		} else {
			// Less than it has is asked back, and is the lessor's again when the node says so.
			grants[i].Allowed, grants[i].OK = to, true
		}
	}
	return grants
}

const maxNodes = 4096

// share is how far a node may go: an equal part of what is left for all that want some,
// but never so much that leases add up to more than there is.
func (a *aggregator) share(acc *account, g *given, h *holding, now time.Time) int64 {
	left := acc.left()
	if now.Sub(g.began) < a.c.Patience {
		// Others may not know yet that leases are needed, and admit calls that are not in
		// the sums here: half of the zone is for them.
		left -= zone(acc.limit()) / 2
	}
	others, wanting := int64(0), int64(0)
	pool := left // what those that want some hold, and what nobody holds
	for id, o := range g.nodes {
		if o != h && now.Sub(o.heard) > time.Hour && o.allowed == o.known {
			delete(g.nodes, id)
			continue
		}
		unspent := max(0, o.allowed-o.known)
		recent := o.wants && now.Sub(o.heard) < idleAfter
		if recent {
			wanting++
		} else if o != h {
			pool -= unspent
		}
		if o != h {
			others += unspent
		}
	}
	for _, s := range a.sources { // laid aside for those that cannot ask
		if !s.reached {
			part := max(0, left) / int64(len(a.sources))
			pool -= part
			others += part
		}
	}
	if !h.wants {
		return min(h.allowed, h.known+max(0, left-others))
	}
	fair := (max(0, pool) + max(1, wanting) - 1) / max(1, wanting)
	most := max(0, left-others)
	if fair < h.allowed-h.known {
		// It has more than its part: it gives some back, but for what it spent already,
		// which it knows better.
		return max(h.known, h.known+fair)
	}
	return h.known + min(fair, most)
}
