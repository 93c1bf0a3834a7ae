package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/redis"
	"github.com/ipwarden/ipwarden/source"
)

// providerRow is one figure of the cache before providers.
type providerRow struct {
	name, what, unit string
	rounds           stats
	goal             float64 // at most; 0: none
}

// oneAnswer is a dataset that says the same of every address, at once: what is
// measured is what is round it.
type oneAnswer struct {
	ipwarden.Backing
	store *ipwarden.Store
}

func (oneAnswer) Answers() int { return 1 }

func newOneAnswer() *oneAnswer {
	b, _ := ipwarden.NewRecord(netip.MustParseAddr("52.0.0.1"), ipwarden.Full{Location: ipwarden.Location{CountryCode: "SE"}, Network: netip.MustParsePrefix("52.0.0.0/8")}).Answer()
	d := &oneAnswer{Backing: b}
	d.store = ipwarden.NewStore(d, nil)
	return d
}

func (d *oneAnswer) Lookup(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	return ipwarden.MakeRecord(a, d.store, 0), nil
}

// meteredVendor answers of each /24 after a while, or never.
type meteredVendor struct {
	calls atomic.Int64
	delay time.Duration
	hang  bool
}

func (v *meteredVendor) Lookup(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
	v.calls.Add(1)
	switch {
	case v.hang:
		<-ctx.Done()
		return ipwarden.Record{}, ctx.Err()
	case v.delay > 0:
		time.Sleep(v.delay)
	}
	p, _ := a.Prefix(24)
	return ipwarden.NewRecord(a, ipwarden.Full{
		Network: p, Traits: ipwarden.VPN, Location: ipwarden.Location{CountryCode: "NL", City: "Delft"}, ASN: ipwarden.ASN{Number: 9, Name: "Nine"},
	}), nil
}

func vendorAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{52, byte(n >> 8), byte(n), 1})
}

func runProviders(ctx context.Context, o *options, r *report, progress func(string, ...any)) error {
	rows := map[string]*providerRow{}
	note := func(name, what, unit string, goal, v float64) {
		row := rows[name]
		if row == nil {
			row = &providerRow{name: name, what: what, unit: unit, goal: goal}
			rows[name] = row
			r.providers = append(r.providers, row)
		}
		row.rounds = append(row.rounds, v)
	}
	_, err := exec.LookPath("redis-server")
	for round := range max(o.rounds, 1) {
		progress("providers, round %d of %d", round+1, o.rounds)
		if err := memoryHits(ctx, note); err != nil {
			return err
		}
		if err == nil {
			if err := sharedHits(ctx, note); err != nil {
				return err
			}
		}
		if err := hangs(ctx, note); err != nil {
			return err
		}
	}
	return nil
}

type noteFunc func(name, what, unit string, goal, v float64)

func cachedFor(name string, v ipwarden.Source, s source.Store) (*source.Cached, error) {
	return source.NewCached(source.CachedConfig{Name: name, Source: v, Store: s, Memory: 64 << 20, StoreTimeout: 5 * time.Second, Timeout: 20 * time.Second})
}

// memoryHits compares the whole chain with otter alone.
func memoryHits(ctx context.Context, note noteFunc) error {
	const asks, addrs = 2_000_000, 1024
	bare := otter.Must(&otter.Options[netip.Addr, *meteredVendor]{MaximumSize: 100_000})
	for i := range addrs {
		bare.Set(vendorAddr(i), nil)
	}
	start := cpuTime()
	for i := range asks {
		if _, ok := bare.GetIfPresent(vendorAddr(i % addrs)); !ok {
			return fmt.Errorf("otter has forgotten %s", vendorAddr(i%addrs))
		}
	}
	note("otter alone", "memory hit", "CPU ns", 0, float64(cpuTime()-start)/asks)
	c, err := cachedFor("vendor", &meteredVendor{}, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := source.NewLayered(source.LayeredConfig{Source: newOneAnswer(), Providers: []*source.Cached{c}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute})
	if err != nil {
		return err
	}
	for i := range 2 * addrs {
		if _, err := l.Lookup(ctx, vendorAddr(i%addrs)); err != nil {
			return err
		}
	}
	start = cpuTime()
	for i := range asks {
		if r, err := l.Lookup(ctx, vendorAddr(i%addrs)); err != nil || r.CountryCode() != "NL" {
			return fmt.Errorf("%s: %w", r.CountryCode(), err)
		}
	}
	note("ipwarden, the whole chain", "memory hit: a dataset, its answer merged with a provider's", "CPU ns", 200, float64(cpuTime()-start)/asks)
	return nil
}

// sharedHits measures what the shared store costs this process, and counts the
// calls of a thousand first questions.
func sharedHits(ctx context.Context, note noteFunc) error {
	addr, _, stop, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer stop()
	open := func(own bool) (*redis.Answers, error) {
		return redis.NewAnswers(redis.AnswersConfig{
			Server: redis.Config{Addresses: []string{addr}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}, ClientCache: own,
		})
	}
	const asks = 200_000
	for _, own := range []bool{false, true} {
		s, err := open(own)
		if err != nil {
			return err
		}
		defer s.Close()
		key := source.Key{Name: [16]byte{1}}
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := s.Set(wait, key, make([]byte, 600), time.Hour); err != nil {
			return err
		}
		start := cpuTime()
		callers(64, asks, func(int) {
			values := make([][]byte, 1)
			_ = s.Get(wait, []source.Key{key}, values)
		})
		name, goal := "Redis or Valkey", 10_000.0
		if own {
			name, goal = "Redis or Valkey, client-side caching", 1500
		}
		note(name, "a value, 64 callers, CPU of the client", "CPU ns", goal, float64(cpuTime()-start)/asks)
	}
	v := &meteredVendor{}
	const networks = 20_000
	var nodes []*source.Cached
	for range 3 {
		s, err := open(false)
		if err != nil {
			return err
		}
		defer s.Close()
		c, err := cachedFor("vendor", v, s)
		if err != nil {
			return err
		}
		defer c.Close()
		nodes = append(nodes, c)
	}
	callers(64, networks, func(i int) { _, _ = nodes[0].Lookup(ctx, vendorAddr(i)) })
	for nodes[0].Stats().Flights > 0 {
		time.Sleep(time.Millisecond)
	}
	start := cpuTime()
	callers(64, networks, func(i int) { _, _ = nodes[1].Lookup(ctx, vendorAddr(i)) })
	note("ipwarden, shared hit", "the whole look-up, 64 callers, CPU of the client", "CPU ns", 10_000, float64(cpuTime()-start)/networks)
	l, err := source.NewLayered(source.LayeredConfig{Source: newOneAnswer(), Providers: nodes[2:], Intelligence: ipwarden.IntelligenceSync, Budget: time.Minute})
	if err != nil {
		return err
	}
	start = cpuTime()
	callers(64, networks, func(i int) { _, _ = l.Lookup(ctx, vendorAddr(i)) })
	note("ipwarden, shared hit, first merge", "the same, and merged with the dataset's answer, once", "CPU ns", 0, float64(cpuTime()-start)/networks)
	for _, n := range nodes[1:] {
		if s := n.Stats(); s.StoreHits < networks*99/100 || s.Asked > 0 {
			return fmt.Errorf("of %d look-ups the store answered %d, and the provider %d", networks, s.StoreHits, s.Asked)
		}
	}
	// A network that nobody has seen, at two nodes at once.
	v.delay = 100 * time.Millisecond
	before := v.calls.Load()
	callers(1000, 1000, func(i int) { _, _ = nodes[i%2].Lookup(ctx, netip.AddrFrom4([4]byte{53, 7, 7, byte(i)})) })
	note("ipwarden, first questions", "calls for a thousand at once about one network, two nodes", "calls", 1, float64(v.calls.Load()-before))
	return nil
}

// hangs measures what a provider that says nothing adds to each request.
func hangs(ctx context.Context, note noteFunc) error {
	const budget = 20 * time.Millisecond
	b, err := source.NewBreaker(source.BreakerConfig{Source: source.NewTimeout(&meteredVendor{hang: true}, 100*time.Millisecond, 16), Least: 5, Pause: time.Hour})
	if err != nil {
		return err
	}
	c, err := cachedFor("vendor", b, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := source.NewLayered(source.LayeredConfig{Source: newOneAnswer(), Providers: []*source.Cached{c}})
	if err != nil {
		return err
	}
	n := 0
	ask := func() float64 {
		n++
		start := time.Now()
		_, _, _ = l.Ask(ctx, netip.AddrFrom4([4]byte{54, byte(n), 1, 1}), ipwarden.IntelligenceSync, budget)
		return float64(time.Since(start).Microseconds())
	}
	var closed, open []float64
	for !b.Open() && n < 200 {
		closed = append(closed, ask()-float64(budget.Microseconds()))
	}
	for range 50 {
		open = append(open, ask())
	}
	slices.Sort(closed)
	slices.Sort(open)
	note("ipwarden, the provider hangs", "over the budget of 20 ms, median", "µs", 1000, closed[len(closed)/2])
	note("ipwarden, the breaker is open", "added, median", "µs", 100, open[len(open)/2])
	return nil
}

// callers calls f n times, so many at once.
func callers(atOnce, n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				f(int(i - 1))
			}
		})
	}
	wg.Wait()
}

func (r *report) writeProviders(b *strings.Builder) {
	b.WriteString("\n### Providers\n\nThe cache before providers; median (least..most) of the rounds. The dataset is one answer, so that what is round it is measured.\n\n| | | | | at most | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, row := range r.providers {
		goal, word := "", ""
		if row.goal > 0 {
			goal, word = figure(row.goal), "met"
			if row.rounds.median() > row.goal {
				word = "**not met**"
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", row.name, row.what, spread(row.rounds), row.unit, goal, word)
	}
}
