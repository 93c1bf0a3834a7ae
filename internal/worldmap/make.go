//go:build ignore

// Make writes world.txt, the countries as paths of SVG:
//
//	npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
//	go run make.go package/countries-110m.json package/countries-50m.json iso_3166-1.json >world.txt
//
// The last is a file of iso-codes (https://salsa.debian.org/iso-codes-team/iso-codes).
// What is too small for the coarse file is a dot, at its place in the finer one.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strconv"
)

const width, height = 1600, 760

type topology struct {
	Arcs      [][][2]float64
	Transform struct{ Scale, Translate [2]float64 }
	Objects   struct {
		Countries struct {
			Geometries []struct {
				ID         string
				Type       string
				Arcs       json.RawMessage
				Properties struct{ Name string }
			}
		}
	}
}

type point struct{ x, y float64 }

func read(name string, into any) {
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// project is Equal Earth (Šavrič, Patterson and Jenny, 2018).
func project(lon, lat float64) point {
	const a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
	l, p := lon*math.Pi/180, lat*math.Pi/180
	t := math.Asin(math.Sqrt(3) / 2 * math.Sin(p))
	t2 := t * t
	t6 := t2 * t2 * t2
	x := 2 * math.Sqrt(3) * l * math.Cos(t) / (3 * (9*a4*t6*t2 + 7*a3*t6 + 3*a2*t2 + a1))
	y := t * (a4*t6*t2 + a3*t6 + a2*t2 + a1)
	const scale = width / (2 * 2.7066)
	return point{width/2 + x*scale, height*0.565 - y*scale}
}

// clip is what of a ring, in degrees, lies on one side of a meridian (Sutherland and
// Hodgman, 1974).
func clip(r []point, at float64, west bool) (in []point) {
	inside := func(p point) bool { return (p.x <= at) == west || p.x == at }
	for i, p := range r {
		q := r[(i+1)%len(r)]
		if inside(p) {
			in = append(in, p)
		}
		if inside(p) != inside(q) {
			in = append(in, point{at, p.y + (q.y-p.y)*(at-p.x)/(q.x-p.x)})
		}
	}
	return in
}

// projected cuts a ring, in degrees, at the 180th meridian, and projects its parts.
func projected(r []point) (all [][]point) {
	for i := 1; i < len(r); i++ { // so that no step goes round the world
		for r[i].x-r[i-1].x > 180 {
			r[i].x -= 360
		}
		for r[i].x-r[i-1].x < -180 {
			r[i].x += 360
		}
	}
	for _, shift := range []float64{-360, 0, 360} {
		moved := slices.Clone(r)
		for i := range moved {
			moved[i].x += shift
		}
		part := clip(clip(moved, 180, true), -180, false)
		for i, p := range part {
			part[i] = project(p.x, p.y)
		}
		if len(part) > 2 {
			all = append(all, part)
		}
	}
	return all
}

// rings are the rings of each polygon of a geometry.
func (t *topology) rings(kind string, arcs json.RawMessage) (all [][]point) {
	var polygons [][][]int
	switch kind {
	case "Polygon":
		var p [][]int
		if err := json.Unmarshal(arcs, &p); err != nil {
			log.Fatal(err)
		}
		polygons = [][][]int{p}
	case "MultiPolygon":
		if err := json.Unmarshal(arcs, &polygons); err != nil {
			log.Fatal(err)
		}
	}
	for _, p := range polygons {
		for _, ring := range p {
			var r []point
			for _, n := range ring {
				i := n
				if n < 0 {
					i = ^n
				}
				var x, y float64
				var arc []point
				for _, d := range t.Arcs[i] {
					x, y = x+d[0], y+d[1]
					arc = append(arc, point{x*t.Transform.Scale[0] + t.Transform.Translate[0], y*t.Transform.Scale[1] + t.Transform.Translate[1]})
				}
				if n < 0 {
					slices.Reverse(arc)
				}
				if len(r) > 0 {
					arc = arc[1:]
				}
				r = append(r, arc...)
			}
			all = append(all, projected(r)...)
		}
	}
	return all
}

// area is that of a ring, and where its middle is.
func area(r []point) (a float64, middle point) {
	for i := range r {
		p, q := r[i], r[(i+1)%len(r)]
		c := p.x*q.y - q.x*p.y
		a += c
		middle.x += (p.x + q.x) * c
		middle.y += (p.y + q.y) * c
	}
	if a == 0 {
		return 0, r[0]
	}
	return math.Abs(a / 2), point{middle.x / (3 * a), middle.y / (3 * a)}
}

func path(rings [][]point) string {
	var b []byte
	for _, r := range rings {
		var last [2]int
		n := 0
		var ring []byte
		for _, p := range r {
			q := [2]int{int(math.Round(p.x)), int(math.Round(p.y))}
			switch {
			case n == 0:
				ring = fmt.Appendf(ring, "M%d %dl", q[0], q[1])
			case q == last:
				continue
			default:
				dx, dy := strconv.Itoa(q[0]-last[0]), strconv.Itoa(q[1]-last[1])
				if n > 1 && dx[0] != '-' {
					ring = append(ring, ' ')
				}
				ring = append(ring, dx...)
				if dy[0] != '-' {
					ring = append(ring, ' ')
				}
				ring = append(ring, dy...)
			}
			last = q
			n++
		}
		if n > 3 {
			b = append(append(b, ring...), 'z')
		}
	}
	return string(b)
}

func main() {
	var coarse, fine topology
	read(os.Args[1], &coarse)
	read(os.Args[2], &fine)
	var iso map[string][]struct {
		Code    string `json:"alpha_2"`
		Numeric string
	}
	read(os.Args[3], &iso)
	// What the map draws apart and has no number: the code that addresses there have.
	codes := map[string]string{"Kosovo": "XK", "N. Cyprus": "CY", "Somaliland": "SO"}
	for _, c := range iso["3166-1"] {
		codes[c.Numeric] = c.Code
	}
	shapes := map[string][][]point{}
	dots := map[string]point{}
	for i, t := range []*topology{&coarse, &fine} {
		for _, g := range t.Objects.Countries.Geometries {
			id := g.ID
			if id == "" {
				id = g.Properties.Name
			}
			code := codes[id]
			if code == "" || code == "AQ" {
				continue
			}
			rings := t.rings(g.Type, g.Arcs)
			if i == 0 {
				shapes[code] = append(shapes[code], rings...)
			} else if shapes[code] == nil {
				largest := -1.0
				for _, r := range rings {
					if a, m := area(r); a > largest {
						largest, dots[code] = a, m
					}
				}
			}
		}
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	// Parts of other countries in both files.
	for code, at := range map[string]point{
		"GF": {-53, 4}, "GI": {-5.35, 36.14}, "GP": {-61.5, 16.2}, "MQ": {-61, 14.65}, "RE": {55.5, -21.1}, "YT": {45.15, -12.8}, "BQ": {-68.3, 12.2},
	} {
		dots[code] = project(at.x, at.y)
	}
	var all []string
	for c := range shapes {
		all = append(all, c)
	}
	for c := range dots {
		all = append(all, c)
	}
	slices.Sort(all)
	for _, c := range all {
		if d, ok := dots[c]; ok {
			fmt.Fprintf(out, "%s %d %d\n", c, int(math.Round(d.x)), int(math.Round(d.y)))
		} else {
			fmt.Fprintf(out, "%s %s\n", c, path(shapes[c]))
		}
	}
}
