package api

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the responses of testdata/*.txtar anew; read the difference")

// TestScripts runs testdata/*.txtar, which read as documentation: requests and
// the whole responses to them, but for the entity tag's value. The caller is
// 81.2.69.142, the time is noon of 2026-11-20 in UTC, and the world is
// ipwardentest.Sample. Those of testdata/accounts are played to keys: see shop.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if keyed, err := filepath.Glob("testdata/accounts/*.txtar"); err == nil {
		files = append(files, keyed...)
	}
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a := newAPI(t, nil)
			if strings.HasPrefix(string(archive.Comment), "# Without a dataset") {
				a = newAPI(t, func(c *Config) { c.Data = func() Data { return nil } })
			}
			keys := strings.NewReplacer()
			if strings.Contains(file, "accounts/") {
				with, shop := withAccounts(t)
				a, keys = with, shop.replacer()
			}
			for i := 0; i+1 < len(archive.Files); i += 2 {
				request, response := &archive.Files[i], &archive.Files[i+1]
				if !strings.HasPrefix(request.Name, "request") || !strings.HasPrefix(response.Name, "response") {
					t.Fatalf("%s: sections %d and %d are %q and %q, want a request and its response", file, i, i+1, request.Name, response.Name)
				}
				got := play(t, a, keys.Replace(string(request.Data)))
				if *update {
					response.Data = []byte(got)
				} else if want := string(response.Data); got != want {
					t.Errorf("%s: %s\ngot\n%s\nwant\n%s", file, request.Data, got, want)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// play sends a request in the form "METHOD TARGET", header lines, an empty
// line, a body; and prints the response.
func play(t *testing.T, a *API, text string) string {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	first, rest, _ := strings.Cut(strings.TrimSpace(head), "\n")
	method, target, ok := strings.Cut(first, " ")
	if !ok {
		t.Fatalf("the request %q has no target", first)
	}
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.RequestURI, r.RemoteAddr = target, "81.2.69.142:4711"
	for line := range strings.Lines(rest) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		r.Header.Add(name, value)
	}
	w := &fullDuplex{httptest.NewRecorder()}
	a.Handler().ServeHTTP(w, r)
	if n := w.Body.Len(); n > 0 && n < countedByServer && !w.Flushed && method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(n)) // as the server does
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", w.Code, http.StatusText(w.Code))
	names := make([]string, 0, len(w.Header()))
	for name := range w.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := w.Header().Get(name)
		if name == "Etag" {
			value = strings.NewReplacer(strings.Trim(strings.TrimSuffix(value, `-gzip"`), `"`), "…").Replace(value)
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	b.WriteByte('\n')
	out := w.Body.String()
	if w.Header().Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		var plain strings.Builder
		if _, err := io.Copy(&plain, zr); err != nil {
			t.Fatal(err)
		}
		out = plain.String()
	}
	b.WriteString(strings.ReplaceAll(out, "\r\n", "\n"))
	if out != "" && !strings.HasSuffix(out, "\n") {
		b.WriteByte('\n')
	}
	return b.String()
}

// fullDuplex is a recorder that a stream can be written to.
type fullDuplex struct{ *httptest.ResponseRecorder }

func (*fullDuplex) EnableFullDuplex() error { return nil }
