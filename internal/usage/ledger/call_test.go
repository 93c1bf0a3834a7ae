package ledger

import (
	"maps"
	"net/netip"
	"strings"
	"testing"

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
	got := all((*Ledger).CountCall)
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
		t.Errorf("together %v, one by one %v", got, want)
	}
	if got["no room"] == 0 || want["no room"] == 0 {
		t.Errorf("no room for %d and %d calls, and there were more clients than places", got["no room"], want["no room"])
	}
}
