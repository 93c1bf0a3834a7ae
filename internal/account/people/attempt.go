package people

import (
	"context"
	"sync/atomic"
)

// An Attempt is a try to get in, as who guards the door follows it: whatever is in
// front, pages or programs, the guard hears of it from here.
type Attempt struct{ failed atomic.Bool }

type attemptKey struct{}

// Follow returns a context under which calls tell what becomes of them.
func Follow(ctx context.Context) (context.Context, *Attempt) {
	a := new(Attempt)
	return context.WithValue(ctx, attemptKey{}, a), a
}

// Failed reports whether a secret was wrong: a password, a code, a link.
func (a *Attempt) Failed() bool { return a.failed.Load() }

// failed notes that a secret was wrong, and returns why.
func failed(ctx context.Context, why error) error {
	if a, ok := ctx.Value(attemptKey{}).(*Attempt); ok {
		a.failed.Store(true)
	}
	return why
}

// Hashed is how many passwords were hashed, by which one sees what an attack costs.
func (p *People) Hashed() int64 { return p.hash.done.Load() }
