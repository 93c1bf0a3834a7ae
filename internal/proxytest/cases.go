package proxytest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/clientip"
)

// A Proxy is a proxy that asks a [Gate], as the cases that all have in common
// see it.
type Proxy struct {
	Addr string
	App  *App
	// Words: the client sees the gate's own words, not the proxy's.
	Words bool
	// Underscores: field names with an underscore reach the application; nginx
	// drops them by itself.
	Underscores bool
	// MaxLines is how many field lines it takes in a request.
	MaxLines int
	// Unknown: it cannot remove names of ours that nobody has thought of yet.
	Unknown bool
}

const (
	google   = "8.8.8.8"       // US, AS15169 in the sample
	torExit  = "185.220.101.1" // in the sample
	somebody = "81.2.69.142"   // in the sample: GB
	forgery  = "198.51.100.20" // whom a client claims to be
	claimed  = "X-Forwarded-For: " + forgery
)

// from is the field that the load balancer in front of the proxy appended to
// what the client had sent: another line.
func from(client string) string { return "X-Forwarded-For: " + client }

// Cases plays what every proxy must do: pass, 403, 429, a challenge, a redirect;
// who the client is; and that what it forged is gone.
func (p *Proxy) Cases(t *testing.T) {
	t.Run("pass", p.passes)
	t.Run("forged", p.strips)
	t.Run("refusals", p.refuses)
	t.Run("limits", p.limits)
}

func (p *Proxy) passes(t *testing.T) {
	r := Send(t, p.Addr, "POST", "/some/where?a=1&b", "hello", "Host: Shop.example:8443", claimed, from(google))
	if r.Status != 200 || r.Seen == nil {
		t.Fatalf("%+v", r)
	}
	for name, want := range map[string]string{
		"X-Ipwarden-Verdict": "allow", "X-Ipwarden-Country": "US", "X-Ipwarden-Asn": "15169", "X-Ipwarden-Ip": google,
		"X-Ipwarden-Reason": "default", "X-Forwarded-For": google,
	} {
		if got := r.Seen.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("the application sees %s: %q, want %q", name, got, want)
		}
	}
	for name, values := range r.Seen.Header {
		if strings.Contains(strings.Join(values, " "), "{") {
			t.Errorf("the application sees the configuration: %s: %q", name, values)
		}
	}
	if r.Header.Values("RateLimit") != nil || r.Header.Values("RateLimit-Policy") != nil {
		t.Errorf("no limit applies, and the client sees %v", r.Header)
	}
	if id := r.Seen.Header.Get("X-Ipwarden-Decision"); len(id) != 26 {
		t.Errorf("the application sees decision %q", id)
	}
	if r.Seen.Body != "hello" || r.Seen.Method != "POST" || r.Seen.Path != "/some/where" || r.Seen.Query != "a=1&b" || r.Seen.Host != "Shop.example:8443" {
		t.Errorf("the application sees %+v", r.Seen)
	}
}

// C2, C10: whatever could be taken for the client's address, or for ours, in any
// spelling.
func (p *Proxy) strips(t *testing.T) {
	if left := p.Forged(t, "/"); len(left) > 0 {
		t.Errorf("the application sees what the client said: %q", left)
	}
}

// Forged sends every header that must not go on, and returns those that did.
func (p *Proxy) Forged(t *testing.T, path string) (left []string) {
	t.Helper()
	const mark = "forged-by-the-client"
	names := append(clientip.SourceHeaders(), "X-Ipwarden-Verdict", "X-Ipwarden-Country", "X-Ipwarden-Tags", "X-Ipwarden-Status",
		"X-Middleware-Subrequest", "X-Middleware-Subrequest-Id")
	if !p.Unknown {
		names = append(names, "X-Ipwarden-Anything")
	}
	var lines []string
	for _, name := range names {
		lines = append(lines, name+": "+mark)
		if under := strings.ReplaceAll(name, "-", "_"); under != name {
			lines = append(lines, under+": "+mark)
		}
	}
	for chunk := range slices.Chunk(lines, p.MaxLines) {
		r := Get(t, p.Addr, path, chunk...)
		if r.Seen == nil {
			t.Fatalf("%+v", r)
		}
		for name, values := range r.Seen.Header {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, mark) }) {
				left = append(left, name)
			}
		}
	}
	return left
}

func (p *Proxy) refuses(t *testing.T) {
	before := p.App.Hits()
	for _, c := range []struct {
		what, path, client string
		status             int
		location, word     string
	}{
		{"a rule", "/block", google, 403, "", "Not allowed"},
		{"a rule, whatever the case of the escape", "/%62lock", google, 403, "", "Not allowed"},
		{"an address", "/", torExit, 403, "", "Not allowed"},
		{"a challenge", "/challenge", google, 302, "/.ipwarden/challenge?to=%2Fchallenge", ""},
		{"a redirect of one that may pass", "/moved", google, 302, "/elsewhere", ""},
		{"a path that can be read in two ways", "/a%5cb", google, 400, "", "two ways"},
	} {
		r := Get(t, p.Addr, c.path, claimed, from(c.client))
		if r.Status != c.status || !strings.HasSuffix(r.Header.Get("Location"), c.location) || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v, want %d %s", c.what, r.Status, r.Header, c.status, c.location)
		}
		if p.Words && !strings.Contains(r.Body, c.word) {
			t.Errorf("%s: the client reads %q", c.what, r.Body)
		}
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Ipwarden-") {
				t.Errorf("%s: the client sees %s", c.what, name)
			}
		}
	}
	if p.Words {
		if r := Get(t, p.Addr, "/block", from(google), "Accept: text/html"); !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || !strings.Contains(r.Body, "<h1>Not allowed</h1>") ||
			!strings.Contains(r.Body, "Forbidden · decision ") || !strings.HasSuffix(r.Body, "</html>\n") {
			t.Errorf("a browser reads %v %s", r.Header, r.Body)
		}
		r := Get(t, p.Addr, "/block", from(google))
		if r.Header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(r.Body)) {
			t.Errorf("a program reads %v %s", r.Header, r.Body)
		}
		// The policy's own status, words and page.
		r = Get(t, p.Addr, "/legal", from(google))
		var said struct{ Title, Detail string }
		if r.Status != 451 || json.Unmarshal([]byte(r.Body), &said) != nil || said.Title != "Inte här" || said.Detail != "Enligt lag: \"nej\" 𝄞" {
			t.Errorf("a response of the policy: %d %v %s", r.Status, r.Header, r.Body)
		}
		if r := Get(t, p.Addr, "/legal", from(google), "Accept: text/html,*/*;q=0.8"); r.Status != 451 || r.Body != "<!doctype html><h1>Inte här</h1>\n" ||
			r.Header.Get("Content-Security-Policy") != "" || r.Header.Get("Vary") != "Accept" {
			t.Errorf("a page of the policy: %d %v %s", r.Status, r.Header, r.Body)
		}
		if r := Send(t, p.Addr, "POST", "/legal", "a=b", from(google), "Accept: text/html"); r.Status != 451 || !strings.HasPrefix(r.Body, "<!doctype html>") {
			t.Errorf("a page for POST: %d %v %s", r.Status, r.Header, r.Body)
		}
		if r := Send(t, p.Addr, "HEAD", "/block", "", from(google)); r.Status != 403 || r.Body != "" {
			t.Errorf("HEAD: %+v", r)
		}
	}
	// The challenge's page is there for whoever is refused elsewhere.
	if r := Get(t, p.Addr, "/.ipwarden/challenge", from(torExit)); r.Status != 200 && r.Status != 404 {
		t.Errorf("the page of the challenge: %d", r.Status)
	}
	if p.App.Hits() != before {
		t.Error("the application was asked")
	}
}

func (p *Proxy) limits(t *testing.T) {
	for i := range 3 {
		r := Get(t, p.Addr, "/limited", from(somebody))
		limit, retry := r.Header.Get("RateLimit"), r.Header.Get("Retry-After")
		switch {
		case !strings.HasPrefix(limit, `"few";r=`) || r.Header.Get("RateLimit-Policy") != `"few";q=2;w=60`:
			t.Errorf("request %d: the client sees %v", i+1, r.Header)
		case i < 2 && (r.Status != 200 || retry != ""):
			t.Errorf("request %d: %d %v", i+1, r.Status, r.Header)
		case i == 2 && (r.Status != 429 || retry == ""):
			t.Errorf("request %d: %d %v", i+1, r.Status, r.Header)
		case i == 2 && p.Words && (!strings.Contains(r.Body, `"violated-policies":["few"]`) || !strings.Contains(r.Body, `"retry_after":`+retry)):
			t.Errorf("the client reads %s", r.Body)
		}
	}
	// Without a limit it is a second.
	if r := Get(t, p.Addr, "/slow", from(somebody)); r.Status != 429 || r.Header.Get("Retry-After") != "1" || r.Header.Get("RateLimit") != "" {
		t.Errorf("throttled without a limit: %d %v", r.Status, r.Header)
	}
	// A4: it is nobody else's limit.
	if r := Get(t, p.Addr, "/limited", "X-Forwarded-For: "+somebody, from("1.1.1.1")); r.Status != 200 {
		t.Errorf("another client: %d", r.Status)
	}
}

// HTTP2Cases plays what HTTP/2 adds: which host and path are decided about when
// the request names several (F4, F5). addr speaks HTTP/2 without TLS.
func (p *Proxy) HTTP2Cases(t *testing.T, addr string) {
	usual := func(path string, more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "http", ":authority", "shop.example", ":path", path, "x-forwarded-for", google}, more...)
	}
	for _, c := range []struct {
		what   string
		fields []string
		status []string // any of these
	}{
		{"a request", usual("/"), []string{"200"}},
		{"a blocked one", usual("/block"), []string{"403"}},
		{"another host", usual("/", "host", "evil.example"), []string{"200", "400", "reset"}},
		{"two hosts", usual("/", "host", "shop.example", "host", "evil.example"), []string{"200", "400", "reset"}},
		{"two paths", usual("/", ":path", "/block"), []string{"400", "reset"}},
		{"two paths, the other way round", usual("/block", ":path", "/"), []string{"400", "reset"}},
		// nginx 1.22 takes it, and means the same by it throughout.
		{"a pseudo field after others", append(usual("/")[:6], "accept", "*/*", ":path", "/"), []string{"200", "400", "reset"}},
		{"two authorities", usual("/", ":authority", "evil.example"), []string{"400", "reset"}},
		{"a path with a space", usual("/block /"), []string{"200", "400", "reset"}},
		{"a field with a line's end", usual("/", "x-a", "b\r\nX-Ipwarden-Verdict: allow"), []string{"400", "reset"}},
		{"what only we may say", usual("/", "x-ipwarden-verdict", "block"), []string{"200"}},
	} {
		before := p.App.Hits()
		status, body := HTTP2(t, addr, c.fields...)
		if !slices.Contains(c.status, status) {
			t.Errorf("%s: %s %s", c.what, status, body)
		}
		if passed := p.App.Hits() > before; passed != (status == "200") {
			t.Errorf("%s: %s, and the application was asked: %v", c.what, status, passed)
		}
		var seen Seen
		if status == "200" && (json.Unmarshal([]byte(body), &seen) != nil || seen.Host != "shop.example" || seen.Path == "/block" ||
			len(seen.Header.Values("X-Ipwarden-Verdict")) != 1 || seen.Header.Get("X-Ipwarden-Verdict") != "allow") {
			t.Errorf("%s: the application sees %s", c.what, body)
		}
	}
}
