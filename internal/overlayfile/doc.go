// Package overlayfile reads overlays, which is what an operator knows better than any
// feed, and the parts of them that policies have too. Whatever is wrong is reported at
// once, each mistake with its file, line, column and an excerpt.
package overlayfile

import (
	"io"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// Mistakes is everything that is wrong in a file, in the order of its lines.
type Mistakes = yamldoc.Mistakes

// document is a file being read.
type document struct{ *yamldoc.Document }

func parse(r io.Reader, file string) (*document, ast.Node) {
	d, body := yamldoc.Parse(r, file, yamldoc.MaxFile)
	return &document{d}, body
}
