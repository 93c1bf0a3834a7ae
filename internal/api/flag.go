package api

import (
	_ "embed"
	"net/http"
	"strings"
	"sync"
)

// flagsFile has a line for each country: its code and the image of its flag. The
// images are those of country-flag-icons, whose licence lies beside them.
//
//go:embed flags/flags.txt
var flagsFile string

// flagImages are the images by code.
var flagImages = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(flagsFile) {
		code, image, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		all[code] = image
	}
	return all
})

const exampleFlag = "GET /flags/se.svg"

// flag answers GET /flags/{country}.svg: what answers in other vendors' wire
// formats link to, instead of to the vendor's own images.
func (x *exchange) flag(name string) *problem {
	if _, p := x.options(0); p != nil {
		return p
	}
	image, ok := flagImages()[strings.TrimSuffix(name, ".svg")]
	if !ok || !strings.HasSuffix(name, ".svg") {
		return &problem{
			status: http.StatusNotFound, slug: "unknown-flag", title: "No such flag",
			detail:  quoted(name) + " is not a country's ISO 3166-1 alpha-2 code in small letters, with .svg after it.",
			example: exampleFlag,
		}
	}
	x.status, x.contentType = http.StatusOK, "image/svg+xml"
	x.cache = cachePolicy{maxAge: day}
	x.csp = "default-src 'none'; style-src 'unsafe-inline'"
	x.out = append(append(x.out[:0], image...), '\n')
	return nil
}
