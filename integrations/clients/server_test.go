package clients

import (
	"encoding/pem"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/api/dialect"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/risk"
)

// asker is who the server takes these tests for: somebody in London.
var asker = netip.MustParseAddr("81.2.69.142")

// newServer makes a server of the sample's data that speaks all dialects. The
// key "wrong" is nobody's, and "spent" has used its quota; what follows a hyphen is
// for clients that insist on a length.
func newServer(t *testing.T) (*api.API, *dialect.Set) {
	t.Helper()
	set, err := dialect.New(dialect.Config{
		Scores: risk.Scores,
		Client: func(netip.Addr, ipwarden.Header) netip.Addr { return asker },
		Check: func(c dialect.Credential, _ dialect.Facts) *dialect.Refusal {
			switch key, _, _ := strings.Cut(c.Key, "-"); key {
			case "wrong":
				return &dialect.Refusal{Code: dialect.UnknownKey}
			case "spent":
				return &dialect.Refusal{Code: dialect.OverQuota, KeyID: "k_1", Used: 1000, Limit: 1000, Reset: time.Now().Add(time.Hour)}
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	world := ipwardentest.Sample()
	a, err := api.New(api.Config{
		Data: func() api.Data { return world }, Scores: risk.Scores, Dialects: set, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, set
}

// serveHTTP serves all dialects below /compat/, and returns the URL.
func serveHTTP(t *testing.T) string {
	t.Helper()
	a, _ := newServer(t)
	s := httptest.NewServer(a.Handler())
	t.Cleanup(s.Close)
	return s.URL
}

// serveTLS serves one dialect and nothing else, behind TLS as a proxy in front
// would do it. The certificate is its own authority, in the file that is returned.
func serveTLS(t *testing.T, name string) (host, ca string) {
	t.Helper()
	a, set := newServer(t)
	s := httptest.NewUnstartedServer(a.DialectHandler(set.Named(name)))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s.Listener.Addr().String(), ca
}
