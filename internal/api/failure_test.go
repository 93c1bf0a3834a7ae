package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// brokenData fails, or panics.
type brokenData struct {
	*ipwardentest.World
	err error
}

func (d *brokenData) Lookup(context.Context, netip.Addr) (ipwarden.Record, error) {
	if d.err == nil {
		panic("out of order")
	}
	return ipwarden.Record{}, d.err
}

// What goes wrong inside is a problem document outside, without its details,
// and a line in the log, with them.
func TestFailuresInside(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		log    string
	}{
		{"an error", errors.New("dial tcp 10.9.8.7: refused"), 502, "10.9.8.7"},
		{"a panic", nil, 500, "out of order"},
	} {
		var log bytes.Buffer
		a := newAPI(t, func(c *Config) {
			d := &brokenData{ipwardentest.Sample(), tt.err}
			c.Data = func() Data { return d }
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		for _, target := range []string{"/v1/ip/8.8.8.8", "/v1/ip/8.8.8.8/asn.number", "/v1/ip", "/"} {
			w := a.answer(t, "GET", target, func(r *http.Request) { r.Header.Set("Accept", "*/*") })
			if w.Code != tt.status || w.Header().Get("Content-Type") != "application/problem+json" || strings.Contains(w.Body.String(), tt.log) {
				t.Errorf("%s, %s: %d %s", tt.name, target, w.Code, w.Body)
			}
		}
		if !strings.Contains(log.String(), tt.log) {
			t.Errorf("%s: the log has %q", tt.name, log.String())
		}
		if w := a.answer(t, "GET", "/healthz"); w.Code != 200 {
			t.Errorf("%s: afterwards /healthz is %d", tt.name, w.Code)
		}
	}
}

// The query cache stays within its bound, whatever is asked.
func TestQueryCacheIsBounded(t *testing.T) {
	a := newAPI(t, nil)
	var list []string
	for f := range ipwarden.AllFields() {
		list = append(list, f.String())
	}
	for i := range list {
		for j := range list {
			w := a.answer(t, "GET", "/v1/ip/8.8.8.8?fields="+list[i]+","+list[j])
			if w.Code != 200 {
				t.Fatalf("%s,%s: %d", list[i], list[j], w.Code)
			}
		}
	}
	if n := len(a.queries.parsed); n != maxQueries {
		t.Errorf("%d queries are kept, want %d", n, maxQueries)
	}
	a.answer(t, "GET", "/v1/ip/8.8.8.8?fields="+strings.Repeat("ip,", 400)+"ip")
	for q := range a.queries.parsed {
		if len(q) > maxCachedQuery {
			t.Errorf("a query of %d bytes is kept", len(q))
		}
	}
}
