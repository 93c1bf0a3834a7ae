package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

func browser(r *http.Request) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	r.RemoteAddr = "81.2.69.142:1"
}

func TestHomePage(t *testing.T) {
	a := newAPI(t, nil)
	for _, tt := range []struct {
		name, target string
		want, never  []string
	}{
		{"the caller", "/", []string{"81.2.69.142", "Your address", "London", "AS20712", "Andrews &amp; Arnold", `name="ip"`, "On no threat list", "Who says so", "delegated-ripencc"}, []string{"role=\"alert\""}},
		{"another", "/?ip=185.220.101.4", []string{"185.220.101.4", "Tor exit", "Attacker", "Threat score", "90", "tor-exits, ipsum"}, []string{"Your address", "On no threat list"}},
		{"another spelling", "/?ip=+%3A%3Affff%3A8.8.8.8+", []string{"8.8.8.8</h1>", "::ffff:8.8.8.8 is"}, nil},
		{"a bogon", "/?ip=10.0.0.1", []string{"Private-Use", "RFC1918", "Not globally reachable"}, []string{"On no threat list"}},
		{"nothing known", "/?ip=198.51.100.20", []string{"198.51.100.20</h1>"}, []string{"On no threat list"}},
		{"a mistake", "/?ip=1.2.3", []string{`role="alert"`, "is not an IPv4 address", "Below is your own", `value="1.2.3"`}, nil},
		{"an attack", "/?ip=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", []string{"&lt;script&gt;"}, []string{"<script"}},
		{"a long attack", "/?ip=" + strings.Repeat("%3Cb%3E", 2000), []string{`role="alert"`}, []string{"<b>"}},
		{"with the evidence", "/?ip=8.8.8.8&explain=1", []string{`class="evidence" open>`}, nil},
		{"a campaign's link", "/?utm_source=mail&ip=8.8.8.8", []string{"8.8.8.8</h1>"}, nil},
	} {
		w := a.answer(t, "GET", tt.target, browser)
		body := w.Body.String()
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%s: %d %v", tt.name, w.Code, w.Header())
		}
		for _, s := range tt.want {
			if !strings.Contains(body, s) {
				t.Errorf("%s: no %q", tt.name, s)
			}
		}
		for _, s := range tt.never {
			if strings.Contains(body, s) {
				t.Errorf("%s: has %q", tt.name, s)
			}
		}
	}
}

// Who comes over a Unix socket has no address, and everything else.
func TestCallerWithoutAddress(t *testing.T) {
	a := newAPI(t, nil)
	for _, tt := range []struct {
		target, accept, want string
		status               int
	}{
		{"/v1/ip", "*/*", "unknown-caller", 404},
		{"/", "*/*", "unknown-caller", 404},
		{"/", "text/html", `name="ip"`, 200},
		{"/?ip=1.2.3", "text/html", `role="alert"`, 200},
		{"/?ip=8.8.8.8", "text/html", "8.8.8.8</h1>", 200},
		{"/v1/ip/8.8.8.8", "*/*", `"ip":"8.8.8.8"`, 200},
	} {
		w := a.answer(t, "GET", tt.target, func(r *http.Request) { r.RemoteAddr = "@"; r.Header.Set("Accept", tt.accept) })
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || strings.Contains(w.Body.String(), "invalid IP") || strings.Contains(w.Body.String(), "Below is") {
			t.Errorf("%s as %s: %d %s", tt.target, tt.accept, w.Code, short(w.Body.String()))
		}
	}
}

// The pages load nothing, run nothing, and their one style sheet is the one
// that the policy names.
func TestPagesAreSealed(t *testing.T) {
	a := newAPI(t, nil)
	for _, target := range []string{"/", "/docs"} {
		w := a.answer(t, "GET", target, browser)
		body := w.Body.String()
		_, rest, _ := strings.Cut(body, "<style>")
		css, _, ok := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(css))
		csp := w.Header().Get("Content-Security-Policy")
		if !ok || !strings.Contains(csp, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("%s: the policy %q is not that of the style sheet", target, csp)
		}
		for _, s := range []string{"<script", "style=", "onclick", "src=", "@import", "url(", "ZgotmplZ"} {
			if strings.Contains(body, s) {
				t.Errorf("%s has %q", target, s)
			}
		}
		for _, s := range []string{"http://www.w3.org/2000/svg", "http://ip.example", problemBase, "https://ipwarden.dev"} {
			body = strings.ReplaceAll(body, s, "")
		}
		if i := strings.Index(body, "=\"http"); i >= 0 {
			t.Errorf("%s points elsewhere: %s", target, short(body[i:]))
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", target, w.Header())
		}
		for _, s := range []string{`<html lang="en">`, "<main", `name="viewport"`, "<title>", `class="skip"`} {
			if !strings.Contains(body, s) {
				t.Errorf("%s has no %q", target, s)
			}
		}
	}
}

func TestDocsPage(t *testing.T) {
	body := newAPI(t, nil).answer(t, "GET", "/docs", browser).Body.String()
	for f := range ipwarden.AllFields() {
		if !strings.Contains(body, "<code>"+f.String()+"</code>") {
			t.Errorf("the page has no field %s", f)
		}
	}
	for _, s := range []string{
		"/v1/ip/{ip}", "/v1/ip/{ip}/{field}", "/v1/asn/{asn}", "/v1/network/{cidr}", "/v1/dataset", "/healthz", "/readyz",
		"curl http://ip.example/v1/ip/8.8.8.8", "curl --json &#39;[&#34;8.8.8.8&#34;,&#34;1.1.1.1&#34;]&#39; http://ip.example/v1/ip",
	} {
		if !strings.Contains(body, s) {
			t.Errorf("the page has no %q", s)
		}
	}
	if strings.Contains(body, "{{") || strings.Contains(body, "<no value>") {
		t.Error("the page is not finished")
	}
}

// Every trait that there is has its chip.
func TestTraitChips(t *testing.T) {
	var all ipwarden.Traits
	for _, c := range traitChips {
		all |= c.trait
	}
	if all != ipwarden.AllTraits {
		t.Errorf("no chip for %v", (ipwarden.AllTraits &^ all).Names())
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	_, err := New(Config{PublicURL: "ip.example"})
	if err == nil || !strings.Contains(err.Error(), "Data is missing") || !strings.Contains(err.Error(), `PublicURL "ip.example"`) {
		t.Errorf("New: %v", err)
	}
	w := ipwardentest.Sample()
	if a, err := New(Config{Data: func() Data { return w }}); err != nil || !a.Ready() {
		t.Errorf("the smallest Config: %v", err)
	} else if w := a.answer(t, "GET", "/v1/ip/8.8.8.8?fields=ip,security.scores"); w.Body.String() != "{\"ip\":\"8.8.8.8\"}\n" {
		t.Errorf("without scores: %s", w.Body)
	}
}

// Who is signed in is led to the account, and not asked to sign up.
func TestHomePageSignedIn(t *testing.T) {
	a, _ := withAccounts(t, func(c *Config) {
		c.SignIn, c.SignUp, c.Session, c.Account = "/account/sign-in", "/account/sign-up", "__Host-session", "/account"
	})
	for cookie, in := range map[string]bool{"a=b; __Host-session=text": true, "__Host-session=": false, "session=text": false, "x__Host-session=text": false} {
		body := a.answer(t, "GET", "/", browser, func(r *http.Request) { r.Header.Set("Cookie", cookie) }).Body.String()
		for _, s := range []string{`href="/account/keys"`, `href="/account">Your account`} {
			if strings.Contains(body, s) != in {
				t.Errorf("with %q: %q is there: %t", cookie, s, !in)
			}
		}
		for _, s := range []string{"Sign up", "Sign in", "two minutes"} {
			if strings.Contains(body, s) == in {
				t.Errorf("with %q: %q is there: %t", cookie, s, in)
			}
		}
	}
}

// Who has no key and needs one is told where to get it, and not that something failed;
// what the page says to type has one in it.
func TestHomePageNeedsKey(t *testing.T) {
	for _, tt := range []struct {
		name, signIn, signUp string
		target               string
		want, never          []string
	}{
		{"open", "/account/sign-in", "/account/sign-up", "/", []string{"Look-ups need a key", `class="button" href="/account/sign-up"`, `href="/account/sign-in"`, "curl -H 'X-Api-Key: ipw_sk_live_…' http", "'X-Api-Key: ipw_sk_live_…' --json"}, []string{`role="alert"`, "<form", "81.2.69.142"}},
		{"asked", "/account/sign-in", "/account/sign-up", "/?ip=8.8.8.8", []string{"Look-ups need a key", `href="/account/sign-up"`}, []string{"8.8.8.8</h1>", "London"}},
		{"closed", "/account/sign-in", "", "/", []string{"Look-ups need a key", `href="/account/sign-in"`}, []string{"Sign up", "two minutes"}},
		{"no pages", "", "", "/", []string{"Look-ups need a key"}, []string{"Sign up", "Sign in"}},
	} {
		a, _ := withAccounts(t, func(c *Config) { c.SignIn, c.SignUp = tt.signIn, tt.signUp })
		body := a.answer(t, "GET", tt.target, browser).Body.String()
		for _, s := range tt.want {
			if !strings.Contains(body, s) {
				t.Errorf("%s: no %q", tt.name, s)
			}
		}
		for _, s := range tt.never {
			if strings.Contains(body, s) {
				t.Errorf("%s: has %q", tt.name, s)
			}
		}
		if docs := a.answer(t, "GET", "/docs", browser).Body.String(); strings.Contains(docs, `href="/account/sign-up"`) != (tt.signUp != "") {
			t.Errorf("%s: the reference leads elsewhere than the page", tt.name)
		}
	}
}
