package compile

import (
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

var ratePattern = regexp.MustCompile(`^\s*([0-9][0-9_]*)\s*(?:/|per)\s*([0-9]+)?\s*([a-z]+)\s*$`)

var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second, "m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour,
}

// parseRate reads "5/min", "100/30s", "3 per hour".
func parseRate(s string) (n uint32, window time.Duration, ok bool) {
	m := ratePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, false
	}
	unit, known := units[m[3]]
	count, err := strconv.ParseUint(strings.ReplaceAll(m[1], "_", ""), 10, 31)
	times := uint64(1)
	if m[2] != "" && err == nil {
		times, err = strconv.ParseUint(m[2], 10, 20)
	}
	if err != nil || !known || count == 0 || times == 0 || times > uint64(31*24*time.Hour/unit) {
		return 0, 0, false
	}
	return uint32(count), time.Duration(times) * unit, true
}

func (f *file) readLimits(n ast.Node) {
	for _, item := range f.items(n, "limits") {
		l := policy.Limit{Line: line(item)}
		f.limit(item, &l, true, "")
	}
}

// limit reads a limit and numbers it; the number is returned, plus one.
func (f *file) limit(n ast.Node, l *policy.Limit, general bool, name string) int {
	var shared, rollup bool
	var rate, burst, count, pending, algorithm, ban yamldoc.Pair
	keys := []key{
		{"name", func(p yamldoc.Pair) { l.Name, _ = f.Text(p.Value, "name") }},
		{"rate", func(p yamldoc.Pair) { rate = p; f.rate(p.Value, l) }},
		{"burst", func(p yamldoc.Pair) {
			burst = p
			if b, ok := f.Integer(p.Value, "burst", 1, 1<<31-1); ok {
				l.Burst = uint32(b)
			}
		}},
		{"algorithm", func(p yamldoc.Pair) {
			algorithm = p
			l.Algorithm = policy.Algorithm(f.word(p.Value, "algorithm", "gcra", "sliding", "fixed"))
		}},
		{"key", func(p yamldoc.Pair) { l.Key = f.limitKey(p.Value) }},
		{"cost", func(p yamldoc.Pair) { f.cost(p.Value, l) }},
		{"count", func(p yamldoc.Pair) { count = p; l.Count = f.expr(p.Value, "count", policy.Bool, true) }},
		{"pending", func(p yamldoc.Pair) { pending = p; l.Pending = f.pending(p.Value) }},
		{"ban", func(p yamldoc.Pair) { ban = p; l.Ban = f.duration(p.Value, "ban", policy.MinBan, policy.MaxBan) }},
		{"rollup", func(p yamldoc.Pair) { rollup = true; l.Rollup = f.rollup(p.Value) }},
		{"shared", func(p yamldoc.Pair) {
			shared = true
			if v, ok := f.Integer(p.Value, "shared", 1, 1000); ok {
				l.SharedFactor = uint32(v)
			}
		}},
		{"mode", func(p yamldoc.Pair) { l.Shadow = f.word(p.Value, "mode", "enforce", "shadow") == 1 }},
		{"response", func(p yamldoc.Pair) { l.Response = f.response(p.Value) }},
	}
	if general {
		keys = append(keys, key{"when", func(p yamldoc.Pair) { l.When = f.when(p, l.Line) }})
	}
	if m, ok := n.(ast.MapNode); ok {
		pairs, _, _ := f.each(m.(ast.Node), "a limit", keys)
		if rate.Value == nil && len(pairs) > 0 {
			f.At(pairs[0].Token, "a limit needs a rate, such as rate: 5/min")
		}
	} else {
		f.rate(n, l)
	}
	if l.Name == "" {
		l.Name = name
	}
	if general && l.Name == "" {
		f.At(yamldoc.Start(n), "a limit needs a name: its counters are kept under it")
	}
	if l.Name != "" {
		if !isName(l.Name) && general {
			f.At(yamldoc.Start(n), fmt.Sprintf("the name %q has something else than letters, digits, _, - and spaces in it, or is longer than 64", yamldoc.Clip(l.Name, 64)))
		}
		if slices.Contains(f.names, l.Name) || l.Name == "safe" && f.cfg.Safe == 0 {
			f.At(yamldoc.Start(n), fmt.Sprintf("there are two limits called %q; give one of them another name", l.Name))
		}
		f.names = append(f.names, l.Name)
	}
	if count.Value != nil && algorithm.Value == nil {
		l.Algorithm = policy.Sliding // what is said as n an hour is counted so
	}
	if burst.Value != nil && l.Algorithm != policy.GCRA {
		f.At(burst.Token, "only gcra has a burst")
	}
	if pending.Value != nil && count.Value == nil {
		f.At(pending.Token, "only a limit with count waits for an outcome; leave pending out, or say what counts")
	}
	if ban.Value != nil && !l.ByAddress() {
		f.At(ban.Token, "only a limit whose key is ip alone bans: a network can be shut out, and whose account somebody else tries has done nothing")
	}
	if !shared {
		l.SharedFactor = f.defaults.shared
	}
	if !rollup {
		l.Rollup = f.defaults.rollup
	}
	l.FromTier = !general
	f.cfg.Limits = append(f.cfg.Limits, *l)
	return len(f.cfg.Limits)
}

// inlineLimit reads the limit of a rule, a list, a threshold or the crawlers.
// The response of what throttles is that of its limit.
func (f *file) inlineLimit(n ast.Node, name string, response *string, action ipwarden.Verdict) int {
	l := policy.Limit{Line: line(n)}
	if action == ipwarden.Throttle && response != nil {
		l.Response, *response = *response, ""
	}
	return f.limit(n, &l, false, name)
}

func (f *file) rate(n ast.Node, l *policy.Limit) {
	s, ok := f.Text(n, "rate")
	if !ok {
		return
	}
	if l.Limit, l.Window, ok = parseRate(s); !ok {
		f.At(n.GetToken(), fmt.Sprintf("the rate %q is none; write a number, a slash and a time of at most 31 days, such as 5/min, 100/30s, 3/hour", yamldoc.Clip(s, 32)))
		l.Limit, l.Window = 1, time.Minute
	}
}

func (f *file) cost(n ast.Node, l *policy.Limit) {
	if _, isNumber := n.(*ast.IntegerNode); isNumber {
		if c, ok := f.Integer(n, "cost", 1, 1<<31-1); ok {
			l.Cost = uint32(c)
		}
		return
	}
	l.CostExpr = f.expr(n, "cost", policy.Int, false)
}

func (f *file) rollup(n ast.Node) (r [2]uint32) {
	if s, ok := n.(*ast.StringNode); ok {
		if s.Value != "off" {
			f.At(n.GetToken(), "rollup is off, or how many times the limit a /56 and a /48 have, such as {56: 4, 48: 16}")
		}
		return r
	}
	if b, ok := n.(*ast.BoolNode); ok && !b.Value {
		return r
	}
	pairs, _ := f.Mapping(n, "rollup")
	for _, p := range pairs {
		i := slices.Index([]string{"56", "48"}, strings.TrimPrefix(p.Key, "/"))
		if i < 0 {
			f.UnknownKey(p, "rollup", []string{"56", "48"})
			continue
		}
		if v, ok := f.Integer(p.Value, "rollup", 1, 1<<16); ok {
			r[i] = uint32(v)
		}
	}
	return r
}

// pending reads how long an attempt holds its place.
func (f *file) pending(n ast.Node) time.Duration {
	s, ok := n.(*ast.StringNode)
	b, isBool := n.(*ast.BoolNode)
	if ok && s.Value == "off" || isBool && !b.Value {
		return -1
	}
	return f.duration(n, "pending", 100*time.Millisecond, time.Minute)
}

// limitKey reads what a limit counts apart: one part or several.
func (f *file) limitKey(n ast.Node) []policy.KeyPart {
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	var parts []policy.KeyPart
	for _, item := range items {
		if s, ok := f.Text(item, "key"); ok {
			parts = append(parts, f.keyPart(item, s))
		}
	}
	if len(parts) > 8 {
		f.At(n.GetToken(), "a key has at most 8 parts")
	}
	if len(parts) == 0 {
		f.At(n.GetToken(), "the key is empty; give ip, asn, country, account.NAME, header:NAME, cookie:NAME, api_key or an expression")
	}
	return parts
}

func (f *file) keyPart(n ast.Node, s string) policy.KeyPart {
	switch s {
	case "ip":
		return policy.KeyPart{Kind: policy.KeyAddress}
	case "asn":
		return policy.KeyPart{Kind: policy.KeyASN}
	case "country":
		return policy.KeyPart{Kind: policy.KeyCountry}
	case "api_key":
		return policy.KeyPart{Kind: policy.KeyAPIKey}
	}
	if name, ok := strings.CutPrefix(s, "account."); ok && isWordName(name) {
		return policy.KeyPart{Kind: policy.KeyAccount, Name: name}
	}
	if name, ok := strings.CutPrefix(s, "header:"); ok && isTag(name) {
		return policy.KeyPart{Kind: policy.KeyHeader, Name: textproto.CanonicalMIMEHeaderKey(name)}
	}
	if name, ok := strings.CutPrefix(s, "cookie:"); ok && isTag(name) {
		return policy.KeyPart{Kind: policy.KeyCookie, Name: name}
	}
	return policy.KeyPart{Kind: policy.KeyExpr, Expr: f.expr(n, "key", policy.String, false)}
}
