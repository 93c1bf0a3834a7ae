package limit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// SharedConfig says how a [Shared] is made. Only Store must be there.
type SharedConfig struct {
	Store Store
	// Budget is how long a Take may wait for the store; the default is 5ms. After
	// it, this node's own counts decide.
	Budget time.Duration
	// Fast lets this node admit a part of a limit before it asks: Lease percent of
	// what there is at once, 1 to 50; the default is 10. See [SharedConfig.Overshoot].
	Fast  bool
	Lease int
	// Interval is how often counts are told that no Take has told; the default is
	// 100ms.
	Interval time.Duration
	// Entries is how many keys this node holds; the default is 1,048,576. Each
	// costs 40 bytes.
	Entries int
	// Notify is called by one goroutine when the store goes away (with why) and
	// when it is back (with nil), and while it is away once a minute. Of a store that
	// comes and goes it is told once a minute, too. The default tells nobody.
	Notify func(err error)
}

// Overshoot is how much more than a Rate nodes may admit together in fast mode:
//
//	(nodes - 1) × floor(what there is at once × Lease / 100)
//
// Each node may have admitted so much that the store has not heard of, because
// it never spends more than that from one answer of the store to the next, and
// no answer grants what is not left. The one that got the last grant is within
// the limit; the others may be out with theirs. A node that starts again, or
// forgets a key ([Stats].EvictedUsed), counts as one more. While the store is
// away every node holds the limit by itself: nodes × the limit. In exact mode
// the bound is 0.
func (c SharedConfig) Overshoot(r *Rate, raise uint16, nodes int) uint64 {
	if !c.Fast || nodes < 2 {
		return 0
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	q := r.quota(raise)
	return uint64(nodes-1) * q.lease(uint64(c.Lease))
}

const (
	defaultBudget   = 5 * time.Millisecond
	defaultLease    = 10
	defaultInterval = 100 * time.Millisecond
)

// Check says everything that is wrong with c, and fills in the defaults.
func (c *SharedConfig) Check() error {
	var errs []error
	wrong := func(text string) { errs = append(errs, errors.New("limit: SharedConfig."+text)) }
	if c.Store == nil {
		wrong("Store is missing: it is what the nodes share, such as that of package redis")
	}
	if c.Budget == 0 {
		c.Budget = defaultBudget
	}
	if c.Budget < 0 || c.Budget > time.Minute {
		wrong("Budget is " + c.Budget.String() + "; it is up to a minute, such as 5ms")
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Lease < 1 || c.Lease > 50 {
		wrong("Lease is a percentage from 1 to 50, such as 10")
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Interval < time.Millisecond || c.Interval > time.Minute {
		wrong("Interval is " + c.Interval.String() + "; it is a millisecond to a minute, such as 100ms")
	}
	if c.Entries == 0 {
		c.Entries = defaultEntries
	}
	if c.Entries < 0 || c.Entries > maxEntries {
		wrong("Entries is 0 for the default, or up to 1,073,741,824")
	}
	return errors.Join(errs...)
}

// Shared holds limits that several nodes share through a [Store]. It keeps a
// count of its own of every key it sees, in which what the store said last and
// what this node admitted since are added up; that count denies without asking,
// grants from a lease in fast mode, and decides while the store is away. What
// goes to the store are counts, never verdicts. It is safe for concurrent use;
// Close ends its one goroutine.
type Shared struct {
	config  SharedConfig
	lease   uint64 // percent; 0 in exact mode
	table   *table
	clock   *coarseClock
	breaker breaker
	// nextLate is when lateness is a failure again, by now.
	nextLate atomic.Int64
	asks     chan *Ask
	pool     sync.Pool // of *Ask
	dirty    dirty
	opened   chan struct{} // has room for one: the breaker opened
	ctx      context.Context
	cancel   context.CancelFunc
	ended    chan struct{} // closed when the sender has ended
	noted    time.Time     // the sender's: when it told that the store is away
	counts   sharedCounts
}

var _ Limiter = (*Shared)(nil)

type sharedCounts struct {
	exact, local, failed, late, unqueued, exchanges, items atomic.Uint64
}

const (
	// batch is how many asks go to the store at once.
	batch = 256
	// queue is how many asks may wait; those beyond are decided here.
	queue = 4096
)

// NewShared returns a Shared, or says everything that is wrong with c. It asks
// the store once, for a second at most; that it is away is no error. ctx is for that;
// Close ends a Shared.
func NewShared(ctx context.Context, c SharedConfig) (*Shared, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	s := &Shared{
		config: c, table: newTable(c.Entries), clock: newCoarseClock(),
		asks: make(chan *Ask, queue), opened: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	s.table.debts = make([]debt, len(s.table.buckets)*ways)
	if c.Fast {
		s.lease = uint64(c.Lease)
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.greet(ctx); err != nil {
		s.breaker.mu.Lock()
		s.breaker.last = err
		s.breaker.trip()
		s.breaker.mu.Unlock()
		s.opened <- struct{}{}
	}
	go s.send()
	return s, nil
}

// Close tells the store what is not told yet, for a Budget, and ends the
// goroutine. Takes after it are decided by this node alone.
func (s *Shared) Close() error {
	s.cancel()
	<-s.ended
	return nil
}

// connecting is how long a probe may take to connect.
const connecting = time.Second

// greet is the first ping. A store that answers late, as one that is busy with nodes
// that begin together, is asked again until it is in time, for as long as connecting
// may take: what begins while the store is taken to be away counts alone.
func (s *Shared) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	for {
		if err := s.ping(ctx); !errors.Is(err, errLate) || ctx.Err() != nil {
			return err
		}
	}
}

// ping connects if need be, and then asks whether the store answers within the
// budget.
func (s *Shared) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	if err := s.config.Store.Ping(ctx); err != nil {
		return err
	}
	begun := time.Now()
	if err := s.config.Store.Ping(ctx); err != nil {
		return err
	}
	if time.Since(begun) > s.config.Budget {
		return errLate
	}
	return nil
}

func (s *Shared) now() int64 { return at(s.clock.since()) }

// Take is [Limiter]'s. It waits for the budget, or until ctx's deadline when that
// is sooner; it does not look whether ctx is cancelled, as that is a short time: a
// client that goes away is charged like the others.
func (s *Shared) Take(ctx context.Context, reqs []Request, results []Result) error {
	if err := check(reqs, results); err != nil {
		return err
	}
	if s.breaker.open.Load() {
		s.decide(reqs, results, alone, nil)
		return nil
	}
	a, queued := s.decide(reqs, results, connected, nil)
	if a == nil {
		return nil
	}
	if !queued {
		s.drop(a, false)
		s.recycle(a)
		s.counts.unqueued.Add(1)
		s.decide(reqs, results, alone, nil)
		return nil
	}
	s.await(ctx, a, reqs, results)
	return nil
}

// The stages of an Ask. Who moves it on has what comes next to do.
const (
	waiting   = iota // in the queue
	sent             // on its way
	settling         // answered; the sender takes the answer over
	done             // taken over; its done channel says so
	abandoned        // its Take has decided without it
)

// await waits for an answer, at most for the budget, or until ctx's deadline.
func (s *Shared) await(ctx context.Context, a *Ask, reqs []Request, results []Result) {
	patience := s.config.Budget
	if at, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(at))
	}
	a.timer.Reset(max(patience, 0))
	told := false
	select {
	case <-a.done:
		told = true
	case <-a.timer.C:
	}
	a.timer.Stop()
	switch {
	case a.stage.CompareAndSwap(waiting, abandoned):
		// It was never sent: the sender will see that, and what is decided here is
		// told another time.
		if patience > 0 { // else somebody else has used the time up
			s.late()
		}
		s.decide(reqs, results, alone, nil)
		return
	case !told:
		// Whether it will be counted is in doubt. It is taken to be, and so not told
		// again; if it turns out that it was not, the sender notes it.
		if left, _ := s.decide(reqs, results, doubtful, a); left == nil {
			if patience > 0 {
				s.late()
			}
			return
		}
	}
	if !told { // it was answered as the time was up, and its message is on the way
		<-a.done
	}
	if a.Err != nil {
		mode := doubtful
		if errors.Is(a.Err, ErrNotApplied) {
			mode = alone
		}
		s.recycle(a)
		s.decide(reqs, results, mode, nil)
		return
	}
	s.answer(a, reqs, results)
	s.recycle(a)
	s.counts.exact.Add(1)
}

// late notes that a Take has waited in vain.
func (s *Shared) late() {
	s.counts.late.Add(1)
	s.tooLate()
}

// tooLate notes that the store did not answer in time: once a budget, however
// many wait. A store that pauses for a moment is late for all of them at once,
// and is not away for that.
func (s *Shared) tooLate() {
	now := s.now()
	if next := s.nextLate.Load(); now >= next && s.nextLate.CompareAndSwap(next, now+int64(s.config.Budget)) {
		s.failed(errLate)
	}
}

var errLate = errors.New("limit: the shared store did not answer within the budget")

// failed notes that an ask failed, unless it is because of Close.
func (s *Shared) failed(err error) {
	if s.ctx.Err() != nil {
		return
	}
	if s.breaker.failed(err) {
		select {
		case s.opened <- struct{}{}:
		default:
		}
	}
}

// answer makes the results of a Take of what the store answered.
func (s *Shared) answer(a *Ask, reqs []Request, results []Result) {
	now := s.now()
	for i := range a.Items {
		it, res := &a.Items[i], &results[i]
		q := reqs[i].Rate.quota(reqs[i].Raise)
		st := it.state(now)
		q.add(&st, now, uint64(it.unheard))
		if it.Allowed {
			q.take(&st, now, 0, res)
			res.Allowed, res.RetryAfter = true, 0
			continue
		}
		if q.take(&st, now, uint64(it.Cost), res) { // by a rounding of the two clocks
			res.RetryAfter = time.Millisecond
		}
		res.Allowed = false
	}
}

// state is the state that a store answered, on this node's clock.
func (it *Item) state(now int64) state {
	st := state{current: it.Current, previous: it.Previous}
	if it.Until > 0 {
		st.until = now + int64(it.Until)
	}
	return st
}

// newAsk is an empty ask; waits says whether a Take waits for its answer.
func (s *Shared) newAsk(waits bool) *Ask {
	a, _ := s.pool.Get().(*Ask)
	if a == nil {
		a = &Ask{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
		a.timer.Stop()
	}
	a.Items, a.Allowed, a.Err = a.Items[:0], false, nil
	a.waits = waits
	a.stage.Store(waiting)
	return a
}

func (s *Shared) recycle(a *Ask) { s.pool.Put(a) }

// enqueue gives an ask to the sender, if there is room.
func (s *Shared) enqueue(a *Ask) bool {
	select {
	case s.asks <- a:
		return true
	default:
		return false
	}
}

// Away reports whether the store is left alone now, because it did not answer.
func (s *Shared) Away() bool { return s.breaker.open.Load() }

// TooLate notes that the store has kept somebody else waiting in vain: who asks the
// same server for other things.
func (s *Shared) TooLate() { s.tooLate() }

// Denies reports whether a Take of reqs would be denied by what this node knows
// already. Nobody is asked, and nothing is charged.
func (s *Shared) Denies(reqs []Request) bool {
	var room [MaxRequests]Result
	if len(reqs) > MaxRequests || check(reqs, room[:len(reqs)]) != nil {
		return false
	}
	var locks [MaxRequests]uint8
	held := s.table.lock(&locks, reqs)
	allowed, _ := s.weigh(s.now(), reqs, room[:len(reqs)])
	s.table.unlock(locks[:held])
	return !allowed
}
