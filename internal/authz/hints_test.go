package authz

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A text is found as its hash is, whatever the hints say: before it is known and after,
// while keys move, go, and change their accounts.
func TestHintsAgree(t *testing.T) {
	const n = 300
	a, texts := world(t, n)
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]customer.Key, n)
	here := make([]bool, n)
	for i, text := range texts {
		k, _, _ := a.table.find(words(a.hasher.Hash(text)), a.where)
		keys[i], here[i] = customer.Key{ID: k.ID, Account: k.Account, Hash: a.hasher.Hash(text)}, true
	}
	known := func(i int) bool {
		of := maphash.String(a.table.hints.Load().seed, texts[i])
		k, _ := a.table.guess(a.table.hints.Load().set(of).of(of), a.where)
		return k != nil && k.ID == keys[i].ID
	}
	found, learnt := 0, 0
	for range 20_000 {
		i := r.IntN(n)
		next := r.IntN(n)
		// It may be known ahead, or another, while that is not the same any more.
		var c Call
		switch r.IntN(3) {
		case 1:
			c.Key = texts[next]
		case 2:
			c.Key = texts[i]
		}
		a.Ahead(&c)
		switch r.IntN(20) {
		case 0: // it goes
			a.Apply(&Changes{GoneKeys: []customer.Hash{keys[i].Hash}})
			here[i] = false
		case 1: // it comes back, of another account
			keys[i].Account = keys[r.IntN(n)].Account
			a.Apply(&Changes{Keys: keys[i : i+1]})
			here[i] = true
		case 2: // a hint is nonsense
			set := a.table.hints.Load().set(r.Uint64())
			set[r.IntN(len(set))].Store(r.Uint64())
		}
		i = next
		k, account := a.lookUp(texts[i], &c.ahead)
		if (k != nil) != here[i] {
			t.Fatalf("a key that is there is not found, or one that is not is: %v", here[i])
		}
		if k == nil {
			continue
		}
		want, of, _ := a.table.find(words(keys[i].Hash), a.where)
		if k != want || account != of || k.Account != keys[i].Account {
			t.Fatal("a hint leads to another key or account than the hash")
		}
		found++
		if known(i) {
			learnt++
		}
	}
	if learnt < found/10*9 {
		t.Errorf("%d of %d keys were known by their hints after they were asked for", learnt, found)
	}
}

// Of two hints of one set with the same tag nothing is known, and nothing goes wrong.
func TestHintsAlike(t *testing.T) {
	a, texts := world(t, 1)
	h := a.table.hints.Load()
	of := maphash.String(h.seed, texts[0])
	set := h.set(of)
	set[0].Store(of>>(64-hintTag)<<(64-hintTag) | 1<<hintAccount - 1)
	set[3].Store(of>>(64-hintTag)<<(64-hintTag) | 1<<(64-hintTag) - 1)
	for range 3 {
		if k, account := a.lookUp(texts[0], &ahead{}); k == nil || account == nil {
			t.Fatal("a key is not found")
		}
	}
}

// Keys are known to all who ask at once, while there come to be more of them than there
// were hints for.
func TestHintsGrow(t *testing.T) {
	a, texts := world(t, 100)
	before := len(a.table.hints.Load().sets)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			var c Call
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				c.Reset()
				c.Key, c.Items, c.Now = texts[i%len(texts)], 1, time.Now()
				if i%2 == 0 {
					a.Ahead(&c)
				}
				if why := a.Check(&c); why != nil {
					t.Errorf("a key is refused: %v", why.Code)
					return
				}
			}
		})
	}
	for range 10 {
		c := &Changes{}
		for range 200 {
			c.Keys = append(c.Keys, customer.Key{ID: customer.NewKeyID(), Account: customer.NewAccountID(), Hash: a.hasher.Hash(customer.NewKeyText(customer.Secret, customer.Live))})
		}
		a.Apply(c)
	}
	close(stop)
	all.Wait()
	if n := len(a.table.hints.Load().sets); n <= before || n*len(hintSet{}) < a.Len() {
		t.Errorf("%d sets of hints for %d keys, %d before", n, a.Len(), before)
	}
}
