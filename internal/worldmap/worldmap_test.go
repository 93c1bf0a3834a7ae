package worldmap

import (
	"regexp"
	"strconv"
	"testing"
)

var path = regexp.MustCompile(`^(M-?\d+ -?\d+l(-?\d+[ -]?)+z)+$`)

func TestCountries(t *testing.T) {
	shapes, dots := 0, 0
	last := ""
	for c := range Countries() {
		if len(c.Code) != 2 || c.Code <= last {
			t.Errorf("%q after %q", c.Code, last)
		}
		last = c.Code
		if c.Path != "" {
			shapes++
			if !path.MatchString(c.Path) {
				t.Errorf("%s is no path: %.60s", c.Code, c.Path)
			}
			continue
		}
		dots++
		x, errX := strconv.Atoi(c.X)
		y, errY := strconv.Atoi(c.Y)
		if errX != nil || errY != nil || x < 0 || x > Width || y < Top || y > Top+Height {
			t.Errorf("%s is at %q, %q", c.Code, c.X, c.Y)
		}
	}
	if shapes < 170 || dots < 60 {
		t.Errorf("%d shapes and %d dots", shapes, dots)
	}
}
