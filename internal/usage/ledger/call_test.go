package ledger

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A call with all three counts as the three would by themselves, also where there is no
// client, no page, no such class or no room.
func TestCountCall(t *testing.T) {
	all := func(call func(l *Ledger, k *Key, e customer.Endpoint, c customer.Class, n uint64, a netip.Addr, host string)) map[string]uint64 {
		l, err := Open(Config{Dir: t.TempDir(), Keys: 64, Clients: 64, Referers: 64, noSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		keys := []*Key{l.Key(7, 1), l.Key(8, 1)}
		for i := range 400 {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 100)}) // more than there is room for
			host := strings.Repeat("w", i%80) + ".example"
			switch i % 10 {
			case 3:
				a = netip.Addr{}
			case 4:
				host = ""
			}
			call(l, keys[i%2], customer.Endpoint(i/2%int(customer.NumEndpoints+1)), customer.Class(i/3%int(customer.NumClasses+1)), uint64(i), a, host)
		}
		got := map[string]uint64{"no room": l.Stats().NoRoom}
		l.Clients(func(p netip.Prefix, n uint64) bool { got["client "+p.String()] += n; return true })
		l.Referers(func(host string, n uint64) bool { got["referer "+host] += n; return true })
		for _, table := range l.tables {
			for i, k := range table.who[:table.used()] {
				for c := range table.classes {
					got["key "+string(rune('0'+k.id))+string(rune('0'+k.endpoint))+string(rune('0'+c))] += table.classes[c].counts[i]
				}
			}
		}
		return got
	}
	want := all(func(l *Ledger, k *Key, e customer.Endpoint, c customer.Class, n uint64, a netip.Addr, host string) {
		l.Count(k, e, c, n)
		l.CountClient(a, n)
		l.CountReferer(host, n)
	})
	expected := func(l *Ledger, k *Key, e customer.Endpoint, c customer.Class, n uint64, a netip.Addr, host string) {
		var x Expected
		l.Expect(&x, k, e, c, a, host)
		l.CountExpected(k, e, c, n-n/2, &x)
		l.CountExpected(k, e, c, n/2, &x) // as a stream does
	}
	for name, f := range map[string]func(*Ledger, *Key, customer.Endpoint, customer.Class, uint64, netip.Addr, string){"together": (*Ledger).CountCall, "expected": expected} {
		testSums(t, name, all(f), want)
	}
}

func testSums(t *testing.T, name string, got, want map[string]uint64) {
	t.Helper()
	// Which of them have no room is chance: the tables of two ledgers are laid out by
	// their own numbers. Their sums are not.
	sums := func(m map[string]uint64) map[string]uint64 {
		out := map[string]uint64{}
		for name, n := range m {
			if kind, _, _ := strings.Cut(name, " "); kind != "key" && kind != "no" {
				name = kind
			}
			if name != "no room" {
				out[name] += n
			}
		}
		return out
	}
	if got, want := sums(got), sums(want); !maps.Equal(got, want) || len(want) < 6 {
		t.Errorf("%s %v, one by one %v", name, got, want)
	}
	if got["no room"] == 0 || want["no room"] == 0 {
		t.Errorf("no room for %d and %d calls, and there were more clients than places", got["no room"], want["no room"])
	}
}

// What is expected may be counted wherever its place is by then: on the next day, in a
// table of another size, behind others that came between, and many at once.
func TestCountExpectedLater(t *testing.T) {
	now := time.Date(2026, 11, 21, 23, 59, 0, 0, time.UTC)
	l, err := Open(Config{Dir: t.TempDir(), Keys: 64, Clients: 1 << 10, Referers: 1 << 10, Now: func() time.Time { return now }, noSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const calls = 300 // few enough that all have a place
	k := l.Key(7, 1)
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}) }
	host := func(i int) string { return fmt.Sprintf("shop-%d.example", i) }
	expected := make([]Expected, calls)
	expect := func() {
		for i := range expected {
			l.Expect(&expected[i], k, customer.EndpointLookup, customer.Charged, client(i), host(i))
		}
	}
	count := func() {
		var all sync.WaitGroup
		for w := range 4 {
			all.Go(func() {
				for i := w; i < calls; i += 4 {
					for range 2 {
						l.CountExpected(k, customer.EndpointLookup, customer.Charged, 1, &expected[i])
					}
				}
			})
		}
		all.Wait()
	}
	check := func(each uint64) {
		t.Helper()
		got := map[string]uint64{}
		l.Clients(func(p netip.Prefix, n uint64) bool { got[p.Addr().String()] += n; return true })
		l.Referers(func(host string, n uint64) bool { got[host] += n; return true })
		for i := range calls {
			if a, h := got[client(i).String()], got[host(i)]; a != each || h != each {
				t.Fatalf("client %d has %d, and its page %d, want %d", i, a, h, each)
			}
		}
	}
	expect() // none of them has a place yet
	count()
	check(2)
	expect()
	count()
	check(4)
	now = now.Add(2 * time.Minute)
	if err := l.Freeze(nil); err != nil {
		t.Fatal(err)
	}
	if l.clients.Load().day() != dayOf(now) {
		t.Fatal("there is no table of the new day")
	}
	for i := range expected { // places that are there no more
		if i%3 == 0 {
			expected[i].atClient, expected[i].atReferer = 1<<31, 1<<31
		}
	}
	count()
	check(2)
	// What is expected and never counted is nothing.
	expect()
	check(2)
}
