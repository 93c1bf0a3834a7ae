package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Errors of Lookup, where no list is known to have the address, and not all were
// heard.
var (
	// ErrPending says that not every zone was heard yet. Ask again.
	ErrPending = errors.New("dnsbl: the block lists are being asked")
	// ErrUnanswered says that a zone gave no answer that can be used, and is asked
	// again in some seconds.
	ErrUnanswered = errors.New("dnsbl: a block list did not answer")
	// ErrNoZone says that no zone is in use: all have failed their control addresses.
	ErrNoZone = errors.New("dnsbl: no block list is in use")
)

// retryAfter is how long a zone that did not answer about an address is not asked
// about it again.
const retryAfter = 10 * time.Second

// A List asks block lists. It is safe for concurrent use. Close it when it is not
// needed any more.
type List struct {
	cfg      Config
	zones    []*zone
	question question
	cache    *cache
	clean    *ipwarden.Store // of all addresses that no zone lists
	epoch    atomic.Uint64   // counts the zones that went and came back

	queue  chan *flight
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup

	pending, turnedAway atomic.Uint64

	mu      sync.Mutex
	flights map[netip.Addr]*flight // guarded by mu: addresses that are asked about now
}

// question asks DNS; tests have one of their own.
type question func(ctx context.Context, name string, qtype uint16) (answer, error)

// flight is the questions about one address that are on their way.
type flight struct {
	addr netip.Addr
	done chan struct{}
}

var _ ipwarden.Source = (*List)(nil)

// New starts a List; the error joins all mistakes.
func New(cfg Config) (*List, error) { return start(cfg, nil) }

func start(cfg Config, ask question) (*List, error) {
	cfg.Zones = slices.Clone(cfg.Zones)
	if err := cfg.fill(); err != nil {
		return nil, fmt.Errorf("dnsbl: %w", err)
	}
	l := &List{
		cfg: cfg, question: newResolver(&cfg).ask, cache: newCache(cfg.Entries),
		queue: make(chan *flight, cfg.Queue), flights: map[netip.Addr]*flight{},
	}
	if ask != nil {
		l.question = ask
	}
	l.clean = ipwarden.NewStore(&said{list: l}, []ipwarden.Hot{0})
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for _, z := range cfg.Zones {
		z.Codes = maps.Clone(z.Codes)
		l.zones = append(l.zones, newZone(z))
	}
	for _, z := range l.zones {
		z.since = cfg.Now()
		if cfg.CheckEvery < 0 {
			z.state.Store(uint32(On))
			close(z.ready)
			continue
		}
		l.wait.Go(func() { l.watch(z) })
	}
	for range cfg.Workers {
		l.wait.Go(l.work)
	}
	return l, nil
}

// Close ends all questions and waits for them.
func (l *List) Close() {
	l.cancel()
	l.wait.Wait()
}

// Lookup answers what the zones say of an address. An address that a zone lists is
// no error, whatever becomes of the others: they are in the answer when they were
// heard.
func (l *List) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	zoned := addr.Zone() != ""
	addr, from := ipwarden.Canonical(addr)
	key := l.key(addr)
	now, epoch := l.cfg.Now().UnixNano(), l.epoch.Load()
	store, ok := l.cache.last(key, now, epoch)
	if ok {
		return ipwarden.MakeRecord(addr, store, 0).Asked(from, zoned), nil
	}
	if !l.cfg.Public(addr) {
		return ipwarden.MakeRecord(addr, nil, 0).Asked(from, zoned), nil
	}
	store, ask, err := l.known(key, now, epoch)
	if ask {
		f := l.fly(key)
		if f != nil && err != nil && l.cfg.Wait {
			select {
			case <-f.done:
			case <-ctx.Done():
			}
			store, _, err = l.known(key, l.cfg.Now().UnixNano(), l.epoch.Load())
		}
		if err != nil {
			l.pending.Add(1)
		}
	}
	if err != nil && says(store) {
		err = nil
	}
	return ipwarden.MakeRecord(addr, store, 0).Asked(from, zoned), err
}

// key is what is asked about instead of an address: of IPv6 its network.
func (l *List) key(addr netip.Addr) netip.Addr {
	if !addr.Is6() || l.cfg.IPv6Bits == 128 {
		return addr
	}
	p, _ := addr.Prefix(l.cfg.IPv6Bits)
	return p.Addr()
}

// known is what the zones have said about an address, and whether any should be
// asked now.
func (l *List) known(addr netip.Addr, now int64, epoch uint64) (store *ipwarden.Store, ask bool, err error) {
	results, version := l.cache.results(addr)
	fresh := now + int64(l.cfg.MaxTTL)
	serving, inUse, counting := 0, 0, 0
	for i, z := range l.zones {
		if !z.serves(addr) {
			continue
		}
		serving++
		var r *result
		counts := false
		if results != nil {
			r = &results[i]
			counts = r.ok && r.gen == z.gen.Load() && now < r.until+int64(l.cfg.Grace)
		}
		switch {
		case counts:
			counting++
			if now >= r.until && z.is() == On && now >= r.retry {
				ask = true
			}
			fresh = min(fresh, r.until)
		case r != nil:
			r.ok, r.listed = false, 0
		}
		if z.is() == Off {
			continue
		}
		inUse++
		switch {
		case counts:
		case r != nil && now < r.retry:
			if err == nil {
				err = ErrUnanswered
			}
		default:
			ask, err = true, ErrPending
		}
	}
	if serving > 0 && inUse == 0 && counting == 0 {
		return nil, false, ErrNoZone
	}
	if counting > 0 || serving == 0 {
		store = l.store(results)
	}
	if err == nil && serving > 0 {
		l.cache.remember(addr, version, store, epoch, fresh)
	}
	return store, ask, err
}
