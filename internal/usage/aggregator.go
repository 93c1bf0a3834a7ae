package usage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// aggregator adds up the batches of all regions, each once, and keeps where Subjects
// stand. It is the same in every process: what it commits to the store it can read
// again from the streams, if the process dies before.
type aggregator struct {
	c       *Config
	node    uint64 // this process's
	since   uint64 // its batches after this one are of this process, not of one before it
	log     *slog.Logger
	commits sync.Mutex // one commit at a time; taken before mu
	add     []Sum      // of a commit; guarded by commits

	mu        sync.Mutex // guards what follows
	regions   []string   // by number: they are few
	nodes     map[uint64]*nodeState
	sources   []*sourceState
	accounts  accounts
	recalls   map[*account]*tally // being reckoned anew: see Meter.recall
	pending   *sums               // not yet in the store
	moving    *sums               // being committed; else empty
	part      part                // of the batch that is being added
	committed map[Mark]uint64
	due       []Alert
	following bool      // another process commits to the store
	owns      bool      // this process has committed, and nobody else since as far as it knows
	stale     bool      // what Subjects used is to be read anew: see Meter.recall
	mended    time.Time // when that may be done again
	looked    time.Time // when alerts were last looked for that nobody has told; raise's own
	stats     Stats
	reloads   uint64 // how often it began anew from the store
	spans     spans
	rolled    customer.Hour // the hour that rolling months are reckoned for
	stuck     time.Time     // since when this process's batches do not leave; zero is that they do
}

// nodeState is how far a node's batches are in the sums.
type nodeState struct {
	region   string
	sequence uint64
	held     map[uint64]heldBatch // behind a gap
}

type heldBatch struct {
	*ledger.Batch
	source   int
	position uint64
}

type sourceState struct {
	Source
	position uint64    // read up to here
	heard    time.Time // of the stream
	reached  bool      // heard of lately: see inTouch
}

// Bounds.
const (
	maxHeld    = 4096 // batches of a node that wait behind a gap
	maxRegions = 255
	// HoursAhead is how far a node's clock may be ahead: batches of later hours are
	// counted into the present one.
	HoursAhead = 1
)

// Stats says how the counting goes.
type Stats struct {
	Batches, Repeated, Bad uint64 // read from the streams
	Gaps                   uint64 // batches that never came: the stream has lost them
	Ahead                  uint64 // batches from nodes whose clock is ahead
	Events                 uint64 // calls in them
	Pending                int    // sums not yet in the store
	Commits, Behind        uint64
	CommitErr, ShipErr     error // of the last attempt
	FreezeErr              error // of the last attempt: what was counted stays in the ledger
	Unsent                 int   // batches in the spool
	Ledger                 ledger.Stats
}

func newAggregator(c *Config, node, since uint64) *aggregator {
	a := &aggregator{c: c, node: node, since: since, log: c.Logger, recalls: map[*account]*tally{}, pending: &sums{}, moving: &sums{}}
	for _, s := range c.Sources {
		a.sources = append(a.sources, &sourceState{Source: s, heard: c.Now(), reached: true})
	}
	return a
}

// load begins anew from the store: what was read since its last commit is forgotten,
// and comes again.
func (a *aggregator) load(ctx context.Context) error {
	a.commits.Lock() // what is being committed would be in the sums, and pending too
	defer a.commits.Unlock()
	now := a.c.Now()
	first := min(customer.Calendar.Month(now).First, customer.Rolling.Month(now).First)
	type sum struct {
		s      Subject
		h      customer.Hour
		region string
	}
	sums := map[sum]int64{}
	marks, err := a.c.Store.State(ctx, Query{From: first, To: math.MaxUint32, Charged: true}, func(r Row, n int64) {
		sums[sum{Subject{Account: r.Account}, r.Hour, r.Region}] += n
		sums[sum{Subject{r.Account, r.Key}, r.Hour, r.Region}] += n
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reloads++
	a.owns, a.stale = false, false
	// What this process admitted so far is settled: its batches count as anybody's.
	if n := a.nodes[a.node]; n != nil {
		a.since = max(a.since, n.sequence)
	}
	for acc := range a.accounts.all() {
		if t := acc.tally; t != nil {
			acc.spent.Add(-t.own)
			acc.known.Store(0)
			if acc.lease != nil {
				acc.lease.allowed -= t.own
				acc.lease.day -= t.own
				acc.lease.month -= t.own
				acc.lease.spent -= t.own
				acc.lease.number++ // an answer on its way is of another count
			}
			acc.tally = nil
		}
	}
	a.committed = marks
	if a.committed == nil {
		a.committed = map[Mark]uint64{}
	}
	a.pending.clear()
	a.nodes = map[uint64]*nodeState{}
	for m, n := range marks {
		if m.Node != 0 {
			a.nodes[m.Node] = &nodeState{region: m.Region, sequence: n}
		}
	}
	for _, s := range a.sources {
		s.position = marks[Mark{Region: s.Region}]
	}
	a.rolled = customer.HourOf(now)
	for s, n := range sums {
		acc := a.accounts.find(s.s)
		if acc == nil {
			if s.s.Key != 0 {
				continue // keys have a standing when they have limits
			}
			acc = a.make(s.s)
		}
		a.count(acc, s.h, n, a.region(s.region), now)
	}
	for acc := range a.accounts.all() {
		a.settle(acc, now)
	}
	return nil
}

// make makes an account. a.mu is held.
func (a *aggregator) make(s Subject) *account {
	acc := a.accounts.make(s)
	acc.allowed.Store(math.MaxInt64)
	return acc
}

// count adds to an account's tally. a.mu is held.
func (a *aggregator) count(acc *account, h customer.Hour, n int64, region int, now time.Time) {
	spans := a.spans.at(now)
	if acc.tally == nil {
		acc.tally = newTally(acc.window(), spans)
	}
	acc.turn(spans) // first: a day that has ended takes no more
	acc.tally.add(h, n, region)
	if len(a.recalls) > 0 {
		if t := a.recalls[acc]; t != nil {
			t.add(h, n, region)
		}
	}
}

// region is a region's number. a.mu is held.
func (a *aggregator) region(name string) int {
	i := slices.Index(a.regions, name)
	if i < 0 {
		if len(a.regions) == maxRegions {
			return maxRegions - 1
		}
		// Atomics point into the array: it is made anew, and never moved under them.
		a.regions = append(slices.Clip(a.regions), name)
		i = len(a.regions) - 1
	}
	return i
}

// errReloaded is of a reader that is to begin at another position.
var errReloaded = errors.New("the sums were read anew")

// take takes what came out of a stream, for a reader that began when the store was read
// for the reloads-th time.
func (a *aggregator) take(source int, item Item, reloads uint64) error {
	var b *ledger.Batch
	var err error
	if item.Data != nil {
		b, err = ledger.ParseBatch(item.Data)
	}
	now := a.c.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if reloads != a.reloads {
		return errReloaded
	}
	s := a.sources[source]
	s.heard = now
	if !s.reached {
		s.reached = true
		a.settleNear(now)
	}
	if item.Data == nil {
		return nil
	}
	s.position = item.Position
	if err != nil {
		a.stats.Bad++
		a.log.Warn("usage: a stream has something that is no batch; it is left out", "region", s.Region, "position", item.Position, "error", err)
		return nil
	}
	n := a.nodes[b.Node]
	if n == nil {
		n = &nodeState{region: b.Region}
		a.nodes[b.Node] = n
	}
	switch {
	case b.Sequence <= n.sequence || n.held[b.Sequence].Batch != nil:
		a.stats.Repeated++
		return nil
	case b.Sequence != n.sequence+1:
		if n.held == nil {
			n.held = map[uint64]heldBatch{}
		}
		n.held[b.Sequence] = heldBatch{b, source, item.Position}
		if len(n.held) <= maxHeld {
			return nil
		}
		// The stream has lost batches: for ever, or those behind them would not be here.
		first := slices.Min(slices.Collect(maps.Keys(n.held)))
		a.stats.Gaps += first - n.sequence - 1
		a.log.Error("usage: batches of a node never came, and the calls they counted are lost", "node", fmt.Sprintf("%016x", b.Node), "from", n.sequence+1, "to", first-1)
		n.sequence = first - 1
	default:
		a.apply(n, b, now)
	}
	for {
		next, ok := n.held[n.sequence+1]
		if !ok {
			return nil
		}
		delete(n.held, n.sequence+1)
		a.apply(n, next.Batch, now)
	}
}

// settle reckons anew how far an account's calls are admitted here. a.mu is held.
func (a *aggregator) settle(acc *account, now time.Time) {
	acc.turn(a.spans.at(now))
	acc.publish(a.allow(acc, now), a.regions)
	a.alert(acc, now)
}

// settleNear settles those whose bound depends on who is in touch. a.mu is held.
func (a *aggregator) settleNear(now time.Time) {
	for acc := range a.accounts.all() {
		if acc.limited() {
			a.settle(acc, now)
		}
	}
}

// tick does what time does: spans that begin anew, streams that are silent.
func (a *aggregator) tick(ctx context.Context) {
	now := a.c.Now()
	a.mu.Lock()
	lost := false
	for _, s := range a.sources {
		if s.reached && now.Sub(s.heard) > a.c.Patience {
			s.reached, lost = false, true
		}
	}
	hour := customer.HourOf(now)
	turned := hour != a.rolled
	if lost || turned {
		for acc := range a.accounts.all() {
			if turned || acc.limited() {
				a.settle(acc, now)
			}
		}
	}
	from := a.rolled
	stale := a.stale && !now.Before(a.mended)
	a.mu.Unlock()
	// Whoever ticks has more to do, and a store may take a question and never answer it.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// It stood still for so long that the hours it keeps do not tell what it missed, or
	// there are new Subjects.
	if hour > from+24 || stale {
		defer func() {
			a.mu.Lock()
			a.mended = now.Add(20 * a.c.Now().Sub(now)) // a twentieth of the time, at most
			a.mu.Unlock()
		}()
		if err := a.load(ctx); err != nil {
			a.log.Warn("usage: the sums cannot be read anew", "error", err)
		}
		return
	}
	if turned && hour > from {
		if err := a.fallOut(ctx, from, hour); err != nil {
			a.log.Warn("usage: what falls out of rolling months is not known yet", "error", err)
		}
	}
}

// fallOut takes from rolling months the hours that are out of them. They are so long
// ago that the store has them.
func (a *aggregator) fallOut(ctx context.Context, from, to customer.Hour) error {
	a.commits.Lock()
	defer a.commits.Unlock()
	first := customer.Rolling.Month(from.Time()).First
	gone := map[Subject]int64{}
	err := a.c.Store.Rows(ctx, Query{From: first, To: customer.Rolling.Month(to.Time()).First - 1, Charged: true}, func(r Row, n int64) bool {
		gone[Subject{Account: r.Account}] += n
		gone[Subject{r.Account, r.Key}] += n
		return true
	})
	if err != nil {
		return err
	}
	now := a.c.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rolled = to
	for acc := range a.accounts.all() {
		if t := acc.tally; t != nil && acc.window() == customer.Rolling {
			t.month = max(0, t.month-gone[acc.subject])
			t.monthFirst = customer.Rolling.Month(now).First
			a.settle(acc, now)
		}
	}
	return nil
}
