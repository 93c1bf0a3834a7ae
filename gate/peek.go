package gate

import (
	"context"

	"github.com/ipwarden/ipwarden"
)

// Peek is [Gate.Decide] for who only wants to know: nothing is charged, counted,
// remembered or written down. The states of limits are what is left now; a limit
// that has something left would be charged by the request itself.
func (g *Gate) Peek(ctx context.Context, req *ipwarden.Request, d *Decision) {
	d.peek = true
	g.run(ctx, req, d, false)
	d.peek = false
	d.pending = d.pending[:0] // nobody will tell an outcome
}
