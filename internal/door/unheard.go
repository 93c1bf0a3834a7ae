package door

import (
	"log/slog"
	"sync/atomic"

	"github.com/ipwarden/ipwarden/gate"
)

// Unheard notes requests that a limit waits to hear of, at doors that do not see the
// application's answer, and says once when nobody tells what becomes of them: such
// limits never refuse anybody for good.
type Unheard struct{ n atomic.Uint32 }

// unheardFrom is how many wait before it is said: who tells outcomes has told one by
// then.
const unheardFrom = 10

// Waits is called for each request that a limit waits for.
func (u *Unheard) Waits(g *gate.Gate, door string, log *slog.Logger) {
	if u.n.Add(1) != unheardFrom || g.Stats().Outcomes > 0 {
		return
	}
	log.Warn("limits of the policy count what becomes of requests, and nobody tells: the proxy does not see, or does not say, what the application answers. "+
		"Tell outcomes with POST /v1/outcome, or let nginx tell them at --outcome-listen", "door", door, "requests", unheardFrom)
}
