package usage_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// While nothing can be written where batches are put, that is said, and calls go on to
// be counted; afterwards each of them is in the sums once.
func TestDiskFull(t *testing.T) {
	w := newWorld(t, 1, 0)
	m := w.meters[0]
	count := func(calls int) {
		for range calls {
			m.Record(m.Key(8, 1), customer.EndpointLookup, customer.Charged, 1, netip.MustParseAddr("192.0.2.1"), "a.example")
		}
	}
	total := func(n int64) {
		t.Helper()
		until(t, func() bool { return w.total(0, usage.Query{Charged: true}) == n }, func() string {
			return fmt.Sprintf("%d calls, want %d; %+v", w.total(0, usage.Query{Charged: true}), n, m.Stats())
		})
	}
	count(100)
	total(100)
	spool := filepath.Join(w.dir, w.names[0], "spool")
	if err := os.Rename(spool, spool+".away"); err != nil {
		t.Fatal(err)
	}
	count(1000)
	until(t, func() bool { return m.Stats().FreezeErr != nil }, func() string { return "that nothing can be written is not said" })
	count(1000)
	if err := os.Rename(spool+".away", spool); err != nil {
		t.Fatal(err)
	}
	total(2100)
	until(t, func() bool { return m.Stats().FreezeErr == nil }, func() string { return "it can be written again, and that is not said" })
}
