package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/ipwarden/ipwarden"
)

// CachedConfig says what is kept, and for how long.
type CachedConfig struct {
	// Source is asked for what is not kept: a provider, in a Breaker and a Timeout.
	// Required.
	Source ipwarden.Source
	// Name tells this provider's answers from those of others in the Store, in the
	// evidence, and in metrics. Required.
	Name string
	// Store shares answers with other processes. Default: memory alone.
	Store Store
	// Seed keys the names and checksums of what is in the Store; processes that
	// share one have the same. Who does not know it can neither tell from the Store's
	// keys what was asked about, nor put in an answer that is believed. Default: none,
	// which is the same for all.
	Seed []byte
	// Memory bounds what is kept in this process, in bytes. Default: 32 MiB.
	Memory int64
	// TTL says for how long answers are fresh.
	TTL TTL
	// Stale is how long an answer that is no longer fresh is still given while it is
	// asked for again. Default: 24h; negative: not at all.
	Stale time.Duration
	// ByAddress keeps each answer for the address that was asked about (an IPv6 one
	// for its /64), whatever network it names.
	ByAddress bool
	// Timeout is how long a look-up may take in all, behind the request. Default: 5s.
	Timeout time.Duration
	// StoreTimeout is how long one question to the Store may take. Default: 250ms.
	StoreTimeout time.Duration
	// Flights is how many look-ups may be on their way or waiting; more are dropped,
	// and counted. Default: 1024.
	Flights int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

const (
	defaultMemory       = 32 << 20
	defaultStale        = 24 * time.Hour
	defaultTimeout      = 5 * time.Second
	defaultStoreTimeout = 250 * time.Millisecond
	defaultFlights      = 1024
)

// Errors of look-ups outside. Those of providers are wrapped.
var (
	// ErrPending says that an answer did not come in time; it is still asked for.
	ErrPending = errors.New("source: the answer is still on its way")
	// ErrBusy says that as many look-ups are on their way as may be.
	ErrBusy = errors.New("source: too many look-ups are on their way")
	// ErrClosed says that the Source was closed.
	ErrClosed = errors.New("source: closed")

	errElsewhere = errors.New("source: another process was told that it failed")
)

// Cached keeps the answers of a Source by their networks, in memory and in a
// [Store], and asks once for all who wait, in this process and in those that share
// the Store. It is safe for concurrent use; Close ends it.
type Cached struct {
	cfg   CachedConfig
	keys  *keyer
	mem   *memory
	well  circuitbreaker.CircuitBreaker[any] // of the Store
	stats cachedStats

	ctx  context.Context // of all flights
	stop context.CancelFunc

	mu      sync.Mutex // guards flights, running, waiting and lookers
	flights map[netip.Prefix]*flight
	running int       // flights, those too whose goroutine was abandoned
	waiting []*flight // to look into the Store
	lookers int       // goroutines that do

	stuck atomic.Int32 // lookers that were abandoned, and have not come back

	learned [2]atomic.Int32 // how long the prefixes of answers are, by family
}

var _ ipwarden.Source = (*Cached)(nil)

// NewCached makes a Cached, or says everything that is wrong with cfg.
func NewCached(cfg CachedConfig) (*Cached, error) {
	var errs []error
	if cfg.Source == nil {
		errs = append(errs, errors.New("the Source is missing: say who is asked"))
	}
	if cfg.Name == "" || len(cfg.Name) > 64 {
		errs = append(errs, errors.New("the Name has 1 to 64 bytes, such as ipinfo"))
	}
	def(&cfg.Memory, defaultMemory)
	def(&cfg.Stale, defaultStale)
	def(&cfg.Timeout, defaultTimeout)
	def(&cfg.StoreTimeout, min(defaultStoreTimeout, cfg.Timeout))
	def(&cfg.Flights, defaultFlights)
	cfg.Stale = max(cfg.Stale, 0)
	cfg.TTL.defaults()
	if cfg.Memory < 1<<16 {
		errs = append(errs, fmt.Errorf("the Memory is %d bytes; it is at least 65536", cfg.Memory))
	}
	for _, d := range []time.Duration{cfg.Stale, cfg.TTL.Threat, cfg.TTL.Anonymous, cfg.TTL.Residential, cfg.TTL.Hosting, cfg.TTL.Negative, cfg.TTL.Failed} {
		if d < 0 || d > MaxTTL {
			errs = append(errs, fmt.Errorf("a time of TTL or Stale is %v; it is at most %v", d, MaxTTL))
		}
	}
	if cfg.Timeout < 0 || cfg.Timeout > time.Minute || cfg.StoreTimeout < 0 || cfg.StoreTimeout > cfg.Timeout {
		errs = append(errs, fmt.Errorf("the Timeout %v and StoreTimeout %v are up to a minute, the second no longer than the first", cfg.Timeout, cfg.StoreTimeout))
	}
	if cfg.Flights < 1 || cfg.Flights > 1<<16 {
		errs = append(errs, fmt.Errorf("the number of Flights is %d; it is 1 to 65536", cfg.Flights))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("cached: %w", errors.Join(errs...))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cached{cfg: cfg, keys: newKeyer(cfg.Seed), mem: newMemory(cfg.Memory), flights: map[netip.Prefix]*flight{}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.well = circuitbreaker.NewBuilder[any]().WithFailureThreshold(storeFailures).WithDelay(storePause).WithJitterFactor(0.2).Build()
	return c, nil
}

// MaxTTL bounds the times for which answers are kept.
const MaxTTL = 15 * 24 * time.Hour

// When the Store is left alone, and for how long before one question tries again.
const (
	storeFailures = 5
	storePause    = time.Second
)

func def[T int | int64 | time.Duration](at *T, value T) {
	if *at == 0 {
		*at = value
	}
}

// Close ends what is on its way. Look-ups that wait get an error; what hangs in a
// Source that does not mind its context is not waited for.
func (c *Cached) Close() {
	c.stop()
	c.mu.Lock()
	waiting := make([]*flight, 0, len(c.flights))
	for _, f := range c.flights {
		waiting = append(waiting, f)
	}
	c.mu.Unlock()
	for _, f := range waiting {
		c.land(f, nil, ErrClosed)
	}
}

// Name is that of the configuration.
func (c *Cached) Name() string { return c.cfg.Name }

// Lookup answers from what is kept, or asks and waits as long as ctx allows.
func (c *Cached) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	addr, _ = ipwarden.Canonical(addr)
	a, due := c.peek(addr, c.cfg.Now().UnixNano())
	if a == nil || due {
		f := c.fly(addr, netip.Prefix{})
		if a == nil && f == nil {
			return ipwarden.Record{}, ErrBusy
		}
		for a == nil {
			select {
			case <-f.landed:
			case <-ctx.Done():
				return ipwarden.Record{}, fmt.Errorf("%w: %w", ErrPending, ctx.Err())
			}
			var err error
			if a, f, err = c.from(f, addr); err != nil {
				return ipwarden.Record{}, err
			}
		}
	}
	if a.err != nil {
		return ipwarden.Record{}, a.err
	}
	return a.record(addr), nil
}

// peek returns what is kept of an address, nil for nothing, and whether it is due
// to be asked for again.
func (c *Cached) peek(addr netip.Addr, now int64) (a *answer, due bool) {
	if a = c.mem.get(addr, now); a == nil {
		c.stats.misses.Add(1)
		return nil, false
	}
	switch {
	case now >= a.fresh:
		c.stats.stale.Add(1)
		return a, now >= a.retry.Load()
	case c.early(a, now):
		c.stats.early.Add(1)
		return a, true
	}
	c.stats.hits.Add(1)
	return a, false
}

// earlyTimes is how many times the time that a look-up takes before its answer is
// due the first may ask again.
const earlyTimes = 20

// early reports whether this is who asks before the answer is due, so that nobody
// finds it stale: the closer it is, the likelier, and the more so the longer asking
// takes (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede
// Prevention, 2015).
func (c *Cached) early(a *answer, now int64) bool {
	left := a.fresh - now
	return a.err == nil && left < earlyTimes*a.took && float64(a.took)*rand.ExpFloat64() > float64(left)
}

// settled is until when an answer needs no look at the time.
func (a *answer) settled() int64 {
	if a.err != nil {
		return a.fresh
	}
	return max(a.fresh-earlyTimes*a.took, a.retry.Load())
}
