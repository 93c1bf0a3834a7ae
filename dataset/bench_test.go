package dataset_test

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/risk"
)

// world opens the embedded dataset. (Package embedded is for the program alone.)
func world(t testing.TB) *dataset.Dataset {
	t.Helper()
	b, err := os.ReadFile("../embedded/dataset.ipw")
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.OpenData(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func randomAddrs(n int) []netip.Addr {
	rng := rand.New(rand.NewPCG(1, 1))
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		u := rng.Uint32()
		addrs[i] = netip.AddrFrom4([4]byte{byte(1 + u>>24%223), byte(u >> 16), byte(u >> 8), byte(u)})
	}
	return addrs
}

// BenchmarkJSON writes answers about random addresses: the small body of the
// HTTP benchmarks, and the default one.
func BenchmarkJSON(b *testing.B) {
	d := world(b)
	addrs := randomAddrs(1 << 16)
	recs := make([]ipwarden.Record, len(addrs))
	d.LookupBatch(recs, addrs)
	small, err := ipwarden.ParseFields("ip,location.country_code,location.country,asn.number,asn.name")
	if err != nil {
		b.Fatal(err)
	}
	for name, fields := range map[string]ipwarden.Fields{"small": small, "full": ipwarden.DefaultFields()} {
		for _, kept := range []*ipwarden.Kept{nil, new(ipwarden.Kept)} {
			b.Run(name+map[bool]string{true: "/kept"}[kept != nil], func(b *testing.B) {
				v := ipwarden.View{Fields: fields, Now: time.Unix(1.79e9, 0), Scores: risk.Scores, Kept: kept}
				buf := make([]byte, 0, 4096)
				b.ReportAllocs()
				n := 0
				for i := range b.N {
					buf = v.AppendJSON(buf[:0], recs[i%len(recs)])
					n += len(buf)
				}
				b.ReportMetric(float64(n)/float64(b.N), "bytes/op")
			})
		}
	}
}

// BenchmarkAssess weighs an ordinary home connection, and random addresses.
func BenchmarkAssess(b *testing.B) {
	d := world(b)
	addrs := randomAddrs(1 << 16)
	recs := make([]ipwarden.Record, len(addrs))
	d.LookupBatch(recs, addrs)
	home := []ipwarden.Record{}
	for _, r := range recs {
		if r.Traits() == 0 && r.ASKind() == "isp" {
			home = append(home, r)
		}
	}
	m, now := risk.DefaultModel(), time.Unix(1.79e9, 0)
	for _, c := range []struct {
		name string
		recs []ipwarden.Record
	}{{"one", home[:1]}, {"homes", home}, {"random", recs}} {
		b.Run(c.name, func(b *testing.B) {
			var a risk.Assessment
			b.ReportAllocs()
			for i := range b.N {
				m.Assess(c.recs[i%len(c.recs)], risk.Situation{}, now, &a)
			}
		})
	}
}
