package importlaw

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Module     *struct {
		Path string
		Main bool
	}
	Imports []string
	Deps    []string
}

// list runs go list in the root of the module.
func list(t *testing.T, args ...string) map[string]*listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Module,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]*listed{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := &listed{}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

func full(pkg string) string { return path.Join(Module, pkg) }

// below is the name of a package inside the module.
func below(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, Module), "/")
}

func TestLaw(t *testing.T) {
	all := list(t, "-deps", "./...")
	rules := map[string]Rule{}
	for _, r := range Rules() {
		rules[r.Package] = r
		t.Run(path.Join("ipwarden", r.Package), func(t *testing.T) {
			p := all[full(r.Package)]
			if p == nil {
				t.Fatalf("the law speaks of package %s, which is not there; take the rule out, or put the package in", full(r.Package))
			}
			if r.Why == "" {
				t.Error("a rule without a reason")
			}
			for _, breach := range breaches(r, p, all) {
				t.Error(breach)
			}
		})
	}
	for importPath, p := range all {
		if p.Module == nil || !p.Module.Main || !public(below(importPath)) {
			continue
		}
		if _, ok := rules[below(importPath)]; !ok {
			t.Errorf("package %s is public and not in the law: say in law.go what it may link, and why", importPath)
		}
	}
}

func public(pkg string) bool {
	return !strings.HasPrefix(pkg, "internal/") && !strings.Contains(pkg, "/internal/") &&
		!strings.HasPrefix(pkg, "cmd/") && !strings.HasPrefix(pkg, "integrations/") && pkg != "cmd" &&
		!strings.HasPrefix(pkg, "examples/") // programs, which nobody can import
}

// breaches says what a package links and may not, and what it may and does not.
func breaches(r Rule, p *listed, all map[string]*listed) (found []string) {
	modules, project := map[string]bool{}, map[string]bool{}
	for _, dep := range p.Deps {
		d := all[dep]
		switch {
		case d == nil || d.Standard:
			if slices.Contains(r.Without, dep) {
				found = append(found, "links "+dep+", which it must do without: "+r.Why)
			}
		case d.Module.Main:
			project[below(dep)] = true
			if !slices.Contains(r.Project, below(dep)) {
				found = append(found, "links the project's package "+dep+", which the law does not allow: "+r.Why)
			}
		default:
			if !modules[d.Module.Path] && !slices.Contains(r.Modules, d.Module.Path) {
				found = append(found, "links module "+d.Module.Path+", which the law does not allow: "+r.Why)
			}
			modules[d.Module.Path] = true
		}
	}
	for _, m := range r.Modules {
		if !modules[m] {
			found = append(found, "no longer links module "+m+"; take it out of the law")
		}
	}
	for _, q := range r.Project {
		if !project[q] {
			found = append(found, "no longer links the project's package "+full(q)+"; take it out of the law")
		}
	}
	return found
}

// The command alone carries the embedded dataset.
func TestOnlyCommand(t *testing.T) {
	for importPath, p := range list(t, "./...") {
		for _, pkg := range OnlyCommand() {
			if slices.Contains(p.Imports, full(pkg)) && !strings.HasPrefix(below(importPath), "cmd/") {
				t.Errorf("%s imports %s, which only cmd may", importPath, full(pkg))
			}
		}
	}
}

// The test can fail: a package that links what it may not is found.
func TestBreachesAreFound(t *testing.T) {
	all := list(t, "-deps", full("feed"))
	p := all[full("feed")]
	for name, c := range map[string]struct {
		rule Rule
		want string
	}{
		"project":  {Rule{Modules: []string{"golang.org/x/text"}}, "links the project's package"},
		"module":   {Rule{Project: []string{""}}, "links module golang.org/x/text"},
		"standard": {Rule{Project: []string{""}, Modules: []string{"golang.org/x/text"}, Without: []string{"fmt"}}, "links fmt"},
		"stale":    {Rule{Project: []string{""}, Modules: []string{"golang.org/x/text", "example.org/gone"}}, "no longer links module example.org/gone"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := breaches(c.rule, p, all); len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("got %q, want one with %q", got, c.want)
			}
		})
	}
}
