package compile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

// condition reads a condition.
func (f *file) condition(n ast.Node, what string) policy.Expr {
	return f.expr(n, what, policy.Bool, false)
}

// expr reads an expression of some type.
func (f *file) expr(n ast.Node, what string, want policy.Type, counts bool) policy.Expr {
	if _, isTag := n.(*ast.TagNode); isTag {
		f.At(n.GetToken(), what+" begins with !, which YAML takes for a tag; put it in quotes, or write it after a | in the next line")
		return policy.Expr{}
	}
	text, ok := f.Text(n, what)
	if !ok || f.conds.env == nil {
		return policy.Expr{}
	}
	x, problems := f.conds.compile(text, want, counts)
	for _, p := range problems {
		f.Inside(n, text, p.at, what+": "+p.what)
	}
	return x
}

// name reads a name, which must be new.
func (f *file) name(n ast.Node, what string, seen map[string]bool) string {
	s, ok := f.Text(n, what)
	switch {
	case !ok:
		return ""
	case !isName(s):
		f.At(n.GetToken(), fmt.Sprintf("%s %q has something else than letters, digits, _, - and spaces in it, or is longer than 64", what, yamldoc.Clip(s, 64)))
	case seen[s]:
		f.At(n.GetToken(), fmt.Sprintf("%s %q was given before", what, s))
	}
	if seen != nil {
		seen[s] = true
	}
	return s
}

func isName(s string) bool {
	return s != "" && len(s) <= 64 && strings.TrimSpace(s) == s && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_- ") == ""
}

// verdict reads an action, one of those that are allowed here.
func (f *file) verdict(n ast.Node, what string, allowed ...ipwarden.Verdict) ipwarden.Verdict {
	s, ok := f.Text(n, what)
	if !ok {
		return ipwarden.NoVerdict
	}
	v, ok := ipwarden.VerdictNamed(s)
	if !ok && s == "step-up" {
		v, ok = ipwarden.StepUp, true
	}
	if ok && slices.Contains(allowed, v) {
		return v
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = a.String()
	}
	msg := fmt.Sprintf("%s %q is none of %s", what, yamldoc.Clip(s, 32), strings.Join(words, ", "))
	if near := yamldoc.Nearest(s, words); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	}
	f.At(n.GetToken(), msg)
	return ipwarden.NoVerdict
}

var everyVerdict = []ipwarden.Verdict{ipwarden.Allow, ipwarden.Flag, ipwarden.Throttle, ipwarden.Challenge, ipwarden.StepUp, ipwarden.Block}

// word reads one of some words, and returns its number.
func (f *file) word(n ast.Node, what string, words ...string) int {
	s, ok := f.Text(n, what)
	if !ok {
		return 0
	}
	if i := slices.Index(words, s); i >= 0 {
		return i
	}
	msg := fmt.Sprintf("%s %q is none of %s", what, yamldoc.Clip(s, 32), strings.Join(words, ", "))
	if near := yamldoc.Nearest(s, words); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	}
	f.At(n.GetToken(), msg)
	return 0
}

// texts reads a list of texts, or one text.
func (f *file) texts(n ast.Node, what string) []string {
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	var out []string
	for _, item := range items {
		if s, ok := f.Text(item, what); ok {
			out = append(out, s)
		}
	}
	return out
}

// duration reads a duration between two bounds.
func (f *file) duration(n ast.Node, what string, low, high time.Duration) time.Duration {
	s, ok := f.Text(n, what)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < low || d > high {
		f.At(n.GetToken(), fmt.Sprintf("%s %q is no duration from %v to %v, such as %v", what, yamldoc.Clip(s, 32), low, high, max(low, 5*time.Millisecond)))
		return 0
	}
	return d
}

// response reads the name of a response.
func (f *file) response(n ast.Node) string {
	s, ok := f.Text(n, "response")
	if !ok || slices.Contains(f.Lost("responses"), s) || slices.ContainsFunc(f.cfg.Responses, func(r policy.Response) bool { return r.Name == s }) {
		return s
	}
	var names []string
	for i := range f.cfg.Responses {
		names = append(names, f.cfg.Responses[i].Name)
	}
	msg := fmt.Sprintf("there is no response %q", yamldoc.Clip(s, 64))
	switch near := yamldoc.Nearest(s, names); {
	case near != "":
		msg += fmt.Sprintf("; did you mean %q?", near)
	case len(names) == 0:
		msg += "; the policy has no responses"
	default:
		msg += "; there are " + strings.Join(names, ", ")
	}
	f.At(n.GetToken(), msg)
	return ""
}

func line(n ast.Node) int {
	if t := yamldoc.Start(n); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// items reads a list with a bound.
func (f *file) items(n ast.Node, what string) []ast.Node {
	items := f.Sequence(n, what)
	if len(items) > maxItems {
		f.At(n.GetToken(), fmt.Sprintf("%s has more than %d items", what, maxItems))
		return nil
	}
	return items
}

// maxItems bounds the lists of a policy: rules, tiers, limits, tests.
const maxItems = 2000
