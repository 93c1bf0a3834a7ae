package yamldoc

import (
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Inside notes a mistake inside a text: at is bytes from the beginning of text,
// which is what [Document.Text] returned for n. Lines may have been folded on the
// way; what is not white space is still in its order.
func (d *Document) Inside(n ast.Node, text string, at int, message string) {
	t := n.GetToken()
	if t == nil || t.Position == nil {
		d.Whole(message)
		return
	}
	before, all := 0, 0
	for i, r := range text {
		if !unicode.IsSpace(r) {
			if all++; i < at {
				before++
			}
		}
	}
	before = min(before, max(all-1, 0)) // what is missing at the end is said of the last character
	line, column := t.Position.Line, t.Position.Column
	if _, block := n.(*ast.LiteralNode); block {
		line, column = line+1, 1
	}
	if l, c, ok := d.walk(line, column, before, t.Type); ok {
		d.Place(l, c, message)
		return
	}
	d.At(t, message)
}

// walk goes on from a place past some characters that are not white space, and
// past white space after them.
func (d *Document) walk(line, column, count int, kind token.Type) (l, c int, ok bool) {
	for first := true; line >= 1 && line <= len(d.lines); line, column, first = line+1, 1, false {
		rest := d.lines[line-1]
		for i := 1; i < column && rest != ""; i++ {
			_, n := utf8.DecodeRuneInString(rest)
			rest = rest[n:]
		}
		for first && rest != "" && (kind == token.DoubleQuoteType && rest[0] == '"' || kind == token.SingleQuoteType && rest[0] == '\'') {
			rest, column, first = rest[1:], column+1, false
		}
		for rest != "" {
			r, n := utf8.DecodeRuneInString(rest)
			next, _ := utf8.DecodeRuneInString(rest[n:])
			escaped := kind == token.DoubleQuoteType && r == '\\' || kind == token.SingleQuoteType && r == '\'' && next == '\''
			switch {
			case unicode.IsSpace(r):
			case count == 0:
				return line, column, true
			default:
				count--
			}
			rest, column = rest[n:], column+1
			if escaped && rest != "" { // two characters stand for one
				_, n = utf8.DecodeRuneInString(rest)
				rest, column = rest[n:], column+1
			}
		}
	}
	return 0, 0, false
}
