package ban

import (
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Over shuts out a network that went over the limit of this name, and reports
// whether it did. It never takes the place of a ban that somebody made, nor of one
// that was lifted and would run still: who lifts a ban of a limit has said enough
// for that time. Such bans are at most half of all there may be, so that a flood
// pushes out none that somebody made; beyond, a limit goes on refusing without one.
//
// It is called on the way of a request, and waits for nothing but the table's lock,
// which nobody holds for long.
func (t *Table) Over(network netip.Prefix, limit string, until time.Time) bool {
	now := t.cfg.Now()
	e := Entry{
		Ban:   Ban{Network: network, Action: ipwarden.Throttle, Until: until.Truncate(time.Millisecond), Reason: limit, OverLimit: true},
		Since: now.Truncate(time.Millisecond), Stamp: now.UnixMilli(),
	}
	if e.check(now) != nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.entries[network]; old != nil {
		if old.Holds(now) {
			return false
		}
		e.Stamp = max(e.Stamp, old.Stamp+1)
	} else if t.crowded(&e) {
		t.stats.Unmade++
		return false
	}
	t.put(e, true)
	t.stats.Over++
	t.changed()
	return true
}

// crowded reports whether there is no room for one more ban of a limit. t.mu is
// held.
func (t *Table) crowded(e *Entry) bool {
	return e.OverLimit && (t.over >= t.cfg.Most/2 || len(t.entries) >= t.cfg.Most)
}
