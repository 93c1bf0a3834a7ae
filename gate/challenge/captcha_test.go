package challenge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/policy"
)

// operator stands in for a CAPTCHA's operator: "good-…" is a solution, once.
type operator struct {
	mu    sync.Mutex
	mode  string
	used  map[string]bool
	asked atomic.Int32
	hold  chan struct{} // closed at the end of the test
}

func (o *operator) set(mode string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mode = mode
}

func (o *operator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.asked.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch o.mode {
	case "error":
		http.Error(w, "upstream connect error", http.StatusBadGateway)
		return
	case "junk":
		_, _ = io.WriteString(w, "<html>it works</html>")
		return
	case "half":
		_, _ = io.WriteString(w, `{"hostname":"x"}`)
		return
	case "huge":
		_, _ = io.WriteString(w, `{"success":true,"hostname":"`+strings.Repeat("x", 1<<20)+`"}`)
		return
	case "redirect":
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
		return
	case "internal":
		_, _ = io.WriteString(w, `{"success":false,"error-codes":["internal-error"]}`)
		return
	case "silent":
		hold := o.hold
		o.mu.Unlock()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
		o.mu.Lock()
		return
	}
	response := r.PostFormValue("response")
	codes := ""
	switch {
	case r.Method != http.MethodPost || r.PostFormValue("secret") != "the-secret":
		codes = "invalid-input-secret"
	case response == "":
		codes = "missing-input-response"
	case !strings.HasPrefix(response, "good-"):
		codes = "invalid-input-response"
	case o.used[response]:
		codes = "timeout-or-duplicate"
	}
	if codes != "" {
		fmt.Fprintf(w, `{"success":false,"error-codes":[%q]}`, codes)
		return
	}
	o.used[response] = true
	_, _ = io.WriteString(w, `{"success":true,"hostname":"example.com","error-codes":[]}`)
}

func withOperator(t *testing.T, cfg Config, account CaptchaConfig) (*operator, *Challenges, *clock) {
	t.Helper()
	o := &operator{used: map[string]bool{}, hold: make(chan struct{})}
	s := httptest.NewServer(o)
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(o.hold) })
	set(&account.SiteKey, "the-key")
	set(&account.Secret, "the-secret")
	set(&account.VerifyURL, s.URL)
	now := &clock{t: start}
	account.Now = now.now
	k, err := NewCaptcha(account)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kinds = []Choice{{0, k}}
	c, _ := challenges(t, cfg)
	c.cfg.Now = now.now
	return o, c, now
}

func captcha(q url.Values, solution string) url.Values {
	return url.Values{"t": q["t"], "to": q["to"], "kind": {"captcha"}, "cf-turnstile-response": {solution}}
}

func TestCaptcha(t *testing.T) {
	_, c, now := withOperator(t, Config{}, CaptchaConfig{Hostname: "Example.com"})
	q := send(t, c, now, client, 0, with(""))
	a := get(c, q)
	for _, want := range []string{`class="cf-turnstile"`, `data-sitekey="the-key"`, `src="https://challenges.cloudflare.com/turnstile/v0/api.js"`} {
		if !strings.Contains(string(a.Body), want) {
			t.Errorf("%s has no %s", a.Body, want)
		}
	}
	if strings.Contains(string(a.Body), "the-secret") {
		t.Error("the page has the secret")
	}
	csp := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"script-src 'nonce-", "frame-src https://challenges.cloudflare.com", "default-src 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s has no %s", csp, want)
		}
	}
	cookieOf(t, post(c, captcha(q, "good-1")))
	if a := post(c, captcha(q, "good-2")); a.Status != http.StatusForbidden { // H1
		t.Errorf("the ticket again: %d", a.Status)
	}
	for _, solution := range []string{"good-1", "bad", "", strings.Repeat("good-", 2000), "good-\n", "good-<x>"} {
		if a := post(c, captcha(send(t, c, now, client, 0, with("")), solution)); a.Status != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%.20q: %d", solution, a.Status)
		}
	}
}

func TestCaptchaOfAnotherSite(t *testing.T) {
	_, c, now := withOperator(t, Config{}, CaptchaConfig{Hostname: "other.example"})
	if a := post(c, captcha(send(t, c, now, client, 0, with("")), "good-1")); a.Status != http.StatusForbidden {
		t.Errorf("%d", a.Status)
	}
}

// H4 of the catalogue: the operator is away, in whatever way; the route's fail
// mode decides, and nobody is sent round.
func TestOperatorAway(t *testing.T) {
	for _, mode := range []string{"error", "junk", "half", "huge", "redirect", "internal", "silent", "refused"} {
		t.Run(mode, func(t *testing.T) {
			fail := policy.FailSafe
			account := CaptchaConfig{Timeout: 100 * time.Millisecond}
			if mode == "refused" {
				account.VerifyURL = "http://127.0.0.1:1/siteverify"
			}
			var log strings.Builder
			account.Log = slog.New(slog.NewTextHandler(&log, nil))
			o, c, now := withOperator(t, Config{FailMode: func(to string) policy.FailMode {
				if to != "/shop?a=b&c=%C3%BC" {
					t.Errorf("asked about %q", to)
				}
				return fail
			}}, account)
			o.set(mode)

			// Safe: another challenge, once, and a short clearance.
			a := post(c, captcha(send(t, c, now, client, 0, with("")), "good-1"))
			if a.Status != http.StatusOK || a.Header.Get("Location") != "" {
				t.Fatalf("safe: %d", a.Status)
			}
			body := string(a.Body)
			_, ticket, _ := strings.Cut(body, `name="t" value="`)
			ticket, _, _ = strings.Cut(ticket, `"`)
			if !strings.Contains(body, `data-bits="17"`) || !strings.Contains(body, "not available now") {
				t.Fatalf("%s", body)
			}
			done := post(c, url.Values{"t": {ticket}, "to": {"/"}, "kind": {"proof_of_work"}, "n": {solve(t, ticket, 17)}})
			cookieOf(t, done)
			if !strings.Contains(done.Header.Get("Set-Cookie"), "Max-Age=600;") {
				t.Error(done.Header.Get("Set-Cookie"))
			}
			// Nobody chooses the fallback: it is in the ticket.
			q := send(t, c, now, client, 0, with(""))
			if a := post(c, url.Values{"t": q["t"], "kind": {"proof_of_work"}, "n": {"0"}}); a.Status != http.StatusBadRequest {
				t.Errorf("it was chosen: %d", a.Status)
			}

			fail = policy.FailClosed
			a = post(c, captcha(send(t, c, now, client, 0, with("")), "good-2"))
			if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Header.Get("Set-Cookie") != "" || strings.Contains(string(a.Body), "http-equiv") {
				t.Errorf("closed: %d %s", a.Status, a.Body)
			}

			fail = policy.FailOpen
			a = post(c, captcha(send(t, c, now, client, 0, with("")), "good-3"))
			cookieOf(t, a)
			if !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=600;") {
				t.Error(a.Header.Get("Set-Cookie"))
			}
			// A browser that could not load the widget brings no solution: whether the
			// operator is away is known from just now.
			asked := o.asked.Load()
			cookieOf(t, post(c, captcha(send(t, c, now, client, 0, with("")), "")))
			if o.asked.Load() != asked {
				t.Error("the operator was asked again at once")
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d lines a minute: %s", n, log.String())
			}
			s := c.Stats()
			if s.FellBack != 1 || s.FailedClosed != 1 || s.FailedOpen != 2 || s.Attempts["captcha"]["unavailable"] != 4 {
				t.Errorf("%+v", s)
			}

			// It is back: no solution, no clearance.
			if mode == "refused" {
				return
			}
			o.set("")
			now.pass(11 * time.Second)
			if a := post(c, captcha(send(t, c, now, client, 0, with("")), "")); a.Status != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
				t.Errorf("back: %d", a.Status)
			}
			cookieOf(t, post(c, captcha(send(t, c, now, client, 0, with("")), "good-4")))
		})
	}
}

// Neither a flood nor a client that goes away opens the door.
func TestBusyIsNotAway(t *testing.T) {
	o, c, now := withOperator(t, Config{FailMode: func(string) policy.FailMode { return policy.FailOpen }}, CaptchaConfig{Concurrent: 1, Timeout: time.Minute})
	o.set("silent")
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan Answer)
	q := send(t, c, now, client, 0, with(""))
	go func() {
		first <- c.Answer(ctx, &Ask{Method: http.MethodPost, Form: captcha(q, "good-1")})
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for o.asked.Load() == 0 {
		<-tick.C
	}
	if a := post(c, captcha(send(t, c, now, client, 0, with("")), "good-2")); a.Status != http.StatusTooManyRequests {
		t.Errorf("a second one at a time: %d", a.Status)
	}
	leave()
	if a := <-first; a.Status != http.StatusTooManyRequests || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("who went away: %d", a.Status)
	}
	if s := c.Stats(); s.FailedOpen != 0 {
		t.Errorf("%+v", s)
	}
}

func TestCaptchaByURL(t *testing.T) {
	k, err := NewCaptcha(CaptchaConfig{SiteKey: "k", Secret: "s", VerifyURL: "https://api.hcaptcha.com/siteverify"})
	if err != nil {
		t.Fatal(err)
	}
	w := k.Widget(nil, &Texts{})
	if k.cfg.Field != "h-captcha-response" || !strings.Contains(w.HTML, `class="h-captcha"`) || w.Load[0] != "https://js.hcaptcha.com/1/api.js" || len(w.Sources) != 3 {
		t.Errorf("%+v %+v", k.cfg, w)
	}
	_, err = NewCaptcha(CaptchaConfig{VerifyURL: "ftp://x", ScriptURL: "/api.js", Sources: []string{"https://x; script-src *"}, Timeout: -1})
	for _, want := range []string{"SiteKey and the Secret", `VerifyURL "ftp://x"`, `ScriptURL "/api.js"`, `source "https://x;`, "Timeout and Concurrent"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has no %s", err, want)
		}
	}
}
