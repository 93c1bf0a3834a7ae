package yamldoc

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. A real overlay of 100,000 entries is about 12 MiB.
const (
	MaxFile     = 32 << 20
	MaxMistakes = 50  // after that the rest is only counted
	maxDepth    = 100 // collections inside each other, into which the parser recurses
)

// A Document is a YAML file being read; it collects mistakes instead of
// stopping at the first, which a decoder into structs would do.
type Document struct {
	file     string
	lines    []string
	mistakes Mistakes
	dropped  int
	notes    []string // said after all mistakes

	// Of ParseParts: Mapping looks for keys that stand twice, and lost has the words of
	// what could not be read, by the part it is in.
	twice bool
	lost  map[string][]string
}

// New is a Document without text, for mistakes that are found later.
func New(file string) *Document { return &Document{file: file} }

// Parse reads at most limit bytes of r and returns its only document, nil when
// the file is empty or is no YAML.
func Parse(r io.Reader, file string, limit int64) (*Document, ast.Node) {
	d := &Document{file: file}
	text, ok := d.readAll(r, limit)
	if !ok {
		return d, nil
	}
	tokens, ok := d.tokens(text)
	if !ok {
		return d, nil
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		d.notYAML(err)
		return d, nil
	}
	return d, d.only(f)
}

// readAll reads the text, of at most limit bytes.
func (d *Document) readAll(r io.Reader, limit int64) (text string, ok bool) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		d.Whole("cannot be read: " + err.Error())
	case int64(len(data)) > limit:
		d.Whole(fmt.Sprintf("is larger than %d MiB", limit>>20))
	case !utf8.Valid(data):
		d.Whole("is not UTF-8 text")
	default:
		d.lines = strings.Split(string(data), "\n")
		return string(data), true
	}
	return "", false
}

// tokens are those of a text, whose lines have these numbers in the file; without
// numbers it is the file. false when they are noted to be too deep.
func (d *Document) tokens(text string, numbers ...int) (token.Tokens, bool) {
	tokens := lexer.Tokenize(text)
	if len(numbers) > 0 {
		for _, t := range tokens {
			t.Position.Line = numbers[min(max(t.Position.Line, 1), len(numbers))-1]
		}
	}
	if t := tooDeep(tokens); t != nil {
		d.At(t, fmt.Sprintf("nests more than %d brackets, dashes or keys in one place", maxDepth))
		return nil, false
	}
	return plainColons(tokens), true
}

// notYAML notes what the parser says.
func (d *Document) notYAML(err error) {
	if e, ok := err.(yaml.Error); ok && e.GetToken() != nil {
		t := e.GetToken()
		if line := t.Position.Line; line >= 1 && line <= len(d.lines) {
			if tab := strings.IndexByte(d.lines[line-1], '\t'); tab >= 0 && strings.Trim(d.lines[line-1][:tab], " ") == "" {
				d.Place(line, tab+1, "this is not YAML: a tab indents the line, where only spaces may stand")
				return
			}
		}
		message := "this is not YAML: " + e.GetMessage()
		if line := t.Position.Line; line >= 1 && line <= len(d.lines) && opens(d.lines[line-1]) {
			message += "; is a bracket of this line not closed?"
		}
		d.At(t, message)
		return
	}
	d.Whole("is not YAML: " + err.Error())
}

// opens reports whether a line has more brackets that open than close.
func opens(line string) bool {
	return strings.Count(line, "{") > strings.Count(line, "}") || strings.Count(line, "[") > strings.Count(line, "]")
}

// only is the only document of a file.
func (d *Document) only(f *ast.File) (body ast.Node) {
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if body != nil {
			d.At(Start(doc.Body), "only one document is read from a file; remove the --- before it")
			break
		}
		body = doc.Body
	}
	return body
}

// Start is the token at which a node begins; a mapping's own is its first colon.
func Start(n ast.Node) *token.Token {
	switch m := n.(type) {
	case nil:
		return nil
	case *ast.MappingValueNode:
		return Start(m.Key)
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return Start(m.Values[0].Key)
		}
	}
	return n.GetToken()
}

// File is the name of the file.
func (d *Document) File() string { return d.file }

// Whole notes a mistake of the file as a whole.
func (d *Document) Whole(message string) {
	d.add(&Mistake{File: d.file, Message: message})
}

// At notes a mistake at a token.
func (d *Document) At(t *token.Token, message string) {
	if t == nil || t.Position == nil {
		d.Whole(message)
		return
	}
	d.Place(t.Position.Line, t.Position.Column, message)
}

// Elsewhere notes a mistake in another file, which this one names: text is its line,
// of which nothing steers a terminal.
func (d *Document) Elsewhere(file string, line, column int, text, message string) {
	m := &Mistake{File: file, Message: message, Line: line, Column: column}
	shown := strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.TrimRight(text, "\r"))
	m.Excerpt, m.caret = excerpt(shown, column)
	d.add(m)
}

// Note is said behind all mistakes, where there is one: what was not looked at.
func (d *Document) Note(message string) { d.notes = append(d.notes, message) }

// Place notes a mistake at a line and a column, both from 1; line 0 is the file
// as a whole.
func (d *Document) Place(line, column int, message string) {
	m := &Mistake{File: d.file, Message: message, Line: line, Column: column}
	if line >= 1 && line <= len(d.lines) {
		m.Excerpt, m.caret = excerpt(strings.TrimRight(d.lines[line-1], "\r"), column)
	}
	d.add(m)
}

// Count is how many mistakes were noted so far.
func (d *Document) Count() int { return len(d.mistakes) + d.dropped }

func (d *Document) add(m *Mistake) {
	if len(d.mistakes) >= MaxMistakes {
		d.dropped++
		return
	}
	d.mistakes = append(d.mistakes, m)
}

// Err returns all mistakes, in the order of the file; behind them those of files
// that it names.
func (d *Document) Err() error {
	slices.SortStableFunc(d.mistakes, func(a, b *Mistake) int {
		if a.File != b.File {
			switch d.file {
			case a.File:
				return -1
			case b.File:
				return 1
			}
			return strings.Compare(a.File, b.File)
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if d.dropped > 0 {
		d.mistakes = append(d.mistakes, &Mistake{File: d.file, Message: fmt.Sprintf("and %d more mistakes", d.dropped)})
		d.dropped = 0
	}
	if len(d.mistakes) > 0 {
		for _, note := range d.notes {
			d.mistakes = append(d.mistakes, &Mistake{File: d.file, Message: note})
		}
		d.notes = nil
	}
	return d.mistakes.orNil()
}

// A Pair is one key of a mapping.
type Pair struct {
	Key   string
	Token *token.Token
	Value ast.Node
}

// Mapping returns the pairs of n; false when it is no mapping.
func (d *Document) Mapping(n ast.Node, what string) ([]Pair, bool) {
	if n == nil {
		return nil, true
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		d.At(own(n), what+" must be a mapping of keys to values, not "+KindOf(n))
		return nil, false
	}
	var pairs []Pair
	var first map[string]int
	if d.twice {
		first = map[string]int{}
	}
	for it := m.MapRange(); it.Next(); {
		kv := it.KeyValue()
		if kv.Key.IsMergeKey() {
			d.At(kv.Key.GetToken(), "merge keys are not read here; write the keys out")
			continue
		}
		if name, t := keyText(kv.Key), kv.Key.GetToken(); d.twice && t.Position != nil {
			if at, twice := first[name]; twice {
				d.At(t, fmt.Sprintf("%q is in line %d already, and a mapping has each key once; put the two together", Clip(name, 64), pairs[at].Token.Position.Line))
				pairs[at].Value = joinedValues(pairs[at].Value, kv.Value) // so that both are looked at
				continue
			}
			first[name] = len(pairs)
		}
		pairs = append(pairs, Pair{Key: keyText(kv.Key), Token: kv.Key.GetToken(), Value: kv.Value})
	}
	return pairs, true
}

func keyText(k ast.MapKeyNode) string {
	if s, ok := k.(*ast.StringNode); ok {
		return s.Value
	}
	return k.GetToken().Value
}

// Sequence returns the items of n; a missing one has none.
func (d *Document) Sequence(n ast.Node, what string) []ast.Node {
	switch n := n.(type) {
	case *ast.SequenceNode:
		return n.Values
	case nil, *ast.NullNode:
		return nil
	}
	d.At(own(n), what+" must be a list, each item after a dash, not "+KindOf(n))
	return nil
}

// Text returns the text of a scalar; numbers are taken as they are spelled.
func (d *Document) Text(n ast.Node, what string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	d.At(own(n), what+" must be text, not "+KindOf(n))
	return "", false
}

// Boolean returns true or false.
func (d *Document) Boolean(n ast.Node, what string) (bool, bool) {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.Value, true
	}
	d.At(own(n), what+" must be true or false, not "+KindOf(n))
	return false, false
}

// Number returns a number between two bounds.
func (d *Document) Number(n ast.Node, what string, low, high float64) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(spelled(n)), 64)
	_, isText := n.(*ast.StringNode)
	if err != nil || isText || !(f >= low && f <= high) { // also false for NaN
		d.At(own(n), fmt.Sprintf("%s must be a number from %s to %s", what, short(low), short(high)))
		return 0, false
	}
	return f, true
}

// Integer returns a whole number between two bounds.
func (d *Document) Integer(n ast.Node, what string, low, high int64) (int64, bool) {
	u, err := strconv.ParseInt(spelled(n), 10, 64)
	_, isInt := n.(*ast.IntegerNode)
	if err != nil || !isInt || u < low || u > high {
		d.At(own(n), fmt.Sprintf("%s must be a whole number from %d to %d", what, low, high))
		return 0, false
	}
	return u, true
}

// own is a node's token, nil for none.
func own(n ast.Node) *token.Token {
	if n == nil {
		return nil
	}
	return n.GetToken()
}

// spelled is a node as it stands in the file.
func spelled(n ast.Node) string {
	if t := own(n); t != nil {
		return t.Value
	}
	return ""
}

func short(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// KindOf says what a node is, for a sentence.
func KindOf(n ast.Node) string {
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

// UnknownKey reports a key, with the nearest of those that exist.
func (d *Document) UnknownKey(p Pair, what string, known []string) {
	msg := fmt.Sprintf("%s has no %q", what, Clip(p.Key, 64))
	if near := Nearest(p.Key, known); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else {
		msg += "; it may hold " + strings.Join(known, ", ")
	}
	d.At(p.Token, msg)
}

// Nearest returns the known word at a Levenshtein distance of at most a third
// of its length, or "".
func Nearest(word string, known []string) string {
	best, bestAt := "", 1<<30
	for _, k := range known {
		if n := distance(Clip(word, 64), k); n <= len(k)/3 && n < bestAt {
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
