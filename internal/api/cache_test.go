package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

func TestCacheControl(t *testing.T) {
	for _, tt := range []struct {
		name, target, want string
		now                time.Time
	}{
		{"a network", "/v1/ip/8.8.8.8", "public, max-age=86400", noon},
		{"a threat", "/v1/ip/185.220.101.4", "public, max-age=3600", noon},
		{"anonymity", "/v1/ip/146.70.1.1", "public, max-age=3600", noon},
		{"a bogon", "/v1/ip/10.1.2.3", "public, max-age=86400", noon},
		{"the time", "/v1/ip/8.8.8.8?fields=ip,location.time_zone.current_time", "no-store", noon},
		{"the caller", "/v1/ip", "private, no-cache", noon},
		{"the caller and the time", "/v1/ip?fields=location.time_zone.current_time", "private, no-store", noon},
		{"a problem", "/v1/ip/x", "no-store", noon},
		{"health", "/healthz", "no-store", noon},
		// Europe's clocks go back on 2026-10-25 at 01:00 UTC.
		{"a minute before the clocks change", "/v1/ip/81.2.69.1", "public, max-age=60", time.Date(2026, 10, 25, 0, 59, 0, 0, time.UTC)},
		{"the same, without the offset", "/v1/ip/81.2.69.1?fields=location.time_zone.id", "public, max-age=86400", time.Date(2026, 10, 25, 0, 59, 0, 0, time.UTC)},
		{"the same, for one that expires sooner", "/v1/ip/185.220.101.4?fields=location.time_zone", "public, max-age=1800", time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)},
	} {
		a := newAPI(t, func(c *Config) { c.Now = func() time.Time { return tt.now } })
		w := a.answer(t, "GET", tt.target, func(r *http.Request) { r.RemoteAddr = "81.2.69.1:1" })
		if got := w.Header().Get("Cache-Control"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The entity tag changes with the dataset, with the clocks, with a score, with
// the form and with the encoding; and with nothing else.
func TestEntityTag(t *testing.T) {
	tag := func(target string, change func(*Config), header ...string) string {
		t.Helper()
		w := newAPI(t, change).answer(t, "GET", target, func(r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
		})
		got := w.Header().Get("Etag")
		if w.Code != 200 || !strings.HasPrefix(got, `"`) || !strings.HasSuffix(got, `"`) {
			t.Fatalf("%s: %d, tag %q", target, w.Code, got)
		}
		return got
	}
	at := func(now time.Time) func(*Config) {
		return func(c *Config) { c.Now = func() time.Time { return now } }
	}
	base := tag("/v1/ip/8.8.8.8", nil)
	for _, tt := range []struct {
		name string
		got  string
		same bool
	}{
		{"asked again", tag("/v1/ip/8.8.8.8", nil), true},
		{"a minute later", tag("/v1/ip/8.8.8.8", at(noon.Add(time.Minute))), true},
		{"another dataset", tag("/v1/ip/8.8.8.8", func(c *Config) { c.Info = func(Data) Info { return Info{Hash: "other"} } }), false},
		{"in summer", tag("/v1/ip/8.8.8.8", at(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))), false},
		{"another score", tag("/v1/ip/8.8.8.8", func(c *Config) {
			c.Scores = func(ipwarden.Record, time.Time) ipwarden.Scores { return ipwarden.Scores{Trust: 1} }
		}), false},
		{"another address", tag("/v1/ip/8.8.8.9", nil), false},
		{"fields", tag("/v1/ip/8.8.8.8?fields=ip", nil), false},
		{"evidence", tag("/v1/ip/8.8.8.8?explain=1", nil), false},
		{"YAML", tag("/v1/ip/8.8.8.8", nil, "Accept", "application/yaml"), false},
		{"gzip", tag("/v1/ip/8.8.8.8", nil, "Accept-Encoding", "gzip"), false},
	} {
		if (tt.got == base) != tt.same {
			t.Errorf("%s: %s beside %s", tt.name, tt.got, base)
		}
	}
}

func TestNotModified(t *testing.T) {
	a := newAPI(t, nil)
	plain := a.answer(t, "GET", "/v1/ip/8.8.8.8").Header().Get("Etag")
	gzip := func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }
	zipped := a.answer(t, "GET", "/v1/ip/8.8.8.8", gzip).Header().Get("Etag")
	for _, tt := range []struct {
		name, header string
		gzip         bool
		want         int
	}{
		{"the tag", plain, false, 304},
		{"weak", "W/" + plain, false, 304},
		{"among others", `"a", W/"b" ,` + plain, false, 304},
		{"any", "*", false, 304},
		{"another", `"0000000000000000"`, false, 200},
		{"without quotes", strings.Trim(plain, `"`), false, 200},
		{"open quotes", strings.TrimSuffix(plain, `"`), false, 200},
		{"that of the other encoding", zipped, false, 200},
		{"compressed", zipped, true, 304},
		{"compressed, that of the other encoding", plain, true, 200},
	} {
		w := a.answer(t, "GET", "/v1/ip/8.8.8.8", func(r *http.Request) {
			r.Header.Set("If-None-Match", tt.header)
			if tt.gzip {
				gzip(r)
			}
		})
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.want)
		}
		if w.Code == 304 && (w.Body.Len() > 0 || w.Header().Get("Etag") == "" || w.Header().Get("Cache-Control") == "" || w.Header().Get("Vary") == "") {
			t.Errorf("%s: the 304 has %q and %v", tt.name, w.Body, w.Header())
		}
	}
}

// A swap of the data shows at once, with another tag; nothing is mixed.
func TestSwap(t *testing.T) {
	data := ipwardentest.Sample()
	hash := "one"
	a := newAPI(t, func(c *Config) {
		c.Data = func() Data { return data }
		c.Info = func(Data) Info { return Info{Hash: hash} }
	})
	before := a.answer(t, "GET", "/v1/ip/198.51.100.20?fields=ip").Header().Get("Etag")
	data, hash = ipwardentest.Sample(), "two"
	after := a.answer(t, "GET", "/v1/ip/198.51.100.20?fields=ip").Header().Get("Etag")
	if before == after {
		t.Errorf("the tag %s stayed through a swap", before)
	}
}
