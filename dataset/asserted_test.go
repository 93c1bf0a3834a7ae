package dataset_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// The kind of an AS in the hot word is the one that the tables have.
func TestKindsOfAutonomousSystems(t *testing.T) {
	d := world(t)
	seen := map[string]int{}
	for _, a := range randomAddrs(1 << 16) {
		r, err := d.Lookup(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.ASKind(), r.ASN().Kind; got != want {
			t.Fatalf("%s: %q, and the table says %q", a, got, want)
		}
		seen[r.ASKind()]++
	}
	for _, k := range []string{"", "isp", "hosting", "education"} {
		if seen[k] == 0 {
			t.Errorf("none of %v is %q", seen, k)
		}
	}
}

// Whose word a trait is said to be is among those whom the evidence names, when
// the row knows it; and never staler than the evidence's freshest otherwise.
func TestAssertedIsNoStalerThanTheEvidence(t *testing.T) {
	d := world(t)
	asked := map[ipwarden.Traits]int{}
	for _, a := range randomAddrs(1 << 17) {
		r, err := d.Lookup(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		for bit := ipwarden.Traits(1); bit&ipwarden.AllTraits != 0; bit <<= 1 {
			if !r.Traits().Has(bit) {
				if feed, _ := r.Asserted(bit); feed != "" {
					t.Fatalf("%s: %s asserts %v, which it has not", a, feed, bit.Names())
				}
				continue
			}
			if asked[bit]++; asked[bit] > 20 {
				continue
			}
			_, asOf := r.Asserted(bit)
			if asOf.IsZero() {
				t.Errorf("%s: %v is of no date", a, bit.Names())
			}
			for _, e := range r.Evidence() {
				listed := bit&(ipwarden.Threat|ipwarden.Proxy) != 0 // their dates are in the listings
				if e.Field != ipwarden.FieldOf(bit) || listed || named(r, bit) {
					continue
				}
				for _, c := range e.By {
					if c.Date.After(asOf.Add(24 * time.Hour)) {
						t.Errorf("%s: %v is of %v, and %s says so of %v", a, bit.Names(), asOf, c.Feed, c.Date)
					}
				}
			}
		}
	}
	if len(asked) < 4 {
		t.Errorf("asked about %v only", asked)
	}
}

// named reports whether the row tells the feed of a trait: then it is the
// deciding feed's date, not the freshest.
func named(r ipwarden.Record, t ipwarden.Traits) bool {
	s := r.Security()
	switch t {
	case ipwarden.VPN:
		return s.VPN != ""
	case ipwarden.Crawler:
		return s.Crawler.Name != ""
	case ipwarden.Hosting:
		return s.Hosting.Name != ""
	case ipwarden.Bogon:
		return s.Bogon.Name != ""
	}
	return false
}

func TestAssertedNamesTheDecidingFeed(t *testing.T) {
	d := exampleDataset()
	for addr, c := range map[string]struct {
		trait ipwarden.Traits
		feed  string
	}{
		"198.51.100.1": {ipwarden.VPN, "exits"},
		"10.0.0.1":     {ipwarden.Bogon, "private"},
		"198.51.100.9": {ipwarden.VPN, ""},
	} {
		r, err := d.Lookup(t.Context(), netip.MustParseAddr(addr))
		if err != nil {
			t.Fatal(err)
		}
		if feed, _ := r.Asserted(c.trait); feed != c.feed {
			t.Errorf("%s: %q, want %q", addr, feed, c.feed)
		}
		if n := testing.AllocsPerRun(100, func() { r.Asserted(c.trait) }); n != 0 {
			t.Errorf("%s: %v allocations", addr, n)
		}
	}
}
