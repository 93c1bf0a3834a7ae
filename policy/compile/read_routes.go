package compile

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

func (f *file) readRoutes(n ast.Node) {
	seen := map[string]bool{"default": true}
	for _, item := range f.items(n, "routes") {
		r := policy.Route{Line: line(item), Budget: f.cfg.DefaultRoute.Budget, FailMode: f.cfg.DefaultRoute.FailMode, Intelligence: f.cfg.DefaultRoute.Intelligence}
		keys := append([]key{
			{"name", func(p yamldoc.Pair) { r.Name = f.name(p.Value, "the route", seen) }},
			{"path", func(p yamldoc.Pair) {
				for _, s := range f.texts(p.Value, "path") {
					if !strings.HasPrefix(s, "/") || strings.Contains(strings.TrimSuffix(s, "*"), "*") {
						f.At(p.Value.GetToken(), fmt.Sprintf("the path %q must begin with a slash, and may have a * at its end alone, such as /api/*", yamldoc.Clip(s, 64)))
					}
					if f.cfg.Paths.FoldCase && hasCapital(s) {
						f.At(p.Value.GetToken(), fmt.Sprintf("the path %q has capitals, and no path has: paths.case is fold; write it in small letters", yamldoc.Clip(s, 64)))
					}
					r.Paths = append(r.Paths, s)
				}
			}},
			{"host", func(p yamldoc.Pair) {
				for _, s := range f.texts(p.Value, "host") {
					if s == "" || s != strings.ToLower(s) || strings.Contains(s, ":") || strings.Contains(strings.TrimPrefix(s, "*."), "*") {
						f.At(p.Value.GetToken(), fmt.Sprintf("the host %q must be in small letters and without a port, and may begin with *., such as *.example.com", yamldoc.Clip(s, 64)))
					}
					r.Hosts = append(r.Hosts, s)
				}
			}},
			{"method", func(p yamldoc.Pair) {
				for _, s := range f.texts(p.Value, "method") {
					if s == "" || s != strings.ToUpper(s) {
						f.At(p.Value.GetToken(), fmt.Sprintf("the method %q is written in capital letters, such as POST", yamldoc.Clip(s, 16)))
					}
					r.Methods = append(r.Methods, s)
				}
			}},
		}, f.routeKeys(&r)...)
		pairs, has, ok := f.each(item, "a route", keys)
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a route", "name")
		f.cfg.Routes = append(f.cfg.Routes, r)
	}
}

// routeKeys are what a route and the defaults share.
func (f *file) routeKeys(r *policy.Route) []key {
	return []key{
		{"fail_mode", func(p yamldoc.Pair) {
			r.FailMode = policy.FailMode(f.word(p.Value, "fail_mode", "safe", "open", "closed"))
		}},
		{"budget", func(p yamldoc.Pair) { r.Budget = f.duration(p.Value, "budget", time.Millisecond, 10*time.Second) }},
		{"intelligence", func(p yamldoc.Pair) {
			r.Intelligence = ipwarden.IntelligenceAsync + ipwarden.Intelligence(f.word(p.Value, "intelligence", ipwarden.Intelligences()[1:]...))
		}},
	}
}

func (f *file) readDefaults(n ast.Node) {
	var safe yamldoc.Pair
	keys := append([]key{
		{"action", func(p yamldoc.Pair) { f.cfg.Default = f.verdict(p.Value, "action", everyVerdict...) }},
		{"safe", func(p yamldoc.Pair) { safe = p }},
		{"shared", func(p yamldoc.Pair) {
			if v, ok := f.Integer(p.Value, "shared", 1, 1000); ok {
				f.defaults.shared = uint32(v)
			}
		}},
		{"rollup", func(p yamldoc.Pair) { f.defaults.rollup = f.rollup(p.Value) }},
	}, f.routeKeys(&f.cfg.DefaultRoute)...)
	f.each(n, "defaults", keys)
	if safe.Value == nil {
		return
	}
	// Only what needs nothing else of the file: it is taken when all else fails.
	l := policy.Limit{Name: "safe", Line: line(safe.Value), FromTier: true, Rollup: f.defaults.rollup, SharedFactor: 1}
	f.rate(safe.Value, &l)
	f.cfg.Limits = append(f.cfg.Limits, l)
	f.names = append(f.names, "safe")
	f.cfg.Safe = len(f.cfg.Limits)
}

func (f *file) readPaths(n ast.Node) {
	p := &f.cfg.Paths
	f.each(n, "paths", []key{
		{"slashes", func(kv yamldoc.Pair) { p.KeepSlashes = f.word(kv.Value, "slashes", "merge", "keep") == 1 }},
		{"parameters", func(kv yamldoc.Pair) { p.StripParameters = f.word(kv.Value, "parameters", "keep", "strip") == 1 }},
		{"encoded_slashes", func(kv yamldoc.Pair) {
			p.KeepEncodedSlashes = f.word(kv.Value, "encoded_slashes", "refuse", "keep") == 1
		}},
		{"case", func(kv yamldoc.Pair) { p.FoldCase = f.word(kv.Value, "case", "keep", "fold") == 1 }},
	})
}
