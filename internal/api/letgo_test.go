package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"weak"

	"github.com/ipwarden/ipwarden/ipwardentest"
)

// swappable is Data of a size that shows.
type swappable struct{ Data }

// After a swap and a Refresh nothing of the API holds the data before, though
// nobody asks anything.
func TestRefreshLetsGo(t *testing.T) {
	var live atomic.Pointer[swappable]
	live.Store(&swappable{ipwardentest.Sample()})
	a := newAPI(t, func(c *Config) { c.Data = func() Data { return live.Load() } })
	if w := a.answer(t, "GET", "/v1/ip/8.8.8.8"); w.Code != 200 {
		t.Fatal(w.Code)
	}
	before := weak.Make(live.Load())
	live.Store(&swappable{ipwardentest.Sample()})
	a.Refresh()
	for range 20 { // exchanges that are kept for reuse go with the second collection
		runtime.GC()
		if before.Value() == nil {
			return
		}
	}
	t.Error("the data from before the swap is still held")
}

// The gate alone has no look-ups, and its problems no example that is one.
func TestExamplesOfTheGateAlone(t *testing.T) {
	a := gated(t, 3)
	a.cfg.GateOnly = true
	for _, target := range []string{"/gate/nginx", "/gate/nosuch", "/v1/ip/8.8.8.8", "/v1/decide", "/v1/decisions/x", "/nosuch", "/healthz?x=1"} {
		for _, peer := range []string{"192.0.2.1:1", "@"} {
			r := askGate(a, peer, "GET", target, "")
			var p struct{ Example string }
			if err := json.Unmarshal([]byte(textOf(t, r)), &p); err != nil || r.StatusCode < 400 {
				continue // it is an answer
			}
			if p.Example == "" || strings.Contains(p.Example, "/v1/ip") {
				t.Errorf("%s from %s: the example is %q", target, peer, p.Example)
			}
			if p.Example == exampleGate {
				if r := askGate(a, peer, "GET", "/healthz", ""); r.StatusCode != 200 {
					t.Errorf("the example gives %d", r.StatusCode)
				}
			}
		}
	}
}

// A socket in a folder that is not there: the error names the folder, and how to
// make it.
func TestSocketWithoutAFolder(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "run", "ipwarden")
	_, err := OpenListener("unix:" + filepath.Join(missing, "x.sock") + ",mode=0660")
	if err == nil || !strings.Contains(err.Error(), "there is no folder "+missing+"; make it with: install -d -m 0755 "+missing) {
		t.Errorf("%v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenListener("unix:" + filepath.Join(file, "x.sock")); err == nil || !strings.Contains(err.Error(), file+" is no folder") {
		t.Errorf("%v", err)
	}
	if err := os.MkdirAll(missing, 0o755); err != nil {
		t.Fatal(err)
	}
	ln, err := OpenListener("unix:" + filepath.Join(missing, "x.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}
