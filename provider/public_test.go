package provider

import (
	"net/netip"
	"testing"

	"github.com/ipwarden/ipwarden"
)

// An operator who declares special space to be ordinary has it asked about.
func TestPublicOfOperator(t *testing.T) {
	s := newStandIn(t, false, says(200, good(t, "ipinfo-lite")))
	cfg := config(t, s, "ipinfo", "lite")
	lab := netip.MustParsePrefix("203.0.113.0/24")
	cfg.Public = func(a netip.Addr) bool { return lab.Contains(a) || ipwarden.Public(a) }
	rec, err := open(t, cfg).Lookup(t.Context(), netip.MustParseAddr("203.0.113.7"))
	if err != nil || rec.CountryCode() != "US" || s.calls.Load() != 1 {
		t.Errorf("%v, %v, %d calls", rec.CountryCode(), err, s.calls.Load())
	}
}
