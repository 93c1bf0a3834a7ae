package api

import (
	"bytes"
	"flag"
	"fmt"
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
