package mmdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// BenchmarkWriteWorld writes a file of the size of the world: 1.2 million
// networks of two families, 115,000 distinct records.
func BenchmarkWriteWorld(b *testing.B) {
	const networks, records = 1_200_000, 115_000
	for b.Loop() {
		rng := rand.New(rand.NewPCG(1, 2))
		w, err := NewWriter(Options{BuildTime: someDay})
		if err != nil {
			b.Fatal(err)
		}
		refs := make([]DataRef, records)
		for i := range refs {
			cc := fmt.Sprintf("%c%c", 'A'+i%26, 'A'+i/26%10)
			traits := Map{"autonomous_system_number": uint32(i), "autonomous_system_organization": fmt.Sprint("Organization ", i/3)}
			refs[i], err = w.Put(Map{
				"country": Map{"iso_code": cc, "names": Map{"en": "Country " + cc}}, "continent": Map{"code": cc[:1]},
				"autonomous_system_number": uint32(i), "autonomous_system_organization": fmt.Sprint("Organization ", i/3), "traits": traits,
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		const v4 = networks / 2
		for i := range uint32(v4) {
			// 2^32 / 600,000 is 7,158: a /20 at each step, with holes.
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], i*7158&^0xfff)
			p := netip.PrefixFrom(netip.AddrFrom4(a), 20+int(rng.Uint32()%5)).Masked()
			if err := w.InsertRef(p, refs[rng.IntN(records)]); err != nil {
				b.Fatal(err)
			}
		}
		for i := range uint64(networks - v4) {
			var a [16]byte
			binary.BigEndian.PutUint64(a[:], 0x2001_0000_0000_0000+i<<24)
			if err := w.InsertRef(netip.PrefixFrom(netip.AddrFrom16(a), 40+int(rng.Uint32()%9)), refs[rng.IntN(records)]); err != nil {
				b.Fatal(err)
			}
		}
		n, err := w.WriteTo(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/(1<<20), "MiB/file")
	}
}
