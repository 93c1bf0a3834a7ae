package compile

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/overlayfile"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

func (f *file) readTests(n ast.Node) {
	for _, item := range f.items(n, "tests") {
		t := Test{Line: line(item), ClientStatus: "direct", Now: defaultTestTime}
		if start := yamldoc.Start(item); start != nil && start.Position != nil {
			t.column = start.Position.Column
		}
		t.Request = ipwarden.Request{Method: "GET", Host: "example.com", Path: "/", Scheme: "https"}
		t.Client = netip.AddrFrom4([4]byte{192, 0, 2, 1})
		before := f.Count()
		pairs, has, ok := f.each(item, "a test", f.testKeys(&t))
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a test", "expect")
		if f.Count() > before {
			continue // what it expects is not known
		}
		if t.Name == "" {
			t.Name = fmt.Sprintf("line %d", t.Line)
		}
		f.tests = append(f.tests, t)
	}
}

func (f *file) testKeys(t *Test) []key {
	return []key{
		{"name", func(p yamldoc.Pair) { t.Name = f.sentence(p.Value, "name") }},
		{"request", func(p yamldoc.Pair) { f.testRequest(p.Value, t) }},
		{"ip", func(p yamldoc.Pair) { f.testAddr(p.Value, t) }},
		{"facts", func(p yamldoc.Pair) { t.Facts = overlayfile.Facts(f.Document, p.Value) }},
		{"account", func(p yamldoc.Pair) { t.Request.Account = f.textMap(p.Value, "account") }},
		{"score", func(p yamldoc.Pair) {
			if v, ok := f.Integer(p.Value, "score", 0, 100); ok {
				score := uint8(v)
				t.Score = &score
			}
		}},
		{"shared", func(p yamldoc.Pair) {
			if v, ok := f.Boolean(p.Value, "shared"); ok {
				t.Shared = &v
			}
		}},
		{"client", func(p yamldoc.Pair) {
			words := []string{"direct", "forwarded", "internal", "no_header", "unresolved"}
			i := f.word(p.Value, "client", words...)
			t.ClientStatus = words[i]
			t.Safe, t.Unlisted = t.Safe || i > 2, i > 2
		}},
		{"safe", func(p yamldoc.Pair) { t.Safe, _ = f.Boolean(p.Value, "safe") }},
		{"crawler", func(p yamldoc.Pair) {
			t.Crawler = policy.Crawler(f.word(p.Value, "crawler", "none", "verified", "pending", "failed", "unanswered"))
		}},
		{"crawler_name", func(p yamldoc.Pair) { t.CrawlerName = f.sentence(p.Value, "crawler_name") }},
		{"cleared", func(p yamldoc.Pair) { t.Cleared, _ = f.Boolean(p.Value, "cleared") }},
		{"time", func(p yamldoc.Pair) {
			if s, ok := f.Text(p.Value, "time"); ok {
				at, err := time.Parse(time.RFC3339, s)
				if err != nil {
					f.At(p.Value.GetToken(), "time is written as 2027-06-30T12:00:00Z")
				}
				t.Now = at
			}
		}},
		{"sample", func(p yamldoc.Pair) {
			if v, ok := f.Integer(p.Value, "sample", 0, 1<<32-1); ok {
				t.Sample = uint32(v)
			}
		}},
		{"nth", func(p yamldoc.Pair) {
			if v, ok := f.Integer(p.Value, "nth", 1, 1_000_000); ok {
				t.Nth = int(v)
			}
		}},
		{"status", func(p yamldoc.Pair) {
			if v, ok := f.Integer(p.Value, "status", 100, 599); ok {
				t.Before.Status = int(v)
			}
		}},
		{"outcome", func(p yamldoc.Pair) { t.Before.Event = f.sentence(p.Value, "outcome") }},
		{"expect", func(p yamldoc.Pair) { f.expect(p.Value, &t.Expect) }},
	}
}

func (f *file) testAddr(n ast.Node, t *Test) {
	s, ok := f.Text(n, "ip")
	if !ok {
		return
	}
	addr, err := ipwarden.ParseAddr(s)
	if err != nil {
		f.At(n.GetToken(), fmt.Sprintf("%q is no address, such as 203.0.113.66", yamldoc.Clip(s, 64)))
		return
	}
	t.Client, _ = ipwarden.Canonical(addr)
}

func (f *file) testRequest(n ast.Node, t *Test) {
	text := func(to *string, what string) func(p yamldoc.Pair) {
		return func(p yamldoc.Pair) { *to = f.sentence(p.Value, what) }
	}
	header := http.Header{}
	f.each(n, "a request", []key{
		{"method", text(&t.Request.Method, "method")},
		{"scheme", text(&t.Request.Scheme, "scheme")},
		{"host", text(&t.Request.Host, "host")},
		{"path", func(p yamldoc.Pair) {
			raw, _ := f.Text(p.Value, "path")
			raw, t.Request.Query, _ = strings.Cut(raw, "?")
			path, err := f.cfg.Paths.Normalize(raw)
			if err != nil {
				f.At(p.Value.GetToken(), err.Error())
			}
			t.Request.Path = path
		}},
		{"headers", func(p yamldoc.Pair) {
			for name, v := range f.textMap(p.Value, "headers") {
				header.Add(name, v)
			}
		}},
		{"cookies", func(p yamldoc.Pair) {
			for name, v := range f.textMap(p.Value, "cookies") {
				header.Add("Cookie", name+"="+v)
			}
		}},
	})
	t.Request.Header = header
}

func (f *file) textMap(n ast.Node, what string) map[string]string {
	pairs, _ := f.Mapping(n, what)
	m := map[string]string{}
	for _, p := range pairs {
		if s, ok := f.Text(p.Value, what); ok {
			m[p.Key] = s
		}
	}
	return m
}

// expect reads a verdict alone, or a mapping.
func (f *file) expect(n ast.Node, e *Expect) {
	if _, isMap := n.(ast.MapNode); !isMap {
		e.Verdict = f.verdict(n, "expect", everyVerdict...)
		return
	}
	f.each(n, "expect", []key{
		{"verdict", func(p yamldoc.Pair) { e.Verdict = f.verdict(p.Value, "verdict", everyVerdict...) }},
		{"reason", func(p yamldoc.Pair) {
			words := slices.DeleteFunc(policy.Reasons(), func(s string) bool { return s == "" })
			e.Reason = words[f.word(p.Value, "reason", words...)]
		}},
		{"rule", func(p yamldoc.Pair) { e.Rule = f.known(p.Value, "rule", f.ruleNames()) }},
		{"tier", func(p yamldoc.Pair) { e.Tier = f.known(p.Value, "tier", f.tierNames()) }},
		{"limits", func(p yamldoc.Pair) {
			e.limits = true
			for _, item := range f.Sequence(p.Value, "limits") {
				e.Limits = append(e.Limits, f.known(item, "limit", f.limitNames()))
			}
		}},
		{"tags", func(p yamldoc.Pair) { e.tags, e.Tags = true, f.texts(p.Value, "tags") }},
		{"redirect", func(p yamldoc.Pair) { e.Redirect = f.sentence(p.Value, "redirect") }},
		{"over", func(p yamldoc.Pair) { e.Over = f.known(p.Value, "limit", f.limitNames()) }},
		{"softened", func(p yamldoc.Pair) {
			if v, ok := f.Boolean(p.Value, "softened"); ok {
				e.Softened = &v
			}
		}},
	})
}

// known reads a name that something in the policy has.
func (f *file) known(n ast.Node, what string, names []string) string {
	s, ok := f.Text(n, what)
	if len(f.Lost("rules"))+len(f.Lost("tiers"))+len(f.Lost("limits")) > 0 {
		return s // it may be there when the file is mended
	}
	if ok && !slices.Contains(names, s) {
		msg := fmt.Sprintf("there is no %s %q", what, yamldoc.Clip(s, 64))
		if near := yamldoc.Nearest(s, names); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		f.At(n.GetToken(), msg)
	}
	return s
}

func (f *file) ruleNames() (names []string) {
	for i := range f.cfg.Rules {
		names = append(names, f.cfg.Rules[i].Name)
	}
	return names
}

func (f *file) tierNames() (names []string) {
	for i := range f.cfg.Tiers {
		names = append(names, f.cfg.Tiers[i].Name)
	}
	return append(names, "safe")
}

func (f *file) limitNames() (names []string) {
	for i := range f.cfg.Limits {
		names = append(names, f.cfg.Limits[i].Name)
	}
	return append(names, "safe")
}
