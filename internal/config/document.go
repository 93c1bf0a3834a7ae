package config

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. A real overlay of 100,000 entries is about 12 MiB.
const (
	maxFile     = 32 << 20
	maxBrackets = 100 // flow collections inside each other
	maxMistakes = 50  // after that the rest is only counted
)

// document is a YAML file being read; it collects mistakes instead of
// stopping at the first, which a decoder into structs would do.
type document struct {
	file     string
	lines    []string
	mistakes Mistakes
	dropped  int
}

// parse reads r and returns its only document, nil when the file is empty.
func parse(r io.Reader, file string) (*document, ast.Node) {
	d := &document{file: file}
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		d.whole("cannot be read: " + err.Error())
		return d, nil
	case len(data) > maxFile:
		d.whole(fmt.Sprintf("is larger than %d MiB", maxFile>>20))
		return d, nil
	case !utf8.Valid(data):
		d.whole("is not UTF-8 text")
		return d, nil
	case tooDeep(data):
		d.whole(fmt.Sprintf("nests more than %d brackets", maxBrackets))
		return d, nil
	}
	d.lines = strings.Split(string(data), "\n")
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		if e, ok := err.(yaml.Error); ok && e.GetToken() != nil {
			d.at(e.GetToken(), "this is not YAML: "+e.GetMessage())
		} else {
			d.whole("is not YAML: " + err.Error())
		}
		return d, nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if body != nil {
			d.at(doc.Body.GetToken(), "only one document is read from a file; remove the --- before it")
			break
		}
		body = doc.Body
	}
	return d, body
}

// tooDeep keeps a file of brackets from exhausting the parser's stack.
func tooDeep(data []byte) bool {
	depth := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			// A bracket inside plain text never closes; do not let them add up.
			if depth <= maxBrackets/2 {
				depth = 0
			}
		}
		if depth > maxBrackets {
			return true
		}
	}
	return false
}

func (d *document) whole(message string) {
	d.add(&Mistake{File: d.file, Message: message})
}

func (d *document) at(t *token.Token, message string) {
	m := &Mistake{File: d.file, Message: message}
	if t != nil && t.Position != nil {
		m.Line, m.Column = t.Position.Line, t.Position.Column
		if m.Line >= 1 && m.Line <= len(d.lines) {
			m.Excerpt, m.caret = excerpt(strings.TrimRight(d.lines[m.Line-1], "\r"), m.Column)
		}
	}
	d.add(m)
}

func (d *document) add(m *Mistake) {
	if len(d.mistakes) >= maxMistakes {
		d.dropped++
		return
	}
	d.mistakes = append(d.mistakes, m)
}

// err returns all mistakes, in the order of the file.
func (d *document) err() error {
	slices.SortStableFunc(d.mistakes, func(a, b *Mistake) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if d.dropped > 0 {
		d.mistakes = append(d.mistakes, &Mistake{File: d.file, Message: fmt.Sprintf("and %d more mistakes", d.dropped)})
		d.dropped = 0
	}
	return d.mistakes.orNil()
}

// pair is one key of a mapping.
type pair struct {
	key   string
	token *token.Token
	value ast.Node
}

// mapping returns the pairs of n; false when it is no mapping.
func (d *document) mapping(n ast.Node, what string) ([]pair, bool) {
	if n == nil {
		return nil, true
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		d.at(n.GetToken(), what+" must be a mapping of keys to values, not "+kindOf(n))
		return nil, false
	}
	var pairs []pair
	for it := m.MapRange(); it.Next(); {
		kv := it.KeyValue()
		if kv.Key.IsMergeKey() {
			d.at(kv.Key.GetToken(), "merge keys are not read here; write the keys out")
			continue
		}
		pairs = append(pairs, pair{key: keyText(kv.Key), token: kv.Key.GetToken(), value: kv.Value})
	}
	return pairs, true
}

func keyText(k ast.MapKeyNode) string {
	if s, ok := k.(*ast.StringNode); ok {
		return s.Value
	}
	return k.GetToken().Value
}

// sequence returns the items of n; a missing one has none.
func (d *document) sequence(n ast.Node, what string) []ast.Node {
	switch n := n.(type) {
	case *ast.SequenceNode:
		return n.Values
	case nil, *ast.NullNode:
		return nil
	}
	d.at(n.GetToken(), what+" must be a list, each item after a dash, not "+kindOf(n))
	return nil
}

// text returns the text of a scalar; numbers are taken as they are spelled.
func (d *document) text(n ast.Node, what string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	d.at(n.GetToken(), what+" must be text, not "+kindOf(n))
	return "", false
}

func (d *document) boolean(n ast.Node, what string) (bool, bool) {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.Value, true
	}
	d.at(n.GetToken(), what+" must be true or false, not "+kindOf(n))
	return false, false
}

func (d *document) number(n ast.Node, what string, low, high float64) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(n.GetToken().Value), 64)
	_, isText := n.(*ast.StringNode)
	if err != nil || isText || !(f >= low && f <= high) { // also false for NaN
		d.at(n.GetToken(), fmt.Sprintf("%s must be a number from %s to %s", what, short(low), short(high)))
		return 0, false
	}
	return f, true
}

func (d *document) integer(n ast.Node, what string, low, high int64) (int64, bool) {
	u, err := strconv.ParseInt(n.GetToken().Value, 10, 64)
	_, isInt := n.(*ast.IntegerNode)
	if err != nil || !isInt || u < low || u > high {
		d.at(n.GetToken(), fmt.Sprintf("%s must be a whole number from %d to %d", what, low, high))
		return 0, false
	}
	return u, true
}

func short(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func kindOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a mapping"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias, which are not read here"
	case *ast.TagNode:
		return "a tagged value"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	}
	return "text"
}

// unknownKey reports a key, with the nearest of those that exist.
func (d *document) unknownKey(p pair, what string, known []string) {
	msg := fmt.Sprintf("%s has no %q", what, clipRunes(p.key, 64))
	if near := nearest(p.key, known); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else {
		msg += "; it may hold " + strings.Join(known, ", ")
	}
	d.at(p.token, msg)
}

// nearest returns the known word at a Levenshtein distance of at most a third
// of its length, or "".
func nearest(word string, known []string) string {
	best, bestAt := "", 1<<30
	for _, k := range known {
		if n := distance(clipRunes(word, 64), k); n <= len(k)/3 && n < bestAt {
			best, bestAt = k, n
		}
	}
	return best
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
