package usage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// Config says how calls are counted.
type Config struct {
	// Ledger is where they are counted; the Meter closes it.
	Ledger *ledger.Ledger
	// Region is this node's.
	Region string
	// Stream is where its batches go: that of its region.
	Stream Stream
	// Sources are the streams of all regions, this one's among them. Default: Stream.
	Sources []Source
	// Store keeps the sums. Default: memory.
	Store Store
	// Lessor asks for leases. Default: no other node admits calls, and none are needed.
	Lessor Lessor
	// GivesLeases says that this node is its region's lessor: one of them is.
	GivesLeases bool
	// Alert tells the owner of an account. What it has told without an error it is not
	// asked to tell again; what it has not, some time later, perhaps in another process.
	// Who dies in it is asked again, so that it must know what it has told. Default:
	// nobody is told.
	Alert func(context.Context, Alert) error
	// Freeze is how often what was counted leaves; where it fills more than one batch of
	// half a megabyte, two thirds later than that. Default: 150 ms.
	Freeze time.Duration
	// Commit is how often sums are written into the store, at the oftenest: where writing
	// takes more than a twentieth of the time it is done up to 20 times less often.
	// Default: 1 s.
	Commit time.Duration
	// Patience is after how long without a word a region is out of touch. Default: 2 s.
	Patience time.Duration
	// LeasePause is how long a node waits between two requests for more of one lease.
	// Default: 20 ms. Grace is how long it gives no leases after it began. Default: 3 s.
	LeasePause, Grace time.Duration
	Now               func() time.Time // default: time.Now
	Logger            *slog.Logger     // default: none
}

func (c *Config) check() error {
	var errs []error
	if c.Ledger == nil {
		errs = append(errs, errors.New("usage: no ledger to count in"))
	}
	if c.Stream == nil {
		errs = append(errs, errors.New("usage: no stream for the batches"))
	}
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.Freeze, 150*time.Millisecond)
	set(&c.Commit, time.Second)
	set(&c.Patience, 2*time.Second)
	set(&c.LeasePause, 20*time.Millisecond)
	set(&c.Grace, grace)
	if c.Freeze < time.Millisecond || c.Freeze > time.Minute {
		errs = append(errs, fmt.Errorf("usage: batches leave every 1ms to 1m, not every %s", c.Freeze))
	}
	if len(c.Sources) == 0 {
		c.Sources = []Source{{c.Region, c.Stream}}
	}
	if c.Store == nil {
		c.Store = &MemoryStore{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}

// A Meter counts the calls of this process, sends them to all regions, and knows
// where customers stand.
type Meter struct {
	c      Config
	ledger *ledger.Ledger
	agg    *aggregator
	lessor lessor
	frozen chan struct{} // the shipper has something to do
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// New returns a Meter that runs until Close. It reads the sums of the store first, and
// fails when it cannot.
func New(ctx context.Context, c Config) (*Meter, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	m := &Meter{c: c, ledger: c.Ledger, frozen: make(chan struct{}, 1)}
	// What a process before this one counted is not of this one's admissions.
	if err := m.ledger.Freeze(nil); err != nil {
		return nil, err
	}
	m.agg = newAggregator(&m.c, m.ledger.Node(), m.ledger.Sequence())
	m.lessor = lessor{began: c.Now(), given: map[Subject]*given{}}
	if err := m.agg.load(ctx); err != nil {
		return nil, fmt.Errorf("usage: the sums cannot be read: %w", err)
	}
	run, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.done.Go(func() { m.freeze(run) })
	m.done.Go(func() { m.ship(run) })
	m.done.Go(func() { m.books(run) })
	for i := range m.agg.sources {
		m.done.Go(func() { m.read(run, i) })
	}
	if c.Lessor != nil {
		m.done.Go(func() { m.renew(run) })
	}
	return m, nil
}

// Key returns where calls of a key are counted.
func (m *Meter) Key(id customer.KeyID, account customer.AccountID) *Key {
	k := NewKey(id, account)
	return &k
}

// Record counts n calls: by key, and answered ones by client address and by the host
// of the page too.
func (m *Meter) Record(k *Key, e customer.Endpoint, c customer.Class, n uint32, client netip.Addr, referer string) {
	if c <= customer.Tested {
		m.ledger.CountCall(&k.Key, e, c, uint64(n), client, referer)
	} else {
		m.ledger.Count(&k.Key, e, c, uint64(n))
	}
}

// An Expected is of whom a call will be counted, known when it is admitted. The zero
// value has neither client nor page.
type Expected struct {
	Client netip.Addr
	places ledger.Expected
}

// Expect begins to fetch the memory in which a call of class Charged or Tested will be
// counted by [Meter.RecordExpected], if it is.
func (m *Meter) Expect(x *Expected, k *Key, e customer.Endpoint, c customer.Class, client netip.Addr, referer string) {
	x.Client = client
	m.ledger.Expect(&x.places, &k.Key, e, c, client, referer)
}

// RecordExpected counts as Record does, of whom x expects.
func (m *Meter) RecordExpected(k *Key, e customer.Endpoint, c customer.Class, n uint32, x *Expected) {
	if c <= customer.Tested {
		m.ledger.CountExpected(&k.Key, e, c, uint64(n), &x.places)
	} else {
		m.ledger.Count(&k.Key, e, c, uint64(n))
	}
}

// Standing returns where a Subject stands, found or made; without terms it has no bound.
func (m *Meter) Standing(s Subject) *Standing {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	acc := m.agg.accounts.find(s)
	if acc == nil {
		acc = m.agg.make(s)
		m.agg.settle(acc, m.c.Now())
	}
	return &acc.Standing
}

// Directory gives Standings by their numbers.
func (m *Meter) Directory() *Directory { return &m.agg.accounts.Directory }

// Each calls yield with all Subjects that are known, and their terms. Nothing of the
// Meter may be called in it.
func (m *Meter) Each(yield func(Subject, *Standing, Terms) bool) {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	for acc := range m.agg.accounts.all() {
		b := acc.bounds.Load()
		if !yield(acc.subject, &acc.Standing, Terms{b.perDay, b.perMonth, b.window, acc.since()}) {
			return
		}
	}
}

// SetTerms says what a Subject may use from now on. What was used stays. It is not for
// the request path: a key's first terms are a question to the store.
func (m *Meter) SetTerms(s Subject, t Terms) {
	a := m.agg
	a.mu.Lock()
	acc := a.accounts.find(s)
	if s.Key != 0 && (acc == nil || acc.tally == nil) {
		a.mu.Unlock()
		m.recall(s)
		a.mu.Lock()
		acc = a.accounts.find(s)
	}
	defer a.mu.Unlock()
	if acc == nil {
		acc = a.make(s)
	}
	b := a.accounts.of(terms{t.PerDay, t.PerMonth, t.Window})
	epoch := epochOf(t.Epoch)
	if acc.bounds.Load() == b && acc.epoch == epoch {
		return
	}
	window := acc.window() != t.Window
	if acc.epoch != epoch {
		acc.alerted = [2]uint8{}
	}
	acc.epoch = epoch
	b.turn(a.spans.at(m.c.Now()).of(t.Window))
	acc.bounds.Store(b)
	if window && acc.tally != nil {
		acc.tally.recent.widen() // in case that the store is away
		a.mu.Unlock()
		m.recall(s)
		a.mu.Lock()
	}
	a.settle(acc, m.c.Now())
}

// recall reckons a Subject's tally from all sums: its spans are others than were kept,
// or none were.
func (m *Meter) recall(s Subject) {
	a := m.agg
	now := m.c.Now()
	a.mu.Lock()
	acc := a.accounts.find(s)
	if acc == nil {
		acc = a.make(s)
	}
	if !a.owns {
		// The store may have more than was read here, or less: all is read anew, once for all
		// that ask.
		a.stale = true
		a.mu.Unlock()
		return
	}
	fresh := newTally(acc.window(), a.spans.at(now))
	first := min(fresh.dayFirst, fresh.monthFirst)
	a.mu.Unlock()
	type part struct {
		h      customer.Hour
		n      int64
		region string
	}
	var parts []part
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	begin := func() { a.recalls[acc] = fresh } // what comes in from here on counts in both
	err := a.rows(ctx, Query{Account: s.Account, Key: s.Key, From: first, To: math.MaxUint32, Charged: true}, begin, func(r Row, n int64) bool {
		parts = append(parts, part{r.Hour, n, r.Region})
		return true
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.recalls, acc)
	if err != nil {
		m.c.Logger.Warn("usage: what was used before is not known; it counts from now on", "error", err)
		return
	}
	for _, p := range parts {
		fresh.add(p.h, p.n, a.region(p.region))
	}
	if acc.tally != nil {
		fresh.own = acc.tally.own
	}
	acc.tally = fresh
}

// Rows calls yield with all sums that are asked for, to this moment's.
func (m *Meter) Rows(ctx context.Context, q Query, yield func(Row, int64) bool) error {
	return m.agg.rows(ctx, q, nil, yield)
}

// Grant answers another node's reports, for the regions' messages: see [Lessor].
func (m *Meter) Grant(node uint64, reports []LeaseReport) []LeaseGrant {
	return m.agg.grant(&m.lessor, node, reports)
}

// Stats says how the counting goes.
func (m *Meter) Stats() Stats {
	m.agg.mu.Lock()
	s := m.agg.stats
	s.Pending = len(m.agg.pending.rows) + len(m.agg.moving.rows)
	m.agg.mu.Unlock()
	waiting, _ := m.ledger.Waiting()
	s.Unsent = len(waiting)
	s.Ledger = m.ledger.Stats()
	return s
}

// Close freezes what was counted and stops. What was not yet sent is sent by the next
// process. Nobody may count any more.
func (m *Meter) Close() error {
	m.cancel()
	m.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := m.ledger.Freeze(nil)
	if !m.agg.follows() {
		if e := m.agg.commit(ctx); !errors.Is(e, ErrBehind) {
			err = errors.Join(err, e)
		}
	}
	err = errors.Join(err, m.ledger.Flush(), m.ledger.Close())
	return err
}

// Isolated says whether this node is out of touch with a region, or its batches do not
// leave: near their limits accounts then keep within what they have.
func (m *Meter) Isolated() bool {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	return !m.agg.inTouch()
}

// Unheard are the regions that this node is out of touch with.
func (m *Meter) Unheard() (regions []string) {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	for _, s := range m.agg.sources {
		if !s.reached {
			regions = append(regions, s.Region)
		}
	}
	return regions
}

// Reached tells of each region whether it was heard of lately.
func (m *Meter) Reached(f func(region string, reached bool)) {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	for _, s := range m.agg.sources {
		f(s.Region, s.reached)
	}
}

// Flush writes the tables of the ledger to the disk, and lets go of the batches that
// were sent. It is done from time to time anyway.
func (m *Meter) Flush() error { return m.ledger.Flush() }
