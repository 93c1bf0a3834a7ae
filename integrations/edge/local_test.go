package edge

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	edgebuild "github.com/ipwarden/ipwarden/internal/edge"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// project writes what `ipwarden edge build` does of a policy.
func project(t *testing.T, cfg edgebuild.Config) (dir string, parts *edgebuild.Parts) {
	t.Helper()
	parts, err := edgebuild.Compile(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	built, err := edgebuild.Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, f := range built.Files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, parts
}

// In workerd the engine decides as the gate does with the whole dataset: 100,000
// questions of the example's policy, and some thousands of another and
// of one that is made by chance.
func TestLocalIsTheGate(t *testing.T) {
	modules := proxytest.NodeModules(t, "edge")
	ds := edgetest.World(t)
	texts, r := edgetest.Policies(t)
	for _, c := range []struct {
		name string
		n    int
	}{{"policy.yaml", 100_000}, {"everything.yaml", 5_000}, {"chance.yaml", 5_000}} {
		t.Run(c.name, func(t *testing.T) {
			p := edgetest.Read(t, c.name, texts[c.name])
			dir, parts := project(t, edgebuild.Config{Policy: p, Name: c.name, Dataset: ds, Platform: "cloudflare", Plan: "paid", KV: c.n == 100_000})
			file := filepath.Join(dir, "cases")
			writeCases(t, file, edgetest.NewOracle(t, p, ds, parts.Told), edgetest.Questions(t, ds, r, c.n))
			out, err := differential(t, modules, dir, file)
			if err != nil {
				t.Errorf("%v\n%s\nthe policy:\n%s", err, out, texts[c.name])
			}
			t.Logf("%s", out[strings.LastIndexByte(strings.TrimSpace(out), '\n')+1:])
		})
	}
}

// differential runs the comparison.
func differential(t *testing.T, modules, dir, file string) (string, error) {
	t.Helper()
	tree := t.TempDir()
	if err := os.CopyFS(filepath.Join(tree, "scripts"), os.DirFS("scripts")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(tree, "node_modules")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(tree, "scripts", "differential.mjs"), dir, file)
	cmd.Env = append(os.Environ(), "CLOUDFLARE_CF_FETCH_ENABLED=false", "HOME="+tree, "XDG_CONFIG_HOME="+tree, "http_proxy=", "https_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func writeCases(t *testing.T, file string, o *edgetest.Oracle, questions []edgetest.Question) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for i := range questions {
		q := &questions[i]
		want := o.Ask(q)
		q.Headers = latin(q.Headers)
		if err := enc.Encode(map[string]any{"question": q, "want": want}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// latin has the bytes of values as the characters that platforms make of them.
func latin(lines [][2]string) [][2]string {
	lines = slices.Clone(lines)
	for i, l := range lines {
		var b strings.Builder
		for _, c := range []byte(l[1]) {
			b.WriteRune(rune(c))
		}
		lines[i][1] = b.String()
	}
	return lines
}
