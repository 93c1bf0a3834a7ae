package limit

import (
	"testing"
	"testing/synctest"
	"time"
)

// Read seldom, the clock is exact; read often, it is at most a tick behind, and
// never ahead; and it stops by itself.
func TestCoarseClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoarseClock()
		start := time.Now()
		for range 100 {
			time.Sleep(20 * time.Microsecond)
			if got := c.since(); got != time.Since(start) {
				t.Fatalf("%s, want %s", got, time.Since(start))
			}
		}
		if c.ticks.Load() != 0 {
			t.Error("it ticks, though it is seldom read")
		}
		behind := time.Duration(0)
		for range 10_000 {
			time.Sleep(time.Microsecond)
			got, now := c.since(), time.Since(start)
			if got > now || now-got > tick {
				t.Fatalf("%s at %s", got, now)
			}
			behind = max(behind, now-got)
		}
		if behind == 0 || c.ticks.Load() == 0 {
			t.Error("it does not tick, though it is read all the time")
		}
		time.Sleep(3 * tick)
		if c.ticks.Load() != 0 {
			t.Error("it still ticks")
		}
		time.Sleep(time.Hour)
		if got := c.since(); got != time.Since(start) {
			t.Errorf("%s after an hour, want %s", got, time.Since(start))
		}
	})
}
