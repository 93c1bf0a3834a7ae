package ban

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func over(table *Table, network string, life time.Duration) bool {
	return table.Over(netip.MustParsePrefix(network), "log-ins", table.cfg.Now().Add(life))
}

// A limit takes no place from what somebody said, and what was lifted is not banned
// again before its time; also after a restart.
func TestOver(t *testing.T) {
	c := newClock()
	file := filepath.Join(t.TempDir(), "bans.json")
	table := newTable(t, Config{Now: c.Now, File: file})
	add(t, table, "203.0.113.7/32", time.Minute)
	if over(table, "203.0.113.7/32", time.Hour) {
		t.Error("a limit takes the place of a ban that somebody made")
	}
	if !over(table, "203.0.113.8/32", time.Hour) || over(table, "203.0.113.8/32", time.Hour) {
		t.Error("a limit does not ban once")
	}
	if over(table, "203.0.113.0/7", time.Hour) || over(table, "203.0.113.9/32", 0) {
		t.Error("a limit bans what nobody may")
	}
	if !over(table, "203.0.113.9/32", time.Hour) || !table.Lift(netip.MustParsePrefix("203.0.113.9/32")) {
		t.Error("it cannot be lifted")
	}
	for range 2 {
		if found(table, "203.0.113.9") != "" || over(table, "203.0.113.9/32", time.Hour) {
			t.Error("what was lifted is banned again")
		}
		list, _ := table.List(netip.MustParseAddr("203.0.113.8"), 1)
		if len(list) != 1 || !list[0].OverLimit || list[0].Reason != "log-ins" || list[0].Action != ipwarden.Throttle {
			t.Errorf("%+v", list)
		}
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
		table = newTable(t, Config{Now: c.Now, File: file})
	}
	// Somebody's word counts more.
	add(t, table, "203.0.113.8/32", time.Hour)
	if list, _ := table.List(netip.MustParseAddr("203.0.113.8"), 1); list[0].OverLimit || list[0].Action != ipwarden.Block {
		t.Errorf("%+v", list)
	}
	c.add(2 * time.Hour)
	table.tick(t.Context())
	if table.over != 0 || len(table.entries) != 0 || !over(table, "203.0.113.9/32", time.Hour) || table.over != 1 {
		t.Errorf("after their time: %d of limits, %d", table.over, len(table.entries))
	}
}

// A flood of bans of limits takes half of the table, and pushes out none that
// somebody made; nor does one that comes from another node.
func TestOverIsBounded(t *testing.T) {
	c := newClock()
	table := newTable(t, Config{Now: c.Now, Most: 100})
	add(t, table, "203.0.113.7/32", time.Minute)
	for i := range 300 {
		over(table, fmt.Sprintf("10.%d.%d.1/32", i/250, i%250), time.Hour)
	}
	if s := table.Stats(); s.Bans != 51 || s.Over != 50 || s.Unmade != 250 || s.Evicted != 0 || found(table, "203.0.113.7") == "" {
		t.Errorf("%+v", s)
	}
	for i := range 60 {
		add(t, table, fmt.Sprintf("11.0.%d.1/32", i), time.Hour)
	}
	foreign := Entry{Ban: Ban{
		Network: netip.MustParsePrefix("12.0.0.1/32"), Action: ipwarden.Throttle, Until: c.Now().Add(2 * time.Hour), OverLimit: true,
	}, Since: c.Now(), Stamp: c.Now().UnixMilli()}
	table.mu.Lock()
	believed := table.merge(&foreign, c.Now())
	table.mu.Unlock()
	if !believed || found(table, "12.0.0.1") != "" || len(table.entries) != 100 {
		t.Errorf("another node's: %v, %d", believed, len(table.entries))
	}
}
