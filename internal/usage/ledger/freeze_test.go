package ledger

import (
	"errors"
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

// A batch that has its name may be sent at once, and is never written anew with more in
// it: the stream takes a sequence number once.
func TestUnsynced(t *testing.T) {
	l := small(t, t.TempDir(), time.Now)
	defer l.Close()
	failing := errors.New("the disk fails")
	l.config.syncDir = func(string) error { return failing }
	k := l.Key(1, 2)
	got, taken := sums{}, map[uint64]bool{}
	send := func() {
		waiting, err := l.Waiting()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range waiting {
			data, err := l.Frozen(n)
			if err != nil {
				t.Fatal(err)
			}
			if !taken[n] {
				got.take(t, data)
			}
			taken[n] = true
		}
	}
	want := sums{}
	for range 3 {
		l.Count(k, customer.EndpointLookup, customer.Charged, 3)
		want.key(2, 1, customer.EndpointLookup, customer.Charged, 3)
		if err := l.Freeze(nil); !errors.Is(err, failing) {
			t.Errorf("%v, want what the disk said", err)
		}
		send()
	}
	l.config.syncDir = nil
	l.Count(k, customer.EndpointLookup, customer.Charged, 1)
	want.key(2, 1, customer.EndpointLookup, customer.Charged, 1)
	if err := l.Freeze(nil); err != nil {
		t.Fatal(err)
	}
	send()
	got.equal(t, want)
}
