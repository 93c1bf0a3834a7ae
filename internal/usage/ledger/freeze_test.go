package ledger

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A process that dies after it began to read what changed, and before that is in a
// batch, has taken no marks away: the next one freezes all of it.
func TestDiesWhileFreezing(t *testing.T) {
	dir := t.TempDir()
	l := small(t, dir, time.Now)
	l.Count(l.Key(1, 2), customer.EndpointLookup, customer.Charged, 3)
	l.CountClient(netip.MustParseAddr("192.0.2.1"), 3)
	l.CountReferer("a.example", 3)
	begun := 0
	for _, d := range []dirt{l.keys[0].Load().classes[customer.Charged].dirty, l.clients.Load().dirty, l.referers.Load().dirty} {
		for i := range d {
			if _, ok := d.begin(i); ok {
				begun++
			}
		}
	}
	if begun != 3 {
		t.Fatalf("%d blocks changed, want 3", begun)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = small(t, dir, time.Now)
	defer l.Close()
	got := sums{}
	if err := l.Freeze(func(n uint64) {
		data, err := l.Frozen(n)
		if err != nil {
			t.Fatal(err)
		}
		got.take(t, data)
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Errorf("%v was frozen, want what the key, the client and the referer have", got)
	}
	// And nothing of it again.
	if err := l.Freeze(func(uint64) { t.Error("a batch of nothing") }); err != nil {
		t.Fatal(err)
	}
}
