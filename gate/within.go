package gate

import (
	"context"
	"time"

	"github.com/ipwarden/ipwarden/policy"
)

// within is a context with a Deadline and nothing that ends it: what a Limiter
// looks at. It costs no timer and no memory, because a Limiter keeps no argument.
type within struct {
	context.Context
	at time.Time
}

// Deadline is the sooner of the two.
func (w *within) Deadline() (time.Time, bool) {
	if at, ok := w.Context.Deadline(); ok && at.Before(w.at) {
		return at, true
	}
	return w.at, true
}

// bound gives all that is asked of the Limiter what is left of the route's budget
// (C12), however long the Limiter itself would wait.
func (g *Gate) bound(ctx context.Context, route *policy.Route, d *Decision) context.Context {
	if !g.waits {
		return ctx
	}
	d.within = within{ctx, time.Now().Add(g.left(route, d))}
	return &d.within
}
