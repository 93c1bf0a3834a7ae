package challenge

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

// The way back leads to this very site, whoever made the link.
func TestWayBack(t *testing.T) {
	const page = "/.ipwarden/challenge"
	for to, want := range map[string]string{
		"/": "/", "/shop?a=b": "/shop?a=b", "/a//b": "/a//b", "/?next=https://evil.example/": "/?next=https://evil.example/",
		"": "/", "shop": "/", "https://evil.example/": "/", "//evil.example/": "/", "///evil.example": "/", `/\evil.example`: "/",
		"/\t/evil.example": "/", "/\n/evil.example": "/", "/a\r\nSet-Cookie: x=y": "/", "/a b": "/", "/ä": "/", "/\x00": "/", "javascript:alert(1)": "/",
		"/" + strings.Repeat("x", maxTo): "/", page: "/", page + "?t=x": "/", page + "s": page + "s",
	} {
		if got := safeTo(to, page); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
	c, now := challenges(t, Config{})
	for _, to := range []string{"//evil.example/", `/\evil.example`, "https://evil.example", "/\t/evil.example"} {
		q := send(t, c, now, client, 0, nil)
		form := solved(t, q)
		form.Set("to", to)
		if got := post(c, form).Header.Get("Location"); got != "/" {
			t.Errorf("%q leads to %q", to, got)
		}
		if body := string(get(c, url.Values{"t": {"x"}, "to": {to}}).Body); strings.Contains(body, "evil") {
			t.Errorf("%q is in the page: %s", to, body)
		}
	}
}

func FuzzWayBack(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/\t/x", "/a?b#c", "/.ipwarden/challenge", "/%2f%2fx"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://example.com/.ipwarden/challenge")
	f.Fuzz(func(t *testing.T, to string) {
		got := safeTo(to, base.Path)
		u, err := base.Parse(got)
		if err != nil {
			return // a browser is more lenient, and the characters are checked
		}
		if u.Host != base.Host || u.Scheme != "https" || strings.ContainsAny(got, "\\\t\r\n ") || strings.HasPrefix(got, "//") {
			t.Errorf("%q leads to %q: %s", to, got, u)
		}
	})
}

func TestPathsThatComeBack(t *testing.T) {
	c, now := challenges(t, Config{})
	for _, x := range []struct{ path, query, want string }{
		{"/", "", "/"},
		{"/a b/ü", "", "/a%20b/%C3%BC"},
		{"/50%/a?b#c", "q=1", "/50%25/a%3Fb%23c?q=1"},
		{"/a%2Fb", "", "/a%2Fb"},
		{"/x", "a=<b>&c=\"d\" e\\f#g", "/x?a=<b>&c=\"d\"%20e%5Cf%23g"},
		{"/.ipwarden/challenge", "t=x", "/"},
	} {
		q := send(t, c, now, client, 0, &ipwarden.Request{Path: x.path, Query: x.query})
		if got := q.Get("to"); got != x.want {
			t.Errorf("%s?%s comes back as %s, want %s", x.path, x.query, got, x.want)
		}
	}
}

var scripts = regexp.MustCompile(`<(script|style)([^>]*)>`)

// Nothing that a client writes gets into the page as markup, and every script and
// style has the nonce of this answer.
func TestPageIsClosed(t *testing.T) {
	c, now := challenges(t, Config{})
	q := send(t, c, now, client, 0, &ipwarden.Request{Path: "/x", Query: `"><script>alert(1)</script>`})
	nonces := map[string]bool{}
	for _, wait := range []string{"", "1"} {
		q.Set("wait", wait)
		a := get(c, q)
		body := string(a.Body)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, `"><script`) {
			t.Errorf("%s", body)
		}
		csp := a.Header.Get("Content-Security-Policy")
		m := regexp.MustCompile(`script-src 'nonce-([^']+)'`).FindStringSubmatch(csp)
		if m == nil || nonces[m[1]] {
			t.Fatalf("%s", csp)
		}
		nonces[m[1]] = true
		for _, s := range scripts.FindAllStringSubmatch(body, -1) {
			if !strings.Contains(s[2], `nonce="`+m[1]+`"`) {
				t.Errorf("%s has not the nonce %s", s[0], m[1])
			}
		}
		for _, never := range []string{"http://", "https://", " onclick", " style="} {
			if strings.Contains(body, never) {
				t.Errorf("the page has %q", never)
			}
		}
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s has no %s", csp, want)
			}
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Robots-Tag") != "noindex" {
			t.Errorf("%v", a.Header)
		}
	}
}

func TestLanguages(t *testing.T) {
	c, now := challenges(t, Config{Texts: map[string]Texts{"sv": {Language: "sv", Title: "Ett ögonblick"}}})
	q := send(t, c, now, client, 0, nil)
	for accept, want := range map[string]string{
		"": "en", "de-CH, en;q=0.8": "de", "xx, fr;q=0.5": "fr", "sv": "sv", "*": "en", strings.Repeat("xx,", 1000) + "de": "en", "EN-GB": "en",
	} {
		a := c.Answer(t.Context(), &Ask{Method: http.MethodGet, Query: q, Language: accept})
		if !strings.Contains(string(a.Body), `<html lang="`+want+`">`) {
			t.Errorf("%.20q gets %.60s", accept, a.Body)
		}
	}
	en := DefaultTexts()["en"]
	for lang, text := range DefaultTexts() {
		if text.Language != lang || strings.Count(text.NoScript, "%d") != 1 || strings.Count(text.Waiting, "%d") != 1 {
			t.Errorf("%s: %+v", lang, text)
		}
		for i, s := range fields(&text) {
			if s == "" || lang != "en" && s == fields(&en)[i] {
				t.Errorf("%s: text %d is missing or English: %q", lang, i, s)
			}
		}
	}
}

func fields(t *Texts) []string {
	return []string{
		t.Title, t.Intro, t.Privacy, t.Working, t.Done, t.Captcha, t.Start, t.Button, t.NoScript, t.Waiting, t.Instead,
		t.Cookies, t.Again, t.Fallback, t.Failed, t.Old, t.Used, t.Invalid, t.Away, t.Busy, t.Back,
	}
}

func TestHTTP(t *testing.T) {
	c, now := challenges(t, Config{})
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	do := func(method, target, body string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.ServeHTTP(w, r)
		return w
	}
	q := send(t, c, now, client, 0, nil)
	page := c.Path() + "?" + q.Encode()
	for _, x := range []struct {
		method, target, body string
		status               int
	}{
		{"GET", "/shop", "", http.StatusTeapot},
		{"GET", c.Path() + "/x", "", http.StatusTeapot},
		{"GET", page, "", http.StatusOK},
		{"HEAD", page, "", http.StatusOK},
		{"GET", c.Path(), "", http.StatusBadRequest},
		{"GET", c.Path() + "?t=%zz", "", http.StatusBadRequest},
		{"PUT", page, "", http.StatusMethodNotAllowed},
		{"POST", page, "", http.StatusBadRequest}, // a ticket in the query is none of a form
		{"POST", c.Path(), strings.Repeat("x", maxForm+1), http.StatusBadRequest},
		{"POST", c.Path(), "%zz", http.StatusBadRequest},
		{"POST", c.Path(), solved(t, q).Encode(), http.StatusSeeOther},
		{"POST", "https://example.com" + c.Path(), solved(t, send(t, c, now, client, 0, nil)).Encode(), http.StatusSeeOther},
	} {
		w := do(x.method, x.target, x.body)
		if w.Code != x.status {
			t.Errorf("%s %.60s: %d, want %d", x.method, x.target, w.Code, x.status)
		}
		if x.method == "HEAD" && w.Body.Len() > 0 {
			t.Error("HEAD has a body")
		}
		if secure := strings.Contains(w.Header().Get("Set-Cookie"), "; Secure"); secure != (strings.HasPrefix(x.target, "https") && x.status == http.StatusSeeOther) {
			t.Errorf("%s: secure %v", x.target, secure)
		}
	}
}

// Whatever is sent: no panic, no clearance, no way to another site.
func FuzzForms(f *testing.F) {
	c, now := challenges(f, Config{})
	q := send(f, c, now, client, 0, nil)
	f.Add(q.Get("t"), "/x", "proof_of_work", "1")
	f.Add(q.Get("t"), "//x", "wait", "")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, ticket, to, kind, n string) {
		a := post(c, url.Values{"t": {ticket}, "to": {to}, "kind": {kind}, "n": {n}})
		if a.Header.Get("Set-Cookie") != "" {
			if ticket != q.Get("t") || kind != "proof_of_work" {
				t.Errorf("%q %q %q is cleared", ticket, kind, n)
			}
			if loc := a.Header.Get("Location"); !strings.HasPrefix(loc, "/") || strings.HasPrefix(loc, "//") {
				t.Errorf("%q leads to %q", to, loc)
			}
		}
		get(c, url.Values{"t": {ticket}, "to": {to}, "wait": {n}})
	})
}

// What is no text of ours opens nothing; what opens is written alike.
func FuzzOpen(f *testing.F) {
	c, now := challenges(f, Config{})
	f.Add(send(f, c, now, client, 77, nil).Get("t"))
	f.Add(strings.TrimPrefix(clearedBy(f, c, now, 3), "ipwarden_clearance="))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if k, ok := c.seal.openTicket(text); ok && string(c.seal.appendTicket(nil, k)) != text {
			t.Errorf("%q is written differently", text)
		}
		if k, ok := c.seal.openClearance(text); ok && k.net[0] != 4 {
			t.Errorf("%+v", k)
		}
		c.Cleared(with("ipwarden_clearance="+text), client, 0, start)
		c.Cleared(with(text), client, 0, start)
	})
}
