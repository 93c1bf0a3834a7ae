package edge

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/edge/assets"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// patience bounds a run of Node's tests: these are two shared cores at worst, with
// the race detector's tests beside it.
const patience = 8 * time.Minute

// TestEdge checks the types of the package and runs its tests, which are in
// TypeScript: test/*.test.ts, each on the runtime that it names.
func TestEdge(t *testing.T) {
	modules := proxytest.NodeModules(t, "edge")
	dir := t.TempDir()
	program := filepath.Join(dir, "ipwarden")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "../../cmd/ipwarden").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// A copy: the packages are beside it, and what is built does not come into the tree.
	tree := filepath.Join(dir, "edge")
	for _, part := range []string{"src", "test", "scripts"} {
		if err := os.CopyFS(filepath.Join(tree, part), os.DirFS(part)); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"LICENSE", "README.md", "package.json", "tsconfig.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(tree, "node_modules")); err != nil {
		t.Fatal(err)
	}
	var ports []string
	for range 8 {
		_, port, _ := net.SplitHostPort(proxytest.FreeAddr(t))
		ports = append(ports, port)
	}
	guide, err := filepath.Abs("../../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", args...)
		cmd.Dir, cmd.WaitDelay = tree, time.Second
		cmd.Env = append(os.Environ(), "IPWARDEN_BIN="+program, "IPWARDEN_GUIDE="+guide, "IPWARDEN_TEST_PORTS="+strings.Join(ports, ","), "CLOUDFLARE_CF_FETCH_ENABLED=false",
			"NODE_OPTIONS=", "NODE_PATH=", "http_proxy=", "https_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=", "HOME="+dir, "XDG_CONFIG_HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("node %s: %v\n%s", strings.Join(args, " "), err, out)
		} else if testing.Verbose() {
			fmt.Printf("%s", out)
		}
	}
	t.Run("types", func(t *testing.T) { run(t, "node_modules/typescript/bin/tsc", "--noEmit") })
	t.Run("what the program carries is fresh", func(t *testing.T) {
		run(t, "scripts/worker.mjs", "fresh")
		for name, remote := range map[string]bool{"ipwarden.js": false, "ipwarden-remote.js": true} {
			if fresh, err := os.ReadFile(filepath.Join(tree, "fresh", name)); err != nil || !bytes.Equal(fresh, assets.Bundle(remote)) {
				t.Errorf("internal/edge/assets/%s is not what src makes: run make edge (%v)", name, err)
			}
		}
	})
	t.Run("tests", func(t *testing.T) { run(t, "scripts/test.mjs") })
}
