package gate

import (
	"testing"
	"testing/synctest"
	"time"
)

// Read seldom, the clock is exact; read often, it is at most a tick behind, and
// never ahead; and it stops by itself.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		for range 100 {
			time.Sleep(20 * time.Microsecond)
			if got, now := c.now(), time.Now(); got != now {
				t.Fatalf("%s, want %s", got, now)
			}
		}
		if c.ticked.Load() != nil {
			t.Error("it ticks, though it is seldom read")
		}
		behind := time.Duration(0)
		for range 10_000 {
			time.Sleep(time.Microsecond)
			late := time.Since(c.now())
			if late < 0 || late > tick {
				t.Fatalf("%s behind", late)
			}
			behind = max(behind, late)
		}
		if behind == 0 || c.ticked.Load() == nil {
			t.Error("it does not tick, though it is read all the time")
		}
		time.Sleep(3 * tick)
		if c.ticked.Load() != nil {
			t.Error("it still ticks")
		}
		time.Sleep(time.Hour)
		if late := time.Since(c.now()); late != 0 {
			t.Errorf("%s behind after an hour", late)
		}
	})
}
