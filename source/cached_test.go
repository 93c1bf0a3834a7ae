package source_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/overlay"
	"github.com/ipwarden/ipwarden/source"
)

func addrOf(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{52, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestCachedIsASource(t *testing.T) {
	ipwardentest.TestSource(t, cached(t, source.CachedConfig{Source: vpn()}), netip.MustParseAddr("52.93.7.1"), netip.MustParseAddr("2a00:1:2::1"))
}

func TestLayeredIsASource(t *testing.T) {
	l := layered(t, source.LayeredConfig{Providers: []*source.Cached{cached(t, source.CachedConfig{Source: vpn()})}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute})
	ipwardentest.TestSource(t, l, netip.MustParseAddr("52.93.7.1"), netip.MustParseAddr("2a00:1:2::1"))
}

// Two processes, a thousand first questions about one network: one call.
func TestOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.delay = 200 * time.Millisecond
		store := &ipwardentest.Store{}
		var nodes []*source.Cached
		for range 2 {
			nodes = append(nodes, cached(t, source.CachedConfig{Source: v, Store: store}))
		}
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if r, err := nodes[i%2].Lookup(ctx, addrOf(i%256)); err != nil || !r.Traits().Has(ipwarden.VPN) {
					t.Errorf("%v, %v", r.Traits().Names(), err)
				}
			})
		}
		wg.Wait()
		if n := v.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		for _, n := range nodes {
			n.Close()
		}
		synctest.Wait()
	})
}

// An answer that is no longer fresh is given while it is asked for again, once; and
// one at which the provider fails then stays.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.delay = 10 * time.Millisecond
		c := cached(t, source.CachedConfig{Source: v, TTL: source.TTL{Anonymous: time.Hour}, Stale: time.Hour})
		look := func(calls int64) {
			t.Helper()
			start := time.Now()
			r, err := c.Lookup(ctx, addrOf(1))
			if err != nil || !r.Traits().Has(ipwarden.VPN) || calls > 1 && time.Since(start) > 0 {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			time.Sleep(time.Second)
			if n := v.calls.Load(); n != calls {
				t.Errorf("%d calls, want %d", n, calls)
			}
		}
		look(1)
		time.Sleep(53 * time.Minute) // of an hour less a tenth at most
		look(1)
		time.Sleep(8 * time.Minute)
		look(2)
		time.Sleep(50 * time.Minute)
		look(2)
		v.err = errors.New("away")
		time.Sleep(15 * time.Minute)
		look(3)
		look(3) // not again at once
		time.Sleep(15 * time.Second)
		look(4)
		time.Sleep(time.Hour)
		if _, err := c.Lookup(ctx, addrOf(1)); !errors.Is(err, v.err) {
			t.Errorf("%v", err)
		}
		c.Close()
		synctest.Wait()
	})
}

// Somebody asks shortly before an answer is no longer fresh, seldom long before.
func TestEarlyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.delay = time.Second
		c := cached(t, source.CachedConfig{Source: v, TTL: source.TTL{Anonymous: time.Hour}, Stale: -1})
		if _, err := c.Lookup(ctx, addrOf(1)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for v.calls.Load() == 1 {
			time.Sleep(50 * time.Millisecond)
			from := time.Now()
			if _, err := c.Lookup(ctx, addrOf(1)); err != nil {
				t.Fatal(err)
			}
			if time.Since(from) > 0 {
				t.Fatal("somebody had to wait")
			}
		}
		if d := time.Since(start); d < 53*time.Minute || d > time.Hour {
			t.Errorf("asked again after %v", d)
		}
		c.Close()
		synctest.Wait()
	})
}

// A provider that does not mind its context: each request has its budget, until the
// breaker opens; then it costs nothing. No more goroutines are held up than may be.
func TestHangingProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.hang = make(chan struct{})
		timeout := source.NewTimeout(v, time.Second, 4)
		b, err := source.NewBreaker(source.BreakerConfig{Source: timeout, Least: 3, Pause: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		c := cached(t, source.CachedConfig{Source: b})
		l := layered(t, source.LayeredConfig{Providers: []*source.Cached{c}})
		took := func(i int) time.Duration {
			start := time.Now()
			r, _, err := l.Ask(ctx, netip.AddrFrom4([4]byte{52, byte(i), 1, 1}), ipwarden.IntelligenceSync, 50*time.Millisecond)
			if err != nil || r.CountryCode() != "SE" {
				t.Errorf("%v, %v", r.CountryCode(), err)
			}
			return time.Since(start)
		}
		for i := range 8 {
			if d := took(i); d != 50*time.Millisecond {
				t.Errorf("request %d took %v", i, d)
			}
		}
		time.Sleep(3 * time.Second)
		if !b.Open() {
			t.Error("the breaker is closed")
		}
		for i := range 8 {
			if d := took(100 + i); d != 0 {
				t.Errorf("request %d took %v with the breaker open", i, d)
			}
		}
		if n := v.calls.Load(); n != 4 || timeout.Abandoned() != 4 {
			t.Errorf("%d calls, %d of them abandoned", n, timeout.Abandoned())
		}
		// It comes back: one try, and then all is as before.
		close(v.hang)
		time.Sleep(2 * time.Minute)
		if timeout.Abandoned() != 0 {
			t.Errorf("%d are still abandoned", timeout.Abandoned())
		}
		_, _, _ = l.Ask(ctx, netip.AddrFrom4([4]byte{52, 200, 1, 1}), ipwarden.IntelligenceSync, 50*time.Millisecond)
		synctest.Wait()
		if r, _, _ := l.Ask(ctx, netip.AddrFrom4([4]byte{52, 200, 1, 1}), ipwarden.IntelligenceLocal, 0); !r.Traits().Has(ipwarden.VPN) || b.Open() {
			t.Errorf("%v, open %v", r.Traits().Names(), b.Open())
		}
		c.Close()
		synctest.Wait()
	})
}

// The store does what stores do: requests have their budgets, and the provider is
// asked by each process alone.
func TestStoreAway(t *testing.T) {
	for name, err := range map[string]func(context.Context) error{
		"refuses": func(context.Context) error { return errors.New("refused") },
		"silent":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"slow": func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(40 * time.Millisecond):
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := vpn()
				c := cached(t, source.CachedConfig{Source: v, Store: &stuckStore{err: err}})
				l := layered(t, source.LayeredConfig{Providers: []*source.Cached{c}})
				for i := range 50 {
					start := time.Now()
					r, pending, err := l.Ask(ctx, addrOf(i<<8), ipwarden.IntelligenceSync, 200*time.Millisecond)
					if d := time.Since(start); err != nil || d > 200*time.Millisecond || !pending && !r.Traits().Has(ipwarden.VPN) {
						t.Fatalf("request %d: %v after %v, pending %v", i, err, d, pending)
					}
					if _, _, err := l.Ask(ctx, addrOf(i<<8), ipwarden.IntelligenceAsync, 0); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Second)
				if n := v.calls.Load(); n != 50 {
					t.Errorf("%d calls", n)
				}
				c.Close()
				synctest.Wait()
			})
		})
	}
}

// stuckStore has nothing, and answers as err does.
type stuckStore struct{ err func(context.Context) error }

func (s *stuckStore) Get(ctx context.Context, _ []source.Key, _ [][]byte) error { return s.err(ctx) }

func (s *stuckStore) Set(ctx context.Context, _ source.Key, _ []byte, _ time.Duration) error {
	return s.err(ctx)
}

func (s *stuckStore) Claim(ctx context.Context, _ source.Key, _ time.Duration) (bool, error) {
	err := s.err(ctx)
	return err == nil, err
}

// Nothing that is in the store is believed but what was put there (G7).
func TestJunkInTheStore(t *testing.T) {
	junk := map[string]func([]byte) []byte{
		"text":    func([]byte) []byte { return []byte(`{"is_vpn":false}`) },
		"huge":    func([]byte) []byte { return make([]byte, 1<<20) },
		"empty":   func([]byte) []byte { return []byte{} },
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"flipped": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"random": func(b []byte) []byte {
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			return b
		},
	}
	for name, spoil := range junk {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, store := vpn(), &ipwardentest.Store{}
				if _, err := cached(t, source.CachedConfig{Source: v, Store: store}).Lookup(ctx, addrOf(1)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if n := store.Len(); n != 3 { // two claims and the answer
					t.Fatalf("%d values are stored", n)
				}
				store.Values(spoil)
				late := cached(t, source.CachedConfig{Source: v, Store: store, Timeout: 100 * time.Millisecond})
				// The other's claim stands: this one waits for it, and gives up.
				if r, err := late.Lookup(ctx, addrOf(1)); err == nil {
					t.Errorf("junk is believed: %v", r.Traits().Names())
				}
				if s := late.Stats(); s.Junk == 0 || s.StoreHits != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
	t.Run("another seed", func(t *testing.T) {
		v, store := vpn(), &ipwardentest.Store{}
		for i, seed := range []string{"one", "two"} {
			if _, err := cached(t, source.CachedConfig{Source: v, Store: store, Seed: []byte(seed)}).Lookup(ctx, addrOf(1)); err != nil {
				t.Fatal(err)
			}
			if n := v.calls.Load(); n != int64(i+1) {
				t.Errorf("%d calls", n)
			}
		}
	})
}

func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

// A million addresses that nobody knows: memory keeps its bound, what was paid for
// stays, and the day's look-ups are not exceeded (G5).
func TestSprayOfAddresses(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	known := vpn()
	var calls atomic.Int64
	both := ipwarden.SourceFunc(func(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
		calls.Add(1)
		if a.As4()[0] == 52 {
			return known.Lookup(ctx, a)
		}
		return ipwarden.NewRecord(a, ipwarden.Full{}), nil
	})
	spend, err := source.NewSpend(source.SpendConfig{Source: both, Name: "vendor", PerDay: 20_000, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	c := cached(t, source.CachedConfig{Source: spend, Memory: 4 << 20, Flights: 64})
	l := layered(t, source.LayeredConfig{Providers: []*source.Cached{c}})
	for i := range 20 {
		if _, err := c.Lookup(ctx, addrOf(i<<8)); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	for i := range n {
		u := rand.Uint32()
		if _, _, err := l.Ask(ctx, netip.AddrFrom4([4]byte{20 + byte(i%16), byte(u), byte(u >> 8), byte(u >> 16)}), ipwarden.IntelligenceAsync, 0); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return c.Stats().Flights == 0 })
	grown := heap() - before
	s := c.Stats()
	t.Logf("%d calls, %d entries of %d bytes, %d dropped; the heap grew by %d KiB", calls.Load(), s.Entries, s.Bytes, s.Dropped, grown>>10)
	// The table of whole answers has 64 bytes for each of its 65,536 places at most.
	if s.Bytes > 4<<20+1<<18 || grown > 24<<20 {
		t.Errorf("memory is not bounded")
	}
	if calls.Load() > 20_000 {
		t.Errorf("%d calls", calls.Load())
	}
	was := calls.Load()
	for i := range 20 {
		if r, err := c.Lookup(ctx, addrOf(i<<8)); err != nil || !r.Traits().Has(ipwarden.VPN) {
			t.Errorf("what was paid for is gone: %v", err)
		}
	}
	if calls.Load() != was {
		t.Error("what was paid for is asked for again")
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The day's look-ups are those of all nodes, and of each alone when the counter is
// away.
func TestSpend(t *testing.T) {
	var away atomic.Bool
	store := &ipwardentest.Store{Err: func(context.Context) error {
		if away.Load() {
			return errors.New("away")
		}
		return nil
	}}
	clock := now
	v := vpn()
	var nodes []*source.Spend
	for range 3 {
		s, err := source.NewSpend(source.SpendConfig{Source: v, Name: "vendor", PerDay: 1000, Counter: store, Now: func() time.Time { return clock }})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, s)
	}
	drain := func() (n int) {
		for i := range 3000 {
			if _, err := nodes[i%3].Lookup(ctx, addrOf(i)); err == nil {
				n++
			} else if !errors.Is(err, source.ErrSpent) {
				t.Fatal(err)
			}
		}
		return n
	}
	if n := drain(); n > 1000 || n < 990 {
		t.Errorf("%d look-ups in a day, want 1000", n)
	}
	clock = clock.Add(24 * time.Hour)
	away.Store(true)
	if n := drain(); n != 3*50 {
		t.Errorf("%d look-ups in a day without the counter, want a twentieth each", n)
	}
	away.Store(false)
	clock = clock.Add(2 * time.Second)
	if n := drain(); n > 1000 {
		t.Errorf("%d more when it was back", n)
	}
}

func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.err = errors.New("no")
		a := &source.Again{Source: v, Retries: 2}
		if _, err := a.Lookup(ctx, addrOf(1)); !errors.Is(err, v.err) || v.calls.Load() != 3 || a.Retried() != 2 {
			t.Errorf("%v, %d calls", err, v.calls.Load())
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := a.Lookup(short, addrOf(1)); !errors.Is(err, v.err) || v.calls.Load() != 4 || time.Since(start) > 0 {
			t.Errorf("%v, %d calls", err, v.calls.Load())
		}
		// The first is slow, and the second answers.
		slow := vpn()
		slow.hang = make(chan struct{})
		fast := vpn()
		var n atomic.Int64
		hedged := &source.Again{Hedge: 100 * time.Millisecond, Source: ipwarden.SourceFunc(func(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
			if n.Add(1) == 1 {
				return slow.Lookup(ctx, a)
			}
			return fast.Lookup(ctx, a)
		})}
		start = time.Now()
		if _, err := hedged.Lookup(ctx, addrOf(1)); err != nil || time.Since(start) != 100*time.Millisecond || hedged.Hedged() != 1 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(slow.hang)
		synctest.Wait()
	})
}

// A breaker opens when answers are slow, though none fails.
func TestSlowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		b, err := source.NewBreaker(source.BreakerConfig{Source: v, Slow: 100 * time.Millisecond, SlowShare: 0.2, Least: 10, Pause: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			v.delay = time.Duration(i%10/9) * 200 * time.Millisecond // one of ten
			_, _ = b.Lookup(ctx, addrOf(i))
		}
		if b.Open() {
			t.Fatal("it is open at a tenth")
		}
		v.delay = 200 * time.Millisecond
		for i := range 6 {
			_, _ = b.Lookup(ctx, addrOf(i))
		}
		if !b.Open() {
			t.Fatal("it is closed")
		}
		if _, err := b.Lookup(ctx, addrOf(1)); !errors.Is(err, source.ErrOpen) {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		v.delay = time.Millisecond
		// One tries, and the others do not.
		var wg sync.WaitGroup
		var refused atomic.Int64
		for i := range 10 {
			wg.Go(func() {
				if _, err := b.Lookup(ctx, addrOf(i)); errors.Is(err, source.ErrOpen) {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		if b.Open() || refused.Load() != 9 {
			t.Errorf("open %v, %d refused", b.Open(), refused.Load())
		}
	})
}

// Look-ups that find no place beside those that hang say nothing of the Source: it is
// left alone all the same. A trial that nobody was asked for is the next one's.
func TestHangingProviderIsLeftAlone(t *testing.T) {
	for _, slow := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			v := vpn()
			v.delay = time.Hour
			timeout := source.NewTimeout(v, 200*time.Millisecond, 4)
			var instead error // what comes of a look-up that asks nobody
			b, err := source.NewBreaker(source.BreakerConfig{Least: 4, Slow: slow, Pause: 5 * time.Second, Source: ipwarden.SourceFunc(func(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
				if instead != nil {
					return ipwarden.Record{}, instead
				}
				return timeout.Lookup(ctx, a)
			})})
			if err != nil {
				t.Fatal(err)
			}
			instead = source.ErrBusy
			for i := range 100 {
				_, _ = b.Lookup(ctx, addrOf(i))
			}
			instead = nil
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() { _, _ = b.Lookup(ctx, addrOf(i)) })
			}
			wg.Wait()
			if !b.Open() {
				t.Fatalf("%d look-ups timed out, %d found no place, and it is asked on", timeout.Timeouts(), timeout.Busy())
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			for _, instead = range []error{source.ErrBusy, source.ErrSpent, context.Canceled} {
				if _, err := b.Lookup(ctx, addrOf(1)); !errors.Is(err, instead) || !b.Open() {
					t.Fatalf("%v, and open %v", err, b.Open())
				}
			}
			instead, v.delay = nil, 100*time.Millisecond
			var refused atomic.Int64
			for i := range 10 {
				wg.Go(func() {
					if _, err := b.Lookup(ctx, addrOf(i)); errors.Is(err, source.ErrOpen) {
						refused.Add(1)
					}
				})
			}
			wg.Wait()
			if b.Open() || refused.Load() != 9 {
				t.Errorf("open %v, %d refused", b.Open(), refused.Load())
			}
		})
	}
}

// Nothing is left over when it is closed.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		v := vpn()
		v.delay = time.Hour
		c, err := source.NewCached(source.CachedConfig{Name: "vendor", Source: v, Store: &ipwardentest.Store{}})
		if err != nil {
			t.Fatal(err)
		}
		l := layered(t, source.LayeredConfig{Providers: []*source.Cached{c}})
		for i := range 100 {
			if _, _, err := l.Ask(ctx, addrOf(i<<8), ipwarden.IntelligenceAsync, 0); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= before })
}

// A day of an access log, from a metered provider: no more calls than there are
// networks times the times that an answer is asked for in a day.
func TestDayOfALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.delay = 20 * time.Millisecond
		store := &ipwardentest.Store{}
		ttl := source.TTL{Anonymous: 6 * time.Hour}
		var nodes []*source.Layered
		var all []*source.Cached
		for range 2 {
			c := cached(t, source.CachedConfig{Source: v, Store: store, TTL: ttl})
			all = append(all, c)
			nodes = append(nodes, layered(t, source.LayeredConfig{Providers: []*source.Cached{c}}))
		}
		const networks, requests = 300, 100_000
		visitors := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 8, networks-1)
		seen := map[uint64]bool{}
		for i := range requests {
			n := visitors.Uint64()
			seen[n] = true
			if _, _, err := nodes[i%2].Ask(ctx, addrOf(int(n)<<8|i%256), ipwarden.IntelligenceAsync, 0); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24 * time.Hour / requests)
		}
		calls := v.calls.Load()
		// Fresh for 5.4 hours at least: five answers a day of a network at most.
		if least, most := int64(len(seen)), int64(5*len(seen)); calls < least || calls > most {
			t.Errorf("%d calls for %d networks in %d requests; want %d to %d", calls, len(seen), requests, least, most)
		}
		t.Logf("%d calls for %d networks in %d requests", calls, len(seen), requests)
		for _, c := range all {
			c.Close()
		}
		synctest.Wait()
	})
}

// Three days of a real access log, at its own times, over two processes: each network
// is asked about when somebody comes from it and what is known is no longer fresh.
func TestDaysOfARealLog(t *testing.T) {
	dir := os.Getenv("IPWARDEN_TEST_DATA")
	if dir == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set: the access log is not there")
	}
	f, err := os.Open(filepath.Join(dir, "logs", "apache_logs.first7000.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	type request struct {
		addr netip.Addr
		at   time.Time
	}
	var all []request
	line := regexp.MustCompile(`^(\S+) \S+ \S+ \[([^\]]+)\]`)
	for in := bufio.NewScanner(z); in.Scan(); {
		if m := line.FindStringSubmatch(in.Text()); m != nil {
			at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[2])
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, request{netip.MustParseAddr(m[1]), at})
		}
	}
	slices.SortStableFunc(all, func(a, b request) int { return a.at.Compare(b.at) })
	// need is how many look-ups there are when each answer is good for so long.
	need := func(ttl time.Duration) (n int64) {
		until := map[netip.Prefix]time.Time{}
		for _, r := range all {
			if p, _ := r.addr.Prefix(24); r.at.After(until[p]) {
				until[p] = r.at.Add(ttl)
				n++
			}
		}
		return n
	}
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.delay = 20 * time.Millisecond
		v.bits4 = 24
		store := &ipwardentest.Store{}
		var nodes []*source.Layered
		var kept []*source.Cached
		for range 2 {
			c := cached(t, source.CachedConfig{Source: v, Store: store, TTL: source.TTL{Anonymous: 6 * time.Hour}})
			kept = append(kept, c)
			nodes = append(nodes, layered(t, source.LayeredConfig{Providers: []*source.Cached{c}}))
		}
		start := time.Now()
		for i, r := range all {
			time.Sleep(time.Until(start.Add(r.at.Sub(all[0].at))))
			if _, _, err := nodes[i%2].Ask(ctx, r.addr, ipwarden.IntelligenceAsync, 0); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		// Fresh for 6 hours less a tenth at most; and before that is over one of those who
		// come may ask early.
		calls, least, most := v.calls.Load(), need(6*time.Hour), need(5*time.Hour)
		if calls < least || calls > most {
			t.Errorf("%d calls for %d requests; want %d to %d", calls, len(all), least, most)
		}
		t.Logf("%d calls for %d requests of %v; %d if answers never aged", calls, len(all), all[len(all)-1].at.Sub(all[0].at), need(1000*time.Hour))
		for _, c := range kept {
			c.Close()
		}
		synctest.Wait()
	})
}

// Whose word counts.
func TestRules(t *testing.T) {
	say := func(country string, vpn bool, date time.Time) ipwarden.Full {
		f := ipwarden.Full{Location: ipwarden.Location{CountryCode: country, City: "City of " + country}, Date: date}
		c := []ipwarden.Claim{{Feed: "x", Value: fmt.Sprint(vpn)}}
		f.Evidence = append(f.Evidence, ipwarden.Evidence{Field: ipwarden.FieldIsVPN, Value: fmt.Sprint(vpn), By: c})
		if vpn {
			f.Traits = ipwarden.VPN
		}
		return f
	}
	for _, c := range []struct {
		name    string
		policy  source.MergePolicy
		country string
		vpn     bool
	}{
		{"default", source.MergePolicy{}, "NL", true},
		{"order", source.MergePolicy{Order: []string{"b", "dataset"}}, "DE", true},
		{"the dataset first", source.MergePolicy{Order: []string{"dataset"}}, "SE", true},
		{"majority", source.MergePolicy{Rules: map[string]source.Rule{"location": source.Majority, "security": source.First}}, "DE", false},
		{"majority of traits", source.MergePolicy{Rules: map[string]source.Rule{"security.is_vpn": source.Majority}}, "NL", true},
		{"newest", source.MergePolicy{Rules: map[string]source.Rule{"location.country_code": source.Newest}}, "DE", true},
		{"specific", source.MergePolicy{Rules: map[string]source.Rule{"location": source.Specific}}, "NL", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := now
			var ps []*source.Cached
			for i, name := range []string{"a", "b", "c"} {
				v := &vendor{full: say([]string{"NL", "DE", "DE"}[i], i > 0, now), bits4: []int{32, 28, 24}[i]}
				at := now.Add([]time.Duration{-3, -1, -2}[i] * time.Minute)
				p := cached(t, source.CachedConfig{Source: v, Name: name, Now: func() time.Time { return at }})
				if _, err := p.Lookup(ctx, addrOf(1)); err != nil {
					t.Fatal(err)
				}
				ps = append(ps, p)
			}
			l := layered(t, source.LayeredConfig{Providers: ps, Merge: c.policy, Now: func() time.Time { return clock }, Intelligence: ipwarden.IntelligenceLocal})
			r, err := l.Lookup(ctx, addrOf(1))
			if err != nil || r.CountryCode() != c.country || r.Traits().Has(ipwarden.VPN) != c.vpn {
				t.Errorf("%v, %s, vpn %v; want %s, %v", err, r.CountryCode(), r.Traits().Has(ipwarden.VPN), c.country, c.vpn)
			}
			if city := r.Location().City; city != "City of "+c.country && !(c.country == "SE" && city == "Umeå") {
				t.Errorf("%s in %s", city, c.country)
			}
		})
	}
	bad := source.MergePolicy{Rules: map[string]source.Rule{"location.city": source.Any, "colour": source.First, "ip": source.First}}
	if err := bad.Check(); err == nil {
		t.Error("a policy of mistakes is taken")
	}
}

// The hot path of the whole chain allocates nothing.
func TestHitDoesNotAllocate(t *testing.T) {
	l := layered(t, source.LayeredConfig{Providers: []*source.Cached{cached(t, source.CachedConfig{Source: vpn()})}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute})
	ask(t, l, "20.1.2.3")
	if n := testing.AllocsPerRun(100, func() { _, _ = l.Lookup(ctx, netip.MustParseAddr("20.1.2.3")) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if s := l.Stats(); s.Front < 100 || s.Merges != 1 {
		t.Errorf("%+v", s)
	}
	l.Forget()
	ask(t, l, "20.1.2.3")
	if s := l.Stats(); s.Merges != 2 {
		t.Errorf("%+v", s)
	}
}

// A bogon is nobody's business outside, unless the operator says that it is
// ordinary; and nobody outside says what is one.
func TestBogonsStayHere(t *testing.T) {
	v := vpn()
	v.full.Traits |= ipwarden.Bogon
	w := newSharedWorld(ipwarden.Full{Traits: ipwarden.Bogon, Security: ipwarden.Security{Bogon: ipwarden.BogonInfo{Name: "Private-Use"}}})
	o, err := overlay.New(overlay.Config{Source: w, Entries: []overlay.Entry{on("10.1.0.0/16", fact(ipwarden.FieldIsBogon, false))}})
	if err != nil {
		t.Fatal(err)
	}
	l := layered(t, source.LayeredConfig{Source: o, Providers: []*source.Cached{cached(t, source.CachedConfig{Source: v})}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute})
	if r := ask(t, l, "10.2.0.1"); !r.Traits().Has(ipwarden.Bogon) || v.calls.Load() != 0 {
		t.Errorf("%v after %d calls", r.Traits().Names(), v.calls.Load())
	}
	if r := ask(t, l, "10.1.0.1"); r.Traits() != ipwarden.VPN || v.calls.Load() != 1 {
		t.Errorf("%v after %d calls", r.Traits().Names(), v.calls.Load())
	}
}

// A claim is on the network that the answer was presumed to have. Where the answer
// is about less, or there is none, those who asked about the rest of it do not wait
// for the claim's end.
func TestClaimOfMoreThanTheAnswer(t *testing.T) {
	for name, v := range map[string]*vendor{
		"nothing known": {},
		"one address":   vpn(),
		"failure":       {err: errors.New("no")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v.delay = 20 * time.Millisecond
				v.bits4 = 32
				store := &ipwardentest.Store{}
				var nodes []*source.Cached
				for range 2 {
					nodes = append(nodes, cached(t, source.CachedConfig{Source: v, Store: store, TTL: source.TTL{Failed: 100 * time.Millisecond}}))
				}
				// At once, and then one after the other.
				var wg sync.WaitGroup
				start := time.Now()
				for i := range 8 {
					wg.Go(func() { nodes[i%2].Lookup(ctx, addrOf(i)) })
				}
				wg.Wait()
				if took := time.Since(start); took > 200*time.Millisecond {
					t.Errorf("the first took %v", took)
				}
				time.Sleep(150 * time.Millisecond)
				for i := 8; i < 16; i++ {
					start := time.Now()
					nodes[i%2].Lookup(ctx, addrOf(i))
					if took := time.Since(start); took > 100*time.Millisecond {
						t.Errorf("%v took %v", addrOf(i), took)
					}
				}
				if n := v.calls.Load(); v.err == nil && n != 16 {
					t.Errorf("%d calls about 16 addresses", n)
				}
				for _, n := range nodes {
					n.Close()
				}
				synctest.Wait()
			})
		})
	}
}

// One process has seen how long the provider's prefixes are, and the other has not:
// what they claim is not the same network, and yet one of them asks.
func TestOneCallOfWhoKnowsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.delay, v.bits4 = 200*time.Millisecond, 32
		store := &ipwardentest.Store{}
		old := cached(t, source.CachedConfig{Source: v, Store: store})
		if _, err := old.Lookup(ctx, addrOf(1<<16)); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			node := []*source.Cached{old, cached(t, source.CachedConfig{Source: v, Store: store})}
			before := v.calls.Load()
			var wg sync.WaitGroup
			for n := range 100 {
				wg.Go(func() {
					if _, err := node[(n+i)%2].Lookup(ctx, addrOf(i<<8)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := v.calls.Load() - before; n != 1 {
				t.Errorf("%d calls about %v", n, addrOf(i<<8))
			}
			node[1].Close()
		}
		old.Close()
		synctest.Wait()
	})
}

// A look-up that has no more time, while another process has the claim, ends: the Store
// has not failed.
func TestStoreOutlastsLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cached(t, source.CachedConfig{Source: vpn(), Store: slowStore{900 * time.Millisecond}, StoreTimeout: time.Second, Timeout: 5 * time.Second})
		if _, err := c.Lookup(ctx, addrOf(1)); err == nil {
			t.Error("an answer from nowhere")
		}
		synctest.Wait()
		if s := c.Stats(); s.StoreErrors != 0 || s.StoreAway || s.Waited != 1 {
			t.Errorf("%+v", s)
		}
		c.Close()
		synctest.Wait()
	})
}

// A slowStore has nothing, takes its time for that, and lets nobody claim anything.
type slowStore struct{ takes time.Duration }

func (s slowStore) Get(ctx context.Context, _ []source.Key, _ [][]byte) error {
	select {
	case <-time.After(s.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (slowStore) Set(context.Context, source.Key, []byte, time.Duration) error { return nil }

func (slowStore) Claim(context.Context, source.Key, time.Duration) (bool, error) { return false, nil }
