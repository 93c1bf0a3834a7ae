package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/internal/api/dialect"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

var rewrite = flag.Bool("rewrite", false, "write the answers of today into testdata/dialects/*.golden")

// newDialects makes an API that speaks all dialects; 192.0.2.1, from which
// httptest asks, is a proxy that is trusted.
func newDialects(t testing.TB, change func(*dialect.Config)) *API {
	t.Helper()
	proxies, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := dialect.Config{
		Scores: sampleScores,
		Client: func(peer netip.Addr, h ipwarden.Header) netip.Addr {
			if c := proxies.From(peer, h); c.Safe() {
				return c.Addr
			}
			return netip.Addr{}
		},
	}
	if change != nil {
		change(&cfg)
	}
	set, err := dialect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newAPI(t, func(c *Config) { c.Dialects = set })
}

// A golden file is a list of questions, each with its answer. A question is
// lines that begin with "> ": method and path, header lines, and "> " and the
// body after an empty one. The answer's lines that begin with "< " are status,
// media type and the header lines that are the dialect's own. Keys are checked
// (sampleCheck) where a question has "refused-" in it, or the line "X-Check: on".
type goldenExchange struct {
	question []string
	answer   string
}

func readGolden(t *testing.T, file string) (all []goldenExchange) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	asking := false
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, ">"); ok {
			if !asking {
				all = append(all, goldenExchange{})
			}
			asking = true
			e := &all[len(all)-1]
			e.question = append(e.question, strings.TrimPrefix(strings.TrimSuffix(rest, "\n"), " "))
			continue
		}
		asking = false
		if len(all) > 0 {
			all[len(all)-1].answer += line
		}
	}
	return all
}

// ask plays a question in a dialect.
func (e *goldenExchange) ask(a *API, name string) string {
	method, target, _ := strings.Cut(e.question[0], " ")
	head, body := e.question[1:], ""
	if i := slices.Index(head, ""); i >= 0 {
		head, body = head[:i], strings.Join(head[i+1:], "\n")
	}
	host, isHost := strings.CutPrefix(target, "//")
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.RequestURI = "/compat/" + name + target
	if isHost {
		var path string
		host, path, _ = strings.Cut(host, "/")
		r.Host, r.RequestURI = host, "/"+path
	}
	for _, line := range head {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	var out bytes.Buffer
	fmt.Fprintf(&out, "< %d %s\n", w.Code, w.Header().Get("Content-Type"))
	usual := []string{"Access-Control-Allow-Origin", "Content-Length", "Content-Type", "Etag", "Vary", "X-Content-Type-Options"}
	for _, name := range slices.Sorted(keys(w.Header())) {
		if !slices.Contains(usual, name) {
			fmt.Fprintf(&out, "< %s: %s\n", name, w.Header().Get(name))
		}
	}
	out.Write(w.Body.Bytes())
	if out.Bytes()[out.Len()-1] != '\n' {
		out.WriteString("\n[no line end]\n")
	}
	out.WriteByte('\n')
	return out.String()
}

func keys(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range h {
			if !yield(k) {
				return
			}
		}
	}
}

// The bytes of every dialect are pinned. Run with -rewrite after a change that
// is meant, and read the difference.
func TestGolden(t *testing.T) {
	for _, name := range dialect.Names() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "dialects", name+".golden")
			admitting, refusing := newDialects(t, nil), newDialects(t, func(c *dialect.Config) { c.Check = sampleCheck })
			var out bytes.Buffer
			for _, e := range readGolden(t, file) {
				a := admitting
				if slices.ContainsFunc(e.question, func(s string) bool { return strings.Contains(s, "refused-") || s == "X-Check: on" }) {
					a = refusing
				}
				got := e.ask(a, name)
				if got != e.answer && !*rewrite {
					t.Errorf("%s\n got:\n%s\nwant:\n%s", strings.Join(e.question, "\n"), got, e.answer)
				}
				fmt.Fprintf(&out, "> %s\n%s", strings.Join(e.question, "\n> "), got)
			}
			if *rewrite {
				if err := os.WriteFile(file, bytes.ReplaceAll(out.Bytes(), []byte("> \n"), []byte(">\n")), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// sampleCheck refuses keys that say why.
func sampleCheck(c dialect.Credential, _ dialect.Facts) *dialect.Refusal {
	codes := map[string]dialect.Code{
		"": dialect.NoKey, "refused-unknown": dialect.UnknownKey, "refused-disabled": dialect.DisabledKey, "refused-quota": dialect.OverQuota,
		"refused-fast": dialect.TooFast, "refused-address": dialect.WrongAddress, "refused-origin": dialect.WrongOrigin, "refused-plan": dialect.NotInPlan,
	}
	code, refused := codes[c.Key]
	switch {
	case !refused:
		return nil
	case code == dialect.OverQuota, code == dialect.TooFast:
		return &dialect.Refusal{Code: code, KeyID: "k_7f3a", Plan: "free", Used: 1000, Limit: 1000, Reset: noon.Add(90 * time.Minute)}
	}
	return &dialect.Refusal{Code: code}
}

// A dialect is reached by its hosts and its prefix, in any listener; our own
// routes mean what they meant whatever the Host is.
func TestFindDialect(t *testing.T) {
	a := newDialects(t, func(c *dialect.Config) { c.Names = []string{"ipinfo"} })
	s, _ := serve(t, ServerConfig{API: a, FastListen: "127.0.0.1:0"})
	native, _ := serve(t, ServerConfig{API: newAPI(t, nil)})
	for _, tt := range []struct {
		host, target string
		spoken       bool
	}{
		{"ipinfo.io", "/8.8.8.8", true},
		{"IPinfo.IO:8080", "/8.8.8.8", true},
		{"ipinfo.io.", "/8.8.8.8", true},
		{"ipinfo.localhost", "/8.8.8.8", true},
		{"127.0.0.1:8080", "/compat/ipinfo/8.8.8.8", true},
		{"x", "http://ipinfo.io/8.8.8.8", true},
		{"ipinfo.io", "/v1/ip/8.8.8.8", true}, // which IPinfo does not have
		{"ipinfo.io.example", "/v1/ip/8.8.8.8", false},
		{"xipinfo.io", "/v1/ip/8.8.8.8", false},
		{"ipinfo.com", "/v1/ip/8.8.8.8", false},
		{"ip.example", "/v1/ip/8.8.8.8", false},
		{"ip.example", "/compat/ipdata/8.8.8.8", false},
		{"ip.example", "/compat/", false},
		{"ip.example", "/compat/ipinfo", true},
	} {
		raw := "GET " + tt.target + " HTTP/1.1\r\nHost: " + tt.host + "\r\n\r\n"
		answers := map[string]reply{}
		for name, addr := range map[string]net.Addr{"http": s.Addr(), "fast": s.FastAddr(), "native": native.Addr()} {
			c, br := dial(t, addr)
			answers[name] = ask(t, c, br, raw)
		}
		got := answers["http"]
		if spoken := got.body != answers["native"].body; spoken != tt.spoken {
			t.Errorf("%s %s: in a dialect %v, want %v: %s", tt.host, tt.target, spoken, tt.spoken, got.body)
		}
		if fast := answers["fast"]; tt.spoken && (got.body != fast.body || !slices.Equal(got.lines, fast.lines)) {
			t.Errorf("%s %s: the listeners differ:\n%v %s\n%v %s", tt.host, tt.target, got.lines, got.body, fast.lines, fast.body)
		}
	}
}

// What every answer has, those of dialects have: an entity tag, compression, an
// answer to HEAD.
func TestDialectTransport(t *testing.T) {
	a := newDialects(t, nil)
	const target = "/compat/ipasis/v1/8.8.8.8"
	w := a.answer(t, "GET", target)
	tag := w.Header().Get("Etag")
	if w.Code != 200 || tag == "" {
		t.Fatalf("%d, entity tag %q", w.Code, tag)
	}
	w = a.answer(t, "GET", target, func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
	if w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("asked again: %d %s", w.Code, w.Body)
	}
	w = a.answer(t, "GET", target, func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Etag") == tag {
		t.Errorf("compressed: %v", w.Header())
	}
	if w = a.answer(t, "HEAD", target); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Etag") != tag {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	w = a.answer(t, "GET", "/compat/ipdata/8.8.8.8") // which tells the time
	if w.Header().Get("Etag") != "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("an answer with the time: %v", w.Header())
	}
}

// What breaks is said in the vendor's shape.
func TestDialectFailures(t *testing.T) {
	set, err := dialect.New(dialect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	world := ipwardentest.Sample()
	for name, tt := range map[string]struct {
		data   Data
		status int
		want   string
	}{
		"none":   {nil, 503, `{"message":"The server has no dataset yet."}`},
		"failed": {failingData{world, false}, 502, `{"message":"The look-up could not be answered now."}`},
		"panic":  {failingData{world, true}, 500, `{"message":"Something went wrong here."}`},
	} {
		a := newAPI(t, func(c *Config) { c.Dialects = set; c.Data = func() Data { return tt.data } })
		w := a.answer(t, "GET", "/compat/ipdata/8.8.8.8")
		if w.Code != tt.status || w.Body.String() != tt.want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if after := w.Header().Get("Retry-After"); (after != "") != (tt.status != 500) {
			t.Errorf("%s: Retry-After: %q", name, after)
		}
	}
}

type failingData struct {
	*ipwardentest.World
	panics bool
}

func (d failingData) Lookup(context.Context, netip.Addr) (ipwarden.Record, error) {
	if d.panics {
		panic("as the test wants it")
	}
	return ipwarden.Record{}, errors.New("the source is away")
}

// A listener of one dialect speaks nothing else, whatever the Host.
func TestDialectListener(t *testing.T) {
	set, err := dialect.New(dialect.Config{Names: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(c *Config) { c.Dialects = set })
	s, _ := serve(t, ServerConfig{API: a, Dialects: []DialectListener{
		{Dialect: set.Named("ipasis"), Listen: "127.0.0.1:0"}, {Dialect: set.Named("ipinfo"), Listen: "127.0.0.1:0"},
	}})
	for i, want := range []string{`"privacy":{"VPN":false`, `Wrong ip`} {
		c, br := dial(t, s.DialectAddr(i))
		got := ask(t, c, br, "GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: api.ipdata.co\r\n\r\n")
		if !strings.Contains(got.body, want) {
			t.Errorf("listener %d: %s", i, got.body)
		}
	}
	c, br := dial(t, s.Addr())
	if got := ask(t, c, br, "GET /8.8.8.8 HTTP/1.1\r\nHost: ipinfo.io\r\n\r\n"); got.status != 404 || !strings.Contains(got.body, "problems/not-found") {
		t.Errorf("dialects are off, and %s", got.body)
	}
}

// A listener of a dialect speaks TLS when it is told to, and refuses as ever.
func TestDialectListenerTLS(t *testing.T) {
	borrowed := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer borrowed.Close()
	set, err := dialect.New(dialect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(c *Config) { c.Dialects = set })
	s, _ := serve(t, ServerConfig{API: a, Dialects: []DialectListener{{
		Dialect: set.Named("maxmind"), Listen: "127.0.0.1:0", TLS: &tls.Config{Certificates: borrowed.TLS.Certificates, MinVersion: tls.VersionTLS12},
	}}})
	client := borrowed.Client()
	client.Timeout = 30 * time.Second
	for range 2 {
		resp, err := client.Get("https://" + s.DialectAddr(0).String() + "/geoip/v2.1/country/8.8.8.8")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), `"iso_code":"US"`) || resp.TLS == nil {
			t.Errorf("%d %s %v", resp.StatusCode, body, err)
		}
	}
	c, err := tls.Dial("tcp", s.DialectAddr(0).String(), &tls.Config{RootCAs: client.Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := ask(t, c, bufio.NewReader(c), "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"); got.status != 400 || !strings.Contains(got.body, "malformed-request") {
		t.Errorf("a bad target: %d %s", got.status, got.body)
	}
}
