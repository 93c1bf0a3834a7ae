package authz

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// worst is the hash number n of a kind of worst case: few shards, few groups, few tags.
func worst(n uint64) (h customer.Hash) {
	binary.LittleEndian.PutUint64(h[:8], n%3<<62|n/3%5)
	binary.LittleEndian.PutUint64(h[8:], n/15%7<<61|n/105)
	return h
}

// TestTableIsAMap: after any changes the table has what a map has, and no more.
func TestTableIsAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, hash := range []func(uint64) customer.Hash{worst, func(n uint64) (h customer.Hash) {
		r := rand.New(rand.NewPCG(n, 9))
		binary.LittleEndian.PutUint64(h[:8], r.Uint64())
		binary.LittleEndian.PutUint64(h[8:], r.Uint64())
		return h
	}} {
		var tab table
		dir := someDirectory()
		oracle := map[customer.Hash]customer.KeyID{}
		for round := range 60 {
			var put []slot
			var gone []customer.Hash
			for range rnd.IntN(60) {
				h, id := hash(rnd.Uint64N(600)), customer.NewKeyID()
				put = append(put, slot{hash: words(h), Key: usage.NewKey(id, 0)})
			}
			for range rnd.IntN(20) {
				gone = append(gone, hash(rnd.Uint64N(600)))
			}
			tab.replace(put, gone)
			for _, h := range gone {
				delete(oracle, h)
			}
			for _, k := range put { // the last of equals, and put goes before gone
				oracle[hashOf(k.hash)] = k.ID
			}
			for n := range uint64(700) {
				h := hash(n)
				k, _, _ := tab.find(words(h), dir)
				want := oracle[h]
				if (k == nil) != (want == 0) || k != nil && k.ID != want {
					t.Fatalf("round %d: number %d is %v, want %v", round, n, k, want)
				}
			}
			if got := tab.n.Load(); got != int64(len(oracle)) {
				t.Fatalf("round %d: %d keys, want %d", round, got, len(oracle))
			}
		}
	}
}

// someDirectory has one account, of number 0.
func someDirectory() *usage.Directory {
	m := usage.NewMemory(nil)
	m.Standing(usage.Subject{Account: 1})
	return m.Directory()
}

// TestTableUnderChange: who reads while shards are replaced sees each key in its old
// state or its new one, and none that stays is ever missing.
func TestTableUnderChange(t *testing.T) {
	var tab table
	dir := someDirectory()
	const stay, rounds = 500, 300
	at := func(n, version uint64) slot {
		return slot{hash: words(worst(n)), Key: usage.NewKey(customer.KeyID(n<<32|version), 0)}
	}
	var first []slot
	for n := range uint64(stay) {
		first = append(first, at(n, 1))
	}
	tab.replace(first, nil)
	var ended atomic.Bool
	var readers sync.WaitGroup
	for seed := range uint64(2) {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1))
			var seen [stay]uint64
			for !ended.Load() {
				n := rnd.Uint64N(stay)
				k, _, _ := tab.find(words(worst(n)), dir)
				if k == nil || uint64(k.ID)>>32 != n {
					t.Errorf("number %d is %v", n, k)
					return
				}
				if v := uint64(uint32(k.ID)); v < seen[n] {
					t.Errorf("number %d went back from version %d to %d", n, seen[n], v)
					return
				} else {
					seen[n] = v
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for v := uint64(2); v < rounds; v++ {
		var put []slot
		for range 20 {
			put = append(put, at(rnd.Uint64N(stay), v))
		}
		extra := stay + rnd.Uint64N(stay)
		tab.replace(append(put, at(extra, v)), []customer.Hash{worst(stay + rnd.Uint64N(stay))})
	}
	ended.Store(true)
	readers.Wait()
}
