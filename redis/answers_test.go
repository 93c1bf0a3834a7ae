package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/source"
)

func answers(t *testing.T, c AnswersConfig) *Answers {
	t.Helper()
	a, err := NewAnswers(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestAnswersAreAStore(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	for name, cached := range map[string]bool{"plain": false, "client-side caching": true} {
		t.Run(name, func(t *testing.T) {
			ipwardentest.TestStore(t, answers(t, AnswersConfig{Server: Config{Addresses: []string{addr}}, ClientCache: cached}))
		})
	}
	t.Run("cluster", func(t *testing.T) {
		addrs, _ := startCluster(t)
		ipwardentest.TestStore(t, answers(t, AnswersConfig{Server: Config{Addresses: addrs, Cluster: true}}))
	})
}

// vendor answers of each /24, and counts.
type vendor struct{ calls atomic.Int64 }

func (v *vendor) Lookup(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	v.calls.Add(1)
	p, _ := a.Prefix(24)
	return ipwarden.NewRecord(a, ipwarden.Full{Network: p, Traits: ipwarden.VPN}), nil
}

// The server stops, comes back, is emptied, and holds what another program put
// there: look-ups have their answers, and what is not ours is a miss.
func TestAnswersOfAnotherServer(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server := start(t, addr)
	v := &vendor{}
	// nodeFor is a process that has seen nothing yet, and waits so long for an answer.
	nodeFor := func(timeout time.Duration) *source.Cached {
		c, err := source.NewCached(source.CachedConfig{
			Name: "vendor", Source: v, StoreTimeout: 3 * time.Second, Timeout: timeout,
			Store: answers(t, AnswersConfig{Server: Config{Addresses: []string{addr}, Logger: slog.New(slog.DiscardHandler)}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	node := func() *source.Cached { return nodeFor(time.Minute) }
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	look := func(c *source.Cached, addr string, calls int64) {
		t.Helper()
		r, err := c.Lookup(ctx, netip.MustParseAddr(addr))
		if err != nil || !r.Traits().Has(ipwarden.VPN) || v.calls.Load() != calls {
			t.Errorf("%s: %v, %v after %d calls, want %d", addr, r.Traits().Names(), err, v.calls.Load(), calls)
		}
	}
	// stored waits until the server has so many keys.
	stored := func(n int) {
		t.Helper()
		proxytest.Eventually(t, "the answer is stored", func() bool { return strings.TrimSpace(cli(t, addr, "dbsize")) == strconv.Itoa(n) })
	}
	look(node(), "52.93.7.1", 1)
	stored(3) // two claims and the answer
	look(node(), "52.93.7.2", 1)

	// What another program put under our keys: of another type, and of 8 MiB.
	for _, key := range strings.Fields(cli(t, addr, "keys", "*")) {
		cli(t, addr, "del", key)
		if len(key)%2 == 0 {
			cli(t, addr, "setrange", key, "8388608", "x")
		} else {
			cli(t, addr, "lpush", key, "x")
		}
	}
	c := nodeFor(5 * time.Second) // it waits for who has claimed
	_, _ = c.Lookup(ctx, netip.MustParseAddr("52.93.7.3"))
	proxytest.Eventually(t, "it is done", func() bool { return c.Stats().Flights == 0 })
	if s := c.Stats(); s.StoreHits != 0 || s.StoreErrors != 0 {
		t.Errorf("of another's values: %+v", s)
	}
	cli(t, addr, "flushall")
	calls := v.calls.Load() + 1
	look(node(), "52.93.7.4", calls)
	stored(3) // two claims and the answer

	c = node() // which has the time for what each question to the server takes
	server.Signal(syscall.SIGSTOP)
	look(c, "52.93.8.1", calls+1)
	server.Signal(syscall.SIGCONT)
	server.Stop()
	for i := range 8 {
		look(c, fmt.Sprintf("52.93.%d.1", 10+i), calls+2+int64(i))
	}
	if !c.Stats().StoreAway {
		t.Error("a server that is gone is still asked")
	}
	start(t, addr)
	proxytest.Eventually(t, "the store is in use again", func() bool {
		_, err := c.Lookup(ctx, netip.AddrFrom4([4]byte{53, byte(v.calls.Load()), byte(v.calls.Load() >> 8), 1}))
		return err == nil && !c.Stats().StoreAway
	})
}

// What a question to the server costs, with 64 who ask at once.
func BenchmarkAnswers(b *testing.B) {
	addr := os.Getenv("IPWARDEN_BENCH_REDIS")
	if addr == "" {
		b.Skip("IPWARDEN_BENCH_REDIS names no server, such as 127.0.0.1:6379")
	}
	for name, own := range map[string]bool{"plain": false, "client-side caching": true} {
		b.Run(name, func(b *testing.B) {
			a, err := NewAnswers(AnswersConfig{Server: Config{Addresses: []string{addr}}, ClientCache: own})
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			keys := make([]source.Key, 5)
			for i := range keys {
				keys[i].Name[0] = byte(i)
			}
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			defer cancel()
			if err := a.Set(ctx, keys[2], make([]byte, 600), time.Minute); err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(32)
			var before, after syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			b.RunParallel(func(pb *testing.PB) {
				values := make([][]byte, len(keys))
				for pb.Next() {
					if err := a.Get(ctx, keys, values); err != nil || len(values[2]) != 600 {
						b.Error(err, len(values[2]))
						return
					}
				}
			})
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// A question that the shared store answers, through the cache and through the whole
// chain: nothing is in this process's memory, and 64 ask at once.
func BenchmarkSharedHit(b *testing.B) {
	addr := os.Getenv("IPWARDEN_BENCH_REDIS")
	if addr == "" {
		b.Skip("IPWARDEN_BENCH_REDIS names no server, such as 127.0.0.1:6379")
	}
	const networks = 20_000
	at := func(i int64) netip.Addr { return netip.AddrFrom4([4]byte{52, byte(i >> 8), byte(i), 1}) }
	v := &vendor{}
	node := func() (c *source.Cached, end func()) {
		a, err := NewAnswers(AnswersConfig{Server: Config{Addresses: []string{addr}}})
		if err != nil {
			b.Fatal(err)
		}
		c, err = source.NewCached(source.CachedConfig{Name: "vendor", Source: v, Store: a, StoreTimeout: 5 * time.Second, Memory: 64 << 20})
		if err != nil {
			b.Fatal(err)
		}
		return c, func() {
			c.Close()
			_ = a.Close()
		}
	}
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	ask := func(s ipwarden.Source) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := next.Add(1); i <= networks; i = next.Add(1) {
					if _, err := s.Lookup(ctx, at(i)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	first, end := node()
	defer end()
	ask(first)
	for first.Stats().Flights > 0 {
		time.Sleep(time.Millisecond)
	}
	calls := v.calls.Load()
	for _, chain := range []string{"cached", "layered"} {
		b.Run(chain, func(b *testing.B) {
			var cpu, n int64
			for b.Loop() {
				c, end := node()
				_, _ = c.Lookup(ctx, at(1)) // connects
				var s ipwarden.Source = c
				if chain == "layered" {
					l, err := source.NewLayered(source.LayeredConfig{
						Source: newOneAnswer(), Providers: []*source.Cached{c}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute,
					})
					if err != nil {
						b.Fatal(err)
					}
					s = l
				}
				var before, after syscall.Rusage
				_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
				ask(s)
				_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
				cpu += after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
				n += networks
				end()
			}
			b.ReportMetric(float64(cpu)/float64(n), "cpu-ns/look-up")
			b.ReportMetric(float64(v.calls.Load()-calls)/float64(n), "calls/look-up")
		})
	}
}

// oneAnswer is a dataset that says the same of every address.
type oneAnswer struct {
	ipwarden.Backing
	store *ipwarden.Store
}

func (*oneAnswer) Answers() int { return 1 }

func newOneAnswer() *oneAnswer {
	b, _ := ipwarden.NewRecord(netip.MustParseAddr("52.0.0.1"), ipwarden.Full{Location: ipwarden.Location{CountryCode: "SE"}, Network: netip.MustParsePrefix("52.0.0.0/8")}).Answer()
	d := &oneAnswer{Backing: b}
	d.store = ipwarden.NewStore(d, nil)
	return d
}

func (d *oneAnswer) Lookup(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	return ipwarden.MakeRecord(a, d.store, 0), nil
}
