package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/api"
)

// testServer is what serve keeps, over files that a test changes.
type testServer struct {
	*server
	t       *testing.T
	dir     string
	now     atomic.Int64 // Unix
	lines   lockedBuffer
	tick    chan time.Time
	hangup  chan os.Signal
	written int
}

type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newTestServer(t *testing.T) *testServer {
	s := &testServer{t: t, dir: t.TempDir(), tick: make(chan time.Time), hangup: make(chan os.Signal)}
	s.now.Store(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC).Unix())
	e := &env{
		stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" },
		now: func() time.Time { return time.Unix(s.now.Load(), 0) },
	}
	if code := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "-o", s.path("world.ipw")}, e); code != exitOK {
		t.Fatal("the dataset could not be built")
	}
	s.overlay("entries: []")
	flags := &dataFlags{Dataset: s.path("world.ipw"), Overlay: []string{s.path("own.yaml")}}
	s.server = &server{loader: &loader{flags: flags, env: e}, log: slog.New(slog.NewTextHandler(&s.lines, nil))}
	first, err := s.loader.load()
	if err != nil {
		t.Fatal(err)
	}
	s.use(first)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	seen := s.loader.fingerprint()
	go func() {
		defer close(done)
		s.watch(ctx, seen, s.hangup, s.tick)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func (s *testServer) path(name string) string { return filepath.Join(s.dir, name) }

// overlay writes the overlay, each time with a later time of change, whatever
// the grain of the file system's clock.
func (s *testServer) overlay(text string) {
	s.t.Helper()
	name := s.path("own.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.written++
	at := time.Unix(int64(s.written), 0)
	if err := os.Chtimes(name, at, at); err != nil {
		s.t.Fatal(err)
	}
}

// look lets the watcher look until it has taken a change up: the first look
// sees it, the second believes it, and the third is taken when that is done.
func (s *testServer) look() {
	for range 3 {
		s.tick <- time.Time{}
	}
}

func (s *testServer) country(addr string) string {
	s.t.Helper()
	r, err := s.live.Load().Lookup(context.Background(), netip.MustParseAddr(addr))
	if err != nil {
		s.t.Fatal(err)
	}
	return r.CountryCode()
}

func entry(country, expires string) string {
	return fmt.Sprintf("entries: [{network: 8.8.8.0/24, facts: {location.country_code: %s}, reason: r, owner: o%s}]\n", country, expires)
}

func TestWatch(t *testing.T) {
	s := newTestServer(t)
	first := s.live.Load()
	s.look()
	if s.live.Load() != first {
		t.Fatal("nothing has changed, and it reloaded")
	}
	s.overlay(entry("SE", ""))
	s.look()
	if got := s.country("8.8.8.8"); got != "SE" {
		t.Fatalf("a changed overlay was not taken up: %q", got)
	}
	if describe(first).Hash == describe(s.live.Load()).Hash {
		t.Error("the entity tags would not change with the overlay")
	}

	// What is not right is said once, and what was in use stays.
	s.overlay(entry("Sweden", ""))
	s.look()
	s.look()
	if got := s.country("8.8.8.8"); got != "SE" {
		t.Errorf("a bad overlay took effect: %q\n%s", got, s.lines.String())
	}
	if n := strings.Count(s.lines.String(), "reload refused"); n != 1 {
		t.Errorf("refused %d times in the log, want once:\n%s", n, s.lines.String())
	}

	// An entry that expires goes by itself.
	s.overlay(entry("NO", ", expires: 2026-11-21"))
	s.look()
	if got := s.country("8.8.8.8"); got != "NO" {
		t.Fatalf("got %q", got)
	}
	before := describe(s.live.Load()).Hash
	s.now.Store(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).Unix())
	s.look()
	if got := s.country("8.8.8.8"); got != "US" || describe(s.live.Load()).Hash == before {
		t.Errorf("an expired entry still counts: %q", got)
	}

	// A damaged dataset is refused; a file that is gone too.
	data, err := os.ReadFile(s.path("world.ipw"))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := errors.Join(os.WriteFile(s.path("next"), data, 0o600), os.Rename(s.path("next"), s.path("world.ipw"))); err != nil {
		t.Fatal(err)
	}
	s.look()
	if got := s.country("185.220.101.1"); got != "DE" {
		t.Errorf("after a damaged dataset: %q", got)
	}
	os.Remove(s.path("world.ipw"))
	s.hangup <- os.Interrupt // any signal on that channel
	s.look()
	if got := s.country("185.220.101.1"); got != "DE" {
		t.Errorf("after a dataset that is gone: %q", got)
	}
}

// Under load a reload fails no request, and no answer mixes two states.
func TestReloadUnderLoad(t *testing.T) {
	s := newTestServer(t)
	handler, err := api.New(api.Config{
		Data: func() api.Data { return s.live.Load() },
		Info: func(d api.Data) api.Info { return describe(d.(*data)) },
		Now:  s.loader.env.now, Log: s.server.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := handler.Handler()
	good := map[string]bool{`{"location":{"country_code":"US"},"asn":{"name":"GOOGLE"}}`: true}
	pairs := make([]string, 20)
	for i := range pairs {
		cc, name := string([]rune{'A' + rune(i), 'Z'}), fmt.Sprintf("network %d", i)
		pairs[i] = fmt.Sprintf("entries: [{network: 8.8.8.0/24, facts: {location.country_code: %s, asn.name: %s}, reason: r, owner: o}]\n", cc, name)
		good[fmt.Sprintf(`{"location":{"country_code":"%s"},"asn":{"name":"%s"}}`, cc, name)] = true
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/ip/8.8.8.8?fields=location.country_code,asn.name", nil))
				asked.Add(1)
				if body := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || !good[body] {
					t.Errorf("%d %s", w.Code, body)
					return
				}
			}
		})
	}
	for _, text := range pairs {
		s.overlay(text)
		s.look()
	}
	close(stop)
	wg.Wait()
	if asked.Load() < int64(len(pairs)) {
		t.Errorf("only %d requests in %d reloads", asked.Load(), len(pairs))
	}
}

// Files that the policy names are watched with it.
func TestFilesOfThePolicyAreWatched(t *testing.T) {
	list := filepath.Join(t.TempDir(), "banned.txt")
	l := &loader{flags: &dataFlags{}, env: &env{getenv: func(string) string { return "" }}}
	before := l.fingerprint()
	if l.also = []string{list}; l.fingerprint() == before {
		t.Error("a file that is named changes nothing")
	}
	missing := l.fingerprint()
	if err := os.WriteFile(list, []byte("192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l.fingerprint() == missing {
		t.Error("a file that comes changes nothing")
	}
}
