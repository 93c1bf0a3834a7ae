package yamldoc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Whatever takes the parser's stack or its time is refused before it parses.
func TestTooDeep(t *testing.T) {
	indented := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.Repeat(" ", i) + "a:\n")
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"brackets":            strings.Repeat("[", 200),
		"brackets, some each": strings.Repeat(strings.Repeat("[", 50)+"\n", 2000),
		"dashes":              strings.Repeat("- ", 100_000),
		"keys":                strings.Repeat("a: ", 100_000),
		"explicit keys":       "? x\n" + strings.Repeat("? ", 100_000),
		"tags":                strings.Repeat("!a ", 100_000),
		"anchors":             strings.Repeat("&a ", 100_000),
		"indentation":         indented(1200),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			d, body := Parse(strings.NewReader(text), "a.yaml", MaxFile)
			if body != nil || d.Err() == nil {
				t.Fatalf("it was read: %v", d.Err())
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	for name, text := range map[string]string{
		"text with brackets": strings.Repeat("- a [ b [ c\n", 500),
		"wide flow mapping":  "{" + strings.Repeat("a: 1, ", 500)[:2998] + "}",
		"quoted":             `a: "` + strings.Repeat("[", 500) + `"`,
		"deep enough":        strings.Repeat("[", 99) + strings.Repeat("]", 99),
	} {
		if d, _ := Parse(strings.NewReader(text), "a.yaml", MaxFile); d.Err() != nil && strings.Contains(d.Err().Error(), "nests more") {
			t.Errorf("%s: %.200v", name, d.Err())
		}
	}
}

func TestMistakes(t *testing.T) {
	d, body := Parse(strings.NewReader("b: x\na:\n\t\n"), "a.yaml", MaxFile)
	_ = body
	if err := d.Err(); err == nil || !strings.HasPrefix(err.Error(), "a.yaml:") {
		t.Errorf("a tab: %v", err)
	}
	d, body = Parse(strings.NewReader("name: [1]\nnumber: x\nyes: 3\nlist: {a: b}\n"), "a.yaml", MaxFile)
	pairs, ok := d.Mapping(body, "it")
	if !ok || len(pairs) != 4 {
		t.Fatalf("%d pairs", len(pairs))
	}
	d.Sequence(pairs[3].Value, "list")
	d.Boolean(pairs[2].Value, "yes")
	d.Integer(pairs[1].Value, "number", 1, 9)
	d.Text(pairs[0].Value, "name")
	d.UnknownKey(pairs[0], "it", []string{"nome", "nail"})
	var all Mistakes
	if err := d.Err(); !errors.As(err, &all) || len(all) != 5 {
		t.Fatalf("got %v", err)
	}
	for i, want := range []string{"1:1: it has no \"name\"; did you mean \"nome\"?", "1:7: name must be text", "2:9: number must be a whole number from 1 to 9", "3:6: yes must be true or false", "4:7: list must be a list"} {
		if !strings.HasPrefix(all[i].Error(), "a.yaml:"+want) {
			t.Errorf("mistake %d: %v, want %s", i, all[i], want)
		}
	}
	var one *Mistake
	if !errors.As(d.Err(), &one) || !strings.Contains(one.Error(), "1 | name: [1]") {
		t.Errorf("no excerpt: %v", one)
	}
}

// No text makes the reader panic or take long.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: [b, {c: d}]", "- - - a", "? a\n: b", "a: &x 1\nb: *x", "a: |\n  b\n", "{a: \"[\", b: ']'}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, body := Parse(strings.NewReader(text), "a.yaml", 1<<16)
		if body == nil {
			return
		}
		var walk func(ast.Node, int)
		walk = func(n ast.Node, depth int) {
			if depth > 2*maxIndent {
				t.Fatal("deeper than any bound")
			}
			if m, ok := n.(ast.MapNode); ok {
				pairs, _ := d.Mapping(m.(ast.Node), "it")
				for _, p := range pairs {
					walk(p.Value, depth+1)
				}
			} else if s, ok := n.(*ast.SequenceNode); ok {
				for _, item := range d.Sequence(s, "it") {
					walk(item, depth+1)
				}
			} else if n != nil {
				d.Text(n, "it")
			}
		}
		walk(body, 0)
		if err := d.Err(); err != nil && len(err.(Mistakes)) > MaxMistakes+1 {
			t.Fatal("more mistakes than the bound")
		}
	})
}

// A mistake inside a text stands under its character, however the text is
// written.
func TestInside(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":         {"when: aa bb X c\n", "1:13"},
		"folded plain":  {"when: aa bb\n   X c\n", "2:4"},
		"double quoted": {"when: \"aa \\\"bb\\\" X c\"\n", "1:18"},
		"single quoted": {"when: 'aa ''bb'' X c'\n", "1:18"},
		"literal":       {"when: |\n  aa\n    bb X c\n", "3:8"},
		"folded":        {"when: >-\n  aa\n  bb\n  X c\n", "4:3"},
		"wide":          {"when: åä bb X c\n", "1:13"},
		"in a list":     {"- x\n- {when: aa bb X c}\n", "2:16"},
	} {
		d, body := Parse(strings.NewReader(c.text), "a.yaml", MaxFile)
		if list, ok := body.(*ast.SequenceNode); ok {
			body = list.Values[1]
		}
		pairs, ok := d.Mapping(body, "it")
		if !ok {
			t.Fatalf("%s: %v", name, d.Err())
		}
		text, _ := d.Text(pairs[0].Value, "when")
		d.Inside(pairs[0].Value, text, strings.IndexByte(text, 'X'), "here")
		if err := d.Err(); err == nil || !strings.HasPrefix(err.Error(), "a.yaml:"+c.want+": here") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
