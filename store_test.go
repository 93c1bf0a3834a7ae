package ipwarden_test

import (
	"net/netip"
	"testing"

	"github.com/ipwarden/ipwarden"
)

func TestHot(t *testing.T) {
	const traits = ipwarden.Tor | ipwarden.Hosting
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			h := ipwarden.HotOf(1<<32-1, string(a)+string(b), traits)
			if h.CountryCode() != string(a)+string(b) || h.ASNumber() != 1<<32-1 || h.Traits() != traits {
				t.Fatalf("%c%c, AS%d, %v: %q, AS%d, %v", a, b, uint32(1<<32-1), traits, h.CountryCode(), h.ASNumber(), h.Traits())
			}
		}
	}
	for _, unknown := range []string{"", "D", "de", "D1", "DEU"} {
		if h := ipwarden.HotOf(64500, unknown, 0); h.CountryCode() != "" || h.ASNumber() != 64500 || h.Traits() != 0 {
			t.Errorf("%q: %q, AS%d, %v", unknown, h.CountryCode(), h.ASNumber(), h.Traits())
		}
	}
	for h := ipwarden.Hot(0); h < 1<<10; h++ { // a damaged file may hold any number
		if c := (h << 32).CountryCode(); len(c) != 2 && h != 0 {
			t.Errorf("country %d: %q", h, c)
		}
	}
	if h := (ipwarden.Record{}).Hot(); h != 0 {
		t.Errorf("of the zero Record: %x", h)
	}
}

// Fetch is for any Record, and says nothing.
func TestFetch(t *testing.T) {
	for _, r := range []ipwarden.Record{
		{}, ipwarden.NewRecord(netip.MustParseAddr("192.0.2.1"), ipwarden.Full{Traits: ipwarden.VPN}),
	} {
		before := r.Hot()
		if r.Fetch(); r.Hot() != before {
			t.Error(r)
		}
	}
}
