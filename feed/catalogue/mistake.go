package catalogue

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Mistake is one thing that is wrong with a catalogue file.
type Mistake struct {
	File         string
	Line, Column int    // 1-based; 0 when it is about the whole file
	Excerpt      string // the line, clipped
	What         string // a sentence
}

// Error is "FILE:LINE:COLUMN: what", and the line under it.
func (m *Mistake) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.What
	}
	s := fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.What)
	if m.Excerpt != "" {
		s += fmt.Sprintf("\n  %4d | %s", m.Line, m.Excerpt)
	}
	return s
}

// Mistakes are all that is wrong with a file, in its order, at most maxMistakes.
type Mistakes []*Mistake

// Error has a mistake a line.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// maxMistakes is where listing them stops being a help.
const maxMistakes = 50

type position struct{ line, column int }

func (d *decoder) add(at position, what string) {
	switch {
	case len(d.mistakes) > maxMistakes:
	case len(d.mistakes) == maxMistakes:
		d.mistakes = append(d.mistakes, &Mistake{File: d.file, What: fmt.Sprintf("and more: these are the first %d", maxMistakes)})
	default:
		m := &Mistake{File: d.file, Line: at.line, Column: at.column, What: what}
		if at.line >= 1 && at.line <= len(d.lines) {
			m.Excerpt = clip(strings.TrimRight(d.lines[at.line-1], "\r"))
		}
		d.mistakes = append(d.mistakes, m)
	}
}

// sorted returns the mistakes in the order of the file; what has no line goes
// last.
func (d *decoder) sorted() Mistakes {
	slices.SortStableFunc(d.mistakes, func(a, b *Mistake) int {
		return cmp.Or(cmp.Compare(min(b.Line, 1), min(a.Line, 1)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return d.mistakes
}

// clip shortens what came from the file and makes it safe to print.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > 100 {
		s = string(runes[:100]) + "…"
	}
	return s
}
