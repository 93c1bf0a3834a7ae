package compile

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// when reads a condition and keeps its text, for explanations.
func (f *file) when(p yamldoc.Pair, line int) policy.Expr {
	if s, ok := p.Value.(*ast.StringNode); ok {
		f.sources[line] = s.Value
	} else if s, ok := p.Value.(*ast.LiteralNode); ok {
		f.sources[line] = s.Value.Value
	}
	return f.condition(p.Value, "when")
}

func (f *file) readTiers(n ast.Node) {
	seen := map[string]bool{"safe": true}
	for _, item := range f.items(n, "tiers") {
		t := policy.Tier{Line: line(item)}
		var limits yamldoc.Pair
		pairs, has, ok := f.each(item, "a tier", []key{
			{"name", func(p yamldoc.Pair) { t.Name = f.name(p.Value, "the tier", seen) }},
			{"when", func(p yamldoc.Pair) {
				t.When = f.when(p, t.Line)
				t.When.Walk(func(e *policy.Expr) {
					if e.Op == policy.OpTier {
						f.At(p.Value.GetToken(), "when of a tier decides which tier it is, and cannot ask for it")
					}
				})
			}},
			{"limits", func(p yamldoc.Pair) { limits = p }},
			{"action", func(p yamldoc.Pair) { t.Action = f.verdict(p.Value, "action", everyVerdict...) }},
			{"response", func(p yamldoc.Pair) { t.Response = f.response(p.Value) }},
		})
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a tier", "name")
		if limits.Value != nil {
			items := []ast.Node{limits.Value}
			if list, ok := limits.Value.(*ast.SequenceNode); ok {
				items = list.Values
			}
			for i, item := range items {
				name := t.Name
				if i > 0 {
					name += "-" + strconv.Itoa(i+1)
				}
				t.Limits = append(t.Limits, f.limit(item, &policy.Limit{Line: line(item)}, false, name)-1)
			}
		}
		f.cfg.Tiers = append(f.cfg.Tiers, t)
	}
}

// need reports keys that are missing.
func (f *file) need(at yamldoc.Pair, has map[string]bool, what string, keys ...string) {
	for _, k := range keys {
		if !has[k] {
			f.At(at.Token, fmt.Sprintf("%s needs %s", what, k))
		}
	}
}

func (f *file) readRules(n ast.Node) {
	seen := map[string]bool{}
	for _, item := range f.items(n, "rules") {
		r := policy.Rule{Line: line(item)}
		var limit yamldoc.Pair
		pairs, has, ok := f.each(item, "a rule", []key{
			{"name", func(p yamldoc.Pair) { r.Name = f.name(p.Value, "the rule", seen) }},
			{"when", func(p yamldoc.Pair) { r.When = f.when(p, r.Line) }},
			{"action", func(p yamldoc.Pair) { r.Action = f.verdict(p.Value, "action", everyVerdict...) }},
			{"continue", func(p yamldoc.Pair) { r.Continue, _ = f.Boolean(p.Value, "continue") }},
			{"limit", func(p yamldoc.Pair) { limit = p }},
			{"lift_limits", func(p yamldoc.Pair) { r.LiftLimits, _ = f.Boolean(p.Value, "lift_limits") }},
			{"even_shared", func(p yamldoc.Pair) { r.EvenShared, _ = f.Boolean(p.Value, "even_shared") }},
			{"mode", func(p yamldoc.Pair) { f.mode(p.Value, &r) }},
			{"response", func(p yamldoc.Pair) { r.Response = f.response(p.Value) }},
			{"tags", func(p yamldoc.Pair) { r.Tags = f.tags(p.Value) }},
		})
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a rule", "name")
		if limit.Value != nil {
			r.Limit = f.inlineLimit(limit.Value, r.Name, &r.Response, r.Action)
		}
		switch {
		case !has["action"] && !has["tags"] && !has["limit"]:
			f.At(pairs[0].Token, "a rule does something: give it an action, such as action: block, or tags")
		case r.LiftLimits && r.Action != ipwarden.Allow:
			f.At(pairs[0].Token, "only an allow lifts limits")
		case r.Continue && r.Action == ipwarden.Allow:
			f.At(pairs[0].Token, "an allow that goes on says nothing; leave continue out")
		case r.EvenShared && r.Action != ipwarden.Block:
			f.At(pairs[0].Token, "even_shared is about blocking, and this does not block")
		}
		f.cfg.Rules = append(f.cfg.Rules, r)
	}
}

// mode reads enforce, shadow, or sample 5%.
func (f *file) mode(n ast.Node, r *policy.Rule) {
	s, ok := f.Text(n, "mode")
	if !ok {
		return
	}
	switch share, isSample := strings.CutPrefix(s, "sample "); {
	case s == "enforce":
	case s == "shadow":
		r.Shadow = true
	case isSample:
		number, percent := strings.CutSuffix(strings.TrimSpace(share), "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && percent && v >= 0.001 && v < 100 {
			r.Share = uint32(v / 100 * (1 << 32))
			return
		}
		fallthrough
	default:
		f.At(n.GetToken(), fmt.Sprintf("mode %q is none of enforce, shadow and sample 5%%, from 0.001%% to less than 100%%", yamldoc.Clip(s, 32)))
	}
}

func (f *file) readThresholds(n ast.Node) {
	seen := map[uint8]bool{}
	for _, item := range f.items(n, "thresholds") {
		t := policy.Threshold{Line: line(item)}
		var limit yamldoc.Pair
		pairs, has, ok := f.each(item, "a threshold", []key{
			{"score", func(p yamldoc.Pair) {
				if v, ok := f.Integer(p.Value, "score", 1, 100); ok {
					t.Score = uint8(v)
					if seen[t.Score] {
						f.At(p.Value.GetToken(), "there are two thresholds for this score")
					}
					seen[t.Score] = true
				}
			}},
			{"action", func(p yamldoc.Pair) { t.Action = f.verdict(p.Value, "action", everyVerdict...) }},
			{"limit", func(p yamldoc.Pair) { limit = p }},
			{"response", func(p yamldoc.Pair) { t.Response = f.response(p.Value) }},
		})
		if !ok || len(pairs) == 0 {
			continue
		}
		f.need(pairs[0], has, "a threshold", "score", "action")
		if limit.Value != nil {
			t.Limit = f.inlineLimit(limit.Value, "score-"+strconv.Itoa(int(t.Score)), &t.Response, t.Action)
		}
		f.cfg.Thresholds = append(f.cfg.Thresholds, t)
	}
}

func (f *file) readCrawlers(n ast.Node) {
	c := &f.cfg.Crawlers
	f.each(n, "crawlers", []key{
		{"allow", func(p yamldoc.Pair) {
			if _, isList := p.Value.(*ast.SequenceNode); isList {
				c.Names = f.texts(p.Value, "allow")
				c.Allow = len(c.Names) > 0
				return
			}
			c.Allow = f.word(p.Value, "allow", "none", "all") == 1
		}},
		{"purposes", func(p yamldoc.Pair) {
			for _, item := range f.Sequence(p.Value, "purposes") {
				words := []string{"search", "ai_training", "user_triggered", "monitoring", "preview", "other"}
				c.Purposes = append(c.Purposes, words[f.word(item, "a purpose", words...)])
			}
		}},
		{"limit", func(p yamldoc.Pair) { c.Limit = f.inlineLimit(p.Value, "crawlers", nil, ipwarden.NoVerdict) }},
		{"pending", func(p yamldoc.Pair) {
			f.each(p.Value, "pending", []key{
				{"action", func(p yamldoc.Pair) {
					c.Pending = f.verdict(p.Value, "action", ipwarden.Challenge, ipwarden.Throttle)
				}},
				{"limit", func(p yamldoc.Pair) {
					c.PendingLimit = f.inlineLimit(p.Value, "crawlers-pending", nil, ipwarden.NoVerdict)
				}},
			})
		}},
	})
}

// sharePending puts crawlers that are being verified under the safe tier's rate
// where the policy does not say.
func (f *file) sharePending() {
	if f.cfg.Crawlers.PendingLimit != 0 || f.Count() > 0 {
		return
	}
	l := policy.Limit{
		Name: "crawlers-pending", Limit: policy.SafeLimit, Window: time.Minute, FromTier: true,
		SharedFactor: f.defaults.shared, Rollup: f.defaults.rollup,
	}
	f.cfg.Limits = append(f.cfg.Limits, l)
	f.cfg.Crawlers.PendingLimit = len(f.cfg.Limits)
}

func (f *file) readRoutes(n ast.Node) {
	seen := map[string]bool{"default": true}
	for _, item := range f.items(n, "routes") {
		r := policy.Route{Line: line(item), Budget: f.cfg.DefaultRoute.Budget, FailMode: f.cfg.DefaultRoute.FailMode, Lookup: f.cfg.DefaultRoute.Lookup}
		keys := append([]key{
			{"name", func(p yamldoc.Pair) { r.Name = f.name(p.Value, "the route", seen) }},
			{"path", func(p yamldoc.Pair) {
				for _, s := range f.texts(p.Value, "path") {
					if !strings.HasPrefix(s, "/") || strings.Contains(strings.TrimSuffix(s, "*"), "*") {
						f.At(p.Value.GetToken(), fmt.Sprintf("the path %q must begin with a slash, and may have a * at its end alone, such as /api/*", yamldoc.Clip(s, 64)))
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
		{"lookup", func(p yamldoc.Pair) {
			r.Lookup = policy.Lookup(f.word(p.Value, "lookup", "full", "background", "local"))
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

func (f *file) readRisk(n ast.Node) {
	f.each(n, "risk", []key{
		{"weights", func(p yamldoc.Pair) {
			named := map[string]int{}
			pairs, _ := f.Mapping(p.Value, "weights")
			for _, kv := range pairs {
				if v, ok := f.Integer(kv.Value, kv.Key, math.MinInt16, math.MaxInt16); ok {
					named[kv.Key] = int(v)
				}
				if _, err := risk.ParseWeights(map[string]int{kv.Key: named[kv.Key]}); err != nil {
					f.At(kv.Token, strings.TrimPrefix(err.Error(), "risk: "))
				}
			}
			f.risk.Points, _ = risk.ParseWeights(named)
		}},
		{"half_lives", func(p yamldoc.Pair) {
			named := map[string]time.Duration{}
			pairs, _ := f.Mapping(p.Value, "half_lives")
			for _, kv := range pairs {
				named[kv.Key] = f.duration(kv.Value, kv.Key, 0, 10*365*24*time.Hour)
				if _, err := risk.ParseHalfLives(map[string]time.Duration{kv.Key: named[kv.Key]}); err != nil {
					f.At(kv.Token, strings.TrimPrefix(err.Error(), "risk: "))
				}
			}
			f.risk.HalfLives, _ = risk.ParseHalfLives(named)
		}},
		{"floor", func(p yamldoc.Pair) {
			if v, ok := f.Integer(p.Value, "floor", 1, 100); ok {
				f.risk.Floor = int(v)
			}
		}},
	})
}

func (f *file) readResponses(n ast.Node) {
	pairs, _ := f.Mapping(n, "responses")
	for _, at := range pairs {
		r := policy.Response{Name: at.Key, Line: at.Token.Position.Line}
		if !isName(r.Name) {
			f.At(at.Token, fmt.Sprintf("the response %q must be called by letters, digits, _, - and spaces", yamldoc.Clip(r.Name, 64)))
		}
		_, has, ok := f.each(at.Value, "a response", []key{
			{"status", func(p yamldoc.Pair) {
				if v, ok := f.Integer(p.Value, "status", 200, 599); ok {
					r.Status = int(v)
				}
			}},
			{"title", func(p yamldoc.Pair) { r.Title = f.sentence(p.Value, "title") }},
			{"detail", func(p yamldoc.Pair) { r.Detail = f.sentence(p.Value, "detail") }},
			{"html", func(p yamldoc.Pair) { r.HTML, _ = f.Text(p.Value, "html") }},
			{"html_file", func(p yamldoc.Pair) { r.HTML = f.page(p.Value) }},
			{"redirect", func(p yamldoc.Pair) { r.Redirect = f.template(p.Value) }},
		})
		if !ok {
			continue
		}
		switch redirects := r.Status >= 300 && r.Status < 400; {
		case has["html"] && has["html_file"]:
			f.At(at.Token, "a page is given once: html or html_file")
		case has["redirect"] && (has["html"] || has["html_file"] || has["title"] || has["detail"]):
			f.At(at.Token, "a redirect has no page and no title")
		case has["redirect"] && r.Status != 0 && !redirects:
			f.At(at.Token, "the status of a redirect is 301, 302, 303, 307 or 308")
		case !has["redirect"] && redirects:
			f.At(at.Token, fmt.Sprintf("status %d needs a redirect, such as redirect: https://example.com{request.path}", r.Status))
		case len(has) == 0:
			f.At(at.Token, "the response is empty; give status, title, detail, html or redirect")
		}
		f.cfg.Responses = append(f.cfg.Responses, r)
	}
}

// sentence reads a text for people, of one line.
func (f *file) sentence(n ast.Node, what string) string {
	s, ok := f.Text(n, what)
	if ok && (len(s) > 1024 || strings.ContainsAny(s, "\r\n\x00")) {
		f.At(n.GetToken(), what+" is one line of at most 1024 bytes")
	}
	return s
}

// maxPage bounds a page, in bytes.
const maxPage = 256 << 10

func (f *file) page(n ast.Node) string {
	name, ok := f.Text(n, "html_file")
	if !ok {
		return ""
	}
	data, err := f.opts.ReadFile(name)
	switch {
	case err != nil:
		f.At(n.GetToken(), fmt.Sprintf("the file cannot be read: %v", err))
	case len(data) > maxPage:
		f.At(n.GetToken(), fmt.Sprintf("the file is larger than %d KiB", maxPage>>10))
	}
	return string(data)
}

// template reads an address in which {…} holds expressions.
func (f *file) template(n ast.Node) []policy.Expr {
	s, ok := f.Text(n, "redirect")
	if !ok {
		return nil
	}
	var parts []policy.Expr
	literal := func(text string) {
		if text != "" {
			parts = append(parts, policy.Expr{Op: policy.OpConst, Type: policy.String, Text: text})
		}
	}
	rest, at := s, 0
	for {
		before, inner, found := strings.Cut(rest, "{")
		literal(before)
		if !found {
			break
		}
		text, after, closed := strings.Cut(inner, "}")
		if !closed {
			f.Inside(n, s, at+len(before), "redirect: this { has no }")
			return nil
		}
		from := at + len(before) + 1
		x, problems := f.conds.compile(text, policy.String, false)
		for _, p := range problems {
			f.Inside(n, s, from+p.at, "redirect: "+p.what)
		}
		if x.Op == policy.OpConst {
			x.Op, x.Args = policy.OpConcat, []policy.Expr{x} // to be escaped like the others
		}
		parts = append(parts, x)
		at, rest = from+len(text)+1, after
	}
	if head := s[:strings.IndexByte(s+"{", '{')]; !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "{request.path}") {
		u, err := url.Parse(head)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" {
			f.At(n.GetToken(), "a redirect begins with https://, http:// or a slash, such as https://example.com{request.path}")
		}
	}
	if strings.ContainsAny(s, " \r\n\t\"<>\\^`|") && !strings.Contains(s, "{") {
		f.At(n.GetToken(), "an address has no spaces, quotes and backslashes in it; they are percent-encoded")
	}
	return parts
}
