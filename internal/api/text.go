package api

import (
	"strings"

	"github.com/ipwarden/ipwarden"
)

// appendCard appends an answer as text: a line a field, its dotted path and its
// value in two columns, and below it the evidence when that is asked for.
// Traits that are not set are left out; a person reads what is.
func appendCard(dst []byte, v *ipwarden.View, rec ipwarden.Record) []byte {
	width := 0
	shown := make([]ipwarden.Field, 0, v.Fields.Len())
	var scratch []byte
	for f := range v.Fields.All() {
		value, known := v.AppendText(scratch[:0], rec, f)
		scratch = value
		if !known || f.Traits() != 0 && string(value) == "false" {
			continue
		}
		shown = append(shown, f)
		width = max(width, len(f.String()))
	}
	for _, f := range shown {
		dst = appendLabel(dst, f.String(), width)
		start := len(dst)
		dst, _ = v.AppendText(dst, rec, f)
		keepToLine(dst[start:])
		dst = append(dst, '\n')
	}
	if !v.Explain {
		return dst
	}
	for _, e := range rec.Evidence() {
		if !v.Fields.Has(e.Field) {
			continue
		}
		dst = append(dst, '\n')
		dst = append(dst, e.Field.String()...)
		if e.Value != "" {
			dst = append(append(dst, ": "...), oneLine(e.Value)...)
		}
		dst = append(dst, '\n')
		for _, c := range e.By {
			dst = appendClaim(append(dst, "  says  "...), c)
		}
		for _, c := range e.Lost {
			dst = appendClaim(append(dst, "  lost  "...), c)
		}
	}
	return dst
}

func appendClaim(dst []byte, c ipwarden.Claim) []byte {
	dst = append(dst, c.Feed...)
	if !c.Date.IsZero() {
		dst = c.Date.UTC().AppendFormat(append(dst, ' '), "2006-01-02")
	}
	for _, part := range [...][2]string{{" match ", c.Match}, {" value ", c.Value}, {" licence ", c.Licence}, {" (", c.Note}} {
		if part[1] == "" {
			continue
		}
		dst = append(append(dst, part[0]...), oneLine(part[1])...)
		if part[0] == " (" {
			dst = append(dst, ')')
		}
	}
	return append(dst, '\n')
}

func appendLabel(dst []byte, label string, width int) []byte {
	dst = append(dst, label...)
	for range width + 2 - len(label) {
		dst = append(dst, ' ')
	}
	return dst
}

// keepToLine is oneLine in place.
func keepToLine(b []byte) {
	for i, c := range b {
		if c < 0x20 || c == 0x7f {
			b[i] = ' '
		}
	}
}

// oneLine keeps text of a feed from breaking out of its line.
func oneLine(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) < 0 {
		return s
	}
	b := []byte(s)
	keepToLine(b)
	return string(b)
}

// appendFlat appends a JSON document of ours as text: a line a value, its path
// before it. A list of values repeats its path; a list of objects separates
// them by an empty line.
func appendFlat(dst, doc []byte) []byte {
	n, err := parseNode(doc)
	if err != nil {
		return append(append(dst, doc...), '\n')
	}
	lines := flatten(nil, n, "")
	width := 0
	for _, l := range lines {
		width = max(width, len(l.path))
	}
	for _, l := range lines {
		if l.path != "" {
			dst = append(appendLabel(dst, l.path, width), oneLine(l.value)...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// flatLine is a value and its path; the zero one is an empty line.
type flatLine struct{ path, value string }

func flatten(dst []flatLine, n node, path string) []flatLine {
	switch n.kind {
	case '{':
		for _, m := range n.members {
			name := m.name
			if path != "" {
				name = path + "." + name
			}
			dst = flatten(dst, m.node, name)
		}
	case '[':
		for _, m := range n.members {
			if m.kind == '{' {
				dst = append(dst, flatLine{})
			}
			dst = flatten(dst, m.node, path)
		}
	default:
		dst = append(dst, flatLine{path, n.text})
	}
	return dst
}
