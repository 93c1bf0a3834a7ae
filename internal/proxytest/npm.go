package proxytest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// npmPatience bounds what npm may take: the registry may be far away.
const npmPatience = 5 * time.Minute

// NodeModules returns the folder with the packages of the package-lock.json of the
// test's folder, or ends the test. They are fetched once, into the user's cache, and
// none of their scripts is run.
func NodeModules(t *testing.T, name string) string {
	t.Helper()
	Need(t, "node", "nodejs")
	npm := Need(t, "npm", "npm")
	files := map[string][]byte{"package.json": nil, "package-lock.json": nil}
	sum := sha256.New()
	for _, f := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		files[f] = text
		sum.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	dir := filepath.Join(cache, "ipwarden", name+"-"+hex.EncodeToString(sum.Sum(nil)[:8]))
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
	for f, text := range files {
		if err := os.WriteFile(filepath.Join(fresh, f), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), npmPatience)
	defer cancel()
	var out []byte
	for range 3 { // a registry may fail once
		cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
		cmd.Dir = fresh
		cmd.WaitDelay = time.Second
		if out, err = cmd.CombinedOutput(); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
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
