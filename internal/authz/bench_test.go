package authz

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// world makes an Authorizer of n keys, one an account, on a plan with a quota and a
// burst, and returns the keys' texts.
func world(tb testing.TB, n int) (*Authorizer, []string) {
	tb.Helper()
	hasher, err := NewHasher(make([]byte, SecretLen))
	if err != nil {
		tb.Fatal(err)
	}
	a, err := New(Config{Hasher: hasher, Usage: usage.NewMemory(nil)})
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

// BenchmarkCheck is at a million keys, hash, quota, burst and counting included.
func BenchmarkCheck(b *testing.B) {
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a, texts := world(b, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := float64(after.HeapAlloc-before.HeapAlloc)/n - float64(len(texts[0])+16) // the texts are the test's
	unknown := make([]string, 1<<16)
	for i := range unknown {
		unknown[i] = customer.NewKeyText(customer.Secret, customer.Live)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rnd, 1.1, 1, n-1)
	uniform, skewed := make([]string, 1<<20), make([]string, 1<<20)
	for i := range uniform {
		uniform[i], skewed[i] = texts[rnd.IntN(n)], texts[zipf.Uint64()]
	}
	for _, run := range []struct {
		name  string
		texts []string
	}{{"uniform", uniform}, {"zipf", skewed}, {"unknown", unknown}} {
		for _, settle := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/settled=%v", run.name, settle), func(b *testing.B) {
				b.ReportAllocs()
				b.ReportMetric(heap, "B/key")
				var c Call
				now := time.Now()
				for i := range b.N {
					c.Reset()
					c.Key, c.Items, c.Now = run.texts[i&(len(run.texts)-1)], 1, now
					r := a.Check(&c)
					if (r == nil) != (run.name != "unknown") {
						b.Fatal(r)
					}
					if settle {
						a.Settle(&c, 200, 1, false)
					}
				}
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
