package update

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/feed"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// list makes a netset of n addresses.
func list(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "192.0.2.%d\n", i)
	}
	return b.String()
}

// publisher is an upstream whose answer a test sets.
type publisher struct {
	*httptest.Server
	answer atomic.Value // http.HandlerFunc
	asked  atomic.Int32
}

func publish(t *testing.T, h http.HandlerFunc) *publisher {
	p := &publisher{}
	p.answer.Store(h)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.answer.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, len(text)))
		w.Header().Set("Last-Modified", "Thu, 19 Nov 2026 08:00:00 GMT")
		if r.Header.Get("If-None-Match") == w.Header().Get("ETag") {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, text)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// fixture is a feeds folder, an updater over it, and the pauses it made.
type fixture struct {
	t      *testing.T
	dir    string
	cfg    Config
	pauses []time.Duration
	mu     sync.Mutex
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, dir: filepath.Join(t.TempDir(), "feeds")}
	f.cfg = Config{
		Dir: f.dir, Formats: feed.Formats(), Stall: 5 * time.Second,
		Now: func() time.Time { return now }, Random: func() float64 { return 0.5 },
		Sleep: func(ctx context.Context, d time.Duration) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.pauses = append(f.pauses, d)
			return nil
		},
	}
	return f
}

func (f *fixture) run(specs ...feed.Spec) []Result {
	f.t.Helper()
	u, err := New(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	results, err := u.Run(context.Background(), specs, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.noLeftovers()
	return results
}

// noLeftovers checks that no half file stays behind.
func (f *fixture) noLeftovers() {
	f.t.Helper()
	filepath.WalkDir(f.dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".part") {
			f.t.Errorf("%s was left behind", name)
		}
		return nil
	})
}

func (f *fixture) content(path string) string {
	b, err := os.ReadFile(filepath.Join(f.dir, path))
	if err != nil {
		return ""
	}
	return string(b)
}

func spec(url string) feed.Spec {
	return feed.Spec{
		Name: "list", Format: "netset", Files: []feed.SpecFile{{Path: "abuse/list.txt", URL: url}},
		Refresh: time.Hour, MaxSize: 1 << 20, MaxBad: 0.1, MaxChange: 0.5, MinRows: 2,
	}
}

func TestFetchConditional(t *testing.T) {
	p := publish(t, body(list(10)))
	f := newFixture(t)
	res := f.run(spec(p.URL))[0]
	if res.Status != Updated || res.Rows != 10 {
		t.Fatalf("first: %+v", res)
	}
	meta := readMeta(filepath.Join(f.dir, "abuse/list.txt"))
	if meta == nil || meta.ETag == "" || meta.Rows != 10 || !meta.Date.Equal(time.Date(2026, 11, 19, 8, 0, 0, 0, time.UTC)) || !meta.Fetched.Equal(now) {
		t.Fatalf("meta: %+v", meta)
	}

	if res := f.run(spec(p.URL))[0]; res.Status != Fresh || p.asked.Load() != 1 {
		t.Errorf("within the refresh interval: %+v, asked %d times", res, p.asked.Load())
	}
	now2 := now.Add(2 * time.Hour)
	f.cfg.Now = func() time.Time { return now2 }
	if res := f.run(spec(p.URL))[0]; res.Status != Unchanged || res.Rows != 10 || p.asked.Load() != 2 {
		t.Errorf("304: %+v, asked %d times", res, p.asked.Load())
	}
	if meta := readMeta(filepath.Join(f.dir, "abuse/list.txt")); !meta.Checked.Equal(now2) || !meta.Fetched.Equal(now) {
		t.Errorf("304 must move checked and leave fetched: %+v", meta)
	}

	// Somebody changed the file: what was known of it is no longer true.
	if err := os.WriteFile(filepath.Join(f.dir, "abuse/list.txt"), []byte("192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.cfg.Force = true
	if res := f.run(spec(p.URL))[0]; res.Status != Updated || res.Rows != 10 {
		t.Errorf("after a change by hand: %+v", res)
	}
}

// Whatever goes wrong, the last good copy stays.
func TestFetchFailures(t *testing.T) {
	good := list(10)
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		status   Status
		why      string
		attempts int
	}{
		"404":         {status(404), Kept, "404 Not Found", 1},
		"403":         {status(403), Kept, "403 Forbidden", 1},
		"500":         {status(500), Kept, "500 Internal Server Error", maxAttempts},
		"429":         {status(429, "Retry-After", "7"), Kept, "429", maxAttempts},
		"429 long":    {status(429, "Retry-After", "7200"), Kept, "come back in 2h0m0s", 1},
		"204":         {status(204), Kept, "204", 1},
		"304 unasked": {status(304), Kept, "304", 1},
		"loop":        {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, Kept, "stopped after 5 redirects", maxAttempts},
		"truncated": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, list(3))
		}, Kept, "unexpected EOF", maxAttempts},
		"oversize declared": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "2000000")
		}, Kept, "more than the 1048576 the catalogue allows", 1},
		"oversize": {func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush() // chunked: no length is declared
			w.Write(bytes.Repeat([]byte("# filler\n"), 200_000))
		}, Kept, "more than the 1048576 bytes the catalogue allows came", 1},
		"bomb": {func(w http.ResponseWriter, r *http.Request) {
			w.Write(pack(bytes.Repeat([]byte("192.0.2.1\n"), 500_000)))
		}, Refused, "larger than its bound", 1},
		"web page": {body("<html><body>Please log in\n<a>x</a>\n</body></html>\n"), Refused, "HTML page", 1},
		"bad rows": {body(list(8) + "what\nis\nthis\n"), Refused, "3 of 11 rows are bad, more than 10 %", 1},
		"empty":    {body(""), Refused, "0 rows are fewer than the 2", 1},
		"shrunk":   {body(list(4)), Refused, "from 10 to 4 rows, more than 50 %", 1},
		"swollen":  {body(list(100)), Refused, "from 10 to 100 rows", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := publish(t, body(good))
			f := newFixture(t)
			if res := f.run(spec(p.URL))[0]; res.Status != Updated {
				t.Fatalf("the good copy: %+v", res)
			}
			f.cfg.Now = func() time.Time { return now.Add(2 * time.Hour) }
			if name == "304 unasked" {
				os.Remove(filepath.Join(f.dir, "abuse/list.txt"+metaSuffix))
			}
			p.answer.Store(c.answer)
			res := f.run(spec(p.URL))[0]
			if res.Status != c.status || !strings.Contains(res.Why, c.why) || res.Attempts != c.attempts {
				t.Errorf("got %s after %d attempts: %s; want %s after %d with %q", res.Status, res.Attempts, res.Why, c.status, c.attempts, c.why)
			}
			if f.content("abuse/list.txt") != good {
				t.Error("the last good copy is gone")
			}
		})
		t.Run(name+", no copy", func(t *testing.T) {
			p := publish(t, c.answer)
			f := newFixture(t)
			res := f.run(spec(p.URL))[0]
			switch {
			case name == "shrunk" || name == "swollen":
				if res.Status != Updated { // nothing to compare with
					t.Errorf("got %+v", res)
				}
			case c.status == Kept && res.Status != Missing, c.status == Refused && res.Status != Refused:
				t.Errorf("got %+v", res)
			case f.content("abuse/list.txt") != "":
				t.Error("something was put in place")
			}
		})
	}
}

func TestFetchStall(t *testing.T) {
	p := publish(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, list(3))
		w.(http.Flusher).Flush()
		<-r.Context().Done() // until the client gives up
	})
	f := newFixture(t)
	f.cfg.Stall = 20 * time.Millisecond
	if res := f.run(spec(p.URL))[0]; res.Status != Missing || !strings.Contains(res.Why, "stood still") || res.Attempts != maxAttempts {
		t.Errorf("got %+v", res)
	}
}

func TestFetchRetries(t *testing.T) {
	var n atomic.Int32
	p := publish(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) {
		case 1:
			status(503)(w, r)
		case 2:
			status(429, "Retry-After", now.Add(20*time.Second).Format(http.TimeFormat))(w, r)
		default:
			body(list(5))(w, r)
		}
	})
	f := newFixture(t)
	res := f.run(spec(p.URL))[0]
	if res.Status != Updated || res.Attempts != 3 {
		t.Fatalf("got %+v", res)
	}
	want := []time.Duration{750 * time.Millisecond, 20 * time.Second}
	if fmt.Sprint(f.pauses) != fmt.Sprint(want) {
		t.Errorf("paused %v, want %v", f.pauses, want)
	}
}

func TestForceTakesWhatBreaksABound(t *testing.T) {
	p := publish(t, body(list(10)))
	f := newFixture(t)
	f.run(spec(p.URL))
	p.answer.Store(body(list(3)))
	f.cfg.Force = true
	if res := f.run(spec(p.URL))[0]; res.Status != Updated || res.Rows != 3 || res.Was != 10 {
		t.Errorf("got %+v", res)
	}
}

// A list in two files is believed or refused as a whole.
func TestTwoFiles(t *testing.T) {
	v4, v6 := publish(t, body(list(10))), publish(t, status(404))
	s := spec(v4.URL)
	s.Files = append(s.Files, feed.SpecFile{Path: "abuse/list6.txt", URL: v6.URL})
	f := newFixture(t)
	if res := f.run(s)[0]; res.Status != Missing || f.content("abuse/list.txt") != "" {
		t.Errorf("half a list was taken: %+v", res)
	}
	v6.answer.Store(body("2001:db8::1\n2001:db8::2\n"))
	if res := f.run(s)[0]; res.Status != Updated || res.Rows != 12 {
		t.Errorf("both: %+v", res)
	}
	f.cfg.Now = func() time.Time { return now.Add(2 * time.Hour) }
	v6.answer.Store(body("2001:db8::1\n2001:db8::2\n2001:db8::3\n"))
	if res := f.run(s)[0]; res.Status != Updated || res.Rows != 13 || res.Was != 12 {
		t.Errorf("one new, one 304: %+v", res)
	}
}

// One failing feed never fails the rest.
func TestOneFailsAlone(t *testing.T) {
	good, bad := publish(t, body(list(10))), publish(t, status(500))
	specs := make([]feed.Spec, 6)
	for i := range specs {
		specs[i] = spec(good.URL)
		if i == 3 {
			specs[i] = spec(bad.URL)
		}
		specs[i].Name = fmt.Sprintf("list-%d", i)
		specs[i].Files[0].Path = fmt.Sprintf("list-%d.txt", i)
	}
	f := newFixture(t)
	for i, res := range f.run(specs...) {
		if want := map[bool]Status{true: Missing, false: Updated}[i == 3]; res.Status != want || res.Feed != specs[i].Name {
			t.Errorf("%d: got %+v, want %s", i, res, want)
		}
	}
}

// Without a network the first feeds find out, and the rest need not.
func TestOffline(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	specs := make([]feed.Spec, 40)
	for i := range specs {
		specs[i] = spec(gone.URL)
		specs[i].Name = fmt.Sprintf("list-%d", i)
		specs[i].Files[0].Path = specs[i].Name
	}
	f := newFixture(t)
	attempts := 0
	for _, res := range f.run(specs...) {
		if res.Status != Missing {
			t.Fatalf("got %+v", res)
		}
		attempts += res.Attempts
	}
	if most := 2*4*maxAttempts + len(specs); attempts > most {
		t.Errorf("%d attempts, want at most %d", attempts, most)
	}
}

func TestPackedBody(t *testing.T) {
	p := publish(t, func(w http.ResponseWriter, r *http.Request) { w.Write(pack([]byte(list(10)))) })
	f := newFixture(t)
	if res := f.run(spec(p.URL))[0]; res.Status != Updated || res.Rows != 10 {
		t.Fatalf("got %+v", res)
	}
	if f.content("abuse/list.txt") != "" || f.content("abuse/list.txt.gz") == "" {
		t.Error("a packed file is kept as .gz")
	}
	// The publisher stops packing: the old spelling must not shadow the new.
	p.answer.Store(body(list(9)))
	f.cfg.Force = true
	f.run(spec(p.URL))
	if f.content("abuse/list.txt") != list(9) || f.content("abuse/list.txt.gz") != "" {
		t.Error("the packed copy still lies beside the plain one")
	}
}

func TestNoDowngrade(t *testing.T) {
	plain := publish(t, body(list(10)))
	tls := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer tls.Close()
	f := newFixture(t)
	f.cfg.Client = tls.Client()
	if res := f.run(spec(tls.URL))[0]; res.Status != Missing || !strings.Contains(res.Why, "from https to http") {
		t.Errorf("got %+v", res)
	}
}

func TestFromFolder(t *testing.T) {
	from := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(from, "abuse"), 0o755))
	must(t, os.WriteFile(filepath.Join(from, "abuse/list.txt.gz"), pack([]byte(list(10))), 0o644))
	must(t, os.WriteFile(filepath.Join(from, "SOURCES.md"), []byte("# Data\n\n| file | upstream | snapshot date |\n|---|---|---|\n| abuse/list.txt.gz | a \\| b | 2026-08-22 21:13 UTC |\n"), 0o644))
	f := newFixture(t)
	f.cfg.From = from
	other := spec("https://unused.example")
	other.Name, other.Files[0].Path = "other", "other.txt"
	res := f.run(spec("https://unused.example"), other)
	if res[0].Status != Updated || res[0].Rows != 10 || !res[0].Date.Equal(time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", res[0])
	}
	if res[1].Status != Absent {
		t.Errorf("a feed that is not there: %+v", res[1])
	}
	if res := f.run(spec("https://unused.example"))[0]; res.Status != Unchanged {
		t.Errorf("a second time: %+v", res)
	}
	must(t, os.WriteFile(filepath.Join(from, "abuse/list.txt.gz"), pack([]byte(list(2))), 0o644))
	if res := f.run(spec("https://unused.example"))[0]; res.Status != Refused {
		t.Errorf("a shrunken file: %+v", res)
	}
}

func TestDryRun(t *testing.T) {
	p := publish(t, body(list(10)))
	f := newFixture(t)
	f.run(spec(p.URL))
	p.answer.Store(body(list(11)))
	f.cfg.Now = func() time.Time { return now.Add(2 * time.Hour) }
	f.cfg.Stage = t.TempDir()
	if res := f.run(spec(p.URL))[0]; res.Status != Updated || res.Rows != 11 {
		t.Errorf("got %+v", res)
	}
	if f.content("abuse/list.txt") != list(10) {
		t.Error("a dry run changed the folder")
	}
	folder, err := OpenFolder(f.cfg.Stage, f.dir)
	must(t, err)
	name, err := folder.find("abuse/list.txt")
	must(t, err)
	if b, _ := os.ReadFile(name); string(b) != list(11) {
		t.Error("what is staged does not lie on top")
	}
}

func TestCancelled(t *testing.T) {
	p := publish(t, body(list(10)))
	f := newFixture(t)
	u, err := New(f.cfg)
	must(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("interrupted")
	cancel(stop)
	res, err := u.Run(ctx, []feed.Spec{spec(p.URL)}, nil)
	if !errors.Is(err, stop) || res[0].Status != Missing {
		t.Errorf("got %v, %+v", err, res)
	}
}

// What a file says of its date is believed, but not that it is from tomorrow.
func TestFutureDate(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ in, want string }{{"2026-11-01", "2026-11-01"}, {"2031-01-01", "2026-11-19"}} {
		p := publish(t, body("# This File Date: "+c.in+"\n"+list(10)))
		f.cfg.Force = true
		if res := f.run(spec(p.URL))[0]; res.Status != Updated || res.Date.Format(time.DateOnly) != c.want {
			t.Errorf("%s: got %+v, want %s", c.in, res, c.want)
		}
	}
}

func TestPathLeaves(t *testing.T) {
	p := publish(t, body(list(10)))
	f := newFixture(t)
	s := spec(p.URL)
	s.Files[0].Path = "../outside.txt"
	if res := f.run(s)[0]; !res.Failed() || !strings.Contains(res.Why, "leaves the folder") {
		t.Errorf("got %+v", res)
	}
}

func pack(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
