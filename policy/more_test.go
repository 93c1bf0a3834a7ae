package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// What is added while a program runs stands among the operator's entries, ends by
// itself, and leaves the program as it was.
func TestWith(t *testing.T) {
	timed := func(v ipwarden.Verdict, ts ...Timed) List { return List{Name: "shield", Action: v, Timed: ts} }
	hour := testNow.Add(time.Hour)
	for name, c := range map[string]struct {
		lists         []List
		more          List
		during, after ipwarden.Verdict
	}{
		"a country":                         {nil, timed(ipwarden.Block, Timed{Country: "SE", Expires: hour}), ipwarden.Block, ipwarden.Allow},
		"an AS":                             {nil, timed(ipwarden.Challenge, Timed{ASN: 64500, Expires: hour}), ipwarden.Challenge, ipwarden.Allow},
		"an address that is let in":         {[]List{addrList("203.0.113.66/32", ipwarden.Allow)}, timed(ipwarden.Block, Timed{Country: "SE", Expires: hour}), ipwarden.Allow, ipwarden.Allow},
		"an AS that is let in goes before":  {[]List{{Name: "a", ASNs: []uint32{64500}, Action: ipwarden.Allow}}, timed(ipwarden.Block, Timed{Country: "SE", Expires: hour}), ipwarden.Allow, ipwarden.Allow},
		"of one AS the stricter":            {[]List{{Name: "a", ASNs: []uint32{64500}, Action: ipwarden.Allow}}, timed(ipwarden.Block, Timed{ASN: 64500, Expires: hour}), ipwarden.Block, ipwarden.Allow},
		"of one country the stricter":       {[]List{{Name: "a", Countries: []string{"SE"}, Action: ipwarden.Block}}, timed(ipwarden.Challenge, Timed{Country: "SE", Expires: hour}), ipwarden.Block, ipwarden.Block},
		"a country that is none of its own": {nil, timed(ipwarden.Block, Timed{Country: "NO", Expires: hour}), ipwarden.Allow, ipwarden.Allow},
	} {
		p := mustNew(t, Config{Lists: c.lists})
		q, err := p.With(More{Lists: []List{c.more}})
		if err != nil {
			t.Fatal(err)
		}
		decide := func(p *Program, at time.Time) ipwarden.Verdict {
			in := testInput("203.0.113.66", 0)
			in.Now = at
			var d Decision
			p.Decide(in, &d)
			return d.Verdict
		}
		if got := decide(q, testNow); got != c.during {
			t.Errorf("%s: %v, not %v", name, got, c.during)
		}
		if got := decide(q, hour); got != c.after {
			t.Errorf("%s, after its end: %v, not %v", name, got, c.after)
		}
		if got := decide(p, testNow); got != c.after {
			t.Errorf("%s: the program itself says %v, not %v", name, got, c.after)
		}
	}
}

// A challenge for more clients takes the place of what is less strict, and of nothing
// that is as strict.
func TestWithChallenge(t *testing.T) {
	thresholds := []Threshold{{Score: 90, Action: ipwarden.Block}, {Score: 60, Action: ipwarden.StepUp}, {Score: 40, Action: ipwarden.Challenge}, {Score: 20, Action: ipwarden.Flag}}
	for from, want := range map[uint8]string{
		0:   "block challenge challenge challenge challenge challenge",
		20:  "block challenge challenge challenge challenge allow",
		30:  "block challenge challenge challenge flag allow",
		60:  "block challenge challenge challenge flag allow",
		95:  "block step_up step_up challenge flag allow",
		100: "block step_up step_up challenge flag allow",
	} {
		p, err := mustNew(t, Config{Thresholds: thresholds}).With(More{Challenge: true, ChallengeFrom: from})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, score := range []uint8{95, 70, 65, 45, 25, 10} {
			in := testInput("203.0.113.66", 0)
			in.Score = score
			var d Decision
			p.Decide(in, &d)
			got = append(got, d.Verdict.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("from %d: %v, not %s", from, got, want)
		}
	}
	for name, m := range map[string]More{
		"no action":  {Lists: []List{{Name: "x", Countries: []string{"SE"}}}},
		"no country": {Lists: []List{{Name: "x", Countries: []string{"sweden"}, Action: ipwarden.Block}}},
		"no score":   {Challenge: true, ChallengeFrom: 101},
	} {
		if _, err := mustNew(t, Config{}).With(m); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
