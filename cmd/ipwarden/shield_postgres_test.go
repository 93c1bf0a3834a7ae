package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// node is a server that runs.
type node struct{ url, dir string }

// nodesOf starts servers whose accounts are in one database, with one secret.
func nodesOf(t *testing.T, n int, url string, args ...string) (nodes []node) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "ipwarden") // under that name the test is the program
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(dir, "0", "secrets")
	for i := range n {
		one := node{"http://" + proxytest.FreeAddr(t), filepath.Join(dir, fmt.Sprint(i))}
		if i == 0 {
			if status, _, stderr := command("plan", "set", "anonymous", "--per-day", "100000000", "--data-dir", one.dir, "--accounts-url", url); status != exitOK {
				t.Fatal(stderr)
			}
			if status, _, stderr := command("account", "add", "ada@example.com", "--data-dir", one.dir, "--accounts-url", url); status != exitOK {
				t.Fatal(stderr)
			}
			if status, _, stderr := command("key", "new", "ada@example.com", "--data-dir", one.dir, "--accounts-url", url); status != exitOK {
				t.Fatal(stderr)
			}
		} else if err := os.CopyFS(filepath.Join(one.dir, "secrets"), os.DirFS(secrets)); err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{one.dir, filepath.Join(one.dir, "secrets")} {
			if err := os.Chmod(private, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(one.dir, "secrets", "key-hash"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, append([]string{"serve", "--accounts", "--accounts-url", url, "--data-dir", one.dir, "--listen", strings.TrimPrefix(one.url, "http://")}, args...)...)
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
			if t.Failed() {
				t.Logf("%s said: %.4000s", one.url, said.String())
			}
		})
		nodes = append(nodes, one)
		proxytest.Eventually(t, "the server answers", func() bool { status, _ := one.get("/readyz"); return status == http.StatusOK })
	}
	return nodes
}

// get asks a node.
func (n node) get(path string) (status int, body string) {
	client := &http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get(n.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// Two servers share nothing but a PostgreSQL: what is said with the database, or in the
// data directory of one, is in force at both; so is an undo, by whomever; and a measure
// ends at both when its time is over.
func TestShieldInPostgres(t *testing.T) {
	url := proxytest.NewPostgres(t).Create(t, "test")
	dir := t.TempDir()
	overlay := filepath.Join(dir, "here.yaml")
	if err := os.WriteFile(overlay, []byte("entries: [{network: 127.0.0.0/8, facts: {location.country_code: SE}, reason: r, owner: o}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := nodesOf(t, 2, url, "--dataset", builtWorld(t), "--overlay", overlay)
	is := func(what string, want int) {
		t.Helper()
		for i := range nodes {
			var status int
			var body string
			proxytest.Eventually(t, fmt.Sprintf("%s: node %d", what, i), func() bool {
				status, body = nodes[i].get("/v1/ip/8.8.8.8?fields=ip")
				return status == want
			})
			if want == http.StatusForbidden && !strings.Contains(body, "shielded") {
				t.Errorf("%s: %s", what, body)
			}
		}
	}
	shield := func(args ...string) {
		t.Helper()
		if len(args) < 3 || args[len(args)-2] != "--data-dir" { // in the database, from elsewhere
			args = append(args, "--accounts-url", url, "--data-dir", dir)
		}
		if status, out, stderr := command(append([]string{"shield"}, args...)...); status != exitOK {
			t.Fatalf("%v: %s%s", args, out, stderr)
		}
	}
	is("without a measure", http.StatusOK)
	shield("require-keys")
	is("keys are required", http.StatusUnauthorized)
	shield("countries", "SE", "--data-dir", nodes[0].dir)
	is("a country is refused", http.StatusForbidden)
	shield("undo", "--data-dir", nodes[1].dir)
	is("that was undone at the other", http.StatusUnauthorized)
	shield("undo")
	is("all was undone", http.StatusOK)
	shield("countries", "SE")
	is("refused again", http.StatusForbidden)
	shield("expire", "country:SE", "--in", "1s", "--data-dir", nodes[1].dir)
	is("its time is over", http.StatusOK)
	if status, out, _ := command("shield", "status", "--accounts-url", url, "--data-dir", dir); status != exitOK || !strings.Contains(out, "nothing is in force") {
		t.Errorf("status: %s", out)
	}
}
