package overlay_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/overlayfile"
	"github.com/ipwarden/ipwarden/overlay"
)

// Every fact that an overlay's file may hold can be laid over an answer.
func TestFactsOfTheFileAreSettable(t *testing.T) {
	const file = `entries:
  - network: 192.0.2.0/24
    facts:
      location.country_code: SE
      location.is_eu: true
      location.latitude: 59.33
      location.longitude: 18.07
      location.accuracy_km: 20
      location.time_zone.id: Europe/Stockholm
      location.languages: [sv, fi]
      asn.number: 64500
      asn.route: 192.0.2.0/24
      security.is_abuser: true
      security.listings: [{name: own, type: abuser, date: 2026-08-22}]
    reason: test
    owner: test
`
	entries, err := overlayfile.ReadOverlay(strings.NewReader(file), "own.yaml")
	if err != nil {
		t.Fatal(err)
	}
	nothing := ipwarden.SourceFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
		return ipwarden.NewRecord(a, ipwarden.Full{}), nil
	})
	o, err := overlay.New(overlay.Config{Source: nothing, Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.Lookup(t.Context(), netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	l := r.Location()
	got := fmt.Sprint(l.CountryCode, l.IsEU, l.Latitude, l.Longitude, l.AccuracyKM, l.TimeZone.ID, len(l.Languages),
		r.ASNumber(), r.ASN().Route, r.Traits().Names(), len(r.Security().Listings))
	if want := "SEtrue 59.33 18.07 20Europe/Stockholm2 64500 192.0.2.0/24 [abuser] 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
