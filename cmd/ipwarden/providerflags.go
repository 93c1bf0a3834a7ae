package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/memcached"
	"github.com/ipwarden/ipwarden/redis"
	"github.com/ipwarden/ipwarden/source"
)

// providerFlags say who is asked beside the data; serve, gate and gateway have
// them.
type providerFlags struct {
	Providers     string `env:"IPWARDEN_PROVIDERS" placeholder:"FILE" help:"Ask the providers in FILE as well, behind a cache."`
	Cache         string `env:"IPWARDEN_CACHE" placeholder:"URL" help:"Share their answers with other nodes, such as redis://127.0.0.1:6379/0 or memcached://127.0.0.1:11211; a password belongs into the variable."`
	CacheSeedFile string `env:"IPWARDEN_CACHE_SEED_FILE" placeholder:"FILE" help:"A secret that keys and signs what is shared, the same on all nodes that share it; or IPWARDEN_CACHE_SEED."`
}

// outside is the providers while they are asked. The nil one asks nobody.
type outside struct {
	file  string
	env   *env
	log   *slog.Logger
	live  func() *data
	seed  []byte
	store source.Store // nil: memory alone
	close func() error // of store

	mu   sync.Mutex // one reload at a time
	asks atomic.Pointer[asking]
}

// asking is what a providers file says, while it is in use.
type asking struct {
	layered   *source.Layered
	providers []*runningProvider // in the order of the file, those that are only compared too
	samplers  []*sampler

	storeTimeout time.Duration
}

// runningProvider is a provider in all its wrappers.
type runningProvider struct {
	spec    config.ProviderSpec
	cached  *source.Cached
	breaker *source.Breaker
	again   *source.Again
	spend   *source.Spend // nil without a bound
	timeout *source.Timeout
	src     ipwarden.Source // the provider itself
	closer  io.Closer
}

// refused is since when the provider refuses the key; the zero time while it does
// not, and of kinds that have none.
func (p *runningProvider) refused() time.Time {
	if r, ok := p.src.(interface{ Refused() time.Time }); ok {
		return r.Refused()
	}
	return time.Time{}
}

// open reads the file and connects to the store; nil without a file. live is the
// data in use.
func (f *providerFlags) open(e *env, live func() *data, log *slog.Logger) (*outside, error) {
	if f.Providers == "" {
		if f.Cache != "" || f.CacheSeedFile != "" {
			return nil, usagef("there is nothing to share: --cache is for the answers of --providers FILE")
		}
		return nil, nil
	}
	o := &outside{file: f.Providers, env: e, log: log, live: live, close: func() error { return nil }}
	text, err := secret(f.CacheSeedFile, "IPWARDEN_CACHE_SEED", e)
	if err != nil {
		return nil, err
	}
	o.seed = []byte(text)
	if err := f.openStore(o); err != nil {
		return nil, err
	}
	if err := o.reload(); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// openStore opens what answers are shared through.
func (f *providerFlags) openStore(o *outside) error {
	scheme, _, _ := strings.Cut(f.Cache, "://")
	switch scheme {
	case "":
		return nil
	case "memcached":
		c, err := memcached.ParseURL(f.Cache)
		if err != nil {
			return usageError{err}
		}
		s, err := memcached.New(c)
		if err != nil {
			return usageError{err}
		}
		o.store, o.close = s, s.Close
	default:
		own := false
		text := f.Cache
		for _, param := range []string{"?client_cache=1", "&client_cache=1"} {
			if strings.Contains(text, param) {
				text, own = strings.Replace(text, param, "", 1), true
			}
		}
		c, err := redis.ParseURL(text)
		if err != nil {
			return usagef("--cache: %w; or memcached://127.0.0.1:11211", err)
		}
		c.Logger = o.log
		s, err := redis.NewAnswers(redis.AnswersConfig{Server: c, ClientCache: own})
		if err != nil {
			return usageError{err}
		}
		o.store, o.close = s, s.Close
	}
	return nil
}

// reload puts what the file holds now in use; on a mistake what was in use stays.
// A provider of which nothing has changed keeps what it has, also in memory.
func (o *outside) reload() error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f, err := os.Open(o.file)
	if err != nil {
		return err
	}
	defer f.Close()
	spec, err := config.ReadProvidersFile(f, o.file, o.env.getenv)
	if err != nil {
		return err
	}
	before := o.asks.Load()
	next := &asking{}
	var fresh []*runningProvider
	fail := func(err error) error {
		for _, p := range fresh {
			p.end()
		}
		return err
	}
	kept := map[*runningProvider]bool{}
	var count []*source.Cached
	changed := before != nil && before.storeTimeout != spec.StoreTimeout
	next.storeTimeout = spec.StoreTimeout
	for i := range spec.Providers {
		p := before.same(&spec.Providers[i])
		if changed {
			p = nil
		}
		if p == nil {
			if p, err = o.run(spec.Providers[i], spec.StoreTimeout); err != nil {
				return fail(fmt.Errorf("%s: provider %s: %w", o.file, spec.Providers[i].Name, err))
			}
			fresh = append(fresh, p)
		}
		kept[p] = true
		next.providers = append(next.providers, p)
		if p.spec.SamplePerMillion == 0 {
			count = append(count, p.cached)
		}
	}
	next.layered, err = source.NewLayered(source.LayeredConfig{
		Source: ipwarden.SourceFunc(o.here), Providers: count, Merge: spec.Merge,
		Intelligence: spec.Intelligence, Budget: spec.Budget,
	})
	if err != nil {
		return fail(fmt.Errorf("%s: %w", o.file, err))
	}
	for _, p := range next.providers {
		if p.spec.SamplePerMillion > 0 {
			next.samplers = append(next.samplers, before.sampler(p, o.here))
		}
	}
	o.asks.Store(next)
	if before != nil {
		for _, p := range before.providers {
			if !kept[p] {
				p.end()
			}
		}
		for _, s := range before.samplers {
			if !kept[s.p] {
				s.stop()
			}
		}
	}
	return nil
}

// same returns the provider that runs with the same specification.
func (a *asking) same(spec *config.ProviderSpec) *runningProvider {
	if a == nil {
		return nil
	}
	for _, p := range a.providers {
		if reflect.DeepEqual(p.spec, *spec) {
			return p
		}
	}
	return nil
}

// here is what is known without asking anybody.
func (o *outside) here(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	return o.live().Lookup(ctx, addr)
}

// public reports whether an address may be sent out: not what is set aside, unless
// an overlay says that it is ordinary; and not what the data calls nobody's.
func (o *outside) public(ordinary func(netip.Addr) bool) func(netip.Addr) bool {
	return func(addr netip.Addr) bool {
		d := o.live()
		rec, err := d.Lookup(context.Background(), addr)
		if err != nil || rec.Traits().Has(ipwarden.Bogon) {
			return false
		}
		if ordinary(addr) {
			return true
		}
		below, err := d.Dataset.Lookup(context.Background(), addr)
		return err == nil && below.Traits().Has(ipwarden.Bogon)
	}
}

// Defaults of how a provider is asked.
const (
	lookupTimeout     = 2 * time.Second
	lookupConcurrency = 16
)

// run puts a provider into its wrappers.
func (o *outside) run(spec config.ProviderSpec, storeTimeout time.Duration) (*runningProvider, error) {
	src, closer, err := o.newProvider(&spec)
	if err != nil {
		return nil, err
	}
	p := &runningProvider{spec: spec, src: src, closer: closer}
	a := &spec.Asking
	if spec.Kind == "dnsbl" {
		dnsblAsking(a)
	}
	timeout, concurrency := a.Timeout, a.Concurrency
	if timeout == 0 {
		timeout = lookupTimeout
	}
	if concurrency == 0 {
		concurrency = lookupConcurrency
	}
	p.timeout = source.NewTimeout(src, timeout, concurrency)
	var inner ipwarden.Source = p.timeout
	if a.MaxPerDay > 0 {
		counter, _ := o.store.(source.Counter)
		if p.spend, err = source.NewSpend(source.SpendConfig{
			Source: inner, Name: spec.Name, PerDay: a.MaxPerDay, Counter: counter, Seed: o.seed, Timeout: storeTimeout, Now: o.env.now,
		}); err != nil {
			return nil, err
		}
		inner = p.spend
	}
	p.again = &source.Again{Source: inner, Retries: a.Retries, Hedge: a.Hedge, Worth: worthAnother}
	b := &a.Breaker
	if p.breaker, err = source.NewBreaker(source.BreakerConfig{
		Source: p.again, Failures: b.Failures, Slow: b.Slow, SlowShare: b.SlowShare, Least: b.Least, Window: b.Window, Pause: b.Pause,
		Counts: countsAgainst,
		Changed: func(open bool) {
			if open {
				o.log.Warn("a provider fails or is slow; it is left alone for a while", "provider", spec.Name)
			} else {
				o.log.Info("a provider is well again", "provider", spec.Name)
			}
		},
	}); err != nil {
		return nil, err
	}
	// All tries of one look-up, and the store before and after.
	whole := time.Duration(1+a.Retries)*(timeout+100*time.Millisecond) + time.Second
	p.cached, err = source.NewCached(source.CachedConfig{
		Source: p.breaker, Name: spec.Name, Store: o.store, Seed: o.seed, Memory: a.MemoryBytes, TTL: a.TTL, Stale: a.Stale,
		ByAddress: a.ByAddress, Timeout: min(max(whole, storeTimeout), time.Minute), StoreTimeout: storeTimeout, Now: o.env.now,
	})
	return p, err
}

func (p *runningProvider) end() {
	p.cached.Close()
	if p.closer != nil {
		_ = p.closer.Close()
	}
}

// Close ends what is on its way.
func (o *outside) Close() error {
	if o == nil {
		return nil
	}
	if a := o.asks.Load(); a != nil {
		for _, p := range a.providers {
			p.end()
		}
		for _, s := range a.samplers {
			s.stop()
		}
	}
	return o.close()
}

// name of the file, for who watches it.
func (o *outside) named() []string {
	if o == nil {
		return nil
	}
	return []string{o.file}
}

var _ ipwarden.Asker = (*outside)(nil)

// Lookup answers from the data and the providers.
func (o *outside) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	rec, _, err := o.Ask(ctx, addr, ipwarden.IntelligenceDefault, 0)
	return rec, err
}

// Ask is part of [ipwarden.Asker].
func (o *outside) Ask(ctx context.Context, addr netip.Addr, how ipwarden.Intelligence, budget time.Duration) (ipwarden.Record, bool, error) {
	a := o.asks.Load()
	for _, s := range a.samplers {
		s.offer(addr)
	}
	return a.layered.Ask(ctx, addr, how, budget)
}

// forget lets go of what was remembered with the data before.
func (o *outside) forget() {
	if a := o.asks.Load(); a != nil {
		a.layered.Forget()
	}
}

// impaired tells which providers refuse the key or are left alone, whether the shared
// store is, and what a block list says of its zones.
func (o *outside) impaired() (lines []string) {
	if o == nil {
		return nil
	}
	away := false
	for _, p := range o.asks.Load().providers {
		away = away || p.cached.Stats().StoreAway
		if since := p.refused(); !since.IsZero() {
			lines = append(lines, "provider "+p.spec.Name+" refuses the key since "+since.UTC().Format(time.RFC3339))
		} else if p.breaker.Open() {
			lines = append(lines, "provider "+p.spec.Name+" is left alone: it fails or is slow")
		}
		if s, ok := p.closer.(interface{ Impaired() []string }); ok {
			lines = append(lines, s.Impaired()...)
		}
	}
	if away {
		lines = append(lines, "the shared store of answers is left alone: it fails or is slow, and every node asks for itself")
	}
	return lines
}
