package console

import (
	"fmt"
	"math"
)

// A chart is bars, made here as SVG: its widths are parts of a thousand, and it is
// stretched to the page. What is written beside it is HTML, so that it is not stretched.
type chart struct {
	Bars   []bar
	Lines  []int // heights of lines across
	Ticks  []string
	Labels []string // first, middle, last
	Legend []legend
	Empty  bool
	Says   string // for who does not see it
}

type bar struct {
	X, Y, W, H float64
	Class      string
	Title      string
}

type legend struct {
	Class, Label string
	N            int64
}

const (
	chartWidth  = 1000.0
	chartHeight = 200.0
	chartSeries = 5 // colours; what is more is "others"
)

// chart draws the sums.
func (s *sums) chart() *chart {
	c := &chart{}
	n := len(s.starts)
	series := s.groups
	if len(series) > chartSeries {
		others := &group1{label: fmt.Sprintf("%d others", len(series)-chartSeries), n: make([]int64, n)}
		for _, g := range series[chartSeries:] {
			for i := range g.n {
				others.n[i] += g.n[i]
			}
			others.total += g.total
		}
		series = append(append([]*group1{}, series[:chartSeries]...), others)
	}
	most, total := int64(0), int64(0)
	for i := range n {
		sum := int64(0)
		for _, g := range series {
			sum += g.n[i]
		}
		most, total = max(most, sum), total+sum
	}
	c.Empty = total == 0
	top := ceiling(most)
	for _, part := range []int64{4, 2, 0} { // of four
		c.Ticks = append(c.Ticks, group(top*part/4))
		c.Lines = append(c.Lines, int(chartHeight-chartHeight*float64(part)/4))
	}
	c.Labels = []string{s.label(0), s.label(n / 2), s.label(n - 1)}
	step := chartWidth / float64(n)
	gap := math.Min(step*0.2, 8)
	for i := range n {
		y := chartHeight
		for j, g := range series {
			if g.n[i] == 0 {
				continue
			}
			h := math.Max(chartHeight*float64(g.n[i])/float64(top), 1) // what there is is seen
			y = math.Max(y-h, 0)
			c.Bars = append(c.Bars, bar{
				X: round(float64(i)*step + gap/2), Y: round(y), W: round(step - gap), H: round(h), Class: fmt.Sprintf("s%d", j),
				Title: s.label(i) + ": " + group(g.n[i]) + " " + g.label,
			})
		}
	}
	for j, g := range series {
		c.Legend = append(c.Legend, legend{fmt.Sprintf("s%d", j), g.label, g.total})
	}
	c.Says = fmt.Sprintf("Bars of %s look-ups from %s to %s, at most %s in one %s. The table below has the numbers.", group(total), c.Labels[0], c.Labels[2], group(most), s.q.span.unit)
	return c
}

func round(x float64) float64 { return math.Round(x*100) / 100 }

// ceiling is a round number that is not less than n, and can be halved twice.
func ceiling(n int64) int64 {
	for unit := int64(4); unit > 0; unit *= 10 {
		for _, m := range []int64{1, 2, 5} {
			if n <= unit*m {
				return unit * m
			}
		}
	}
	return math.MaxInt64
}
