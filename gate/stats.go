package gate

import (
	"sync/atomic"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
)

// maxReasons is more than there are reasons.
const maxReasons = 32

// maxStatuses is as many as there are statuses of a client's address, or more.
const maxStatuses = 8

// stats counts what the gate did. Verdicts, reasons and statuses are closed sets, so
// there is one counter for all three, and one addition a decision.
type stats struct {
	decisions     [ipwarden.Block + 1][maxReasons][maxStatuses]atomic.Uint64
	conflicts     atomic.Uint64
	degraded      atomic.Uint64
	sourceErrors  atomic.Uint64
	limiterErrors atomic.Uint64
	attemptErrors atomic.Uint64
	outcomes      atomic.Uint64
	unawaited     atomic.Uint64
}

func (s *stats) count(d *Decision) {
	s.decisions[d.Verdict][d.Reason][d.Client.Status%maxStatuses].Add(1)
	if d.Client.Conflict {
		s.conflicts.Add(1)
	}
	if d.Degraded {
		s.degraded.Add(1)
	}
}

// Stats are counts since the gate was made.
type Stats struct {
	Decisions     [ipwarden.Block + 1][maxReasons]uint64 // by verdict and reason
	Clients       [maxStatuses]uint64                    // by clientip.Status
	Conflicts     uint64                                 // headers that named another client than the one believed
	Degraded      uint64                                 // decisions that a fail mode stood in for
	SourceErrors  uint64
	LimiterErrors uint64
	AttemptErrors uint64 // of what nodes share of attempts
	Outcomes      uint64
	Unawaited     uint64 // limits too many to wait for the outcome of one decision
	Unheld        uint64 // places of attempts on their way that had to be given up early
	Journal       JournalStats
}

// Stats reads the counts.
func (g *Gate) Stats() (s Stats) {
	for v := range s.Decisions {
		for r := range s.Decisions[v] {
			for i := range s.Clients {
				n := g.stats.decisions[v][r][i].Load()
				s.Decisions[v][r] += n
				s.Clients[i] += n
			}
		}
	}
	s.Conflicts, s.Degraded = g.stats.conflicts.Load(), g.stats.degraded.Load()
	s.SourceErrors, s.LimiterErrors, s.AttemptErrors = g.stats.sourceErrors.Load(), g.stats.limiterErrors.Load(), g.stats.attemptErrors.Load()
	s.Outcomes, s.Unawaited, s.Unheld = g.stats.outcomes.Load(), g.stats.unawaited.Load(), g.flights.cut.Load()
	if g.cfg.Journal != nil {
		s.Journal = g.cfg.Journal.Stats()
	}
	return s
}

// LimitStats reads the counts of the Limiter, if it tells them as those of package
// limit do; else they are zero. shared: other nodes share it, and it is not only the
// Stats in them that are there. It looks at a part of the table, for a few milliseconds.
func (g *Gate) LimitStats() (s limit.SharedStats, shared bool) {
	switch l := g.cfg.Limiter.(type) {
	case interface{ Stats() limit.SharedStats }:
		return l.Stats(), true
	case interface{ Stats() limit.Stats }:
		s.Stats = l.Stats()
	}
	return s, false
}
