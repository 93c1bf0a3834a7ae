package gate_test

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy"
)

type failingSource struct{}

func (failingSource) Lookup(context.Context, netip.Addr) (ipwarden.Record, error) {
	return ipwarden.Record{}, context.DeadlineExceeded
}

// A ban is the last word of a gate whose sources are away; it is counted, written
// down without the address, remembered, and ends by itself.
func TestBanDecides(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	bans, err := ban.New(t.Context(), ban.Config{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer bans.Close()
	if _, err := bans.Add(ban.Ban{Network: netip.MustParsePrefix("203.0.113.7/32"), Action: ipwarden.Block, Until: now.Add(time.Minute), Reason: "sshd"}); err != nil {
		t.Fatal(err)
	}
	p, err := policy.New(policy.Config{Routes: []policy.Route{{Name: "all", FailMode: policy.FailClosed}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []ipwarden.Source{ipwardentest.Sample(), failingSource{}} {
		var log strings.Builder
		j, err := gate.NewJournal(gate.JournalConfig{To: &log})
		if err != nil {
			t.Fatal(err)
		}
		g, err := gate.New(gate.Config{Source: source, Program: p, Bans: bans, Now: clock, Journal: j})
		if err != nil {
			t.Fatal(err)
		}
		req := &ipwarden.Request{Peer: netip.MustParseAddr("203.0.113.7"), Method: "GET", Path: "/"}
		var d gate.Decision
		g.Decide(t.Context(), req, &d)
		if d.Verdict != ipwarden.Block || d.Reason != policy.ByBan || d.Status() != 403 || d.By() != "sshd" {
			t.Errorf("%v by %v %q", d.Verdict, d.Reason, d.By())
		}
		if n := g.Stats().Decisions[ipwarden.Block][policy.ByBan]; n != 1 {
			t.Errorf("counted %d times", n)
		}
		if s, err := g.Recall(d.ID); err != nil || s.Reason != policy.ByBan || s.By != "sshd" {
			t.Errorf("remembered: %+v %v", s, err)
		}
		body, _ := d.AppendRefusal(nil, false)
		if strings.Contains(string(body), "sshd") {
			t.Errorf("the client is told why: %s", body)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if line := log.String(); !strings.Contains(line, `"reason":"ban","rule":"sshd"`) || !strings.Contains(line, `"ban_until":"2026-11-21T12:01:00Z"`) || strings.Contains(line, "203.0.113.7") {
			t.Errorf("the log: %s", line)
		}
		now = now.Add(time.Minute)
		g.Decide(t.Context(), req, &d)
		if d.Reason == policy.ByBan {
			t.Error("it does not end")
		}
		now = now.Add(-time.Minute)
	}
}

// BenchmarkDecideBans is BenchmarkDecide with so many bans, of which none is the
// client's; -1 is a gate without a table.
func BenchmarkDecideBans(b *testing.B) {
	for _, n := range []int{-1, 0, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var bans gate.Bans
			if n >= 0 {
				table, err := ban.New(b.Context(), ban.Config{})
				if err != nil {
					b.Fatal(err)
				}
				defer table.Close()
				for i := range n {
					network := netip.PrefixFrom(netip.AddrFrom4([4]byte{8, byte(i >> 8), byte(i), 9}), 32)
					if _, err := table.Add(ban.Ban{Network: network, Action: ipwarden.Block, Until: time.Now().Add(time.Hour)}); err != nil {
						b.Fatal(err)
					}
				}
				bans = table
			}
			g := newGate(b, policy.Config{Limits: []policy.Limit{perMinute("all", 1<<30)}}, func(c *gate.Config) { known(c); c.Bans = bans })
			var d gate.Decision
			q := request("8.8.8.8")
			b.ReportAllocs()
			for b.Loop() {
				g.Decide(context.Background(), q, &d)
			}
		})
	}
}
