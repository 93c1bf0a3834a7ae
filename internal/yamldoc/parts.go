package yamldoc

import (
	"io"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ParseParts is [Parse] for a file that is one mapping, and goes on where it is not
// YAML: each top-level key is then read by itself, and where that fails each of its
// items. What can be read is returned; what cannot is noted, and [Document.Lost] has
// its words. A key that stands twice hides nothing: Mapping notes it.
func ParseParts(r io.Reader, file string, limit int64) (*Document, ast.Node) {
	d := &Document{file: file, twice: true, lost: map[string][]string{}}
	text, ok := d.readAll(r, limit)
	if !ok {
		return d, nil
	}
	tokens, ok := d.tokens(text)
	if !ok {
		return d, nil
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err == nil {
		return d, d.only(f)
	}
	body := d.parts()
	if d.Count() == 0 { // each part is right by itself, and together they are not
		d.notYAML(err)
		return d, nil
	}
	d.Note("what is not YAML was left out; more may follow when it is mended")
	return d, body
}

// Lost has the words that may be keys in what could not be read of a top-level part:
// who refers to one of them need not be wrong.
func (d *Document) Lost(part string) []string { return d.lost[part] }

var (
	// A key at the beginning of a line, and what stands behind it.
	keyLine = regexp.MustCompile(`^\s*("[^"]*"|'[^']*'|[^\s#\[\]{},&*!|>%@"'` + "`" + `][^:#]*):(?:\s+(.*))?$`)
	keyWord = regexp.MustCompile(`([A-Za-z0-9_][A-Za-z0-9_ -]*)["']?\s*:`)
)

// A span is lines of the file, from 0, to not included.
type span struct{ from, to int }

// parts reads each top-level key by itself.
func (d *Document) parts() ast.Node {
	var all []*ast.MappingValueNode
	top := func(line string) bool { return !strings.ContainsRune(" \t#-]}.", rune(line[0])) }
	for _, s := range d.split(span{0, len(d.lines)}, top) {
		pairs, err := d.pairs(s)
		switch {
		case err == nil && pairs != nil:
			all = append(all, pairs...)
		case !keyLine.MatchString(d.line(s.from)):
			d.Place(s.from+1, 1, "this is not YAML: here stands a key and a colon, such as rules:, and what belongs to it stands below, indented")
		case err != nil:
			if one := d.items(s, err); one != nil {
				all = append(all, one)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return ast.Mapping(all[0].Key.GetToken(), false, all...)
}

// items reads each item of a top-level key by itself, where reading them together
// ended with an error.
func (d *Document) items(s span, err error) *ast.MappingValueNode {
	header := keyLine.FindStringSubmatch(d.line(s.from))
	name := strings.Trim(header[1], `"'`)
	first := s.from + 1
	for first < s.to && blank(d.line(first)) {
		first++
	}
	if behind := header[2]; behind != "" && behind[0] != '#' || first == s.to {
		d.lose(name, err, d.words(s))
		return nil
	}
	deep, dash := indentation(d.line(first)), isDash(d.line(first))
	items := d.split(span{first, s.to}, func(line string) bool {
		return indentation(line) <= deep && isDash(line) == dash && !strings.ContainsRune("\t#]}", rune(strings.TrimLeft(line, " ")[0]))
	})
	var one *ast.MappingValueNode
	before := d.Count()
	for _, item := range items {
		pairs, wrong := d.pairs(span{s.from, s.from + 1}, item)
		switch {
		case wrong != nil:
			words := d.words(item)
			if !dash && len(words) > 0 {
				words = words[:1] // what is in it belongs to it
			}
			d.lose(name, wrong, words)
		case len(pairs) != 1:
		case one == nil:
			one = pairs[0]
		default:
			one.Value = joinedValues(one.Value, pairs[0].Value)
		}
	}
	if d.Count() == before { // they do not go together
		d.notYAML(err)
	}
	return one
}

// lose notes why something of a part cannot be read, and words in it.
func (d *Document) lose(part string, err error, words []string) {
	d.notYAML(err)
	d.lost[part] = append(d.lost[part], words...)
}

// words are those that may be keys.
func (d *Document) words(s span) (all []string) {
	for i := s.from; i < s.to; i++ {
		for _, m := range keyWord.FindAllStringSubmatch(d.line(i), -1) {
			all = append(all, m[1])
		}
	}
	return all
}

// joinedValues is what a and b hold, where both are lists or both are mappings.
func joinedValues(a, b ast.Node) ast.Node {
	switch a := a.(type) {
	case *ast.SequenceNode:
		if b, ok := b.(*ast.SequenceNode); ok {
			a.Values = append(a.Values, b.Values...)
		}
	case ast.MapNode:
		if b, ok := b.(ast.MapNode); ok {
			both := append(pairsOf(a), pairsOf(b)...)
			if len(both) > 0 {
				return ast.Mapping(both[0].Key.GetToken(), false, both...)
			}
		}
	}
	return a
}

func pairsOf(m ast.MapNode) (all []*ast.MappingValueNode) {
	for it := m.MapRange(); it.Next(); {
		all = append(all, it.KeyValue())
	}
	return all
}

// pairs reads some lines as a mapping.
func (d *Document) pairs(spans ...span) ([]*ast.MappingValueNode, error) {
	var text strings.Builder
	var numbers []int // of its lines in the file
	for _, s := range spans {
		for i := s.from; i < s.to; i++ {
			if line := d.line(i); line != "---" && line != "..." {
				text.WriteString(line)
			}
			text.WriteByte('\n')
			numbers = append(numbers, i+1)
		}
	}
	tokens, ok := d.tokens(text.String(), numbers...)
	if !ok {
		return nil, nil // it is noted
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	var all []*ast.MappingValueNode
	for _, doc := range f.Docs {
		if m, ok := doc.Body.(ast.MapNode); ok {
			all = append(all, pairsOf(m)...)
		}
	}
	return all, nil
}

// split cuts lines where a line begins something; what is before the first such is
// left out, unless something stands there.
func (d *Document) split(s span, begins func(string) bool) (all []span) {
	for i := s.from; i < s.to; i++ {
		line := d.line(i)
		if blank(line) {
			continue
		}
		if len(all) == 0 || begins(line) {
			if n := len(all); n > 0 {
				all[n-1].to = i
			}
			all = append(all, span{i, s.to})
		}
	}
	return all
}

// line is one, from 0, without the end of DOS.
func (d *Document) line(i int) string { return strings.TrimSuffix(d.lines[i], "\r") }

// blank: nothing stands there but a comment.
func blank(line string) bool {
	line = strings.TrimLeft(line, " \t")
	return line == "" || line[0] == '#'
}

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func isDash(line string) bool {
	line = strings.TrimLeft(line, " ")
	return line == "-" || strings.HasPrefix(line, "- ")
}
