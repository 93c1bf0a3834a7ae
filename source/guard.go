package source

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/ipwarden/ipwarden"
)

// ErrTimeout says that a Source did not answer in its time.
var ErrTimeout = errors.New("source: no answer in time")

// ErrOpen says that a Source is left alone for a while, because it failed.
var ErrOpen = errors.New("source: left alone for a while")

// Timeout bounds how long a Source takes, whether it minds its context or not, and
// how many look-ups it has at once. A look-up that does not come back is abandoned;
// it counts as one of those at once until it does.
type Timeout struct {
	src       ipwarden.Source
	after     time.Duration
	slots     chan struct{}
	timeouts  atomic.Uint64
	busy      atomic.Uint64
	abandoned atomic.Int64
}

var _ ipwarden.Source = (*Timeout)(nil)

// NewTimeout makes a Timeout: after so long, and so many at once.
func NewTimeout(src ipwarden.Source, after time.Duration, atOnce int) *Timeout {
	return &Timeout{src: src, after: after, slots: make(chan struct{}, max(atOnce, 1))}
}

type reply struct {
	rec ipwarden.Record
	err error
}

// Lookup asks the Source.
func (t *Timeout) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, t.after)
	select {
	case t.slots <- struct{}{}:
	default:
		if t.abandoned.Load() >= int64(cap(t.slots)) {
			t.busy.Add(1)
			cancel()
			return ipwarden.Record{}, ErrBusy // none of them is expected to come back
		}
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			t.busy.Add(1)
			cancel()
			return ipwarden.Record{}, ErrBusy
		}
	}
	got := make(chan reply, 1)
	var late atomic.Bool
	go func() {
		defer cancel()
		rec, err := t.src.Lookup(ctx, addr)
		got <- reply{rec, err}
		if !late.CompareAndSwap(false, true) {
			t.abandoned.Add(-1)
		}
		<-t.slots
	}()
	select {
	case r := <-got:
		return r.rec, t.timed(ctx, r.err)
	case <-ctx.Done():
	}
	select {
	case r := <-got: // it minds its context, and has come back
		return r.rec, t.timed(ctx, r.err)
	default:
	}
	if late.CompareAndSwap(false, true) {
		t.abandoned.Add(1)
	}
	return ipwarden.Record{}, t.timed(ctx, ctx.Err())
}

// timed tells that the time was over from other errors.
func (t *Timeout) timed(ctx context.Context, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	t.timeouts.Add(1)
	return fmt.Errorf("%w: %w", ErrTimeout, err)
}

// Timeouts is how many look-ups took too long, Busy how many found no place in
// time, and Abandoned how many have not come back yet.
func (t *Timeout) Timeouts() uint64 { return t.timeouts.Load() }

// Busy is how many look-ups found no place in time.
func (t *Timeout) Busy() uint64 { return t.busy.Load() }

// Abandoned is how many look-ups have not come back, though their time is over.
func (t *Timeout) Abandoned() int64 { return t.abandoned.Load() }

// BreakerConfig says when a Source is left alone.
type BreakerConfig struct {
	// Source is asked while the breaker is closed. Required.
	Source ipwarden.Source
	// Failures is the share of look-ups that fail at which it opens. Default: 0.5.
	Failures float64
	// Slow and SlowShare open it when so large a share of the look-ups takes longer
	// than Slow: with 0.05, when the 95th percentile does. Default: 0 and 0.5; a Slow
	// of 0 is never.
	Slow      time.Duration
	SlowShare float64
	// Least is how many look-ups there are before it opens. Default: 5.
	Least uint
	// Window is the time over which they count. Default: 10s.
	Window time.Duration
	// Pause is how long it is open before one look-up tries again, give or take a
	// fifth. Default: 5s.
	Pause time.Duration
	// Counts reports whether an error is the Source's fault. Default: all are, but
	// that the asker went away.
	Counts func(error) bool
	// Changed is told when it opens (true) and closes.
	Changed func(open bool)
}

// Breaker leaves a Source alone for a while when look-ups fail or are slow. One
// look-up at a time tries whether it is well again.
type Breaker struct {
	cfg          BreakerConfig
	failed, slow circuit
	refused      atomic.Uint64
	opened       atomic.Uint64
}

// A circuit is open, closed, or half open: then one look-up is a trial of it. A trial
// that came to nothing is handed on to who asks next.
type circuit struct {
	circuitbreaker.CircuitBreaker[any]
	spare atomic.Bool
}

// permit reports whether who asks may, and whether that is a trial.
func (c *circuit) permit() (ok, trial bool) {
	if !c.TryAcquirePermit() && (!c.IsHalfOpen() || !c.spare.CompareAndSwap(true, false)) {
		return false, false
	}
	return true, !c.IsClosed()
}

// record counts a look-up.
func (c *circuit) record(failed bool) {
	if failed {
		c.RecordFailure()
	} else {
		c.RecordSuccess()
	}
}

var _ ipwarden.Source = (*Breaker)(nil)

// NewBreaker makes a Breaker, or says everything that is wrong with cfg.
func NewBreaker(cfg BreakerConfig) (*Breaker, error) {
	var errs []error
	if cfg.Source == nil {
		errs = append(errs, errors.New("the Source is missing: say who is asked"))
	}
	if cfg.Failures == 0 {
		cfg.Failures = 0.5
	}
	if cfg.SlowShare == 0 {
		cfg.SlowShare = 0.5
	}
	if cfg.Least == 0 {
		cfg.Least = 5
	}
	def(&cfg.Window, 10*time.Second)
	def(&cfg.Pause, 5*time.Second)
	if cfg.Failures < 0 || cfg.Failures > 1 || cfg.SlowShare < 0 || cfg.SlowShare > 1 {
		errs = append(errs, errors.New("the shares Failures and SlowShare are parts of one, such as 0.5"))
	}
	if cfg.Window < 10*time.Millisecond || cfg.Pause < 0 || cfg.Slow < 0 {
		errs = append(errs, errors.New("the Window is 10ms at least, and Pause and Slow are no less than 0"))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("breaker: %w", errors.Join(errs...))
	}
	if cfg.Counts == nil {
		cfg.Counts = func(error) bool { return true }
	}
	b := &Breaker{cfg: cfg}
	build := func(c *circuit, share float64) {
		c.CircuitBreaker = circuitbreaker.NewBuilder[any]().
			WithFailureRateThreshold(share, cfg.Least, cfg.Window).
			WithDelay(cfg.Pause).WithJitterFactor(0.2).WithSuccessThreshold(1).
			OnOpen(func(circuitbreaker.StateChangedEvent) {
				c.spare.Store(false)
				b.opened.Add(1)
				b.changed(true)
			}).
			OnClose(func(circuitbreaker.StateChangedEvent) { b.changed(false) }).
			Build()
	}
	build(&b.failed, cfg.Failures)
	build(&b.slow, cfg.SlowShare)
	return b, nil
}

func (b *Breaker) changed(open bool) {
	if b.cfg.Changed != nil {
		b.cfg.Changed(open)
	}
}

// Lookup asks the Source, or returns ErrOpen.
func (b *Breaker) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	failedTrial, slowTrial, ok := b.permits()
	if !ok {
		b.refused.Add(1)
		return ipwarden.Record{}, ErrOpen
	}
	start := time.Now()
	rec, err := b.cfg.Source.Lookup(ctx, addr)
	if err != nil && nobodyWasAsked(err) {
		// It says nothing of the Source, neither way: those who find no place beside
		// look-ups that hang are many, and would outweigh them.
		if failedTrial {
			b.failed.spare.Store(true)
		}
		if slowTrial {
			b.slow.spare.Store(true)
		}
		return rec, err
	}
	took := time.Since(start)
	b.failed.record(err != nil && b.cfg.Counts(err))
	if b.cfg.Slow > 0 {
		b.slow.record(took > b.cfg.Slow)
	}
	return rec, err
}

// permits reports whether the Source may be asked, by both circuits, and of which
// that is a trial.
func (b *Breaker) permits() (failedTrial, slowTrial, ok bool) {
	if b.cfg.Slow == 0 {
		ok, failedTrial = b.failed.permit()
		return failedTrial, false, ok
	}
	// No trial of one is begun where the other is left alone for longer.
	for _, c := range [...]*circuit{&b.failed, &b.slow} {
		if c.IsOpen() && c.RemainingDelay() > 0 {
			return false, false, false
		}
	}
	if ok, failedTrial = b.failed.permit(); !ok {
		return false, false, false
	}
	if ok, slowTrial = b.slow.permit(); !ok && failedTrial {
		b.failed.spare.Store(true) // both are half open, and the other's trial is on its way
	}
	return failedTrial, slowTrial, ok
}

// nobodyWasAsked reports errors that say nothing of a Source.
func nobodyWasAsked(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, ErrBusy) || errors.Is(err, ErrSpent) || errors.Is(err, ErrOpen)
}

// Open reports whether the Source is left alone now.
func (b *Breaker) Open() bool { return !b.failed.IsClosed() || !b.slow.IsClosed() }

// Refused is how many look-ups were not made, and Opened how often it opened.
func (b *Breaker) Refused() uint64 { return b.refused.Load() }

// Opened is how often it opened.
func (b *Breaker) Opened() uint64 { return b.opened.Load() }
