package challenge

import (
	"context"
	"html"
	"net/url"
	"time"
)

// Wait lets in who waits for some seconds and then presses a button: for
// browsers without script. A machine can wait too, so it is under a limit for
// each network, and its clearance is short.
type Wait struct {
	// Least is for how long a score of 0 waits. Default 5 s.
	Least time.Duration
	// PerPoint is how much longer for each point of the score. Default 100 ms.
	PerPoint time.Duration
}

var _ Kind = Wait{}

// Name is "wait".
func (Wait) Name() string { return "wait" }

// For returns how long a score waits, in whole seconds upward.
func (w Wait) For(score uint8) time.Duration {
	least, per := w.Least, w.PerPoint
	if least == 0 {
		least = 5 * time.Second
	}
	if per == 0 {
		per = 100 * time.Millisecond
	}
	d := max(least+time.Duration(score)*per, time.Second)
	return (d + time.Second - 1).Truncate(time.Second)
}

// Widget is a button.
func (Wait) Widget(_ *Ticket, w *Texts) Widget {
	return Widget{HTML: `<button>` + html.EscapeString(w.Button) + `</button>`}
}

// Verify looks at the clock.
func (w Wait) Verify(_ context.Context, t *Ticket, _ url.Values, now time.Time) Result {
	if now.Sub(t.Issued) < w.For(t.Score) {
		return Unsolved
	}
	return Solved
}
