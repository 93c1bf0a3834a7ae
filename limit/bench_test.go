package limit

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func BenchmarkTake(b *testing.B) {
	m, _ := NewMemory(MemoryConfig{})
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, 1<<20)
	h := NewHasher([16]byte{1})
	keys := make([]Key, 1<<20)
	for i := range keys {
		n := z.Uint64()
		keys[i] = h.SumPrefix(1, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 32))
	}
	rate := &Rate{Name: "r", Limit: 100, Window: time.Minute}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		reqs := []Request{{Rate: rate, Cost: 1}}
		var res [1]Result
		i := rand.IntN(len(keys))
		for pb.Next() {
			i = (i + 1) & (len(keys) - 1)
			reqs[0].Key = keys[i]
			if err := m.Take(b.Context(), reqs, res[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTakeThree(b *testing.B) {
	m, _ := NewMemory(MemoryConfig{})
	rate := &Rate{Name: "r", Limit: 100, Window: time.Minute}
	b.ReportAllocs()
	reqs := []Request{{Rate: rate, Cost: 1}, {Rate: rate, Cost: 1, Raise: 4}, {Rate: rate, Cost: 1, Raise: 16}}
	var res [3]Result
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		n := r.Uint64N(1000)
		reqs[0].Key = Key{n * 0x9e3779b97f4a7c15, n}
		reqs[1].Key = Key{n * 0xae3779b97f4a7c15, n}
		reqs[2].Key = Key{n * 0xbe3779b97f4a7c15, n}
		if err := m.Take(b.Context(), reqs, res[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSumPrefix(b *testing.B) {
	h := NewHasher([16]byte{1})
	p := netip.MustParsePrefix("203.0.113.66/32")
	p6 := netip.MustParsePrefix("2001:db8:1:2::/64")
	b.Run("v4", func(b *testing.B) {
		for b.Loop() {
			h.SumPrefix(1, p)
		}
	})
	b.Run("v6", func(b *testing.B) {
		for b.Loop() {
			h.SumPrefix(1, p6)
		}
	})
}

func BenchmarkTakeOneKey(b *testing.B) {
	m, _ := NewMemory(MemoryConfig{})
	reqs := []Request{{Rate: &Rate{Name: "r", Limit: 4e9, Window: time.Minute}, Cost: 1, Key: Key{1 << 60, 7}}}
	var res [1]Result
	b.Run("given", func(b *testing.B) {
		now := time.Now()
		for b.Loop() {
			if err := m.TakeAt(now, reqs, res[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if err := m.Take(b.Context(), reqs, res[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
