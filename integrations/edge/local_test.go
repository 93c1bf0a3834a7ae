package edge

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	edgebuild "github.com/ipwarden/ipwarden/internal/edge"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// project writes what `ipwarden edge build` does of a policy.
func project(t *testing.T, dir string, cfg edgebuild.Config) *edgebuild.Parts {
	t.Helper()
	parts, err := edgebuild.Compile(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	built, err := edgebuild.Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range built.Files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return parts
}

// compared are the policies that are compared, and how many questions each is asked.
var compared = []struct {
	name string
	n    int
}{{"policy.yaml", 100_000}, {"everything.yaml", 5_000}, {"chance.yaml", 5_000}}

// In workerd the engine decides as the gate does with the whole dataset: 100,000
// questions of the example's policy, and some thousands of another and
// of one that is made by chance.
func TestLocalIsTheGate(t *testing.T) {
	modules := proxytest.NodeModules(t, "edge")
	// The projects, and what the gate says, are made without the race detector, under which
	// datasets and answers take ten times as long and do nothing at once.
	out := t.TempDir()
	maker := filepath.Join(out, "maker")
	if said, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-race=false", "-o", maker, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	cmd := exec.CommandContext(t.Context(), maker, "-test.run=^TestWriteCases$", "-test.v")
	cmd.Env = append(os.Environ(), casesEnv+"="+out)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	t.Logf("%s", said)
	for _, c := range compared {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(out, c.name)
			out, err := differential(t, modules, dir, filepath.Join(dir, "cases"))
			if err != nil {
				text, _ := os.ReadFile(filepath.Join(dir, "policy.txt"))
				t.Errorf("%v\n%s\nthe policy:\n%s", err, out, text)
			}
			if !strings.Contains(out, `"questions":`+strconv.Itoa(c.n)+",") {
				t.Errorf("it says nothing of %d questions: %s", c.n, out)
			}
			t.Logf("%s", out[strings.LastIndexByte(strings.TrimSpace(out), '\n')+1:])
		})
	}
}

// casesEnv names the folder into which TestWriteCases writes.
const casesEnv = "IPWARDEN_EDGE_CASES"

// TestWriteCases writes the projects and the cases for TestLocalIsTheGate, which runs it.
func TestWriteCases(t *testing.T) {
	out := os.Getenv(casesEnv)
	if out == "" {
		t.Skip("TestLocalIsTheGate runs it")
	}
	ds := edgetest.World(t)
	texts, r := edgetest.Policies(t)
	for _, c := range compared {
		p := edgetest.Read(t, c.name, texts[c.name])
		dir := filepath.Join(out, c.name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		parts := project(t, dir, edgebuild.Config{Policy: p, Name: c.name, Dataset: ds, Platform: "cloudflare", Plan: "paid", KV: c.n == 100_000})
		if err := os.WriteFile(filepath.Join(dir, "policy.txt"), []byte(texts[c.name]), 0o600); err != nil {
			t.Fatal(err)
		}
		writeCases(t, filepath.Join(dir, "cases"), edgetest.NewOracle(t, p, ds, parts.Told), edgetest.Questions(t, ds, r, c.n))
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
