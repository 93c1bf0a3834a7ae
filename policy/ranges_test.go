package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// randomPrefix is short or long, IPv4 or IPv6, and often inside or beside
// another.
func randomPrefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		bits := r.IntN(33)
		p, _ := netip.AddrFrom4([4]byte{byte(r.IntN(2)) * 255, byte(r.IntN(3)) * 127, byte(r.IntN(4)) * 85, byte(r.IntN(256))}).Prefix(bits)
		return p
	}
	var b [16]byte
	for i := range b {
		b[i] = byte(r.IntN(2)) * 255
	}
	p, _ := netip.AddrFrom16(b).Prefix(r.IntN(129))
	return p
}

// TestLongestPrefix compares the flattened ranges with a walk over all prefixes.
func TestLongestPrefix(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all []netip.Prefix
		for range r.IntN(40) {
			if p := randomPrefix(r); !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
		set := newPrefixes(all)
		longest := func(a netip.Addr, shorter int) int32 {
			best := int32(-1)
			for i, p := range all {
				if p.Contains(a) && p.Bits() < shorter && (best < 0 || p.Bits() > all[best].Bits()) {
					best = int32(i)
				}
			}
			return best
		}
		for i, p := range all {
			if got, want := set.parent[i], longest(p.Addr(), p.Bits()); got != want {
				t.Fatalf("seed %d: round %v is %d, want %d", seed, p, got, want)
			}
		}
		for range 200 {
			a := randomPrefix(r).Addr()
			if r.IntN(2) == 0 && len(all) > 0 {
				p := all[r.IntN(len(all))]
				a = p.Addr()
				if r.IntN(2) == 0 && a.Prev().IsValid() {
					a = a.Prev()
				}
			}
			if got, want := set.find(a), longest(a, 999); got != want {
				t.Fatalf("seed %d: %v: got %d, want %d of %v", seed, a, got, want, all)
			}
		}
		if set.find(netip.Addr{}) != -1 {
			t.Fatal("the invalid address was found")
		}
	}
}

// A list answers for the address, its AS, its country and its crawler; and for
// numbers and texts by themselves.
func TestSet(t *testing.T) {
	s := newSet(&List{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ASNs: []uint32{64500}, Countries: []string{"SE"}, Crawlers: []string{"Googlebot"}, Values: []string{"free"},
		Expires: testNow.Add(time.Hour),
	})
	crawler := testInput("203.0.113.66", 0)
	crawler.Record = ipwarden.NewRecord(crawler.Client, ipwarden.Full{Traits: ipwarden.Crawler, Security: ipwarden.Security{Crawler: ipwarden.CrawlerInfo{Name: "Googlebot"}}})
	claims := testInput("203.0.113.66", 0)
	claims.Record = ipwarden.NewRecord(claims.Client, ipwarden.Full{Security: ipwarden.Security{Crawler: ipwarden.CrawlerInfo{Name: "Googlebot"}}})
	nobody := testInput("203.0.113.66", 0)
	nobody.Record = ipwarden.Record{}
	inside := testInput("10.1.2.3", 0)
	inside.Record = ipwarden.Record{}
	for name, c := range map[string]struct {
		in   *Input
		want bool
	}{"country and AS": {testInput("203.0.113.66", 0), true}, "crawler": {crawler, true}, "not verified": {claims, false}, "nobody": {nobody, false}, "network": {inside, true}} {
		c.in.prepare(nil)
		if got := s.Holds(c.in); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
		c.in.Now = testNow.Add(time.Hour)
		if s.Holds(c.in) {
			t.Errorf("%s: an expired list holds it", name)
		}
	}
	in := testInput("203.0.113.66", 0)
	for text, want := range map[string]bool{"SE": true, "Googlebot": true, "free": true, "NO": false, "": false} {
		if s.HoldsText(in, text) != want {
			t.Errorf("%q: got %v", text, !want)
		}
	}
	for n, want := range map[int64]bool{64500: true, 64500 + 1<<32: false, -1: false, 0: false} {
		if s.HoldsNumber(in, n) != want {
			t.Errorf("%d: got %v", n, !want)
		}
	}
}
