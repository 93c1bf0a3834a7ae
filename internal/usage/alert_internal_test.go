package usage

import (
	"math"
	"testing"
)

func TestReached(t *testing.T) {
	for _, c := range []struct {
		used, limit int64
		percent     int
		want        bool
	}{
		{0, 10, 50, false},
		{4, 10, 50, false},
		{5, 10, 50, true},
		{7, 10, 90, false},
		{9, 10, 90, true},
		{9, 10, 100, false},
		{10, 10, 100, true},
		{100, 190, 100, false},
		{99, 199, 50, false},
		{100, 199, 50, true},
		{1349, 1500, 90, false},
		{1350, 1500, 90, true},
		{1500, 1550, 100, false},
		{1, 1, 100, true},
		{-1, 1, 50, false},
		{math.MaxInt64/2 - 1, math.MaxInt64 - 1, 50, false},
		{math.MaxInt64 / 2, math.MaxInt64 - 1, 50, true},
		{math.MaxInt64, math.MaxInt64, 100, true},
	} {
		if got := reached(c.used, c.limit, c.percent); got != c.want {
			t.Errorf("%d of %d is %d %%: %v", c.used, c.limit, c.percent, got)
		}
	}
}
