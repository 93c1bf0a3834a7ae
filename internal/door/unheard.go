package door

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/gate"
)

// Unheard notes requests that a limit waits to hear of, at doors that do not see the
// application's answer, and says once when nobody tells what becomes of them: such
// limits never refuse anybody for good.
type Unheard struct {
	n     atomic.Uint32
	first atomic.Int64 // when the first came, in Unix seconds
	known atomic.Bool  // it was said, or somebody tells
}

// How many wait, and for how long, before it is said: who tells outcomes has told one
// by then. On a busy site ten come before the application has answered the first.
const (
	unheardFrom = 10
	unheardFor  = 60 // seconds
)

// Waits is called for each request that a limit waits for.
func (u *Unheard) Waits(g *gate.Gate, door string, now time.Time, log *slog.Logger) {
	if u.known.Load() {
		return
	}
	at := now.Unix()
	u.first.CompareAndSwap(0, at)
	if u.n.Add(1) < unheardFrom || at-u.first.Load() < unheardFor {
		return
	}
	if u.known.Swap(true) || g.Stats().Outcomes > 0 {
		return
	}
	log.Warn("limits of the policy count what becomes of requests, and nobody tells: the proxy does not see, or does not say, what the application answers. "+
		"Tell outcomes with POST /v1/outcome, or let nginx tell them at --outcome-listen", "door", door, "requests", u.n.Load())
}
