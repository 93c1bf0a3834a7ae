package prometheus

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// promtool runs Prometheus's tool in this folder.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program := proxytest.Need(t, "promtool", "prometheus")
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "ipwarden.rules.yml")
	promtool(t, "check", "config", "prometheus.yml")
	promtool(t, "test", "rules", "ipwarden.rules.test.yml")
}

// Every alert has a test that says when it fires.
func TestEveryAlertIsTested(t *testing.T) {
	rules, tests := read(t, "ipwarden.rules.yml"), read(t, "ipwarden.rules.test.yml")
	_, fires, _ := strings.Cut(tests, "\n  - name: a server that is away")
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 20 {
		t.Fatalf("found %d alerts", len(alerts))
	}
	for _, a := range alerts {
		if !strings.Contains(tests, "alertname: "+a[1]+"}") {
			t.Errorf("%s is not in the ordinary hour", a[1])
		}
		if !regexp.MustCompile(`alertname(: |=")` + a[1] + `\b`).MatchString(fires) {
			t.Errorf("nothing tests that %s fires", a[1])
		}
	}
}

// dashboard is what is checked of one.
type dashboard struct {
	UID, Title string
	Panels     []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ Expr, LegendFormat string }
	}
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	names, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(names) < 4 {
		t.Fatalf("%v, %v", names, err)
	}
	all := map[string]dashboard{}
	for _, name := range names {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, name)), &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = d
	}
	return all
}

// Every expression of a dashboard is one: the variables of Grafana are filled in, and
// each becomes a rule that promtool checks.
func TestDashboards(t *testing.T) {
	fill := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboards\n    rules:\n")
	n, uids := 0, map[string]bool{}
	for name, d := range dashboards(t) {
		if uids[d.UID] || d.UID == "" || d.Title == "" {
			t.Errorf("%s: the identifier %q", name, d.UID)
		}
		uids[d.UID] = true
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: panel %d %q", name, p.ID, p.Title)
			}
			ids[p.ID] = true
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s: %q asks nothing", name, p.Title)
			}
			for _, q := range p.Targets {
				n++
				fmt.Fprintf(&rules, "      - {record: 'panel:%d', expr: %s}\n", n, strconv.Quote(fill.Replace(q.Expr)))
				for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1) {
					if label[1] != "instance" && !strings.Contains(q.Expr, label[1]) {
						t.Errorf("%s: %q names the label %s, which the answer does not have", name, p.Title, label[1])
					}
				}
			}
		}
	}
	file := filepath.Join(t.TempDir(), "dashboards.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// Every metric that a rule or a dashboard names is one that the program has.
func TestMetricsExist(t *testing.T) {
	have := metrics(t)
	check := func(where, text string) {
		for _, name := range regexp.MustCompile(`\bipwarden_[a-z0-9_]+`).FindAllString(text, -1) {
			if !have[name] && !have[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
	}
	rules := read(t, "ipwarden.rules.yml")
	if strings.Count(rules, "ipwarden_") < 25 {
		t.Error("the rules name next to nothing")
	}
	check("the rules", rules)
	check("their tests", read(t, "ipwarden.rules.test.yml"))
	n := 0
	for name, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				n++
				check(name, q.Expr)
			}
		}
	}
	if n < 40 {
		t.Errorf("%d expressions in all dashboards", n)
	}
	if have["ipwarden_no_such_metric"] {
		t.Error("this test cannot fail")
	}
}

// metrics are the names that the program's source gives to metrics: whole, or behind
// the beginning that a function puts before them.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	whole := regexp.MustCompile(`^ipwarden_[a-z0-9_]+$`)
	prefixes := map[string]string{"providerDesc": "ipwarden_provider_", "usageDesc": "ipwarden_usage_"}
	for _, dir := range []string{"../../cmd", "../../internal"} {
		err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if text, err := strconv.Unquote(n.Value); err == nil && whole.MatchString(text) && !strings.HasSuffix(text, "_") {
						have[text] = true
					}
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.Ident); ok && prefixes[f.Name] != "" && len(n.Args) > 0 {
						if lit, ok := n.Args[0].(*ast.BasicLit); ok {
							text, _ := strconv.Unquote(lit.Value)
							have[prefixes[f.Name]+text] = true
						}
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return have
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
