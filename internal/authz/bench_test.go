package authz

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// world makes an Authorizer of n keys, one an account, on a plan with a quota and a
// burst, and returns the keys' texts.
func world(tb testing.TB, n int) (*Authorizer, []string) {
	tb.Helper()
	hasher, err := NewHasher(make([]byte, SecretLen))
	if err != nil {
		tb.Fatal(err)
	}
	counts := Counts(usage.NewMemory(nil))
	if n > 1000 {
		// As in a server: what is counted is in files, and known where it is asked for.
		l, err := ledger.Open(ledger.Config{Dir: tb.TempDir(), Region: "one"})
		if err != nil {
			tb.Fatal(err)
		}
		m, err := usage.New(tb.Context(), usage.Config{Ledger: l, Region: "one", Stream: sink{}})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { m.Close() })
		counts = m
	}
	a, err := New(Config{Hasher: hasher, Usage: counts})
	if err != nil {
		tb.Fatal(err)
	}
	texts := make([]string, n)
	c := &Changes{Plans: []customer.Plan{{Name: "free", PerDay: 1 << 40, PerMonth: 1 << 50, PerSecond: 1 << 30, Bulk: 100}}}
	for i := range texts {
		texts[i] = customer.NewKeyText(customer.Secret, customer.Live)
		acc := customer.NewAccountID()
		c.Accounts = append(c.Accounts, customer.Account{ID: acc, Plan: "free"})
		c.Keys = append(c.Keys, customer.Key{ID: customer.NewKeyID(), Account: acc, Hash: hasher.Hash(texts[i])})
	}
	a.Apply(c)
	return a, texts
}

// sink is a stream that forgets.
type sink struct{}

func (sink) Append(context.Context, usage.Sealed) error { return nil }

func (sink) Read(ctx context.Context, _ uint64, _ func(usage.Item) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// threadTime is the CPU time of this thread: what a busy machine does not change much.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// BenchmarkCheck is at a million keys, hash, quota, burst and counting included.
func BenchmarkCheck(b *testing.B) {
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a, texts := world(b, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := float64(after.HeapAlloc-before.HeapAlloc)/n - 64 // the texts are the test's: 16 and, of 42, 48 bytes
	unknown := make([]string, 1<<16)
	for i := range unknown {
		unknown[i] = customer.NewKeyText(customer.Secret, customer.Live)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rnd, 1.1, 1, n-1)
	// The texts lie in the order of their use, as those that come from a socket are in
	// the cache.
	list := func(next func() string) []string {
		const calls = 1 << 20
		var all strings.Builder
		all.Grow(calls * customer.KeyLen)
		for range calls {
			all.WriteString(next())
		}
		out := make([]string, calls)
		for i := range out {
			out[i] = all.String()[i*customer.KeyLen : (i+1)*customer.KeyLen]
		}
		return out
	}
	b.ReportAllocs()
	for _, run := range []struct {
		name  string
		known bool
		texts []string
	}{
		{"uniform", true, list(func() string { return texts[rnd.IntN(n)] })},
		{"zipf", true, list(func() string { return texts[zipf.Uint64()] })},
		{"unknown", false, list(func() string { return unknown[rnd.IntN(len(unknown))] })},
	} {
		for _, settle := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/settled=%v", run.name, settle), func(b *testing.B) {
				b.ReportAllocs()
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				var c Call
				now := time.Now()
				const round = 1000
				var rounds []time.Duration
				began := threadTime()
				for i := range b.N {
					c.Reset()
					c.Key, c.Items, c.Now = run.texts[i&(len(run.texts)-1)], 1, now
					a.Ahead(&c)
					if r := a.Check(&c); (r == nil) != run.known {
						b.Fatal(r)
					}
					if settle {
						a.Settle(&c, 200, 1, false)
					}
					if i%round == round-1 {
						now := threadTime()
						rounds = append(rounds, now-began)
						began = now
					}
				}
				if len(rounds) > 0 {
					slices.Sort(rounds)
					b.ReportMetric(float64(rounds[0])/round, "least-cpu-ns/op")
					b.ReportMetric(float64(rounds[len(rounds)/2])/round, "median-cpu-ns/op")
				}
				b.ReportMetric(heap, "B/key")
			})
		}
	}
}

func BenchmarkHash(b *testing.B) {
	hasher, _ := NewHasher(make([]byte, SecretLen))
	text := customer.NewKeyText(customer.Secret, customer.Live)
	b.ReportAllocs()
	for range b.N {
		hasher.Hash(text)
	}
}

func BenchmarkParse(b *testing.B) {
	text := customer.NewKeyText(customer.Secret, customer.Live)
	for range b.N {
		customer.ParseKey(text)
	}
}
