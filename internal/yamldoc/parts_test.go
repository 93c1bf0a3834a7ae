package yamldoc

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
)

// What is not YAML costs its item, or its part where there are no items; the rest is
// read, with its places in the file.
func TestParseParts(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		mistakes []string // their beginnings
		read     string   // part: how many items it has
		lost     string
	}{
		"right":           {"a: [1, 2]\nb:\n  x: 1\n", nil, "a=2 b=1", ""},
		"a flow":          {"a: [1, 2\nb:\n  - 1\nc:\n  - 2\n", []string{"f:1:4: this is not YAML: sequence end token ']' not found; is a bracket of this line not closed?"}, "b=1 c=1", ""},
		"an item":         {"a:\n  - {x: 1\n  - {x: 2}\nb:\n  y: {n: \"1}\n  z: {}\n", []string{"f:2:", "f:5:10: this is not YAML: could not find end character of double-quoted text"}, "a=1 b=1", "a: x; b: y"},
		"a tab":           {"a:\n  - x: 1\n\ty: 2\n  - x: 3\n", []string{"f:3:1: this is not YAML: a tab indents the line, where only spaces may stand"}, "a=1", "a: x y"},
		"dedented":        {"a:\n    - 1\n  - 2\n    - 3\nb: [1]\n", []string{"f:"}, "a=3 b=1", ""},
		"dashes flush":    {"a:\n- {x: 1\n- 2\n# b\nb: [1]\n", []string{"f:2:"}, "a=1 b=1", "a: x"},
		"stray words":     {"a: [1]\nstray words\nb: [2]\n", []string{"f:2:1: this is not YAML: here stands a key"}, "a=1 b=1", ""},
		"begins indented": {"  a: [1]\nb: [2]\nc: [\n", []string{"f:3:"}, "a=1 b=1", ""},
		"twice":           {"a: [1]\nb: [1]\na: [2, 3]\n", []string{"f:3:1: \"a\" is in line 1 already"}, "a=3 b=1", ""},
		"a block text":    {"a: |\n  - {x\nb: {\n", []string{"f:3:"}, "a=0", ""},
		"DOS":             {"a:\r\n  - {x: 1\r\n  - 2\r\nb: [1]\r\n", []string{"f:2:"}, "a=1 b=1", "a: x"},
	} {
		t.Run(name, func(t *testing.T) {
			d, body := ParseParts(strings.NewReader(c.text), "f", MaxFile)
			pairs, _ := d.Mapping(body, "it")
			var read, lost []string
			for _, p := range pairs {
				n := 0
				switch v := p.Value.(type) {
				case *ast.SequenceNode:
					n = len(v.Values)
				case ast.MapNode:
					n = len(pairsOf(v))
				}
				read = append(read, p.Key+"="+string(rune('0'+n)))
				if words := d.Lost(p.Key); words != nil {
					lost = append(lost, p.Key+": "+strings.Join(words, " "))
				}
			}
			if got := strings.Join(read, " "); got != c.read {
				t.Errorf("read %q, want %q", got, c.read)
			}
			if got := strings.Join(lost, "; "); got != c.lost {
				t.Errorf("lost %q, want %q", got, c.lost)
			}
			var all Mistakes
			if err := d.Err(); err != nil {
				all = err.(Mistakes)
			}
			all = slices.DeleteFunc(all, func(m *Mistake) bool { return strings.HasPrefix(m.Message, "what is not YAML") })
			if len(all) != len(c.mistakes) {
				t.Fatalf("got %v, want %q", all, c.mistakes)
			}
			for i, want := range c.mistakes {
				if !strings.HasPrefix(all[i].Error(), want) {
					t.Errorf("mistake %d is %v, want %q", i, all[i], want)
				}
			}
		})
	}
}

// A mistake in a file that is named comes behind those of the file itself, and its
// line steers no terminal.
func TestElsewhere(t *testing.T) {
	d, _ := ParseParts(strings.NewReader("a: 1\n"), "f", MaxFile)
	d.Note("a note")
	d.Elsewhere("b.txt", 2, 3, "ab\x1b[31mc\r", "wrong")
	d.Elsewhere("b.txt", 1, 1, "x", "wrong too")
	d.Place(1, 4, "this")
	want := "f:1:4: this\n    1 | a: 1\n      |    ^\nb.txt:1:1: wrong too\n    1 | x\n      | ^\nb.txt:2:3: wrong\n    2 | ab\ufffd[31mc\n      |   ^\nf: a note"
	if got := d.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// No text makes the reader of parts panic, take long or say nothing of what it left
// out.
func FuzzParseParts(f *testing.F) {
	for _, s := range []string{"a: [1\nb:\n- {x\n- 2\n", "a:\n\t- 1\nb: \"\n", "---\na: 1\na: {\n...\n", "  a: [\n b\nc:\n", "a: |\n  x\nb: }\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, whole := Parse(strings.NewReader(text), "a.yaml", 1<<16)
		d, body := ParseParts(strings.NewReader(text), "a.yaml", 1<<16)
		if _, ok := body.(ast.MapNode); ok {
			for _, p := range must(d.Mapping(body, "it")) {
				if m, ok := p.Value.(ast.MapNode); ok {
					d.Mapping(m.(ast.Node), "it")
				}
			}
		}
		if whole != nil && body == nil {
			t.Fatal("less is read than of the whole")
		}
		if body == nil && whole == nil && d.Err() == nil && strings.Trim(text, " \t\r\n") != "" {
			if d, _ := Parse(strings.NewReader(text), "a.yaml", 1<<16); d.Err() != nil {
				t.Fatalf("nothing is said, where the whole has %v", d.Err())
			}
		}
		if err := d.Err(); err != nil && len(err.(Mistakes)) > MaxMistakes+2 {
			t.Fatal("more mistakes than the bound")
		}
	})
}

func must(pairs []Pair, _ bool) []Pair { return pairs }
