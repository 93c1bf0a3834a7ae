package api

import (
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// noon is when the tests take place: in winter time, in the middle of an hour.
var noon = time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)

func sampleInfo(Data) Info {
	return Info{
		Date: ipwardentest.SampleDate(), Hash: "0f1e2d3c", Size: 4096, NetworksV4: 13, NetworksV6: 4, Records: 17, ASes: 9,
		Feeds: []Feed{
			{Name: "ipfire", Title: "IPFire location database", Homepage: "https://www.ipfire.org/location", Date: ipwardentest.SampleDate(), Licence: "CC-BY-SA-4.0", Attribution: "IPFire Project", Rows: 1000, Skipped: 2},
			{Name: "tor-exits", Title: "Tor exits, \"all\"", Licence: "CC0-1.0", Rows: 10},
		},
	}
}

func sampleScores(r ipwarden.Record, _ time.Time) ipwarden.Scores {
	if r.Traits().Has(ipwarden.Threat) {
		return ipwarden.Scores{Threat: 90, Trust: 5}
	}
	return ipwarden.Scores{Trust: 80}
}

func sampleConfig() Config {
	world := ipwardentest.Sample()
	return Config{
		Data: func() Data { return world }, Info: sampleInfo, Scores: sampleScores,
		Now: func() time.Time { return noon }, Version: "test", PublicURL: "http://ip.example",
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func newAPI(t testing.TB, change func(*Config)) *API {
	t.Helper()
	cfg := sampleConfig()
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLookup(t *testing.T) {
	a := newAPI(t, nil)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/ip/8.8.8.8?fields=ip,location.country_code,asn.number", nil))
	const want = `{"ip":"8.8.8.8","location":{"country_code":"US"},"asn":{"number":15169}}` + "\n"
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
	}
}
