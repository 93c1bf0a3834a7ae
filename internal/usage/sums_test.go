package usage

import (
	"math/rand/v2"
	"testing"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Sums are what a map would have, however often they grow, are cleared and are joined.
func TestSumsAreAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s, others := &sums{}, &sums{}
	want := map[row]int64{}
	check := func() {
		t.Helper()
		if len(s.rows) != len(want) {
			t.Fatalf("%d rows, want %d", len(s.rows), len(want))
		}
		for _, x := range s.rows {
			if want[x.row] != x.n {
				t.Fatalf("%+v: %d, want %d", x.row, x.n, want[x.row])
			}
		}
	}
	for range 5 {
		s.clear()
		clear(want)
		check()
		for range 20_000 {
			x := row{
				customer.AccountID(r.IntN(50)), customer.KeyID(r.IntN(200)), customer.Hour(r.IntN(3)),
				customer.Endpoint(r.IntN(2)), customer.Class(r.IntN(3)), uint8(r.IntN(2)),
			}
			n := r.Int64N(100)
			want[x] += n
			if r.IntN(2) == 0 {
				others.add(&x, x.hash(), n)
			} else {
				s.add(&x, x.hash(), n)
			}
		}
		s.addAll(others)
		others.clear()
		check()
	}
}

// Accounts are found, and only those, also where hashes are alike but for few bits.
func TestAccountsAreFound(t *testing.T) {
	var a accounts
	const n = 20_000
	of := func(i int) Subject { return Subject{customer.AccountID(i / 3), customer.KeyID(i % 3)} }
	for i := range n {
		if s := of(i); a.find(s) != nil {
			t.Fatalf("%v is known before it is made", s)
		} else if acc := a.make(s); acc.Number() != uint32(i) {
			t.Fatalf("%v has number %d", s, acc.Number())
		}
	}
	for i := range 2 * n {
		if acc := a.find(of(i)); (acc != nil) != (i < n) || acc != nil && acc.subject != of(i) {
			t.Fatalf("%v: %v", of(i), acc)
		}
	}
	if want := uint32(n / 3 * 2); a.keys != want && a.keys != want+1 {
		t.Errorf("%d subjects are keys, want %d", a.keys, want)
	}
	// An entry that differs in a bit of the hash alone is passed over.
	h := of(7).hash()
	i, number, found := a.places.seek(h, a.places.home(h))
	for found && a.at(number).subject != of(7) {
		i, number, found = a.places.seek(h, i+1)
	}
	if !found {
		t.Fatal("7 is not there")
	}
	if _, got, found := a.places.seek(h^1<<63, i); found && got == number {
		t.Error("another hash is taken for it")
	}
}
