package gateway

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
)

// What the application sees of a request, whatever a client says of itself.
func TestHeadersThatGoOn(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, nil)
	for _, c := range []struct {
		name, lines string
		want        map[string]string // "" is absent
	}{
		{"A7, A9: other addresses", "X-Real-IP: 8.8.8.8\nTrue-Client-IP: 8.8.8.8\nCF-Connecting-IP: 8.8.8.8\nFastly-Client-IP: 8.8.8.8\nx_real_ip: 8.8.8.8\n", map[string]string{
			"X-Real-Ip": attacker, "True-Client-Ip": "", "Cf-Connecting-Ip": "", "Fastly-Client-Ip": "", "X_real_ip": "", "Forwarded": "for=" + attacker,
		}},
		{"A16: the source, hop by hop", "Connection: X-Forwarded-For, close, X-Real-IP\n", map[string]string{"X-Real-Ip": attacker, "Connection": ""}},
		{"F7: our own words", "X-Ipwarden-Verdict: pass\nx-ipwarden-risk: 0\nX_Ipwarden_Risk: 0\nX-Ipwarden-Anything: 1\n", map[string]string{
			gate.HeaderVerdict: "allow", "X_ipwarden_risk": "", "X-Ipwarden-Anything": "", gate.HeaderIP: attacker, gate.HeaderCountry: "GB",
		}},
		{"F7: hop by hop", "Connection: X-Ipwarden-Verdict, X-Ipwarden-Ip\n", map[string]string{gate.HeaderVerdict: "allow", gate.HeaderIP: attacker}},
		{"F8: somebody else's middleware", "x-middleware-subrequest: middleware:middleware:middleware\n", map[string]string{"X-Middleware-Subrequest": ""}},
		{"F3: a prefix, and other tales", "X-Forwarded-Prefix: /admin\nX-Forwarded-Host: evil.example\nX-Forwarded-Port: 1\nX_Forwarded_Host: evil.example\nX-Forwarded-Scheme: https\n", map[string]string{
			"X-Forwarded-Prefix": "", "X-Forwarded-Host": "app.example:8080", "X-Forwarded-Port": "", "X_forwarded_host": "", "X-Forwarded-Scheme": "", "X-Forwarded-Proto": "http",
		}},
		{"C14: another method or path", "X-HTTP-Method-Override: DELETE\nX-Original-URL: /blocked\nX-Rewrite-URL: /blocked\n", map[string]string{
			"X-Http-Method-Override": "", "X-Original-Url": "", "X-Rewrite-Url": "",
		}},
		{"a trusted proxy's scheme", "X-Forwarded-Proto: https\n", map[string]string{"X-Forwarded-Proto": "https"}},
		{"two of them", "X-Forwarded-Proto: https\nX-Forwarded-Proto: https\n", map[string]string{"X-Forwarded-Proto": "http"}},
		{"what is the client's own", "Cookie: a=b\nAuthorization: Basic eA==\nX-Csrf-Token: t\nAccept-Encoding: br\n", map[string]string{
			"Cookie": "a=b", "Authorization": "Basic eA==", "X-Csrf-Token": "t", "Accept-Encoding": "br", "User-Agent": "",
		}},
	} {
		resp := ask(t, s, "GET /x HTTP/1.1\nHost: app.example:8080\nX-Forwarded-For: "+victim+", "+attacker+"\n"+c.lines+"\n")
		if resp.StatusCode != 200 {
			t.Errorf("%s: %d", c.name, resp.StatusCode)
			continue
		}
		r := a.last(t)
		if got := r.Header.Get("X-Forwarded-For"); got != attacker || len(r.Header["X-Forwarded-For"]) != 1 {
			t.Errorf("%s: X-Forwarded-For is %q", c.name, r.Header["X-Forwarded-For"])
		}
		for name, want := range c.want {
			if got := strings.Join(r.Header[name], "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", c.name, name, got, want)
			}
		}
	}
}

// A1: a peer that nobody trusts is the client, whatever it says.
func TestUntrustedPeer(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, func(c *Config, _ *ServerConfig) { c.Gate = newTestGate(t, testPolicy, clientip.Config{}) })
	ask(t, s, "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: "+victim+"\nX-Forwarded-Proto: https\n\n")
	r := a.last(t)
	if r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Header.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("the application is told %q, %q", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"))
	}
}

func TestOverridesMayBeKept(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, func(c *Config, _ *ServerConfig) { c.KeepOverrides = true })
	ask(t, s, "POST / HTTP/1.1\nHost: x\nContent-Length: 0\nX-HTTP-Method-Override: DELETE\nX-Forwarded-Prefix: /a\n\n")
	if r := a.last(t); r.Header.Get("X-Http-Method-Override") != "DELETE" || r.Header.Get("X-Forwarded-Prefix") != "" {
		t.Errorf("the application sees %v", r.Header)
	}
}

// C14 and F6: what is judged is what goes on, or nothing does.
func TestOneReading(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, nil)
	for _, c := range []struct {
		target, host string
		status       int
		sent         string // the target that goes on
		sentHost     string
	}{
		{target: "/", status: 200, sent: "/"},
		{target: "/a?", status: 200, sent: "/a?"},
		{target: "/a/b.c;v=1?x=1&x=2;y&%zz&z=%20+", status: 200, sent: "/a/b.c;v=1?x=1&x=2;y&%zz&z=%20+"},
		{target: "//a///./b/../c//", status: 200, sent: "/a/c/"},
		{target: "/%61%2Db/%c3%a9%20%2b+", status: 200, sent: "/a-b/%C3%A9%20%2B+"},
		{target: `/a"<b>|`, status: 200, sent: "/a%22%3Cb%3E%7C"},
		{target: "/blocked", status: 403},
		{target: "/%62locked", status: 403},
		{target: "//blocked", status: 403},
		{target: "/x/../blocked", status: 403},
		{target: "/./blocked/x", status: 403},
		{target: "/a?role=admin", status: 403},
		{target: "/a?x=1&role=admin&role=user", status: 403},
		{target: "/x/..%2fblocked", status: 400},
		{target: "/x%2f..%2fblocked", status: 400},
		{target: "/x/%2e%2e/blocked", status: 400},
		{target: "/%2562locked", status: 400},
		{target: `/x\..\blocked`, status: 400},
		{target: "/x%5cblocked", status: 400},
		{target: "/x/..;/blocked", status: 400},
		{target: "/blocked%00.png", status: 400},
		{target: "/%ff", status: 400},
		{target: "/../x", status: 400},
		{target: "/a#/../blocked", status: 400},
		{target: "/a?b#c", status: 400},
		{target: "/%zz", status: 400},
		{target: "x", status: 400},
		// The absolute form: its host counts, here and there.
		{target: "http://other.example/p?q", host: "app.example", status: 200, sent: "/p?q", sentHost: "other.example"},
		{target: "http://other.example?q", status: 200, sent: "/?q", sentHost: "other.example"},
		{target: "http://ADMIN.example:80/p", host: "app.example", status: 403},
		{target: "http://admin.example./p", host: "app.example", status: 403},
		{target: "http://app.example@admin.example/p", status: 400},
		{target: "http://admin.example%2f/p", status: 400},
		{target: "ftp://app.example/p", status: 400},
		{target: "http:///p", status: 400},
		// Hosts.
		{target: "/", host: "Admin.Example", status: 403},
		{target: "/", host: "admin.example.", status: 403},
		{target: "/", host: "admin.example:8443", status: 403},
		{target: "/", host: "App.Example.:8443", status: 200, sent: "/", sentHost: "app.example:8443"},
		{target: "/", host: "[2001:db8::1]:80", status: 200, sent: "/", sentHost: "[2001:db8::1]:80"},
		{target: "/", host: "app.example, admin.example", status: 400},
		{target: "/", host: "app.example@admin.example", status: 400},
		{target: "/", host: "app..example", status: 400},
		{target: "/", host: "app.example:80:80", status: 400},
		{target: "/", host: "app.example:", status: 400},
		{target: "/", host: "[::1", status: 400},
		{target: "/", host: " ", status: 400},
		{target: "/", host: "ädmin.example", status: 400},
	} {
		host := c.host
		if host == "" {
			host = "app.example"
		}
		answer := raw(t, s, "GET "+c.target+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		seen, _ := a.taken()
		if status(answer) != c.status {
			t.Errorf("%s at %q: %d, want %d", c.target, c.host, status(answer), c.status)
		}
		if c.status != 200 {
			if len(seen) != 0 {
				t.Errorf("%s at %q: refused, and the application saw %s", c.target, c.host, seen[0].RequestURI)
			}
			continue
		}
		want := c.sentHost
		if want == "" {
			want = host
		}
		if len(seen) != 1 || seen[0].RequestURI != c.sent || seen[0].Host != want || seen[0].Header.Get("X-Forwarded-Host") != want {
			t.Errorf("%s at %q: the application saw %d requests, %v", c.target, c.host, len(seen), seen)
		}
	}
}

// Methods that would open a way past the gate, or show what it says.
func TestMethods(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, nil)
	for text, want := range map[string]int{
		"CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443\r\n\r\n": 405,
		"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n":                             405,
		"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n":                               405,
		"DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n":                             403,
		"GET * HTTP/1.1\r\nHost: x\r\n\r\n":                                 400,
		"GET / HTTP/1.1\r\n\r\n":                                            400,
		"GET / HTTP/1.0\r\n\r\n":                                            400,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                      400,
	} {
		answer := raw(t, s, text)
		if seen, _ := a.taken(); status(answer) != want || len(seen) != 0 {
			t.Errorf("%q: %d, want %d; the application saw %d", text, status(answer), want, len(seen))
		}
	}
	if answer := raw(t, s, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); status(answer) != 200 || a.last(t).RequestURI != "*" {
		t.Errorf("OPTIONS *: %s", answer)
	}
}

// F10: a thousand headers, and 64 KB of X-Forwarded-For.
func TestLargeHeaders(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, nil)
	began := time.Now()
	many := strings.Repeat("X-Filler-"+strings.Repeat("a", 20)+": 1\n", 1000)
	for _, c := range []struct {
		name, lines, client string
	}{
		{"1,000 headers", many, attacker},
		{"64 KB of victims", "X-Forwarded-For: " + strings.Repeat(victim+",", 7281) + "\n", attacker},
		{"64 KB of commas", "X-Forwarded-For: " + strings.Repeat(",", 64<<10) + "\n", attacker},
		{"1,000 lines", strings.Repeat("X-Forwarded-For: "+victim+"\n", 1000), attacker},
	} {
		resp := ask(t, s, "GET / HTTP/1.1\nHost: x\n"+c.lines+"X-Forwarded-For: "+attacker+"\n\n")
		if resp.StatusCode != 200 {
			t.Errorf("%s: %d", c.name, resp.StatusCode)
			continue
		}
		if got := a.last(t).Header["X-Forwarded-For"]; len(got) != 1 || got[0] != c.client {
			t.Errorf("%s: the client is %.100q", c.name, got)
		}
	}
	if answer := raw(t, s, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: "+strings.Repeat("1", 200<<10)+"\r\n\r\n"); status(answer) != 431 {
		t.Errorf("200 KB: %.100s", answer)
	}
	if seen, _ := a.taken(); len(seen) != 0 {
		t.Error("200 KB went on")
	}
	if took := time.Since(began); took > 50*time.Second {
		t.Errorf("took %v", took)
	}
}

// Messages that two servers may see the end of in different places: they are
// refused, or they are one request for the application too.
func TestSmuggling(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, func(_ *Config, c *ServerConfig) { c.HeaderTimeout = time.Second })
	const second = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for i, c := range []struct {
		name, text string
		max        int // requests that may reach the application
	}{
		{"CL.TE", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, 1},
		{"TE.CL", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n27\r\n" + second + "\r\n0\r\n\r\n", 1},
		{"CL.CL", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 39\r\n\r\n" + second, 0},
		{"CL list", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 39\r\n\r\n" + second, 0},
		{"CL sign", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +39\r\n\r\n" + second, 0},
		{"CL hex", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x27\r\n\r\n" + second, 0},
		{"CL negative", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + second, 0},
		{"TE unknown", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second, 0},
		{"TE list", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + second, 0},
		{"TE gzip", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + second, 0},
		{"TE twice", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + second, 0},
		{"TE space before colon", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + second, 0},
		{"TE vertical tab", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + second, 0},
		{"TE quoted", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + second, 0},
		{"TE folded", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + second, 1},
		{"TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, 1},
		{"CL and TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, 1},
		{"name with space", "GET / HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n", 0},
		{"space before first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 0},
		{"NUL in value", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", 0},
		{"bare CR in value", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n", 0},
		{"bare LF in chunk extension", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x\nxx\r\n0\r\n\r\n" + second, 1},
		{"chunk size overflow", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + second, 1},
		{"chunk size sign", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nxx\r\n0\r\n\r\n" + second, 1},
		{"two spaces in request line", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
		{"HTTP/0.9", "GET /\r\n\r\n", 0},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", 1},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 0},
	} {
		// A path of its own: the application may see the last case's request late.
		path := "/" + strconv.Itoa(i)
		began := time.Now()
		raw(t, s, strings.Replace(c.text, " /", " "+path, 1))
		if took := time.Since(began); took > 50*time.Second {
			t.Errorf("%s: no answer in %v", c.name, took)
		}
		seen, _ := a.taken()
		n := 0
		for _, r := range seen {
			if r.RequestURI == path {
				n++
			}
			if r.RequestURI == "/smuggled" {
				t.Errorf("%s: the application saw %s", c.name, r.RequestURI)
			}
		}
		if n > c.max {
			t.Errorf("%s: the application saw %d requests", c.name, n)
		}
	}
	a.taken()
	// What is pipelined plainly is two requests, each of them judged.
	answer := raw(t, s, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /blocked HTTP/1.1\r\nHost: x\r\n\r\n")
	if seen, _ := a.taken(); len(seen) != 1 || strings.Count(answer, "HTTP/1.1 403") != 1 {
		t.Errorf("pipelined: the application saw %d requests; %s", len(seen), answer)
	}
	// A folded header and a bare LF come out as one line each.
	raw(t, s, "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n X-Ipwarden-Verdict: b\r\nX-B: b\nX-C: c\r\n\r\n")
	if r := a.last(t); r.Header.Get("X-A") != "a X-Ipwarden-Verdict: b" || r.Header.Get("X-C") != "c" {
		t.Errorf("folded: %v", r.Header)
	}
}

// Some applications take trailers for headers.
func TestForgedTrailers(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, v := range r.Trailer {
			w.Header().Set("Saw-"+name, strings.Join(v, "|"))
		}
	})
	s := start(t, a, nil)
	resp := ask(t, s, "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: X-Sum, X-Ipwarden-Verdict, X-Forwarded-For, X-Forwarded-Host\n\n"+
		"1\nx\n0\nX-Sum: 42\nX-Ipwarden-Verdict: allow\nX-Forwarded-For: 8.8.8.8\nX-Forwarded-Host: evil\nX-Unannounced: 1\n\n")
	if got := resp.Header.Get("Saw-X-Sum"); got != "42" {
		t.Errorf("X-Sum is %q", got)
	}
	for name := range resp.Header {
		if strings.HasPrefix(name, "Saw-") && name != "Saw-X-Sum" {
			t.Errorf("%s went on", name)
		}
	}
}
