package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// Bounds of what node and npm may take: these are two shared cores at worst, and
// a registry that may be far away.
const (
	nodePatience = 2 * time.Minute
	npmPatience  = 5 * time.Minute
)

// modules returns a folder with the packages of package-lock.json. They are
// fetched once, into the user's cache.
func modules(t *testing.T) string {
	t.Helper()
	proxytest.Need(t, "node", "nodejs")
	npm := proxytest.Need(t, "npm", "npm")
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	sum := sha256.Sum256(append(manifest, lock...))
	dir := filepath.Join(cache, "ipwarden", "clients-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return filepath.Join(dir, "node_modules")
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "fresh-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	for name, text := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(fresh, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), npmPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
	cmd.Dir = fresh
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("npm ci: %v\n%s", err, out)
	}
	// Whoever was first has the same in there.
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, there := os.Stat(dir); there != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "node_modules")
}

// node runs a script of this folder with a question in JSON, and reads its
// answers into answers.
func node(t *testing.T, script string, question, answers any, env ...string) {
	t.Helper()
	from := modules(t)
	q, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), nodePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script, string(q))
	cmd.Env = append(os.Environ(), "NODE_PATH="+from, "NODE_OPTIONS=", "http_proxy=", "https_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=")
	cmd.Env = append(cmd.Env, env...) // of several the last counts
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("node %s: %v\n%s%s", script, err, errs.Bytes(), out.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), answers); err != nil {
		t.Fatalf("node %s: %v\n%s%s", script, err, errs.Bytes(), out.Bytes())
	}
}
