package api

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// askingData asks a provider that has not answered the first time.
type askingData struct {
	*ipwardentest.World
	asked int
}

func (d *askingData) Ask(ctx context.Context, a netip.Addr, _ ipwarden.Intelligence, _ time.Duration) (ipwarden.Record, bool, error) {
	rec, err := d.Lookup(ctx, a)
	d.asked++
	return rec, d.asked == 1, err
}

// An answer without a provider that is still asked is told, and kept by nobody.
func TestPendingAnswers(t *testing.T) {
	d := &askingData{World: ipwardentest.Sample()}
	a := newAPI(t, func(c *Config) { c.Data = func() Data { return d } }).Handler()
	for i, want := range [][2]string{{"true", "no-store"}, {"", "public, max-age=3600"}} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest("GET", "/v1/ip/8.8.8.8?fields=asn.number", nil))
		if got := [2]string{w.Header().Get("Ipwarden-Pending"), w.Header().Get("Cache-Control")}; got != want || w.Code != 200 {
			t.Errorf("answer %d: %d %q, want %q", i+1, w.Code, got, want)
		}
	}
}
