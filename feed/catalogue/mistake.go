package catalogue

import (
	"strings"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// A Mistake is one thing that is wrong with a catalogue file: where, and what.
type Mistake = yamldoc.Mistake

// Mistakes are all that is wrong with a file, in its order; after the first 50
// they are only counted.
type Mistakes = yamldoc.Mistakes

type position struct{ line, column int }

func (d *decoder) add(at position, what string) { d.Place(at.line, at.column, what) }

// clip shortens what came from the file and makes it safe to print.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if short := yamldoc.Clip(s, 100); short != s {
		return short + "…"
	}
	return s
}
