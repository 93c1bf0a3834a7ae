package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Each vendor's refusals are understood.
func TestRefusals(t *testing.T) {
	in := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, c := range []struct {
		kind, plan string
		status     int
		body       string
		header     []string
		want       Kind
		retry      time.Time
	}{
		{"ipdata", "", 403, `{"message":"You have made 20,000 requests and have exceeded your daily quota. Upgrade…"}`, nil, OverQuota, in(firstWait)},
		{"ipdata", "", 403, `{"message":"IP or domain not in whitelist."}`, nil, Auth, time.Time{}},
		{"ipdata", "", 401, `{"message":"You have not provided a valid API Key."}`, nil, Auth, time.Time{}},
		{"ipdata", "", 400, `{"message":"x does not appear to be an IPv4 or IPv6 address"}`, nil, Invalid, time.Time{}},
		{"ipinfo", "core", 429, `{"title":"Rate limit exceeded","message":"Upgrade"}`, []string{"Retry-After", "120"}, OverQuota, in(2 * time.Minute)},
		{"ipinfo", "legacy", 429, `{"status":429,"error":{"title":"Rate limit exceeded","message":"m"}}`, nil, OverQuota, in(firstWait)},
		{"ipinfo", "legacy", 404, `{"status":404,"error":{"title":"Wrong ip","message":"m"}}`, nil, Invalid, time.Time{}},
		{"ipinfo", "core", 403, `{"status":403,"error":{"title":"Unknown token","message":"m"}}`, nil, Auth, time.Time{}},
		{"ipinfo", "core", 500, `Internal Server Error`, nil, Server, time.Time{}},
		{"maxmind", "city", 402, `{"code":"INSUFFICIENT_FUNDS","error":"m"}`, nil, OverQuota, in(firstWait)},
		{"maxmind", "city", 402, `{"code":"PERMISSION_REQUIRED","error":"m"}`, nil, Auth, time.Time{}},
		{"maxmind", "city", 401, `{"code":"AUTHORIZATION_INVALID","error":"m"}`, nil, Auth, time.Time{}},
		{"maxmind", "city", 400, `{"code":"IP_ADDRESS_INVALID","error":"m"}`, nil, Invalid, time.Time{}},
		{"maxmind", "city", 429, ``, nil, OverQuota, in(firstWait)},
		{"abuseipdb", "", 429, `{"errors":[{"detail":"Daily rate limit of 1000 requests exceeded","status":429}]}`, []string{"Retry-After", "29241", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(in(time.Hour).Unix())}, OverQuota, in(29241 * time.Second)},
		{"abuseipdb", "", 429, `{}`, []string{"X-RateLimit-Reset", fmt.Sprint(in(time.Hour).Unix())}, OverQuota, in(time.Hour)},
		{"abuseipdb", "", 422, `{"errors":[{"detail":"The ip address must be valid","status":422}]}`, nil, Invalid, time.Time{}},
		{"ipasis", "", 429, `{"error":"quota"}`, []string{"Retry-After", in(time.Minute).Format(http.TimeFormat)}, OverQuota, in(time.Minute)},
		{"ipasis", "", 401, `{"error":"unauthorized"}`, nil, Auth, time.Time{}},
		{"ipasis", "v1", 404, `<html>no such page`, nil, NotFound, time.Time{}},
		{"generic", "ip-api", 429, ``, []string{"X-Rl", "0", "X-Ttl", "37"}, OverQuota, in(37 * time.Second)},
		{"generic", "ip-api", 200, `{"status":"fail","message":"invalid query","query":"x"}`, nil, Invalid, time.Time{}},
		{"generic", "ipregistry", 402, `{"code":"INSUFFICIENT_CREDITS","message":"m","resolution":"r"}`, nil, OverQuota, in(firstWait)},
		{"generic", "ipregistry", 429, `{"code":"TOO_MANY_REQUESTS","message":"m"}`, []string{"X-Rate-Limit-Reset", "9"}, OverQuota, in(9 * time.Second)},
		{"generic", "ipregistry", 451, `{"code":"DISABLED_API_KEY","message":"m"}`, nil, Auth, time.Time{}},
		{"generic", "ipregistry", 403, `{"code":"FORBIDDEN_ORIGIN","message":"m"}`, nil, Auth, time.Time{}},
		{"generic", "proxycheck", 200, `{"status":"denied","message":"1,000 Free queries exhausted."}`, nil, OverQuota, in(firstWait)},
		{"generic", "proxycheck", 200, `{"status":"error","message":"No valid IP Addresses supplied."}`, nil, Invalid, time.Time{}},
		{"ipinfo", "core", 429, ``, []string{"Retry-After", "99999999"}, OverQuota, in(longReset)},
		{"ipinfo", "core", 429, ``, []string{"Retry-After", "-5"}, OverQuota, in(firstWait)},
		{"ipinfo", "core", 200, `{"error":{"title":"Maintenance","message":"back soon"}}`, nil, Junk, time.Time{}},
		{"ipinfo", "core", 503, `{"message":"later"}`, nil, Server, time.Time{}},
	} {
		t.Run(fmt.Sprint(c.kind, c.plan, c.status), func(t *testing.T) {
			s := newStandIn(t, false, says(c.status, c.body, c.header...))
			p := open(t, config(t, s, c.kind, c.plan))
			_, err := p.Lookup(t.Context(), google)
			if c.want == Auth {
				c.retry = in(firstKeyWait)
			}
			var e *Error
			if !errors.As(err, &e) || e.Kind != c.want || !e.RetryAt.Equal(c.retry) || e.Status != c.status || e.Provider == "" {
				t.Fatalf("got %+v (%v), want %s until %v", e, err, c.want, c.retry)
			}
			closed := c.want == OverQuota || c.want == Auth
			_, err = p.Lookup(t.Context(), google)
			if calls := s.calls.Load(); (calls == 1) != closed {
				t.Errorf("%d calls, and then %v", calls, err)
			}
			if closed && (!errors.As(err, &e) || e.Kind != c.want || !e.RetryAt.Equal(c.retry) || p.Quota().Closed.IsZero() != (c.want == Auth)) {
				t.Errorf("the closed gate says %v", err)
			}
		})
	}
}

// A gate that is closed opens for one call, and for all when that is answered; it
// stays closed for longer each time when no reset is told.
func TestQuotaGate(t *testing.T) {
	var now atomic.Int64
	clock := func() time.Time { return noon.Add(time.Duration(now.Load())) }
	var full atomic.Bool
	full.Store(true)
	s := newStandIn(t, false, func(w http.ResponseWriter, r *http.Request) {
		if full.Load() {
			says(429, ``)(w, r)
			return
		}
		says(200, good(t, "ipinfo-lite"))(w, r)
	})
	cfg := config(t, s, "ipinfo", "lite")
	var logged bytes.Buffer
	cfg.Now, cfg.Log = clock, slog.New(slog.NewTextHandler(&logged, nil))
	p := open(t, cfg)
	wait := firstWait
	for n := range int64(14) {
		_, err := p.Lookup(t.Context(), google)
		var e *Error
		if !errors.As(err, &e) || s.calls.Load() != n+1 || !e.RetryAt.Equal(clock().Add(wait)) {
			t.Fatalf("closing %d: %v after %d calls, want %v more", n, err, s.calls.Load(), wait)
		}
		now.Add(int64(wait - time.Millisecond))
		for range 3 {
			if _, err := p.Lookup(t.Context(), google); err == nil || s.calls.Load() != n+1 {
				t.Fatal("asked while closed")
			}
		}
		now.Add(int64(time.Millisecond))
		wait = min(2*wait, longWait)
	}
	full.Store(false)
	for range 3 {
		if _, err := p.Lookup(t.Context(), google); err != nil {
			t.Fatal(err)
		}
	}
	if !p.Quota().Closed.IsZero() || strings.Count(logged.String(), "used up") != 1 || strings.Count(logged.String(), "answers again") != 1 {
		t.Errorf("%+v, logged %s", p.Quota(), logged.String())
	}
}

// One call at a time tries a gate whose time is over; if it fails otherwise, the
// next one tries.
func TestQuotaGateProbes(t *testing.T) {
	var g quotaGate
	g.shut(noon, time.Time{})
	later := noon.Add(firstWait)
	if _, ok := g.enter(later); !ok {
		t.Fatal("no probe")
	}
	if retry, ok := g.enter(later); ok || !retry.After(later) {
		t.Fatal("two probes at once")
	}
	g.fail()
	if _, ok := g.enter(later); !ok {
		t.Fatal("no probe after one that failed")
	}
	if until, was := g.shut(later, later.Add(-time.Hour)); was || !until.Equal(later.Add(time.Second)) {
		t.Fatalf("a reset in the past closes until %v", until)
	}
	if until, _ := g.shut(later, later.Add(time.Hour)); !until.Equal(later.Add(time.Second)) {
		t.Fatal("a call that was under way moved the reset")
	}
}

// The last answer of a quota closes the gate before the vendor has to refuse.
func TestLastAnswer(t *testing.T) {
	s := newStandIn(t, false, says(200, good(t, "generic-ip-api"), "X-Rl", "0", "X-Ttl", "11"))
	p := open(t, config(t, s, Generic, "ip-api"))
	if _, err := p.Lookup(t.Context(), google); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := p.Lookup(t.Context(), google); !errors.As(err, &e) || e.Kind != OverQuota || !e.RetryAt.Equal(noon.Add(11*time.Second)) || s.calls.Load() != 1 {
		t.Fatalf("got %v after %d calls", err, s.calls.Load())
	}
	if q := p.Quota(); q.Remaining != 0 || !q.Reset.Equal(noon.Add(11*time.Second)) {
		t.Errorf("%+v", q)
	}
}

func TestQuotaLeft(t *testing.T) {
	for _, c := range []struct {
		kind, plan, sample string
		header             []string
		want               Quota
	}{
		{"maxmind", "city", "maxmind-city", nil, Quota{Remaining: 54321, Used: -1}},
		{"ipdata", "", "ipdata", nil, Quota{Remaining: -1, Used: 3895}},
		{"generic", "ipregistry", "generic-ipregistry", []string{"Ipregistry-Credits-Remaining", "77"}, Quota{Remaining: 77, Used: -1}},
		{"abuseipdb", "", "abuseipdb", []string{"X-RateLimit-Remaining", "999", "X-RateLimit-Reset", "60"}, Quota{Remaining: 999, Used: -1, Reset: noon.Add(time.Minute)}},
		{"ipasis", "", "ipasis-lookup", []string{"X-RateLimit-Remaining", "lots"}, unknownQuota},
	} {
		s := newStandIn(t, false, says(200, good(t, c.sample), c.header...))
		p := open(t, config(t, s, c.kind, c.plan))
		if q := p.Quota(); q != unknownQuota {
			t.Errorf("%s: before any answer %+v", c.kind, q)
		}
		if _, err := p.Lookup(t.Context(), google); err != nil {
			t.Error(err)
		}
		if q := p.Quota(); q != c.want {
			t.Errorf("%s: %+v, want %+v", c.kind, q, c.want)
		}
	}
}

// A key is in no error and no log, whatever the vendor or the transport say.
func TestKeysStaySecret(t *testing.T) {
	spellings := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), "NDI6aHVzaC9odXNoK2tleV8wMTIzNDU2Nzg5YWJjZGVm", "hush"}
	for _, d := range dialects {
		echo := func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(map[string]int{"/1": 401}[r.URL.Path] + 400)
			fmt.Fprintf(w, `{"message":"the key %s of %s is wrong","error":"%s","code":"%s"}`, secret, r.RequestURI, r.Header.Get("Authorization"), secret)
		}
		for name, h := range map[string]http.HandlerFunc{
			"echo":  echo,
			"abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"redirect": func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.2:1/"+r.RequestURI, http.StatusFound)
			},
			"loop":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.RequestURI, http.StatusFound) },
			"quota": says(429, `{"message":"`+secret+`"}`),
			"junk":  says(200, secret),
		} {
			s := newStandIn(t, false, h)
			var logged bytes.Buffer
			cfg := config(t, s, d.kind, d.plan)
			cfg.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, err := open(t, cfg).Lookup(t.Context(), google)
			if err == nil {
				t.Errorf("%s %s: no error", d.kind, name)
				continue
			}
			var e *Error
			_ = errors.As(err, &e)
			text := fmt.Sprintf("%v %+v %#v %v %s", err, e, e, errors.Unwrap(err), logged.String())
			for _, spelling := range spellings {
				if strings.Contains(text, spelling) {
					t.Errorf("%s %s: the key is in %s", d.kind, name, text)
				}
			}
			if strings.Contains(text, google.String()) && name != "echo" {
				t.Errorf("%s %s: the address is in %s", d.kind, name, text)
			}
		}
		s := newStandIn(t, false, echo)
		cfg := config(t, s, d.kind, d.plan)
		s.Close() // nobody listens
		_, err := open(t, cfg).Lookup(t.Context(), google)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err2 := open(t, cfg).Lookup(ctx, google)
		if text := fmt.Sprint(err, err2); err == nil || !errors.Is(err2, context.Canceled) || strings.Contains(text, "hush") {
			t.Errorf("%s: %s", d.kind, text)
		}
	}
}

// Every mistake of a Config is named at once.
func TestNewMistakes(t *testing.T) {
	for want, cfg := range map[string]Config{
		`there is no kind "x"; there are abuseipdb, generic, ipasis`:   {Kind: "x"},
		"ipinfo has no plan \"max\"; it has lite":                      {Kind: "ipinfo", Plan: "max"},
		"ipdata has no plans":                                          {Kind: "ipdata", Plan: "a", Key: "k"},
		"ipdata does not take its key by \"header\"; it does by query": {Kind: "ipdata", KeyIn: "header", Key: "k"},
		"ipdata needs a key":                                           {Kind: "ipdata"},
		"maxmind needs its account number":                             {Kind: "maxmind", Key: "k"},
		"ipinfo has no account numbers":                                {Kind: "ipinfo", Account: "1"},
		"must begin with https:// or http://":                          {Kind: "ipinfo", BaseURL: "ftp://x"},
		"must be without user, ? and #":                                {Kind: "ipinfo", BaseURL: "https://u@x/?a"},
		"the key is too long, or holds spaces":                         {Kind: "ipinfo", Key: "a\r\nX: y"},
		"kind generic needs a Map, such as one of ip-api":              {Kind: Generic},
		"a Map belongs to kind generic":                                {Kind: "ipinfo", Map: &Map{}},
		"AbuseFrom is 101":                                             {Kind: "ipinfo", AbuseFrom: 101},
		"MaxBytes is 1,":                                               {Kind: "ipinfo", MaxBytes: 1},
		"the name":                                                     {Kind: "ipinfo", Name: "a b"},
		"needs a key\nMaxBytes is -1":                                  {Kind: "ipdata", MaxBytes: -1},
		"Timeout is -1ns":                                              {Kind: "ipinfo", Timeout: -1},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}

// That a provider fails is in the log, once in a while.
func TestFailureIsLogged(t *testing.T) {
	var now atomic.Int64
	s := newStandIn(t, false, says(502, `{"message":"`+secret+`"}`))
	cfg := config(t, s, "ipinfo", "lite")
	var logged bytes.Buffer
	cfg.Now, cfg.Log = func() time.Time { return noon.Add(time.Duration(now.Load())) }, slog.New(slog.NewTextHandler(&logged, nil))
	p := open(t, cfg)
	for want := 1; want <= 2; want++ {
		for range 3 {
			if _, err := p.Lookup(t.Context(), google); err == nil {
				t.Fatal("no error")
			}
		}
		if n := strings.Count(logged.String(), `msg="a provider fails" provider=ipinfo why=server status=502`); n != want || strings.Contains(logged.String(), secret) {
			t.Errorf("logged %d times, want %d: %s", n, want, logged.String())
		}
		now.Add(int64(sayAgain))
	}
}

// A key that is refused is in the log once, and is tried now and then; when the
// vendor takes it, all is as before.
func TestKeyRefused(t *testing.T) {
	var now atomic.Int64
	var taken atomic.Bool
	s := newStandIn(t, false, func(w http.ResponseWriter, r *http.Request) {
		if taken.Load() {
			says(200, good(t, "ipinfo-lite"))(w, r)
			return
		}
		says(403, `{"status":403,"error":{"title":"Unknown token","message":"`+secret+`"}}`)(w, r)
	})
	cfg := config(t, s, "ipinfo", "lite")
	var logged bytes.Buffer
	cfg.Now, cfg.Log = func() time.Time { return noon.Add(time.Duration(now.Load())) }, slog.New(slog.NewTextHandler(&logged, nil))
	p := open(t, cfg)
	if !p.Refused().IsZero() {
		t.Error("refused before it was asked")
	}
	// A day of a question a second: at first after 10 seconds, then twice as long each
	// time, and every 5 minutes in the end.
	for range 86_400 {
		_, err := p.Lookup(t.Context(), google)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Auth || e.RetryAt.IsZero() {
			t.Fatalf("%v", err)
		}
		now.Add(int64(time.Second))
	}
	if n := s.calls.Load(); n < 280 || n > 300 {
		t.Errorf("%d calls", n)
	}
	if n := strings.Count(logged.String(), "a provider refuses the key"); n != 1 || strings.Contains(logged.String(), secret) || strings.Contains(logged.String(), "a provider fails") {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
	if since := p.Refused(); !since.Equal(noon) {
		t.Errorf("since %v", since)
	}
	taken.Store(true)
	now.Add(int64(longKeyWait))
	for range 3 {
		if _, err := p.Lookup(t.Context(), google); err != nil {
			t.Fatal(err)
		}
	}
	if !p.Refused().IsZero() || strings.Count(logged.String(), "a provider takes the key again") != 1 {
		t.Errorf("%v %s", p.Refused(), logged.String())
	}
}
