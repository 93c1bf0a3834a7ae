package authz

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// A call that was answered is counted by client and by page too, each by those that it
// came with: of many that are under way at once, of one that is settled in parts, and
// without a key. What was refused, or failed, is counted by key alone.
func TestCountedOfWhom(t *testing.T) {
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir(), Region: "one"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := usage.New(t.Context(), usage.Config{Ledger: l, Region: "one", Stream: sink{}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	hasher, err := NewHasher(make([]byte, SecretLen))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Hasher: hasher, Usage: m})
	if err != nil {
		t.Fatal(err)
	}
	text := customer.NewKeyText(customer.Secret, customer.Live)
	a.Apply(&Changes{
		Plans:    []customer.Plan{{Name: "free", PerDay: 100}, {Name: AnonymousPlan, PerDay: 100}},
		Accounts: []customer.Account{{ID: 1, Plan: "free"}},
		Keys:     []customer.Key{{ID: 1, Account: 1, Hash: hasher.Hash(text)}},
	})
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	call := func(i int, key, referer string) *Call {
		c := &Call{Key: key, Client: client(i), Referer: referer, Items: 1, Now: time.Now()}
		a.Ahead(c)
		return c
	}
	// Several are under way, each with its own.
	calls := []*Call{
		call(1, text, "https://a.example/x"), call(2, text, "https://b.example"), call(3, "", "https://a.example?q"),
		call(4, text, ""), call(5, text, "https://failed.example"), call(6, "no key", "https://refused.example"),
	}
	for i, c := range calls {
		if r := a.Check(c); (r == nil) != (i != 5) {
			t.Fatalf("call %d: %v", i, r)
		}
	}
	for i, status := range []int{200, 304, 200, 200, 404, 401} {
		a.Settle(calls[i], status, 1, false)
	}
	// One call again for another, as a connection does, and in parts.
	c := calls[0]
	c.Reset()
	c.Key, c.Client, c.Referer, c.Items, c.Now = text, client(7), "https://stream.example", 1, time.Now()
	if r := a.Check(c); r != nil {
		t.Fatal(r)
	}
	a.Settle(c, 200, 1, true)
	if n, _ := a.Some(c, 4); n != 4 {
		t.Fatalf("%d of 4", n)
	}
	a.Settle(c, 200, 4, true)
	a.Settle(c, 200, 0, false)
	got := map[string]uint64{}
	l.Clients(func(p netip.Prefix, n uint64) bool { got[p.Addr().String()] += n; return true })
	l.Referers(func(host string, n uint64) bool { got[host] += n; return true })
	want := map[string]uint64{
		"192.0.2.1": 1, "192.0.2.2": 1, "192.0.2.3": 1, "192.0.2.4": 1, "192.0.2.7": 5,
		"a.example": 2, "b.example": 1, "stream.example": 5,
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
