package main

import (
	"math"
	"slices"
)

// stats collects one figure over the rounds.
type stats []float64

func (s *stats) add(v float64) { *s = append(*s, v) }

// median of the rounds; NaN without any.
func (s stats) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	c := slices.Sorted(slices.Values(s))
	if n := len(c); n%2 == 0 {
		return (c[n/2-1] + c[n/2]) / 2
	}
	return c[len(c)/2]
}

func (s stats) min() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	return slices.Min(s)
}

func (s stats) max() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	return slices.Max(s)
}

// ratio compares two contestants round by round, so that a round in which the
// machine was slow for both does not count for or against either.
func (s stats) ratio(peer stats) stats {
	out := make(stats, 0, len(s))
	for i := range min(len(s), len(peer)) {
		out.add(s[i] / peer[i])
	}
	return out
}
