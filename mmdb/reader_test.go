package mmdb

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func lookup(t testing.TB, s ipwarden.Source, addr string) ipwarden.Record {
	t.Helper()
	rec, err := s.Lookup(t.Context(), netip.MustParseAddr(addr))
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	return rec
}

func open(t testing.TB, name string) *Reader {
	t.Helper()
	r, err := Open(filepath.Join("testdata", "good", name+".mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestReader(t *testing.T) {
	r := open(t, "GeoIP2-City-Test")
	rec := lookup(t, r, "2.125.160.217")
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	want := ipwarden.Location{
		ContinentCode: "EU", Continent: "Europe", CountryCode: "GB", Country: "United Kingdom", Flag: "🇬🇧",
		RegionCode: "ENG", Region: "England", City: "Boxford", Postal: "OX1",
		HasCoordinates: true, Latitude: 51.75, Longitude: -1.25, AccuracyKM: 100,
		TimeZone: ipwarden.TimeZone{ID: "Europe/London", Zone: london},
	}
	got := rec.Location()
	if got.TimeZone.Zone == nil || got.TimeZone.Zone.String() != "Europe/London" {
		t.Errorf("the zone is %v", got.TimeZone.Zone)
	}
	want.TimeZone.Zone = got.TimeZone.Zone
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if n := rec.Network(); n != netip.MustParsePrefix("2.125.160.216/29") {
		t.Errorf("the network is %s", n)
	}
	if !rec.Date().Equal(r.Date()) || r.Date().IsZero() {
		t.Errorf("the date is %s, of the file %s", rec.Date(), r.Date())
	}
	var city *ipwarden.Evidence
	for _, e := range rec.Evidence() {
		if e.Field == ipwarden.FieldCity {
			city = &e
		}
		if e.Value == "" || e.Value == "false" {
			t.Errorf("evidence of %s: %q", e.Field, e.Value)
		}
	}
	if city == nil || city.Value != "Boxford" || city.By[0].Feed != "GeoIP2-City" || city.By[0].Match != "2.125.160.216/29" {
		t.Errorf("the evidence of the city is %+v", city)
	}

	wrapped := lookup(t, r, "::ffff:2.125.160.217%eth0")
	if wrapped.CountryCode() != "GB" || wrapped.Transition() != ipwarden.Mapped || !wrapped.Zone() {
		t.Errorf("wrapped: %s %s %t", wrapped.CountryCode(), wrapped.Transition(), wrapped.Zone())
	}
	if empty := lookup(t, r, "192.0.2.1"); empty.CountryCode() != "" || len(empty.Evidence()) != 0 || !empty.Network().IsValid() {
		t.Errorf("an address that is not there: %+v", empty.Full())
	}
}

func TestReaderSchemas(t *testing.T) {
	for _, c := range []struct {
		file, addr string
		field      ipwarden.Field
		want       string
	}{
		{"GeoLite2-ASN-Test", "1.0.0.1", ipwarden.FieldASName, "Google Inc."},
		{"GeoIP2-Anonymous-IP-Test", "81.2.69.1", ipwarden.FieldIsTor, "true"},
		{"GeoIP-Anonymous-Plus-Test", "1.2.0.1", ipwarden.FieldVPNName, "foo"},
		{"GeoIP2-Enterprise-Test", "149.101.100.1", ipwarden.FieldCarrierMCC, "310"},
		{"ipinfo_lite_sample", "1.0.0.1", ipwarden.FieldCountry, "Australia"},
		{"ipinfo_lite_sample", "1.0.0.1", ipwarden.FieldContinentCode, "OC"},
		{"ip_company_sample", "1.0.0.1", ipwarden.FieldCompanyName, "APNIC and Cloudflare DNS Resolver project"},
		{"ip_geolocation_sample", "1.22.93.1", ipwarden.FieldRegionCode, "GJ"},
		{"privacy_detection_sample", "1.0.0.2", ipwarden.FieldIsVPN, "true"},
	} {
		rec := lookup(t, open(t, c.file), c.addr)
		var view ipwarden.View
		got, _ := view.AppendText(nil, rec, c.field)
		if string(got) != c.want {
			t.Errorf("%s: %s of %s is %q, want %q", c.file, c.field, c.addr, got, c.want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none.mmdb")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := OpenBytes(nil); err == nil {
		t.Error("an empty file was opened")
	}
	// A sound file of a schema that nobody knows.
	if _, err := OpenBytes(file(t, Options{BuildTime: someDay, DatabaseType: "Weather"}, Map{"rain": true})); err == nil {
		t.Error("a database of the weather was opened")
	} else if want := `mmdb: the database of type "Weather" has neither MaxMind's schema nor IPinfo's; its fields are: rain`; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// Without a name that tells, the fields tell.
	for _, m := range []Map{
		{"country": Map{"iso_code": "SE"}},
		{"country": "Sweden", "country_code": "SE"},
	} {
		r, err := OpenBytes(file(t, Options{BuildTime: someDay, DatabaseType: "mine"}, m))
		if err != nil {
			t.Fatal(err)
		}
		if rec := lookup(t, r, "192.0.2.1"); rec.CountryCode() != "SE" {
			t.Errorf("%v: %q", m, rec.CountryCode())
		}
	}
}

// file is a database with one network, 192.0.2.0/24.
func file(t testing.TB, o Options, m Map) []byte {
	t.Helper()
	w, err := NewWriter(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Insert(netip.MustParsePrefix("192.0.2.0/24"), m); err != nil {
		t.Fatal(err)
	}
	return written(t, w)
}

func TestReaderIPv4Only(t *testing.T) {
	r, err := OpenBytes(file(t, Options{BuildTime: someDay, DatabaseType: "GeoIP2-Country", IPVersion: 4}, Map{"country": Map{"iso_code": "SE"}}))
	if err != nil {
		t.Fatal(err)
	}
	if rec := lookup(t, r, "192.0.2.1"); rec.CountryCode() != "SE" {
		t.Errorf("%q", rec.CountryCode())
	}
	if rec := lookup(t, r, "2001:db8::1"); rec.CountryCode() != "" { // not found is no error
		t.Errorf("%q", rec.CountryCode())
	}
}

func TestReaderClose(t *testing.T) {
	r := open(t, "GeoIP2-City-Test")
	rec := lookup(t, r, "2.125.160.217")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				if _, err := r.Lookup(t.Context(), netip.MustParseAddr("81.2.69.160")); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if rec.Location().City != "Boxford" {
		t.Error("the record did not outlive the file")
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Lookup(ctx, netip.MustParseAddr("81.2.69.160")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
