package console

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"strings"
)

// A qr is a QR code as SVG: a square of so many modules, and a path over the dark ones.
type qr struct {
	Size int
	Path string
}

// maxQR bounds the image, pixels a side.
const maxQR = 2048

// readQR reads a QR code that was drawn as an image, with any number of pixels a module.
func readQR(image []byte) (*qr, error) {
	c, err := png.DecodeConfig(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("console: a QR code: %w", err)
	}
	if c.Width != c.Height || c.Width > maxQR {
		return nil, errors.New("console: a QR code is a square")
	}
	m, err := png.Decode(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("console: a QR code: %w", err)
	}
	b := m.Bounds()
	dark := func(x, y int) bool {
		r, g, b, _ := m.At(x, y).RGBA()
		return r+g+b < 3*0x8000
	}
	// The pattern of a corner begins with seven dark modules.
	first, run := -1, 0
search:
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if dark(x, y) {
				first = x - b.Min.X
				top := y - b.Min.Y
				for x < b.Max.X && dark(x, y) {
					run++
					x++
				}
				if top != first {
					return nil, errors.New("console: a QR code has the same margin above and beside it")
				}
				break search
			}
		}
	}
	if first < 0 || run < 7 || run%7 != 0 {
		return nil, errors.New("console: this is no QR code")
	}
	module := run / 7
	n := (b.Dx() - 2*first) / module
	const margin = 4 // of a QR code: ISO/IEC 18004
	q := &qr{Size: n + 2*margin}
	var path strings.Builder
	at := func(x, y int) bool { return dark(b.Min.X+first+x*module+module/2, b.Min.Y+first+y*module+module/2) }
	for y := range n {
		for x := 0; x < n; x++ {
			if !at(x, y) {
				continue
			}
			w := 1
			for x+w < n && at(x+w, y) {
				w++
			}
			fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+margin, y+margin, w, w)
			x += w
		}
	}
	q.Path = path.String()
	return q, nil
}
