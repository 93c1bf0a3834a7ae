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
	Files    []string
	crawlers bool // the file has a part crawlers
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
	d, body := yamldoc.ParseParts(bytes.NewReader(text), name, maxPolicy)
	f := &file{
		Document: d, opts: opts, also: &files, lists: map[string]int{},
		defaults: defaults{shared: 4, rollup: [2]uint32{4, 16}}, sources: map[int]string{},
	}
	f.cfg.Scores = opts.Scores
	f.cfg.Crawlers.Allow = true
	f.read(body)
	if f.untested { // a test that cannot be read does not keep the others from being run
		switch n := len(f.tests); {
		case n == 1:
			f.Note("its test was not run, because of what is wrong elsewhere")
		case n > 1:
			f.Note(fmt.Sprintf("its %d tests were not run, because of what is wrong elsewhere", n))
		}
		return nil, f.Err()
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
		Files: files, crawlers: f.crawlers, name: name, text: text, lists: f.conds.lists, sources: f.sources,
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
	also     *[]string // files that were read for it
	crawlers bool      // there is such a part
	untested bool      // something else than a test is wrong
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
	part("paths", f.readPaths)
	f.conds = f.newConditions(parts["lists"].Value)
	part("responses", f.readResponses)
	part("lists", f.readLists)
	part("risk", f.readRisk)
	part("tiers", f.readTiers)
	part("rules", f.readRules)
	part("thresholds", f.readThresholds)
	part("crawlers", f.readCrawlers)
	f.crawlers = parts["crawlers"].Value != nil
	part("limits", f.readLimits)
	part("routes", f.readRoutes)
	f.sharePending()
	f.untested = f.Count() > 0
	part("tests", f.readTests)
}

// newConditions declares the lists by their names alone, which conditions need
// before anything else of them is read.
func (f *file) newConditions(lists ast.Node) *conditions {
	var names []string
	if m, ok := lists.(ast.MapNode); ok {
		for it := m.MapRange(); it.Next(); {
			if name := it.Key().GetToken().Value; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range f.Lost("lists") { // it may be there when the file is mended
		if isWordName(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	c, err := newConditions(names)
	if err != nil {
		f.Whole("the conditions cannot be prepared: " + err.Error())
		c = &conditions{}
	}
	c.folded = f.cfg.Paths.FoldCase
	return c
}
