package compile

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// Mistakes is everything that is wrong in a policy, in the order of its lines.
type Mistakes = yamldoc.Mistakes

// Options say where a policy gets from what is not in it. The zero Options read
// files beside the policy, and know no feeds.
type Options struct {
	// ReadFile reads what file: and html_file: name. Default: the file, relative
	// to the folder of the policy.
	ReadFile func(name string) ([]byte, error)
	// Feed reads what feed: names. Default: there are none.
	Feed func(name string) (iter.Seq2[*feed.Fact, error], error)
	// Scores answers ip.security.scores.*; default package risk.
	Scores func(ipwarden.Record, time.Time) ipwarden.Scores
	// SkipTests loads a policy whose own tests fail.
	SkipTests bool
}

// A Policy is a file that was read: the program, and what only its author asks.
type Policy struct {
	Program *policy.Program
	// Risk weighs signals as the file says; the default model where it does not.
	Risk  *risk.Model
	Tests []Test
	// Files are those that the policy names: of lists and of pages.
	Files []string
	// Foreign counts the parts of conditions that run on CEL itself.
	Foreign int

	name  string
	text  []byte
	lists []string
	// conditions by the line of the rule, tier or limit, for explanations
	sources map[int]string
}

// Load reads a policy and runs its tests. name is the file's, for the messages
// and for what it names relative to itself. The error is [Mistakes].
func Load(name string, text []byte, opts Options) (*policy.Program, error) {
	p, err := Read(name, text, opts)
	if err != nil {
		return nil, err
	}
	return p.Program, nil
}

// maxPolicy bounds a file, in bytes.
const maxPolicy = 8 << 20

// Read is Load for who wants more than the program.
func Read(name string, text []byte, opts Options) (*Policy, error) {
	var files []string
	read := opts.ReadFile
	opts.ReadFile = func(file string) ([]byte, error) {
		if read != nil {
			files = append(files, file)
			return read(file)
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(name), file)
		}
		files = append(files, file)
		return readBounded(file)
	}
	if opts.Scores == nil {
		opts.Scores = risk.Scores
	}
	d, body := yamldoc.Parse(bytes.NewReader(text), name, maxPolicy)
	f := &file{
		Document: d, opts: opts, lists: map[string]int{},
		defaults: defaults{shared: 4, rollup: [2]uint32{4, 16}}, sources: map[int]string{},
	}
	f.cfg.Scores = opts.Scores
	f.cfg.Crawlers.Allow = true
	f.read(body)
	if err := f.Err(); err != nil {
		return nil, err
	}
	f.cfg.Foreign = f.conds.foreign
	program, err := policy.New(f.cfg)
	if err != nil { // what is left is ours: the file was checked
		f.Whole(err.Error())
		return nil, f.Err()
	}
	model, err := risk.NewModel(f.risk)
	if err != nil {
		f.Whole(err.Error())
		return nil, f.Err()
	}
	p := &Policy{
		Program: program, Risk: model, Tests: f.tests, Foreign: len(f.conds.foreign),
		Files: files, name: name, text: text, lists: f.conds.lists, sources: f.sources,
	}
	if !opts.SkipTests {
		for i := range p.Tests {
			t := &p.Tests[i]
			if r := p.Run(t); !r.OK() {
				f.Place(t.Line, t.column, fmt.Sprintf("the test %q fails: %s", t.Name, strings.Join(r.Wrong, "; ")))
			}
		}
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// readBounded reads a file that is not larger than a list may be, and one byte
// more of one that is.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxListFile+1))
}

// file is a policy being read.
type file struct {
	*yamldoc.Document
	opts     Options
	cfg      policy.Config
	conds    *conditions
	risk     risk.Config
	tests    []Test
	defaults defaults
	lists    map[string]int // numbers
	names    []string       // of limits
	sources  map[int]string
}

// defaults are what limits take where they do not say.
type defaults struct {
	shared uint32
	rollup [2]uint32
}

// A key of a mapping, and what reads it.
type key struct {
	name string
	read func(p yamldoc.Pair)
}

// each reads a mapping with known keys, and returns its first pair and which
// keys it has.
func (f *file) each(n ast.Node, what string, keys []key) (pairs []yamldoc.Pair, has map[string]bool, ok bool) {
	pairs, ok = f.Mapping(n, what)
	if !ok {
		return nil, nil, false
	}
	has = map[string]bool{}
	for _, p := range pairs {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == p.Key })
		if i < 0 {
			names := make([]string, len(keys))
			for j := range keys {
				names[j] = keys[j].name
			}
			f.UnknownKey(p, what, names)
			continue
		}
		if p.Value == nil || p.Value.Type() == ast.NullType {
			f.At(p.Token, fmt.Sprintf("%s is empty; leave the line out", p.Key))
			continue
		}
		has[p.Key] = true
		keys[i].read(p)
	}
	return pairs, has, true
}

// read reads the whole file: what others refer to goes first.
func (f *file) read(body ast.Node) {
	parts := map[string]yamldoc.Pair{}
	keep := func(p yamldoc.Pair) { parts[p.Key] = p }
	var keys []key
	for _, name := range []string{"version", "lists", "tiers", "rules", "thresholds", "crawlers", "limits", "routes", "risk", "responses", "paths", "defaults", "tests"} {
		keys = append(keys, key{name, keep})
	}
	if body == nil && f.Count() == 0 {
		f.Whole("is empty; start from ipwarden policy init")
	}
	f.each(body, "a policy", keys)
	part := func(name string, read func(ast.Node)) {
		if p, ok := parts[name]; ok {
			read(p.Value)
		}
	}
	part("version", func(n ast.Node) { f.Integer(n, "version", 1, 1) })
	part("defaults", f.readDefaults)
	f.conds = f.newConditions(parts["lists"].Value)
	part("responses", f.readResponses)
	part("lists", f.readLists)
	part("paths", f.readPaths)
	part("risk", f.readRisk)
	part("tiers", f.readTiers)
	part("rules", f.readRules)
	part("thresholds", f.readThresholds)
	part("crawlers", f.readCrawlers)
	part("limits", f.readLimits)
	part("routes", f.readRoutes)
	f.sharePending()
	part("tests", f.readTests)
}

// newConditions declares the lists by their names alone, which conditions need
// before anything else of them is read.
func (f *file) newConditions(lists ast.Node) *conditions {
	var names []string
	if m, ok := lists.(ast.MapNode); ok {
		for it := m.MapRange(); it.Next(); {
			names = append(names, it.Key().GetToken().Value)
		}
	}
	c, err := newConditions(names)
	if err != nil {
		f.Whole("the conditions cannot be prepared: " + err.Error())
		c = &conditions{}
	}
	return c
}

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
	if !ok || slices.ContainsFunc(f.cfg.Responses, func(r policy.Response) bool { return r.Name == s }) {
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
