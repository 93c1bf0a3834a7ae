package compile

import (
	"math"

	"github.com/ipwarden/ipwarden/policy"
)

// over is the limit that refuses the last of n requests of one kind that come at once,
// nil for none; before is what became of the others. At one time all algorithms say
// the same: as many pass as there is at once.
func over(in *policy.Input, d *policy.Decision, n int, before *policy.Outcome) *policy.Limit {
	passed := int64(n - 1) // of those before
	for i := range d.Uses {
		if u := &d.Uses[i]; counts(u, in) && !u.Limit.CountsOutcomes() && u.Cost > 0 {
			passed = min(passed, atOnce(u)/int64(u.Cost))
		}
	}
	for i := range d.Uses {
		u := &d.Uses[i]
		if !counts(u, in) {
			continue
		}
		wants := (passed + 1) * int64(u.Cost)
		if u.Limit.CountsOutcomes() {
			wants = 1 // which it only asks for
			if x := *in; u.Limit.Counts(&x, before) {
				wants += passed * int64(u.Cost)
			}
		}
		if wants > atOnce(u) {
			return u.Limit
		}
	}
	return nil
}

// counts reports whether a limit is for the request and can refuse it.
func counts(u *policy.Use, in *policy.Input) bool {
	_, ok := u.Limit.AppendKey(nil, in)
	return ok && !u.Limit.Shadow
}

// atOnce is how much of a limit there is at one time.
func atOnce(u *policy.Use) int64 {
	units := u.Limit.Limit
	if u.Limit.Algorithm == policy.GCRA && u.Limit.Burst != 0 {
		units = u.Limit.Burst
	}
	return min(int64(units)*int64(max(u.Raise, 1)), math.MaxUint32)
}
