package edge_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/internal/edge"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
)

// The engine that the program carries is that of these sources, is small, and links
// nothing that an isolate has no room for.
func TestEngineIsFresh(t *testing.T) {
	env := append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOEXPERIMENT=", "GOWASM=")
	file := filepath.Join(t.TempDir(), "engine.wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-buildmode=c-shared", "-o", file, "./engine")
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	built, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	carried, err := edge.Engine()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(built, carried) {
		t.Error("internal/edge/assets/engine.wasm.gz is not that of the sources: run make edge, and commit what it writes")
	}
	if most := 4_200_000; len(built) > most {
		t.Errorf("the engine has %d bytes, more than %d", len(built), most)
	}
	cmd = exec.CommandContext(t.Context(), "go", "list", "-deps", "./engine")
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	links := strings.Fields(string(out))
	for _, p := range []string{"fmt", "os", "net", "net/http", "encoding/json", "crypto/sha256", "log", "runtime/debug"} {
		if slices.Contains(links, p) {
			t.Errorf("the engine links %s", p)
		}
	}
	for _, p := range links {
		if strings.Contains(p, ".") && !strings.HasPrefix(p, "github.com/ipwarden/ipwarden") {
			t.Errorf("the engine links %s", p)
		}
	}
}

// The same policy and dataset give the same bytes.
func TestSameInputsSameBytes(t *testing.T) {
	ds := edgetest.World(t)
	build := func() *edge.Built {
		b, err := edge.Build(edge.Config{Policy: edgetest.Read(t, "policy.yaml", examples.Policies()["policy.yaml"]), Name: "policy.yaml", Dataset: ds, Platform: "cloudflare"})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b := build(), build()
	if len(a.Files) != len(b.Files) {
		t.Fatalf("%d files and %d", len(a.Files), len(b.Files))
	}
	for i := range a.Files {
		if a.Files[i].Name != b.Files[i].Name || !bytes.Equal(a.Files[i].Data, b.Files[i].Data) {
			t.Errorf("%s is another the second time", a.Files[i].Name)
		}
	}
	if !a.Sizes.KV {
		t.Errorf("a dataset of %d bytes is beside the engine on the smallest plan", a.Sizes.Dataset)
	}
}

// What cannot be decided at the edge is refused, all of it at once, with the line.
func TestRefusals(t *testing.T) {
	text := `version: 1
rules:
  - {name: exists, when: 'ip.location.languages.exists(l, l == "sv")', action: flag}
  - {name: net, when: 'ip.network == "10.0.0.0/8"', action: block}
  - {name: night, when: 'ip.location.time_zone.offset > 3600', action: flag}
  - {name: fine, when: ip.security.is_tor, action: block}
`
	_, err := edge.Build(edge.Config{Policy: edgetest.Read(t, "p.yaml", text), Name: "p.yaml", Dataset: edgetest.World(t), Platform: "cloudflare"})
	if err == nil {
		t.Fatal("it was built")
	}
	for _, want := range []string{`p.yaml:3: the rule "exists"`, `CEL`, `ip.location.languages.exists(l, l == "sv")`, `p.yaml:4: the rule "net"`, "ip.network", `p.yaml:5: the rule "night"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "fine") {
		t.Errorf("a rule that can be decided is refused:\n%v", err)
	}
}

// The routes of a policy go to the edge whole: method, hosts with a star, path.
func TestRoutes(t *testing.T) {
	text := `version: 1
defaults: {fail_mode: open}
routes:
  - {name: writes, method: [POST, PUT], host: "*.example.org", path: [/api/*, /login], fail_mode: closed}
  - {name: deletes, method: DELETE, fail_mode: closed}
`
	b, err := edge.Build(edge.Config{Policy: edgetest.Read(t, "p.yaml", text), Name: "p.yaml", Dataset: edgetest.World(t), Platform: "node"})
	if err != nil {
		t.Fatal(err)
	}
	var module string
	for _, f := range b.Files {
		if f.Name == "gate.js" {
			module = string(f.Data)
		}
	}
	for _, want := range []string{
		`{ method: "POST", host: "*.example.org", path: "/api/*", fail: "closed" }`, `{ method: "POST", host: "*.example.org", path: "/login", fail: "closed" }`,
		`{ method: "PUT", host: "*.example.org", path: "/login", fail: "closed" }`, `{ method: "DELETE", fail: "closed" }`, `fail: "open"`,
	} {
		if !strings.Contains(module, want) {
			t.Errorf("gate.js has no %s:\n%s", want, module)
		}
	}
	if notes := strings.Join(b.Notes, "\n"); strings.Contains(notes, "fail mode") {
		t.Errorf("the notes say of fail modes what is not so: %s", notes)
	}
}

// A project that its platform does not take is refused, with the figures.
func TestTooLarge(t *testing.T) {
	p := edgetest.Read(t, "policy.yaml", examples.Policies()["policy.yaml"])
	for _, c := range []edge.Config{{Platform: "vercel", Plan: "hobby"}, {Platform: "lambda-edge", Plan: "viewer"}} {
		c.Policy, c.Name, c.Dataset = p, "policy.yaml", edgetest.World(t)
		_, err := edge.Build(c)
		if err == nil || !strings.Contains(err.Error(), "1.00 MB") || !strings.Contains(err.Error(), "ranges") || !strings.Contains(err.Error(), "no policy fits there; ask a gate") {
			t.Errorf("%s: %v", c.Platform, err)
		}
	}
	// What is built when nobody says a plan is one that takes the engine.
	for _, p := range edge.Platforms() {
		tor := edgetest.Read(t, "p.yaml", "version: 1\nrules:\n  - {name: tor, when: ip.security.is_tor, action: block}\n")
		if _, err := edge.Build(edge.Config{Policy: tor, Name: "p.yaml", Dataset: edgetest.World(t), Platform: p.Name}); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	for _, c := range []edge.Config{{Platform: "netlify"}, {Platform: "cloudflare", Plan: "huge"}, {Platform: "node", KV: true}} {
		c.Policy, c.Dataset = p, edgetest.World(t)
		if _, err := edge.Build(c); err == nil {
			t.Errorf("%s %s: built", c.Platform, c.Plan)
		}
	}
}

// A Worker takes no dataset that was made for another policy's questions, and says so by
// the name of what it reads.
func TestDatasetBelongsToItsPolicy(t *testing.T) {
	build := func(trait string) (worker, store string) {
		text := "version: 1\nrules:\n  - {name: one, when: ip.security." + trait + ", action: block}\n"
		b, err := edge.Build(edge.Config{Policy: edgetest.Read(t, "p.yaml", text), Name: "p.yaml", Dataset: edgetest.World(t), Platform: "cloudflare", KV: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range b.Files {
			switch f.Name {
			case "worker.js":
				worker = string(f.Data)
			case "kv.json":
				store = string(f.Data)
			}
		}
		return worker, store
	}
	name := regexp.MustCompile(`needs[\\": ]+([0-9a-f]{16})`)
	seen := map[string]bool{}
	for _, trait := range []string{"is_tor", "is_vpn"} {
		worker, store := build(trait)
		a, b := name.FindStringSubmatch(worker), name.FindStringSubmatch(store)
		if a == nil || b == nil || a[1] != b[1] || seen[a[1]] {
			t.Fatalf("%s: the Worker wants %q, the store has %q", trait, a, b)
		}
		seen[a[1]] = true
	}
}

// The store keeps the version before: who finds half of a new one goes on with it.
func TestStoreKeepsTheVersionBefore(t *testing.T) {
	type entry struct{ Key, Value string }
	versions := func(b *edge.Built) (file []byte, all []string) {
		for _, f := range b.Files {
			if f.Name == "kv.json" {
				file = f.Data
			}
		}
		var entries []entry
		if err := json.Unmarshal(file, &entries); err != nil {
			t.Fatal(err)
		}
		last := entries[len(entries)-1]
		var m struct{ Versions []struct{ Version string } }
		if err := json.Unmarshal([]byte(last.Value), &m); err != nil || last.Key != "ipwarden/manifest" {
			t.Fatalf("the last entry is %s: %v", last.Key, err)
		}
		for _, v := range m.Versions {
			all = append(all, v.Version)
		}
		return file, all
	}
	build := func(text string, before []byte) *edge.Built {
		b, err := edge.Build(edge.Config{Policy: edgetest.Read(t, "p.yaml", text), Name: "p.yaml", Dataset: edgetest.World(t), Platform: "cloudflare", KV: true, Manifest: before})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tor := "version: 1\nrules:\n  - {name: tor, when: ip.security.is_tor, action: block}\n"
	file, first := versions(build(tor, nil))
	file, same := versions(build(tor, file))
	if len(first) != 1 || !slices.Equal(first, same) {
		t.Errorf("the versions are %v, and of the same again %v", first, same)
	}
	file, second := versions(build(strings.Replace(tor, "is_tor", "is_vpn", 1), file))
	if len(second) != 2 || second[1] != first[0] {
		t.Errorf("the versions are %v after %v", second, first)
	}
	if _, third := versions(build(strings.Replace(tor, "is_tor", "is_proxy", 1), file)); len(third) != 2 || third[1] != second[0] {
		t.Errorf("the versions are %v after %v", third, second)
	}
	if _, v := versions(build(tor, []byte("junk"))); len(v) != 1 {
		t.Errorf("of a file that is none there are %v", v)
	}
}
