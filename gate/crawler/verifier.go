package crawler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/policy"
)

// Config of a Verifier. The zero Config is a good one.
type Config struct {
	// LookupAddr and LookupHost ask DNS, as the methods of [net.Resolver] do, and
	// return when the context ends. The host has a final dot, so that no search
	// domain is tried. Default: those of net.DefaultResolver.
	LookupAddr func(ctx context.Context, addr string) (names []string, err error)
	LookupHost func(ctx context.Context, host string) (addrs []string, err error)
	// Table of crawlers. Default: Table().
	Table []Crawler
	// Feeds that the dataset has. A crawler that can only be verified by a feed
	// that is not among them is none of whom anything can be said. Default: all.
	Feeds []string
	// Timeout of one verification, both ways. Default 4 s.
	Timeout time.Duration
	// Workers ask at a time. Default 4.
	Workers int
	// Queue is how many claims wait for a worker; more are dropped, and asked for
	// with their next request. Default 256.
	Queue int
	// Entries that are remembered of each kind, verified and not; some 150 bytes
	// each. Default 16384.
	Entries int
	// Good and Bad are how long an answer is believed. Default 24 h and 1 h.
	Good, Bad time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Verifier checks claims to be a crawler. It is safe for concurrent use. Close
// it when it is not needed any more.
type Verifier struct {
	cfg    Config
	claims *claims
	cache  *cache
	queue  chan key
	cancel context.CancelFunc
	ctx    context.Context
	wait   sync.WaitGroup

	verified, failed, unanswered, dropped atomic.Uint64
}

// New starts a Verifier; the error joins all mistakes.
func New(cfg Config) (*Verifier, error) {
	var errs []error
	if cfg.LookupAddr == nil {
		cfg.LookupAddr = net.DefaultResolver.LookupAddr
	}
	if cfg.LookupHost == nil {
		cfg.LookupHost = net.DefaultResolver.LookupHost
	}
	if cfg.Table == nil {
		cfg.Table = Table()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{{"Timeout", &cfg.Timeout, 4 * time.Second}, {"Good", &cfg.Good, 24 * time.Hour}, {"Bad", &cfg.Bad, time.Hour}} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			errs = append(errs, fmt.Errorf("%s is %v, and should be more than 0, such as %v", d.name, *d.v, d.def))
		}
	}
	for _, d := range []struct {
		name string
		v    *int
		def  int
	}{{"Workers", &cfg.Workers, 4}, {"Queue", &cfg.Queue, 256}, {"Entries", &cfg.Entries, 16384}} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			errs = append(errs, fmt.Errorf("%s is %d, and should be more than 0, such as %d", d.name, *d.v, d.def))
		}
	}
	cfg.Table = slices.Clone(cfg.Table)
	if len(cfg.Table) > maxTable {
		errs = append(errs, fmt.Errorf("Table has %d crawlers; it may have %d", len(cfg.Table), maxTable))
	}
	for _, c := range cfg.Table {
		errs = append(errs, c.check()...)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("crawler: %w", errors.Join(errs...))
	}
	v := &Verifier{cfg: cfg, claims: newClaims(cfg.Table), cache: newCache(cfg.Entries), queue: make(chan key, cfg.Queue)}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	for range cfg.Workers {
		v.wait.Go(v.work)
	}
	return v, nil
}

func (c *Crawler) check() (errs []error) {
	for _, t := range c.Tokens {
		if len(t) < window {
			errs = append(errs, fmt.Errorf("the token %q of %s is shorter than %d characters, such as \"Googlebot\"", t, c.Name, window))
		}
	}
	for _, h := range c.Hosts {
		if !isPattern(h) {
			errs = append(errs, fmt.Errorf("%q of %s is no pattern of host names, such as \"*.googlebot.com\"", h, c.Name))
		}
	}
	return errs
}

// Close ends the look-ups and waits for them.
func (v *Verifier) Close() {
	v.cancel()
	v.wait.Wait()
}

// Claim returns which crawler a user agent says that it is.
func (v *Verifier) Claim(userAgent string) (c Crawler, ok bool) {
	i := v.claims.find(userAgent)
	if i < 0 {
		return Crawler{}, false
	}
	return v.cfg.Table[i], true
}

// Named returns the crawler of a name that Check returned.
func (v *Verifier) Named(name string) (c Crawler, ok bool) {
	for i := range v.cfg.Table {
		if v.cfg.Table[i].Name == name {
			return v.cfg.Table[i], true
		}
	}
	return Crawler{}, false
}

// Purpose is that of the crawler of a name that Check returned, "" for another.
func (v *Verifier) Purpose(name string) string {
	c, _ := v.Named(name)
	return c.Purpose
}

// Check says which crawler a user agent claims to be, "" for none, and what is
// known of the claim by now. It does not wait: what is not known is asked for
// behind the request, and pending.
//
// Ask the dataset first: of a crawler whose operator publishes its addresses,
// and whose names say nothing, whoever comes here is none.
func (v *Verifier) Check(userAgent string, addr netip.Addr, now time.Time) (name string, state policy.Crawler) {
	i := v.claims.find(userAgent)
	if i < 0 {
		return "", policy.NotCrawler
	}
	c := &v.cfg.Table[i]
	if len(c.Hosts) == 0 {
		if c.Feed == "" || v.cfg.Feeds != nil && !slices.Contains(v.cfg.Feeds, c.Feed) {
			return c.Name, policy.NotCrawler // nothing tells a true one
		}
		return c.Name, policy.Failed
	}
	if !nameCounts(addr) {
		return c.Name, policy.Failed
	}
	k := key{addr.Unmap().WithZone(""), i}
	state, ask := v.cache.look(k, now)
	if ask {
		v.ask(k)
	}
	return c.Name, state
}

// Verify is Check for who can wait: it asks now, in at most Timeout, whatever is
// remembered, and remembers nothing. pending is a claim about which DNS did not
// tell; err says why.
func (v *Verifier) Verify(ctx context.Context, userAgent string, addr netip.Addr) (name string, state policy.Crawler, err error) {
	i := v.claims.find(userAgent)
	if i < 0 || len(v.cfg.Table[i].Hosts) == 0 || !nameCounts(addr) {
		name, state = v.Check(userAgent, addr, v.cfg.Now()) // which asks nobody
		return name, state, nil
	}
	c := &v.cfg.Table[i]
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	switch confirmed, err := v.confirm(ctx, addr.Unmap().WithZone(""), c.Hosts); {
	case err != nil:
		return c.Name, policy.Pending, err
	case confirmed:
		return c.Name, policy.Verified, nil
	}
	return c.Name, policy.Failed, nil
}

// nameCounts: nobody's address has a name that counts.
func nameCounts(addr netip.Addr) bool {
	return addr.IsValid() && addr.IsGlobalUnicast() && !addr.IsPrivate()
}

func (v *Verifier) ask(k key) {
	select {
	case v.queue <- k:
	default:
		v.dropped.Add(1)
		v.cache.forget(k)
	}
}

// Stats counts what became of claims since the start.
type Stats struct {
	Verified, Failed uint64
	Unanswered       uint64 // DNS did not answer in time, or not at all
	Dropped          uint64 // the queue was full
	Remembered       int    // claims in memory
}

// Stats returns the counts.
func (v *Verifier) Stats() Stats {
	good, others := v.cache.len()
	return Stats{
		Verified: v.verified.Load(), Failed: v.failed.Load(), Unanswered: v.unanswered.Load(), Dropped: v.dropped.Load(),
		Remembered: good + others,
	}
}
