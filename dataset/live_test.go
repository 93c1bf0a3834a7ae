package dataset_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
)

// Two datasets that disagree about everything are swapped under load: every
// answer is wholly the one's or wholly the other's, while the mappings of those
// that nobody holds any more are given back.
func TestSwapUnderLoad(t *testing.T) {
	dir := t.TempDir()
	files := make([]string, 2)
	for i, cc := range []string{"SE", "JP"} {
		files[i] = filepath.Join(dir, cc)
		b := compile(t, given{"x", day("2026-01-01"), feed.Asserts{Fields: []string{"location.country_code", "asn"}, Trust: 1}, []feed.Fact{
			at("20.0.0.0/8", feed.Fact{Country: cc, Origin: uint32(i + 1), ASName: cc}),
		}})
		if err := os.WriteFile(files[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func(i int) *dataset.Dataset {
		d, err := dataset.Open(files[i%2])
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	live := dataset.NewLive(load(0))
	var stop atomic.Bool
	var wg sync.WaitGroup
	var answers [2]atomic.Int64
	addr := netip.MustParseAddr("20.1.2.3")
	for range 4 {
		wg.Go(func() {
			addrs := []netip.Addr{addr, addr.Next(), addr.Next().Next()}
			recs := make([]ipwarden.Record, len(addrs))
			for !stop.Load() {
				live.LookupBatch(recs, addrs)
				for i, r := range recs {
					want := uint32(1)
					if r.CountryCode() == "JP" {
						want = 2
					}
					if r.ASNumber() != want || r.ASN().Name != r.CountryCode() || r.CountryCode() != recs[0].CountryCode() || r.Addr() != addrs[i] {
						t.Errorf("a mixed answer: %+v", r.Full())
						return
					}
					answers[want-1].Add(1)
				}
				if r, err := live.Lookup(ctx, addr); err != nil || r.CountryCode() == "" {
					t.Errorf("a failed answer: %v %v", r, err)
					return
				}
			}
		})
	}
	for i := range 200 {
		live.Swap(load(i + 1))
		if i%20 == 0 {
			runtime.GC()
		}
	}
	stop.Store(true)
	wg.Wait()
	if answers[0].Load() == 0 || answers[1].Load() == 0 {
		t.Errorf("answers %d and %d: the test did not see both", answers[0].Load(), answers[1].Load())
	}
}

// What an answer returned stays readable after its dataset is gone.
func TestStringsOutliveTheDataset(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, compile(t, tiny()...), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	r := lookup(t, d, "20.0.0.1")
	city, name := r.Location().City, r.ASN().Name
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if city != "Umeå" || name != "Seven" {
		t.Errorf("%q %q", city, name)
	}
}

func TestDiff(t *testing.T) {
	geo := feed.Asserts{Fields: []string{"location.country_code"}, Trust: 1}
	a := open(t, given{"x", day("2026-01-01"), geo, []feed.Fact{at("20.0.0.0/16", feed.Fact{Country: "SE"})}})
	b := open(t, given{"x", day("2026-01-02"), geo, []feed.Fact{
		at("20.0.0.0/16", feed.Fact{Country: "SE"}), at("20.0.1.0/24", feed.Fact{Country: "DE"}),
	}}, given{"v", day("2026-01-02"), feed.Asserts{Traits: []string{"vpn"}}, []feed.Fact{at("20.0.0.0/25", feed.Fact{}), at("2a00::/32", feed.Fact{})}})
	d := dataset.Diff(a, b)
	if m := d.IPv4.Changed["country"]; m.Addresses != 256 {
		t.Errorf("country: %+v", m)
	}
	if c := d.IPv4.Country["SE"]; c != (dataset.CountryDiff{Before: 65536, After: 65280, Lost: 256}) {
		t.Errorf("SE: %+v", c)
	}
	if c := d.IPv4.Country["DE"]; c != (dataset.CountryDiff{After: 256, Gained: 256}) {
		t.Errorf("DE: %+v", c)
	}
	if c := d.IPv4.Traits["vpn"]; c != (dataset.TraitDiff{After: 128, Gained: 128}) {
		t.Errorf("vpn: %+v", c)
	}
	if c := d.IPv6.Traits["vpn"]; c != (dataset.TraitDiff{After: 65536, Gained: 65536}) {
		t.Errorf("vpn, IPv6: %+v", c)
	}
	if len(d.IPv4.Samples) != 2 || d.IPv4.Samples[0].Network != "20.0.1.0/24" || d.IPv4.Samples[0].Before != "SE" || d.IPv4.Samples[0].After != "DE" {
		t.Errorf("samples: %+v", d.IPv4.Samples)
	}
	if d := dataset.Diff(a, a); len(d.IPv4.Changed)+len(d.IPv6.Changed)+len(d.IPv4.Samples) != 0 {
		t.Errorf("a dataset differs from itself: %+v", d)
	}
}
