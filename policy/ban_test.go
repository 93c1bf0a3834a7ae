package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func testBan(v ipwarden.Verdict) *Ban {
	return &Ban{Network: netip.MustParsePrefix("203.0.113.66/32"), Action: v, Until: testNow.Add(time.Minute), Reason: "test"}
}

var banActions = []ipwarden.Verdict{ipwarden.Block, ipwarden.Challenge, ipwarden.Throttle}

// TestBanPrecedence has a test for a ban and each stage: what refuses as strictly
// goes on doing so, an entry for the address that lets in lifts the ban, and
// everything else gives way to it.
func TestBanPrecedence(t *testing.T) {
	for _, s := range stages {
		t.Run("ban and "+s.name, func(t *testing.T) {
			for _, action := range banActions {
				for _, v := range []ipwarden.Verdict{ipwarden.Allow, ipwarden.Flag, ipwarden.Throttle, ipwarden.StepUp, ipwarden.Challenge, ipwarden.Block} {
					if s.only != 0 && v != s.only {
						continue
					}
					cfg, in := Config{}, testInput("203.0.113.66", 0)
					s.put(&cfg, in, v)
					in.Ban = testBan(action)
					want, why := action, ByBan
					switch {
					case s.reason == ByAddress && (v == ipwarden.Allow || v == ipwarden.Block),
						!v.Passes() && strictness(v) >= strictness(action) && action != ipwarden.Block:
						want, why = v, s.reason
					}
					var d Decision
					mustNew(t, cfg).Decide(in, &d)
					if d.Verdict != want || d.Reason != why || (d.Ban != nil) != (why == ByBan) {
						t.Errorf("%s says %v, the ban %v: got %v by %v", s.name, v, action, d.Verdict, d.Reason)
					}
					if why == ByBan && (len(d.Uses) > 0 || d.LiftLimits || d.List != nil || d.Rule != nil || d.Threshold != nil) {
						t.Errorf("%s says %v, the ban %v: something of it is left: %+v", s.name, v, action, d)
					}
				}
			}
		})
	}
}

// An entry that lets in up to a limit does not lift a ban; a shorter entry that
// lets in does when no longer one is there.
func TestBanAndEntries(t *testing.T) {
	limits := []Limit{{Name: "own", Limit: 5, Window: time.Minute, FromTier: true}}
	limited := func(l List) List { l.Limit = 1; return l }
	for name, c := range map[string]struct {
		lists []List
		want  Reason
	}{
		"an allow":                           {[]List{addrList("203.0.113.0/24", ipwarden.Allow)}, ByAddress},
		"an allow with a limit":              {[]List{limited(addrList("203.0.113.0/24", ipwarden.Allow))}, ByBan},
		"a throttle with a limit":            {[]List{limited(addrList("203.0.113.0/24", ipwarden.Throttle))}, ByBan},
		"a step_up":                          {[]List{addrList("203.0.113.0/24", ipwarden.StepUp)}, ByBan},
		"a challenge inside of an allow":     {[]List{addrList("203.0.113.0/24", ipwarden.Challenge), addrList("203.0.0.0/16", ipwarden.Allow)}, ByBan},
		"an allow inside of a challenge":     {[]List{addrList("203.0.113.0/24", ipwarden.Allow), addrList("203.0.0.0/16", ipwarden.Challenge)}, ByAddress},
		"an allow of the AS":                 {[]List{{Name: "as", ASNs: []uint32{64500}, Action: ipwarden.Allow}}, ByBan},
		"an allow of the country":            {[]List{{Name: "se", Countries: []string{"SE"}, Action: ipwarden.Allow}}, ByBan},
		"an allow that is for somebody else": {[]List{addrList("198.51.100.0/24", ipwarden.Allow)}, ByBan},
	} {
		in := testInput("203.0.113.66", 0)
		in.Ban = testBan(ipwarden.Block)
		var d Decision
		mustNew(t, Config{Lists: c.lists, Limits: limits}).Decide(in, &d)
		if d.Reason != c.want {
			t.Errorf("%s: %v by %v, not by %v", name, d.Verdict, d.Reason, c.want)
		}
	}
}

// A ban ends by itself; a clearance lifts one that challenges and no other; and
// an address that is only the nearest hop is not banned for who is behind it.
func TestBanEnds(t *testing.T) {
	p := mustNew(t, Config{})
	for _, action := range banActions {
		for name, c := range map[string]struct {
			change func(*Input)
			runs   bool
		}{
			"running":        {func(*Input) {}, true},
			"its last":       {func(in *Input) { in.Now = in.Ban.Until.Add(-1) }, true},
			"over":           {func(in *Input) { in.Now = in.Ban.Until }, false},
			"cleared":        {func(in *Input) { in.Cleared = true }, action != ipwarden.Challenge},
			"nearest hop":    {func(in *Input) { in.Unverified, in.Safe = true, true }, false},
			"shared address": {func(in *Input) { in.Shared = true }, true},
			"crawler":        {func(in *Input) { in.Crawler = Pending }, true},
		} {
			in := testInput("203.0.113.66", 0)
			in.Ban = testBan(action)
			c.change(in)
			var d Decision
			p.Decide(in, &d)
			if (d.Reason == ByBan) != c.runs || c.runs && d.Verdict != action {
				t.Errorf("%v, %s: %v by %v", action, name, d.Verdict, d.Reason)
			}
		}
	}
}

// A clearance that lifts the challenge of a rule does not lift a ban with it.
func TestBanBehindAChallenge(t *testing.T) {
	in := testInput("203.0.113.66", 0)
	in.Cleared, in.Ban = true, testBan(ipwarden.Throttle)
	var d Decision
	mustNew(t, Config{Rules: []Rule{{Name: "all", When: always, Action: ipwarden.Challenge}}}).Decide(in, &d)
	if d.Verdict != ipwarden.Throttle || d.Reason != ByBan {
		t.Errorf("got %v by %v", d.Verdict, d.Reason)
	}
}
