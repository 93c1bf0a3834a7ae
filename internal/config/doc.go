// Package config reads what an operator writes: the configuration file and
// the overlays. Whatever is wrong is reported at once, each mistake with its
// file, line, column and an excerpt ([Mistakes]).
//
// A setting has one name in three spellings: the flag --data-dir, the variable
// IPWARDEN_DATA_DIR, and data_dir in the file. The first of flag, variable,
// file and default that is given wins.
package config

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
