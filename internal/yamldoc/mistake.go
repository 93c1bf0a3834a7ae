package yamldoc

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Mistake is one thing wrong in a file that an operator wrote.
type Mistake struct {
	File    string
	Line    int    // 1-based; 0 when the file as a whole is meant
	Column  int    // 1-based, in characters
	Excerpt string // the line, or what is round the column of a long one
	Message string // what is wrong, and what works instead

	caret int // characters of Excerpt before the place
}

// Error says where and what, on several lines when there is an excerpt.
func (m *Mistake) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.Message
	}
	s := fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Message)
	if m.Excerpt == "" {
		return s
	}
	number := fmt.Sprintf("%5d", m.Line)
	// The caret stands under its character even after tabs.
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, Clip(m.Excerpt, m.caret))
	return s + "\n" + number + " | " + m.Excerpt + "\n" + strings.Repeat(" ", len(number)) + " | " + pad + "^"
}

// Mistakes is everything that is wrong in a file, in the order of its lines.
type Mistakes []*Mistake

// Error lists them all.
func (ms Mistakes) Error() string {
	texts := make([]string, len(ms))
	for i, m := range ms {
		texts[i] = m.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap lets errors.As find a *Mistake.
func (ms Mistakes) Unwrap() []error {
	errs := make([]error, len(ms))
	for i, m := range ms {
		errs[i] = m
	}
	return errs
}

// orNil keeps an empty list from becoming a non-nil error.
func (ms Mistakes) orNil() error {
	if len(ms) == 0 {
		return nil
	}
	return ms
}

// maxExcerpt bounds the excerpt, in characters.
const maxExcerpt = 120

// excerpt cuts a long line so that the column stays in sight.
func excerpt(line string, column int) (text string, caret int) {
	caret = max(column-1, 0)
	if from := caret - maxExcerpt/2; utf8.RuneCountInString(line) > maxExcerpt && from > 0 {
		line = "…" + line[len(Clip(line, from)):]
		caret -= from - 1
	}
	return Clip(line, maxExcerpt), caret
}

// Clip shortens s to n characters.
func Clip(s string, n int) string {
	if n < 0 {
		return ""
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
