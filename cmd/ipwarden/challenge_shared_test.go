package main

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// sharingNodes are two nodes that the same flags describe, with a Redis.
func sharingNodes(t *testing.T, addr, text string) (nodes [2]*gateRun) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"IPWARDEN_LIMIT_SEED": strings.Repeat("ab", 16), "IPWARDEN_CHALLENGE_KEY": strings.Repeat("cd", 32)}
	e := &env{stdout: io.Discard, stderr: io.Discard, getenv: func(name string) string { return vars[name] }, now: time.Now}
	world, err := (&dataFlags{Dataset: builtWorld(t), dirFlag: dirFlag{DataDir: dir}}).open(e)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		flags := &gateFlags{Redis: "redis://" + addr, LimitMode: "exact", LimitBudget: 2 * time.Second, DecisionLogSample: 10}
		run, err := flags.open(file, &dirFlag{DataDir: dir}, e, func() *data { return world }, nil, newShield(func() *data { return world }, nil, e, slog.New(slog.DiscardHandler)), slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { run.Close() })
		nodes[i] = run
	}
	return nodes
}

// builtWorld is a small dataset.
func builtWorld(t *testing.T) string {
	t.Helper()
	world := filepath.Join(t.TempDir(), "world.ipw")
	e := &env{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, now: time.Now}
	if code := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "-o", world}, e); code != exitOK {
		t.Fatal("the dataset could not be built")
	}
	return world
}

// solution is the form that a browser sends back from the page.
func solution(t *testing.T, c *challenge.Challenges, path string) url.Values {
	t.Helper()
	client := netip.MustParseAddr("198.51.100.20")
	u, err := url.Parse(string(c.AppendLocation(nil, &ipwarden.Request{Path: path}, client, 0, time.Now())))
	if err != nil {
		t.Fatal(err)
	}
	form := u.Query()
	form.Set("kind", "proof_of_work")
	for n := range 1 << 26 {
		sum := sha256.Sum256([]byte(form.Get("t") + "." + strconv.Itoa(n)))
		if sum[0] == 0 && sum[1] < 2 { // 15 bits
			form.Set("n", strconv.Itoa(n))
			return form
		}
	}
	t.Fatal("no solution")
	return nil
}

func answer(c *challenge.Challenges, form url.Values) challenge.Answer {
	return c.Answer(context.Background(), &challenge.Ask{Method: http.MethodPost, Form: form})
}

// H1: a solution is worth one clearance, on whichever node of several it is
// shown, with a real Redis between them; while that is stopped the fail mode of
// the route decides.
func TestSolutionsCountOnceOnTwoNodes(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server := proxytest.Redis(t, addr)
	nodes := sharingNodes(t, addr, `
routes:
  - {name: open, path: /open, fail_mode: open}
  - {name: closed, path: /closed, fail_mode: closed}
`)
	one, two := nodes[0].challenges, nodes[1].challenges
	for range 3 {
		form := solution(t, one, "/")
		first, second := answer(one, form), answer(two, form)
		if first.Status != http.StatusSeeOther || second.Status != http.StatusForbidden || second.Header.Get("Set-Cookie") != "" {
			t.Fatalf("solved once: %d, and shown to the other node: %d", first.Status, second.Status)
		}
		one, two = two, one
	}
	if errs := one.Stats().ShareErrors + two.Stats().ShareErrors; errs != 0 {
		t.Fatalf("%d errors while the server answers", errs)
	}
	text := proxytest.RedisCLI(t, addr, "--scan", "--pattern", "ipwarden:limit:spent:*")
	keys := strings.Fields(text)
	if len(keys) != 3 {
		t.Fatalf("keys of what was spent: %q", text)
	}
	if life, _ := strconv.Atoi(strings.TrimSpace(proxytest.RedisCLI(t, addr, "ttl", keys[0]))); life < 1 || life > 600 {
		t.Errorf("a key lives for %d s, want 600 at most", life)
	}

	server.Signal(syscall.SIGSTOP)
	defer server.Signal(syscall.SIGCONT)
	for path, want := range map[string]struct {
		status int
		cookie string
	}{
		"/": {http.StatusSeeOther, "Max-Age=600;"}, "/open": {http.StatusSeeOther, "Max-Age=3600;"}, "/closed": {http.StatusServiceUnavailable, ""},
	} {
		a := answer(one, solution(t, one, path))
		if cookie := a.Header.Get("Set-Cookie"); a.Status != want.status || !strings.Contains(cookie, want.cookie) {
			t.Errorf("%s, while the server is stopped: %d, %q", path, a.Status, cookie)
		}
	}
	if n := one.Stats().ShareErrors; n != 3 {
		t.Errorf("%d errors are counted, want 3", n)
	}
}
