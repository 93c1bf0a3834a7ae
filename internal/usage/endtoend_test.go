package usage_test

import (
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/wan"
)

// BenchmarkEndToEnd counts a million calls a second of zipf keys: ledger, batches on the
// disk, stream, sums. What is told is the CPU of the whole process for a call, until all
// of them are in the sums.
func BenchmarkEndToEnd(b *testing.B) {
	const keys, rate = 100_000, 1_000_000
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(b.TempDir(), "ledger"), Region: "a", Keys: 1 << 18})
	if err != nil {
		b.Fatal(err)
	}
	log := &wan.Log{}
	m, err := usage.New(b.Context(), usage.Config{Ledger: l, Region: "a", Stream: log.From(0)})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.1, 1, keys-1)
	all := make([]*usage.Key, keys)
	for i := range all {
		all[i] = m.Key(customer.NewKeyID(), customer.NewAccountID())
	}
	order := make([]uint32, 1<<20)
	for i := range order {
		order[i] = uint32(zipf.Uint64())
	}
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	before, began := cpu(), time.Now()
	for done := 0; done < b.N; <-tick.C {
		for due := min(b.N, int(time.Since(began).Seconds()*rate)); done < due; done++ {
			i := order[done&(len(order)-1)]
			client := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			m.Record(all[i], customer.EndpointLookup, customer.Charged, 1, client, "shop.example")
		}
	}
	for m.Stats().Events < uint64(b.N) {
		<-tick.C
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/call")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "calls/s")
}
