package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy"
)

const serviceToken = "a token that nobody guesses"

// gated is an API with a policy: Tor is blocked, /login may fail twice an hour,
// and so many requests a minute are let in.
func gated(t *testing.T, perMinute uint32) *API {
	t.Helper()
	tor := policy.Expr{Op: policy.OpField, Type: policy.Bool, Field: ipwarden.FieldIsTor}
	login := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpPath, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "/login"},
	}}
	failed := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpOutcome, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "login_failed"},
	}}
	p, err := policy.New(policy.Config{
		Rules: []policy.Rule{{Name: "no tor", When: tor, Action: ipwarden.Block}},
		Limits: []policy.Limit{
			{Name: "all", Limit: perMinute, Window: time.Minute},
			{Name: "failures", Algorithm: policy.Sliding, Limit: 2, Window: time.Hour, When: login, Count: failed},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return noon }
	bans, err := ban.New(t.Context(), ban.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bans.Close() })
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p, Bans: bans, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return newAPI(t, func(c *Config) {
		c.Gate = &GateConfig{
			Gate: g, Nginx: g.With(proxied(t, "X-Real-Ip")), ForwardAuth: g.With(proxied(t, "X-Forwarded-For")), Envoy: g.With(proxied(t, "X-Forwarded-For")),
			Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Token: serviceToken, Bans: bans,
		}
	})
}

func proxied(t testing.TB, header string) *clientip.Extractor {
	t.Helper()
	x, err := clientip.New(clientip.Config{Header: header, TrustPeer: true})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// askGate sends a request from peer; header lines are "Name: value".
func askGate(a *API, peer, method, target, body string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if r.RemoteAddr = peer; peer == "@" {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Net: "unix"}))
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w.Result()
}

func textOf(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whoever reaches these routes decides for others, so a stranger is told nothing
// (F1 of the catalogue of attacks).
func TestGateAnswersOnlyTheTrusted(t *testing.T) {
	a := gated(t, 3)
	nginx := []string{"X-Original-Uri: /public", "X-Original-Method: GET", "X-Real-Ip: 8.8.8.8"}
	for _, c := range []struct {
		name, peer string
		header     []string
		want       int
	}{
		{"a stranger", "203.0.113.66:1234", nginx, 403},
		{"a stranger on this machine", "127.0.0.1:1234", nginx, 403},
		{"6to4 of a trusted network", "[2002:0a00:0001::1]:1234", nginx, 403},
		{"a wrong token", "203.0.113.66:1234", append([]string{"Authorization: Bearer a token that somebody guesses"}, nginx...), 403},
		{"two tokens", "203.0.113.66:1234", append([]string{"Authorization: Bearer " + serviceToken, "Authorization: Bearer x"}, nginx...), 403},
		{"a trusted proxy", "10.0.0.5:1234", nginx, 200},
		{"a trusted proxy, mapped", "[::ffff:10.0.0.5]:1234", nginx, 200},
		{"the token", "203.0.113.66:1234", append([]string{"Authorization: bearer " + serviceToken}, nginx...), 200},
		{"a Unix socket", "@", []string{"X-Original-Uri: /public", "X-Original-Method: GET", "X-Real-Ip: 8.8.4.4"}, 200},
	} {
		for _, target := range []string{"/gate/nginx"} {
			r := askGate(a, c.peer, "GET", target, "", c.header...)
			if r.StatusCode != c.want {
				t.Errorf("%s, %s: %d, want %d: %s", c.name, target, r.StatusCode, c.want, textOf(t, r))
			}
		}
	}
	if r := askGate(a, "@", "GET", "/gate/nothing", ""); r.StatusCode != 404 {
		t.Errorf("/gate/nothing: %d, want 404", r.StatusCode)
	}
	for _, target := range []string{"/gate/forward-auth", "/gate/envoy/x", "/v1/decide", "/v1/outcome", "/v1/decisions/01ARYZ6S41TSV4RRFFQ69G5FAV", "/v1/bans", "/v1/bans/203.0.113.7"} {
		r := askGate(a, "127.0.0.1:1", "POST", target, `{"ip":"8.8.8.8"}`)
		if r.StatusCode != 403 || !strings.Contains(textOf(t, r), "not-trusted") {
			t.Errorf("%s answers a stranger with %d", target, r.StatusCode)
		}
	}
}

// What a trusted proxy passes on to this server is its visitor's question.
func TestVisitorsAskNothingThroughAProxy(t *testing.T) {
	a := gated(t, 3)
	for _, passedOn := range []string{"X-Forwarded-For: 203.0.113.66", "Forwarded: for=203.0.113.66", "X-Real-Ip: 203.0.113.66", "Via: 1.1 proxy"} {
		for _, peer := range []string{"10.0.0.5:1234", "@"} {
			for _, target := range []string{"/v1/decide", "/v1/outcome", "/v1/decisions/01ARYZ6S41TSV4RRFFQ69G5FAV", "/v1/bans", "/v1/bans/203.0.113.7"} {
				if r := askGate(a, peer, "POST", target, `{"ip":"8.8.8.8"}`, passedOn); r.StatusCode != 403 {
					t.Errorf("%s with %s: %d, want 403", target, passedOn, r.StatusCode)
				}
			}
			if r := askGate(a, peer, "POST", "/v1/decide", `{"ip":"8.8.8.8"}`, passedOn, "Authorization: Bearer "+serviceToken); r.StatusCode != 200 {
				t.Errorf("with %s and the token: %d, want 200", passedOn, r.StatusCode)
			}
		}
	}
}

func TestNginxIsAnsweredItsWay(t *testing.T) {
	a := gated(t, 3)
	asked := func(client string) *http.Response {
		return askGate(a, "@", "GET", "/gate/nginx", "", "X-Original-Uri: /a?b=c", "X-Original-Method: POST", "X-Real-Ip: "+client,
			// Another family's headers say nothing here (F2, F3).
			"X-Forwarded-Uri: /login", "X-Forwarded-Prefix: /admin", "X-Forwarded-For: 198.51.100.1")
	}
	for i := range 3 {
		r := asked("8.8.8.8")
		if r.StatusCode != 200 || r.Header.Get("X-Ipwarden-Verdict") != "allow" || r.Header.Get("X-Ipwarden-Ip") != "8.8.8.8" || textOf(t, r) != "" {
			t.Fatalf("request %d: %d %v", i+1, r.StatusCode, r.Header)
		}
	}
	r := asked("8.8.8.8")
	if r.StatusCode != 403 || r.Header.Get("X-Ipwarden-Status") != "429" || r.Header.Get("X-Ipwarden-Verdict") != "throttle" ||
		r.Header.Get("Retry-After") == "" || !strings.Contains(r.Header.Get("Ratelimit"), `"all";r=0`) {
		t.Errorf("over the limit: %d %v", r.StatusCode, r.Header)
	}
	if body := textOf(t, r); body != "" {
		t.Errorf("nginx drops the connection over a body: %q", body)
	}
	if r.Header.Get("X-Ipwarden-Country") != "" {
		t.Error("a refusal tells what is known")
	}
	for _, missing := range [][]string{
		{"X-Original-Method: GET", "X-Real-Ip: 8.8.8.8"},
		{"X-Original-Uri: /", "X-Real-Ip: 8.8.8.8"},
		{"X-Original-Uri: /", "X-Original-Uri: /admin", "X-Original-Method: GET", "X-Real-Ip: 8.8.8.8"},
	} {
		if r := askGate(a, "@", "GET", "/gate/nginx", "", missing...); r.StatusCode != 400 {
			t.Errorf("%q: %d, want 400", missing, r.StatusCode)
		}
	}
}

// A path that is the challenge's page to the proxy in front is no question to us, however
// paths are read (F1).
func TestPathsOutOfEnvoysDoor(t *testing.T) {
	p, err := policy.New(policy.Config{Paths: policy.Paths{KeepSlashes: true, KeepEncodedSlashes: true}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(c *Config) { c.Gate = &GateConfig{Gate: g, Envoy: g.With(proxied(t, "X-Forwarded-For"))} })
	for target, want := range map[string]int{
		"/gate/envoy//////../../.ipwarden/": 400, "/gate/envoy/..%2f..%2f.ipwarden%2fx": 400, "/gate/envoy/a/..%2f..%2f..%2f.ipwarden%2fx": 400,
		"/gate/envoy/../../.ipwarden/": 400, "/gate/envoy/%2e%2e/x": 400, "/gate/envoy/a%2f..%2f..%2f..%2fx": 400,
		"/gate/envoy/a..b/c%2fd": 200, "/gate/envoy/a//b": 200, "/gate/envoy/a/../b": 200, "/gate/envoy/": 200, "/gate/envoy": 200,
	} {
		if r := askGate(a, "@", "GET", target, "", "X-Forwarded-For: 8.8.8.8"); r.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, r.StatusCode, want)
		}
	}
}

// What nginx is answered fits into what it has for it, 4 KiB, whatever a client asks for.
func TestAnswersToNginxFit(t *testing.T) {
	path := policy.Expr{Op: policy.OpPath, Type: policy.String}
	begins := func(with string) policy.Expr {
		return policy.Expr{Op: policy.OpStartsWith, Type: policy.Bool, Args: []policy.Expr{path, {Op: policy.OpConst, Type: policy.String, Text: with}}}
	}
	p, err := policy.New(policy.Config{
		Rules: []policy.Rule{
			{Name: "proved", When: begins("/proved"), Action: ipwarden.Challenge},
			{Name: "moved", When: begins("/moved"), Action: ipwarden.Allow, Response: "elsewhere"},
		},
		Responses: []policy.Response{{Name: "elsewhere", Status: 302, Redirect: []policy.Expr{path, {Op: policy.OpQuery, Type: policy.String}}}},
		Limits:    []policy.Limit{{Name: "all", Limit: 1e6, Window: time.Minute}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := challenge.New(challenge.Config{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p, Challenges: c, OlderHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(c *Config) { c.Gate = &GateConfig{Gate: g, Nginx: g.With(proxied(t, "X-Real-Ip"))} })
	told := 0
	for _, path := range []string{"/proved/", "/proved?", "/moved/", "/moved?"} {
		for _, text := range []string{"a", "&", "%C3%A9"} {
			for n := 100; n <= 7000; n += 300 {
				r := askGate(a, "@", "GET", "/gate/nginx", "", "X-Original-Uri: "+path+strings.Repeat(text, n/len(text)), "X-Original-Method: GET", "X-Real-Ip: 8.8.8.8")
				var head bytes.Buffer
				if err := r.Header.Write(&head); err != nil {
					t.Fatal(err)
				}
				if r.StatusCode != 403 || head.Len() > 4096-200 { // its first line, and what the listener adds
					t.Errorf("%s and %d bytes of %s: %d, %d bytes", path, n, text, r.StatusCode, head.Len())
				}
				where, status := r.Header.Get("X-Ipwarden-Location"), r.Header.Get("X-Ipwarden-Status")
				if (where == "") != (status == "414" && strings.Contains(r.Header.Get("X-Ipwarden-Problem"), "too long")) {
					t.Errorf("%s and %d bytes of %s: %s to %.20q", path, n, text, status, where)
				}
				if where == "" && strings.HasPrefix(path, "/proved") {
					t.Errorf("%s and %d bytes of %s: nobody is told where to prove itself", path, n, text)
				}
				if where != "" {
					told++
				}
			}
		}
	}
	if told < 100 {
		t.Errorf("%d were told where to go", told)
	}
}

func TestForwardAuth(t *testing.T) {
	a := gated(t, 3)
	tor := torExit(t)
	r := askGate(a, "10.0.0.5:1", "GET", "/gate/forward-auth", "", "X-Forwarded-Uri: /x", "X-Forwarded-Method: GET", "X-Forwarded-Host: Example.org:443",
		"X-Forwarded-Proto: https", "X-Forwarded-For: 198.51.100.1, "+tor, "X-Original-Uri: /public", "Accept: text/html")
	body := textOf(t, r)
	if r.StatusCode != 403 || !strings.Contains(body, "<h1>Not allowed</h1>") || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%d %v %s", r.StatusCode, r.Header, body)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Ipwarden-") {
			t.Errorf("the refused client would see %s", name)
		}
	}
	r = askGate(a, "10.0.0.5:1", "GET", "/gate/forward-auth", "", "X-Forwarded-Uri: /x", "X-Forwarded-Method: GET", "X-Forwarded-Host: example.org", "X-Forwarded-For: 8.8.8.8")
	if r.StatusCode != 200 || r.Header.Get("X-Ipwarden-Ip") != "8.8.8.8" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// A host is one name, however it is spelt.
func TestHostsAreOneName(t *testing.T) {
	host := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpHost, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "admin.example.org"},
	}}
	a := ruled(t, policy.Config{Rules: []policy.Rule{{Name: "admin", When: host, Action: ipwarden.Block}}})
	for _, name := range []string{"admin.example.org", "Admin.Example.ORG", "admin.example.org:8443", "admin.example.org.", "ADMIN.example.org.:80"} {
		client := "X-Forwarded-For: 8.8.8.8"
		r := askGate(a, "@", "GET", "http://"+name+"/gate/envoy/x", "", client)
		if r.StatusCode != 403 {
			t.Errorf("%s, as Envoy asks: %d, want 403", name, r.StatusCode)
		}
		r = askGate(a, "@", "GET", "/gate/forward-auth", "", client, "X-Forwarded-Uri: /", "X-Forwarded-Method: GET", "X-Forwarded-Host: "+name)
		if r.StatusCode != 403 {
			t.Errorf("%s, as Traefik asks: %d, want 403", name, r.StatusCode)
		}
		r = askGate(a, "@", "GET", "/gate/nginx", "", "X-Real-Ip: 8.8.8.8", "X-Original-Uri: /", "X-Original-Method: GET", "X-Original-Host: "+name)
		if r.StatusCode != 403 {
			t.Errorf("%s, as nginx asks: %d, want 403", name, r.StatusCode)
		}
		r = askGate(a, "@", "POST", "/v1/decide", `{"ip":"8.8.8.8","host":"`+name+`"}`)
		if text := textOf(t, r); !strings.Contains(text, `"verdict":"block"`) {
			t.Errorf("%s, as an application asks: %s", name, text)
		}
	}
}

// A refusal that looks like success to the visitor is none to the proxy.
func TestRefusalsAreNever2xxToAProxy(t *testing.T) {
	a := ruled(t, policy.Config{
		Rules:     []policy.Rule{{Name: "tarpit", Action: ipwarden.Block, Response: "fine"}},
		Responses: []policy.Response{{Name: "fine", Status: 200, Title: "All is fine", HTML: "<p>Fine."}},
	})
	client := "X-Forwarded-For: 8.8.8.8"
	for target, header := range map[string][]string{
		"/gate/envoy/x":      {client},
		"/gate/forward-auth": {client, "X-Forwarded-Uri: /", "X-Forwarded-Method: GET", "X-Forwarded-Host: example.org"},
		"/gate/nginx":        {"X-Real-Ip: 8.8.8.8", "X-Original-Uri: /", "X-Original-Method: GET"},
	} {
		if r := askGate(a, "@", "GET", target, "", header...); r.StatusCode != 403 {
			t.Errorf("%s: %d, want 403", target, r.StatusCode)
		}
	}
	if r := askGate(a, "@", "GET", "/gate/forward-auth", "", client, "X-Forwarded-Uri: /", "X-Forwarded-Method: GET", "X-Forwarded-Host: example.org", "Accept: text/html"); textOf(t, r) != "<p>Fine." {
		t.Error("the page of the policy is not sent")
	}
}

// ruled is an API with a policy of these rules.
func ruled(t testing.TB, cfg policy.Config) *API {
	t.Helper()
	p, err := policy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return newAPI(t, func(c *Config) {
		c.Gate = &GateConfig{Gate: g, Nginx: g.With(proxied(t, "X-Real-Ip")), ForwardAuth: g.With(proxied(t, "X-Forwarded-For")), Envoy: g.With(proxied(t, "X-Forwarded-For"))}
	})
}

// torExit is an exit of the sample world.
func torExit(t *testing.T) string {
	t.Helper()
	for _, r := range ipwardentest.Sample().Networks(netip.MustParsePrefix("0.0.0.0/0")) {
		if r.Traits().Has(ipwarden.Tor) {
			return r.Addr().String()
		}
	}
	t.Fatal("the sample has no Tor exit")
	return ""
}

func TestDecideAndOutcome(t *testing.T) {
	a := gated(t, 3)
	decide := func(body string) (status int, answer map[string]any) {
		r := askGate(a, "@", "POST", "/v1/decide", body)
		if err := json.Unmarshal([]byte(textOf(t, r)), &answer); err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, answer
	}
	const login = `{"ip":"8.8.4.4","method":"post","host":"example.org","path":"/login?next=/","headers":{"user-agent":"x","accept":["a","b"]},"account":{"id":"7"}}`
	var id string
	for range 2 {
		status, d := decide(login)
		if status != 200 || d["verdict"] != "allow" {
			t.Fatalf("%d %v", status, d)
		}
		id = d["decision"].(string)
		for i, want := range []string{"true", "false"} { // twice the same counts once
			r := askGate(a, "@", "POST", "/v1/outcome", `{"decision":"`+id+`","event":"login_failed"}`)
			if got := textOf(t, r); r.StatusCode != 200 || got != `{"counted":`+want+"}\n" {
				t.Fatalf("report %d: %d %s", i+1, r.StatusCode, got)
			}
		}
	}
	for range 3 { // who only asks is told, and charged nothing
		_, d := decide(`{"ip":"8.8.8.8","dry_run":true}`)
		limits := d["limits"].([]any)[0].(map[string]any)
		if limits["remaining"] != limits["limit"] {
			t.Errorf("a dry run is charged: %v", d)
		}
	}
	status, d := decide(login)
	if d["verdict"] != "throttle" || d["by"] != "failures" || d["status"] != 429.0 {
		t.Errorf("after two failures: %d %v", status, d)
	}
	r := askGate(a, "@", "GET", "/v1/decisions/"+id, "")
	text := textOf(t, r)
	for _, want := range []string{`"verdict":"allow"`, `"ip":"8.8.4.4"`, `"path":"/login"`, `"host":"example.org"`} {
		if !strings.Contains(text, want) {
			t.Errorf("what is remembered lacks %s: %s", want, text)
		}
	}
	for body, want := range map[string]string{
		`{"ip":"localhost"}`:                  "bad-address",
		`{"ip":"8.8.8.8","colour":"green"}`:   "bad-body",
		`{"ip":"8.8.8.8"} {}`:                 "bad-body",
		`[]`:                                  "bad-body",
		`{"ip":"8.8.8.8","headers":{"a":{}}}`: "bad-body",
		strings.Repeat(" ", maxQuestion+1):    "too-large",
	} {
		if _, d := decide(body); !strings.HasSuffix(d["type"].(string), want) {
			t.Errorf("%.40s: %v, want %s", body, d, want)
		}
	}
	for body, want := range map[string]int{
		`{"decision":"x","event":"e"}`:                                     400,
		`{"decision":"01ARYZ6S41TSV4RRFFQ69G5FAV"}`:                        400,
		`{"decision":"01ARYZ6S41TSV4RRFFQ69G5FAV","event":"login_failed"}`: 404,
	} {
		if r := askGate(a, "@", "POST", "/v1/outcome", body); r.StatusCode != want {
			t.Errorf("%s: %d, want %d", body, r.StatusCode, want)
		}
	}
}

// What was decided can be read later as it was told: the sum of the score, the limits,
// and when to try again.
func TestDecisionIsRemembered(t *testing.T) {
	a := gated(t, 2)
	for i, body := range []string{
		`{"ip":"8.8.4.4","path":"/login","account":{"billing_country":"DE"}}`, `{"ip":"8.8.4.4"}`, `{"ip":"8.8.4.4"}`, `{"ip":"` + torExit(t) + `"}`,
	} {
		var told, later map[string]any
		if err := json.Unmarshal([]byte(textOf(t, askGate(a, "@", "POST", "/v1/decide", body))), &told); err != nil {
			t.Fatal(err)
		}
		text := textOf(t, askGate(a, "@", "GET", "/v1/decisions/"+told["decision"].(string), ""))
		if err := json.Unmarshal([]byte(text), &later); err != nil {
			t.Fatal(err)
		}
		for _, member := range []string{"verdict", "reason", "by", "status", "retry_after", "client", "risk", "limits", "awaits_outcome"} {
			was, _ := json.Marshal(told[member])
			is, _ := json.Marshal(later[member])
			if string(was) != string(is) {
				t.Errorf("question %d: %s was %s, and is remembered as %s", i+1, member, was, is)
			}
		}
		if i == 2 && later["retry_after"] == nil || i == 3 && !strings.Contains(text, `"signal":"tor"`) || i == 0 && later["awaits_outcome"] != true {
			t.Errorf("question %d: %s", i+1, text)
		}
	}
}

// All three readers of requests (net/http, the loop, fasthttp) tell the gate the
// same.
func TestGateIsAskedAlike(t *testing.T) {
	a := gated(t, 1000)
	a.gate.Trusted = append(a.gate.Trusted, netip.MustParsePrefix("127.0.0.0/8"))
	s, _ := serve(t, ServerConfig{API: a, FastListen: "127.0.0.1:0"})
	id := regexp.MustCompile(`[0-7][0-9A-HJKMNP-TV-Z]{25}`)
	const nginx = "X-Original-Method: GET\r\nX-Real-Ip: 1.1.1.1\r\n"
	for _, raw := range []string{
		"GET /gate/nginx HTTP/1.1\r\nHost: x\r\nX-Original-Uri: /a\r\n" + nginx + "\r\n",
		"GET /gate/nginx HTTP/1.1\r\nHost: x\r\nx-original-uri:/a\r\n" + nginx + "\r\n",
		"GET /gate/nginx HTTP/1.1\r\nHost: x\r\nX-Original-Uri: /a/%2e%2e/b\r\n" + nginx + "\r\n",
		"GET /gate/nginx HTTP/1.1\r\nHost: x\r\n" + nginx + "\r\n",
		"GET /gate/nginx HTTP/1.1\r\nHost: x\r\nX-Original-Uri: /a\r\nX-Real-Ip: 1.1.1.2\r\n" + nginx + "\r\n", // two clients: none
		"GET /gate/nginx HTTP/1.1\r\nHost: x\r\nUser-Agent: \xc3\xa4\r\nX-Original-Uri: /a\r\n" + nginx + "\r\n",
		"GET /gate/forward-auth HTTP/1.1\r\nHost: x\r\nX-Forwarded-Uri: /\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Host: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
		"GET /gate/nginx/refusal HTTP/1.1\r\nHost: x\r\nX-Ipwarden-Status: 451\r\nX-Ipwarden-Problem: {\"title\":\"No\"}\r\n\r\n",
		"GET /gate/nginx/refusal HTTP/1.1\r\nHost: x\r\nX-Ipwarden-Status: 451\r\nX-Ipwarden-Problem: {\"title\":\"<No>\"}\r\nAccept: text/html\r\n\r\n",
		"GET /gate/nginx/refusal HTTP/1.1\r\nHost: x\r\nX-Ipwarden-Status: 302\r\nX-Ipwarden-Location: /a\r\n\r\n",
		"GET /gate/nginx/refusal HTTP/1.1\r\nHost: x\r\nX-Ipwarden-Status: 302\r\n\r\n",
		"POST /gate/envoy/a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
		"GET /gate/nothing HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/decide HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n{\"ip\":\"1.0.0.1\"}",
		"GET /v1/decisions/01ARYZ6S41TSV4RRFFQ69G5FAV HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		var got [2]reply
		for i, addr := range []net.Addr{s.Addr(), s.FastAddr()} {
			c, br := dial(t, addr)
			got[i] = ask(t, c, br, raw)
			text := id.ReplaceAllString(strings.Join(got[i].lines, "\n")+"\n"+got[i].body, "ID")
			got[i].body = regexp.MustCompile(`r=\d+|"remaining":\d+|t=\d+|"reset":\d+`).ReplaceAllString(text, "N")
		}
		if got[0].line != got[1].line || got[0].body != got[1].body {
			t.Errorf("%s\nnet/http: %s\n%s\nfast:     %s\n%s", raw, got[0].line, got[0].body, got[1].line, got[1].body)
		}
	}
}

// What the gate answers agrees with the document.
func TestGateAgreesWithTheSchema(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	a := gated(t, 1)
	var id string
	agree := func(method, target, body, schema string) {
		t.Helper()
		text := textOf(t, askGate(a, "@", method, target, body, "Content-Type: application/json"))
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := doc.Components.Schemas[schema].Value.VisitJSON(v, openapi3.MultiErrors()); err != nil {
			t.Errorf("%s %s is no %s: %v\n%s", method, target, schema, err, text)
		}
		if s, ok := v.(map[string]any)["decision"].(string); ok {
			id = s
		}
	}
	for path, item := range doc.Paths.Map() {
		if op := item.Post; op != nil && slices.Contains(op.Tags, "Gate") {
			example, err := json.Marshal(op.RequestBody.Value.Content.Get("application/json").Example)
			if err != nil {
				t.Fatal(err)
			}
			if r := askGate(a, "@", "POST", path, string(example), "Content-Type: application/json"); r.StatusCode != 200 && r.StatusCode != 404 {
				t.Errorf("the example of %s: %d", path, r.StatusCode)
			}
		}
	}
	agree("POST", "/v1/decide", `{"ip":"8.8.8.8","account":{"billing_country":"DE"}}`, "Decision")
	agree("POST", "/v1/decide", `{"ip":"8.8.8.8"}`, "Decision") // over the limit
	agree("POST", "/v1/decide", `{"ip":"`+torExit(t)+`"}`, "Decision")
	agree("GET", "/v1/decisions/"+id, "", "Remembered")
	agree("POST", "/v1/decide", `{"ip":"x"}`, "Problem")
	agree("POST", "/v1/bans", `{"network":"8.8.8.0/24","for":60,"action":"challenge","reason":"test"}`, "Ban")
	agree("POST", "/v1/decide", `{"ip":"8.8.8.8"}`, "Decision") // banned
	agree("GET", "/v1/bans?ip=8.8.8.8", "", "Bans")
	agree("DELETE", "/v1/bans/8.8.8.8", "", "Lifted")
	agree("DELETE", "/v1/bans/8.8.8.0/24", "", "Lifted")
	agree("POST", "/v1/bans", `{"ip":"8.8.8.8"}`, "Problem")
}
