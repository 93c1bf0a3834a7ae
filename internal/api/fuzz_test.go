package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever the request, the answer is 2xx, 304 or a problem document of valid
// JSON with an example; nothing panics, and nothing redirects.
func FuzzRequest(f *testing.F) {
	for _, s := range [][4]string{
		{"GET", "/v1/ip/8.8.8.8?fields=ip,location&explain=1", "text/csv;q=0.5", ""},
		{"GET", "/v1/ip/fe80::1%25eth0/location.city?format=yaml", "", ""},
		{"POST", "/v1/ip?fields=ip", "application/x-ndjson", `["8.8.8.8",1]`},
		{"GET", "/v1/network/0.0.0.0%2f0?limit=3&from=8.8.8.8", "*/*", ""},
		{"GET", "/v1/asn/AS15169?limit=1&format=text", "text/plain", ""},
		{"HEAD", "http://a/?ip=::1", "text/html", ""},
		{"OPTIONS", "*", "", ""},
		{"DELETE", "/v1/ip/../admin#%zz", "image/*;q=0", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	a := newAPI(f, nil)
	f.Fuzz(func(t *testing.T, method, target, accept, body string) {
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.RequestURI = method, target
		r.Header.Set("Accept", accept)
		r.Header.Set("If-None-Match", accept)
		r.Header.Set("Content-Type", accept)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		switch {
		case w.Code == http.StatusInternalServerError:
			t.Fatalf("%s %q: %s", method, target, w.Body)
		case w.Code < 300 || w.Code == 304:
			if w.Header().Get("Content-Type") == "application/json" && w.Header().Get("Content-Encoding") == "" && !json.Valid(w.Body.Bytes()) && method != "HEAD" {
				t.Fatalf("%s %q: not JSON: %s", method, target, w.Body)
			}
		case w.Code < 400:
			t.Fatalf("%s %q: %d", method, target, w.Code)
		default:
			var p struct {
				Type, Title, Detail, Example string
				Status                       int
			}
			if w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%s %q: %d is %s", method, target, w.Code, w.Header().Get("Content-Type"))
			}
			if method == "HEAD" || w.Header().Get("Content-Encoding") != "" {
				return
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Type == "" || p.Title == "" || p.Detail == "" || p.Example == "" {
				t.Fatalf("%s %q: %v: %s", method, target, err, w.Body)
			}
			if !utf8.Valid(w.Body.Bytes()) || w.Body.Len() > 4096 {
				t.Fatalf("%s %q: a problem of %d bytes", method, target, w.Body.Len())
			}
		}
		for name, values := range w.Header() {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") {
					t.Fatalf("%s %q: header %s: %q", method, target, name, v)
				}
			}
		}
	})
}

// Problems name an example that works.
func TestExamplesWork(t *testing.T) {
	a := newAPI(t, nil)
	for _, target := range []string{
		"/nope", "/v1/ip/x", "/v1/ip/8.8.8.8/x", "/v1/ip/8.8.8.8/location", "/v1/ip/10.0.0.1/location.city", "/v1/ip/8.8.8.8?x=1", "/v1/ip/8.8.8.8?fields=city",
		"/v1/ip/8.8.8.8?format=x", "/v1/ip/8.8.8.8?explain=x", "/v1/ip/8.8.8.8?explain=1&format=csv", "/v1/asn/x", "/v1/asn/1", "/v1/network/x",
		"/v1/network/8.8.8.8/24", "/v1/network/8.8.8.0/24?limit=x", "/v1/network/8.8.8.0/24?from=x", "/v1/ip/fe80::1%eth0", "/v1/dataset?x=1", "/openapi.json?x=1", "/?ip=x",
	} {
		w := a.answer(t, "GET", target)
		var p struct{ Example string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code < 400 {
			t.Errorf("%s: %d %v", target, w.Code, err)
			continue
		}
		method, example, _ := strings.Cut(p.Example, " ")
		if w := a.answer(t, method, example); w.Code != 200 {
			t.Errorf("%s: its example %q gives %d", target, p.Example, w.Code)
		}
	}
}
