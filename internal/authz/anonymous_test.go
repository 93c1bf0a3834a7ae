package authz

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// recorded keeps what is counted.
type recorded struct {
	*usage.Memory
	got     []string
	referer string
}

func (r *recorded) Expect(x *usage.Expected, _ *usage.Key, _ customer.Endpoint, _ customer.Class, client netip.Addr, referer string) {
	x.Client = client
	r.referer = referer
}

func (r *recorded) RecordExpected(k *usage.Key, e customer.Endpoint, c customer.Class, n uint32, x *usage.Expected) {
	r.got = append(r.got, fmt.Sprintf("%s %s %s %d %s %s", k.ID, e, c, n, x.Client, r.referer))
}

// Calls without a key are counted apart, and those that are refused for the lack of one
// not at all: a flood of them leaves nothing.
func TestAnonymousIsCounted(t *testing.T) {
	hasher, err := NewHasher(make([]byte, SecretLen))
	if err != nil {
		t.Fatal(err)
	}
	counts := &recorded{Memory: usage.NewMemory(nil)}
	a, err := New(Config{Hasher: hasher, Usage: counts})
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddr("192.0.2.7")
	ask := func(status, items int) {
		c := &Call{Client: client, Endpoint: customer.EndpointBulk, Referer: "https://shop.example:8443?a@b/c", Items: items, Now: time.Now()}
		if r := a.Check(c); r != nil {
			status = r.Code.Status()
		}
		a.Settle(c, status, items, false)
	}
	ask(200, 1)
	a.Apply(&Changes{Plans: []customer.Plan{{Name: AnonymousPlan, PerDay: 5}}})
	ask(200, 4)
	ask(404, 1)
	ask(200, 3)
	none := customer.AnonymousKey.String()
	want := []string{none + " bulk charged 4 192.0.2.7 shop.example:8443", none + " bulk failed 1 192.0.2.7 shop.example:8443", none + " bulk limited 1 192.0.2.7 shop.example:8443"}
	if !slices.Equal(counts.got, want) {
		t.Errorf("counted %q, want %q", counts.got, want)
	}
}
