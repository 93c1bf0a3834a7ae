// Package worldmap has the shapes of countries, as pictures need them.
package worldmap

import (
	_ "embed"
	"iter"
	"strings"
)

// Size of the map. Row Top is the first with anything in it.
const (
	Width  = 1600
	Top    = 30
	Height = 720
)

//go:embed world.txt
var world string

// A Country is drawn as a path, or as a dot where it is too small for one.
type Country struct {
	Code string // ISO 3166-1 alpha-2, and XK
	Path string // of SVG; "" for a dot
	X, Y string // of the dot
}

// Countries yields them in the order of their codes.
func Countries() iter.Seq[Country] {
	return func(yield func(Country) bool) {
		for line := range strings.Lines(world) {
			code, shape, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if code == "#" {
				continue
			}
			c := Country{Code: code}
			if strings.HasPrefix(shape, "M") {
				c.Path = shape
			} else {
				c.X, c.Y, _ = strings.Cut(shape, " ")
			}
			if !yield(c) {
				return
			}
		}
	}
}
