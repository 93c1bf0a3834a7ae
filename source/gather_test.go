package source_test

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/source"
)

// askedStore counts questions, and does in each what before says.
type askedStore struct {
	ipwardentest.Store
	gets   atomic.Int64
	before func()
}

func (s *askedStore) Get(ctx context.Context, keys []source.Key, values [][]byte) error {
	s.gets.Add(1)
	s.before()
	return s.Store.Get(ctx, keys, values)
}

// Who looks into the store at once looks with one question: what another node has
// answers there costs few of them, and no call.
func TestLooksTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		store := &askedStore{before: func() {}}
		first := cached(t, source.CachedConfig{Source: v, Store: store})
		const networks = 120
		for i := range networks {
			if _, err := first.Lookup(ctx, addrOf(i<<8)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		calls := v.calls.Load()
		store.gets.Store(0)
		store.before = func() { time.Sleep(10 * time.Millisecond) }
		second := cached(t, source.CachedConfig{Source: v, Store: store})
		var wg sync.WaitGroup
		for i := range networks {
			wg.Go(func() {
				r, err := second.Lookup(ctx, addrOf(i<<8))
				if err != nil || !r.Traits().Has(ipwarden.VPN) || r.Network() != netip.PrefixFrom(addrOf(i<<8), 24) {
					t.Errorf("%v, %v, %v", r.Network(), r.Traits().Names(), err)
				}
			})
		}
		wg.Wait()
		if n := store.gets.Load(); n > 4 || v.calls.Load() != calls {
			t.Errorf("%d questions to the store, and %d calls", n, v.calls.Load()-calls)
		}
		first.Close()
		second.Close()
		synctest.Wait()
	})
}

// A store that does not even mind its context: nobody waits past the budget, the
// provider is asked, and no more goroutines are held up than may be.
func TestStoreStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flights = 16
		v, stuck := vpn(), make(chan struct{})
		var held, most atomic.Int64
		store := &askedStore{before: func() {
			n := held.Add(1)
			most.Store(max(most.Load(), n))
			<-stuck
			held.Add(-1)
		}}
		c := cached(t, source.CachedConfig{Source: v, Store: store, Flights: flights, Timeout: time.Second})
		l := layered(t, source.LayeredConfig{Providers: []*source.Cached{c}})
		away := false
		for i := range 300 {
			start := time.Now()
			r, _, err := l.Ask(ctx, addrOf(i<<8), ipwarden.IntelligenceSync, 200*time.Millisecond)
			if d := time.Since(start); err != nil || r.CountryCode() == "" || d > 200*time.Millisecond {
				t.Fatalf("request %d: %v after %v", i, err, d)
			}
			away = away || c.Stats().StoreAway
			time.Sleep(500 * time.Millisecond)
		}
		if n := v.calls.Load(); n < 100 || !away {
			t.Errorf("%d calls; the store is away: %v", n, away)
		}
		if n := most.Load(); n > flights+4 {
			t.Errorf("%d goroutines were held up", n)
		}
		// It comes back, and is used again.
		close(stuck)
		time.Sleep(10 * time.Second)
		for i := range 10 {
			if _, err := c.Lookup(ctx, addrOf((1000+i)<<8)); err != nil {
				t.Errorf("%v", err)
			}
			time.Sleep(time.Second)
		}
		if s := c.Stats(); s.StoreAway || held.Load() > 0 {
			t.Errorf("%d are held up, and the store is away: %v", held.Load(), s.StoreAway)
		}
		c.Close()
		synctest.Wait()
	})
}
