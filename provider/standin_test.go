package provider

import (
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// noon is when the tests take place.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const secret = "hush/hush+key_0123456789abcdef"

// standIn is a metered vendor: it counts the questions and keeps the last one.
type standIn struct {
	*httptest.Server
	calls atomic.Int64
	last  atomic.Pointer[http.Request]
}

func newStandIn(t *testing.T, secure bool, h http.HandlerFunc) *standIn {
	t.Helper()
	s := &standIn{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.last.Store(r)
		h(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if secure {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// says answers with a status, header pairs and a body.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// config asks s as a vendor of a kind; of kind generic plan is the map.
func config(t testing.TB, s *standIn, kind, plan string) Config {
	t.Helper()
	cfg := Config{Kind: kind, Plan: plan, Key: secret, BaseURL: s.URL, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}
	if kind == "maxmind" {
		cfg.Account = "42"
	}
	if kind == Generic {
		m, err := ShippedMap(plan)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Map, cfg.Plan = m, ""
	}
	if cert := s.Certificate(); cert != nil {
		cfg.RootCAs = x509.NewCertPool()
		cfg.RootCAs.AddCert(cert)
	}
	return cfg
}

func open(t testing.TB, cfg Config) *Provider {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func good(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/good/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sweden(code string) (ipwarden.Location, bool) {
	if code != "SE" {
		return ipwarden.Location{}, false
	}
	return ipwarden.Location{
		ContinentCode: "EU", Continent: "Europe", CountryCode: "SE", Country: "Sweden", IsEU: true,
		Currency: ipwarden.Currency{Code: "SEK"}, CallingCode: "46",
	}, true
}

var google = netip.MustParseAddr("8.8.8.8")
