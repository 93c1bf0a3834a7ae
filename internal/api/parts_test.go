package api

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A part that is away is told, with its time, and does not make the server unready.
func TestParts(t *testing.T) {
	a := newAPI(t, func(c *Config) {
		c.Parts = func() []Part {
			return []Part{{Name: "dataset"}, {Name: "store", Away: "it waits", Since: time.Date(2026, 11, 21, 12, 0, 3, 0, time.UTC)}, {Name: "stream", Away: "batches wait"}}
		}
		c.Impaired = func() []string { return []string{"provider x is left alone"} }
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/readyz", nil)
	a.Handler().ServeHTTP(w, r)
	want := "ready\ndataset: ok\nstore: away since 2026-11-21T12:00:03Z; it waits\nstream: away; batches wait\nprovider x is left alone\n"
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	a.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line, want := range map[string]bool{`ipwarden_part_up{part="dataset"} 1`: true, `ipwarden_part_up{part="store"} 0`: true, `ipwarden_part_up{part="stream"} 0`: true, `ipwarden_part_up{part="disk"}`: false} {
		if strings.Contains(w.Body.String(), line) != want {
			t.Errorf("%s: not %v", line, want)
		}
	}
}
