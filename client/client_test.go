package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/client"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy"
)

var noon = time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)

const token = "a token that nobody guesses"

// server is a real one that answers from the small world and blocks Tor; two
// failed log-ins an hour are let in.
func server(t testing.TB) *httptest.Server {
	t.Helper()
	tor := policy.Expr{Op: policy.OpField, Type: policy.Bool, Field: ipwarden.FieldIsTor}
	failed := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpOutcome, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "login_failed"},
	}}
	p, err := policy.New(policy.Config{
		Rules:  []policy.Rule{{Name: "no tor", When: tor, Action: ipwarden.Block}},
		Limits: []policy.Limit{{Name: "failures", Algorithm: policy.Sliding, Limit: 2, Window: time.Hour, Count: failed}},
	})
	if err != nil {
		t.Fatal(err)
	}
	world := ipwardentest.Sample()
	g, err := gate.New(gate.Config{Source: world, Program: p, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	a, err := api.New(api.Config{
		Data: func() api.Data { return world }, Now: func() time.Time { return noon },
		Gate: &api.GateConfig{Gate: g, Token: token}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(a.Handler())
	t.Cleanup(s.Close)
	return s
}

func dial(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, s := range texts {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

var sample = addrs("8.8.8.8", "1.1.1.1", "81.2.69.160", "185.220.101.4", "146.70.1.1", "66.249.64.1", "126.0.0.1", "10.1.2.3", "192.0.2.1",
	"2001:4860:4860::8888", "2001:db8::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "fe80::1%eth0", "::1", "200.0.0.1")

// What the client makes of an answer is what the server had: written again it
// has the same bytes.
func TestRoundTrip(t *testing.T) {
	s := server(t)
	c := dial(t, client.Config{URL: s.URL + "/", Explain: true})
	view := ipwarden.NewView(noon)
	view.Explain = true
	for _, addr := range sample {
		rec, err := c.Lookup(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := ipwardentest.Sample().Lookup(t.Context(), addr)
		a, tr := ipwarden.Canonical(addr)
		want = want.Asked(tr, addr.Zone() != "")
		view.Explain = len(want.Evidence()) > 0 // else the server itself is it
		if got, want := string(view.AppendJSON(nil, rec)), string(view.AppendJSON(nil, want)); got != want {
			t.Errorf("%v:\ngot  %s\nwant %s", addr, got, want)
		}
		if rec.Addr() != a || rec.Transition() != tr || rec.Network().IsValid() && !rec.Network().Contains(a) {
			t.Errorf("%v: %v", addr, rec.Addr())
		}
	}
}

// Without the server's evidence the server is it.
func TestOwnEvidence(t *testing.T) {
	c := dial(t, client.Config{URL: server(t).URL, Name: "hq"})
	rec, err := c.Lookup(t.Context(), netip.MustParseAddr("185.220.101.4"))
	if err != nil {
		t.Fatal(err)
	}
	var view ipwarden.View
	said := map[ipwarden.Field]string{}
	for _, e := range rec.Evidence() {
		text, _ := view.AppendText(nil, rec, e.Field)
		if string(text) != e.Value || e.By[0].Feed != "hq" || !e.By[0].Date.Equal(ipwardentest.SampleDate()) || e.By[0].Match != "185.220.101.0/24" {
			t.Errorf("%v is %q, and its evidence %+v", e.Field, text, e)
		}
		said[e.Field] = e.Value
	}
	if said[ipwarden.FieldIsTor] != "true" || said[ipwarden.FieldIsVPN] != "" || said[ipwarden.FieldCountryCode] != "DE" || said[ipwarden.FieldASNumber] != "60729" {
		t.Errorf("%v", said)
	}
}

func TestSource(t *testing.T) {
	ipwardentest.TestSource(t, dial(t, client.Config{URL: server(t).URL}), addrs("8.8.8.8", "185.220.101.4", "2001:4860:4860::8888")...)
}

func TestLookupAll(t *testing.T) {
	c := dial(t, client.Config{URL: server(t).URL, Public: func(a netip.Addr) bool { return a != netip.MustParseAddr("10.0.0.7") }})
	var ask []netip.Addr
	for i := range 1200 {
		ask = append(ask, netip.AddrFrom4([4]byte{8, 8, 8, byte(i)}), sample[i%len(sample)])
	}
	ask = append(ask, netip.Addr{}, netip.MustParseAddr("10.0.0.7"))
	results, err := c.LookupAll(t.Context(), ask)
	if err != nil || len(results) != len(ask) {
		t.Fatal(err)
	}
	for i, r := range results {
		switch want, _ := ipwarden.Canonical(ask[i]); {
		case !ask[i].IsValid():
			if r.Err == nil {
				t.Error("no address was answered")
			}
		case r.Err != nil || r.Record.Addr() != want, i == len(ask)-1 && r.Record.Network().IsValid(), i%2 == 0 && i < 2400 && r.Record.ASNumber() != 15169:
			t.Fatalf("%d: %v is %v, %v", i, ask[i], r.Record.Full(), r.Err)
		}
	}
}

func TestDecide(t *testing.T) {
	s := server(t)
	c := dial(t, client.Config{URL: s.URL, Key: token})
	d, err := c.Decide(t.Context(), client.Question{IP: "185.220.101.4", Path: "/login?x=1", Headers: http.Header{"User-Agent": {"a", "b"}}, Account: map[string]string{"plan": "free"}})
	if err != nil {
		t.Fatal(err)
	}
	if d.Verdict != "block" || d.Passes || d.Status != 403 || d.By != "no tor" || d.ID == "" || d.Country != "DE" || d.ASN != 60729 || len(d.Traits) != 3 {
		t.Errorf("%+v", d)
	}
	for n := range 4 {
		d, err := c.Decide(t.Context(), client.Question{IP: "81.2.69.160", Method: "POST", Path: "/login"})
		if err != nil || d.Passes != (n < 2) {
			t.Fatalf("attempt %d: %+v, %v", n, d, err)
		}
		if !d.Passes {
			continue
		}
		for again := range 2 {
			counted, err := c.Outcome(t.Context(), client.Outcome{Decision: d.ID, Event: "login_failed"})
			if err != nil || counted != (again == 0) {
				t.Errorf("counted %v, %v", counted, err)
			}
		}
	}
}

// What the server says was wrong is an error with its words.
func TestProblems(t *testing.T) {
	s := server(t)
	stranger := dial(t, client.Config{URL: s.URL, Key: "wrong"})
	_, err := stranger.Decide(t.Context(), client.Question{IP: "8.8.8.8"})
	var p *client.Problem
	if !errors.As(err, &p) || p.Slug() != "not-trusted" || p.Status != 403 || p.Detail == "" || strings.Contains(err.Error(), "wrong:") {
		t.Errorf("%v", err)
	}
	c := dial(t, client.Config{URL: s.URL, Key: token})
	if _, err = c.Decide(t.Context(), client.Question{IP: "localhost"}); !errors.As(err, &p) || p.Slug() != "bad-address" || p.Example == "" {
		t.Errorf("%v", err)
	}
	if _, err = c.Outcome(t.Context(), client.Outcome{Decision: "01ARYZ6S41TSV4RRFFQ69G5FAV", Event: "x"}); !errors.As(err, &p) || p.Slug() != "unknown-decision" {
		t.Errorf("%v", err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"429": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
		},
		"html":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"types": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"asn":{"number":"x"}}`) },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		},
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "{}")
		},
	} {
		bad := httptest.NewServer(h)
		_, err := dial(t, client.Config{URL: bad.URL, Key: token}).Lookup(t.Context(), sample[0])
		if err == nil || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "8.8.8.8") {
			t.Errorf("%s: %v", name, err)
		}
		if errors.As(err, &p) && name == "429" && p.RetryAfter != 7*time.Second {
			t.Errorf("%+v", p)
		}
		bad.Close()
		if _, err := dial(t, client.Config{URL: bad.URL}).Lookup(t.Context(), sample[0]); err == nil || strings.Contains(err.Error(), "8.8.8.8") {
			t.Errorf("nobody listens: %v", err)
		}
	}
}

// A call ends with its context, and with the client's own time-out.
func TestTimeout(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // before that a server does not see that the client has gone
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	_, err := dial(t, client.Config{URL: s.URL, Timeout: 50 * time.Millisecond}).Lookup(t.Context(), sample[0])
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = dial(t, client.Config{URL: s.URL}).LookupAll(ctx, sample); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := server(t)
	s2 := &http.Server{Handler: s.Config.Handler, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = s2.Serve(l) }()
	t.Cleanup(func() { s2.Close(); <-done })
	c := dial(t, client.Config{URL: "unix:" + path})
	rec, err := c.Lookup(t.Context(), sample[0])
	if err != nil || rec.CountryCode() != "US" {
		t.Errorf("%v, %v", rec.CountryCode(), err)
	}
}

func TestNewMistakes(t *testing.T) {
	for want, cfg := range map[string]client.Config{
		"must be like":     {URL: "ftp://x"},
		"without user":     {URL: "http://u:p@x/"},
		"absolute path":    {URL: "unix:run.sock"},
		"cannot reach a":   {URL: "unix:/s", Transport: http.DefaultTransport},
		"the key is too":   {URL: "http://x", Key: "a\nb"},
		"the timeout is -": {URL: "http://x", Timeout: -1},
	} {
		if _, err := client.New(cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "a\nb") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func Example() {
	world := ipwardentest.Sample()
	a, err := api.New(api.Config{Data: func() api.Data { return world }}) // stands for ipwarden serve
	if err != nil {
		panic(err)
	}
	s := httptest.NewServer(a.Handler())
	defer s.Close()

	c, err := client.New(client.Config{URL: s.URL})
	if err != nil {
		panic(err)
	}
	rec, err := c.Lookup(context.Background(), netip.MustParseAddr("8.8.8.8"))
	fmt.Println(rec.CountryCode(), rec.ASNumber(), rec.Traits().Names(), err)
	// Output: US 15169 [hosting anycast] <nil>
}

// FuzzAnswer reads any bytes as the server's answer.
func FuzzAnswer(f *testing.F) {
	view := ipwarden.NewView(noon)
	view.Explain = true
	for _, addr := range sample {
		rec, err := ipwardentest.Sample().Lookup(f.Context(), addr)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(view.AppendJSON(nil, rec))
	}
	var body []byte
	c := dial(f, client.Config{URL: "http://ip.example", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(body)))}, nil
	})})
	f.Fuzz(func(t *testing.T, in []byte) {
		body = in
		rec, err := c.Lookup(t.Context(), sample[0])
		if err != nil {
			return
		}
		if n := rec.Network(); n.IsValid() && !n.Contains(sample[0]) {
			t.Fatalf("network %v", n)
		}
		_ = view.AppendJSON(nil, rec)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
