package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func timedUntil(prefix string, after time.Duration) Timed {
	return Timed{Prefix: netip.MustParsePrefix(prefix), Expires: testNow.Add(after), Line: 7}
}

// An entry that ends by itself has the place of one that does not, and when it is
// over, what it hid applies. The precedence is that of all entries: the longest
// prefix, at equal length the stricter, then the AS, then the country.
func TestTimedEntries(t *testing.T) {
	hour := time.Hour
	block := func(ts ...Timed) List { return List{Name: "bans", Action: ipwarden.Block, Timed: ts} }
	for name, c := range map[string]struct {
		lists         []List
		before, after ipwarden.Verdict
	}{
		"a ban inside of what is let in":      {[]List{addrList("203.0.0.0/16", ipwarden.Allow), block(timedUntil("203.0.113.66/32", hour))}, ipwarden.Block, ipwarden.Allow},
		"a ban round one that is let in":      {[]List{addrList("203.0.113.66/32", ipwarden.Allow), block(timedUntil("203.0.113.0/24", hour))}, ipwarden.Allow, ipwarden.Allow},
		"a ban of the very one":               {[]List{addrList("203.0.113.66/32", ipwarden.Allow), block(timedUntil("203.0.113.66/32", hour))}, ipwarden.Block, ipwarden.Allow},
		"one let in for an hour":              {[]List{addrList("203.0.113.0/24", ipwarden.Block), {Name: "guests", Action: ipwarden.Allow, Timed: []Timed{timedUntil("203.0.113.66/32", hour)}}}, ipwarden.Allow, ipwarden.Block},
		"two ends of one address":             {[]List{block(timedUntil("203.0.113.66/32", -hour), timedUntil("203.0.113.66/32", hour))}, ipwarden.Block, ipwarden.Allow},
		"an AS":                               {[]List{block(Timed{ASN: 64500, Expires: testNow.Add(hour)}), {Name: "c", Countries: []string{"SE"}, Action: ipwarden.Challenge}}, ipwarden.Block, ipwarden.Challenge},
		"a country":                           {[]List{block(Timed{Country: "SE", Expires: testNow.Add(hour)})}, ipwarden.Block, ipwarden.Allow},
		"an address that is let in, of an AS": {[]List{addrList("203.0.113.66/32", ipwarden.Allow), block(Timed{ASN: 64500, Expires: testNow.Add(hour)})}, ipwarden.Allow, ipwarden.Allow},
	} {
		p := mustNew(t, Config{Lists: c.lists, Limits: []Limit{{Name: "all", Limit: 1, Window: time.Minute}}})
		for now, want := range map[time.Time]ipwarden.Verdict{testNow: c.before, testNow.Add(hour - 1): c.before, testNow.Add(hour): c.after} {
			in := testInput("203.0.113.66", 0)
			in.Now = now
			var d Decision
			p.Decide(in, &d)
			if d.Verdict != want {
				t.Errorf("%s, at %v: got %v, want %v", name, now, d.Verdict, want)
			}
			if d.List != nil && d.List.Name == "bans" && (!d.List.Expires.Equal(testNow.Add(hour))) {
				t.Errorf("%s: it is said to end at %v", name, d.List.Expires)
			}
		}
	}
	l := block(timedUntil("203.0.113.66/32", hour))
	l.Expires = testNow // the list as a whole ends first
	var d Decision
	mustNew(t, Config{Lists: []List{l}}).Decide(testInput("203.0.113.66", 0), &d)
	if d.Verdict != ipwarden.Allow {
		t.Errorf("an entry outlives its list: %v", d.Verdict)
	}
}

// Conditions see the same entries, each until its own end.
func TestTimedSet(t *testing.T) {
	s := newSet(&List{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Timed: []Timed{
			timedUntil("192.0.2.0/24", 2*time.Hour), timedUntil("192.0.2.7/32", time.Hour), timedUntil("198.51.100.1/32", time.Hour), timedUntil("198.51.100.1/32", -time.Hour),
			{ASN: 64496, Expires: testNow.Add(time.Hour)},
			{Country: "NO", Expires: testNow.Add(time.Hour)},
		},
	})
	for addr, until := range map[string]time.Duration{
		"10.1.1.1": 1000 * time.Hour, "192.0.2.7": 2 * time.Hour, "192.0.2.8": 2 * time.Hour, "198.51.100.1": time.Hour, "198.51.100.2": -1,
	} {
		for _, at := range []time.Duration{0, time.Hour - 1, time.Hour, 2*time.Hour - 1, 2 * time.Hour} {
			in := testInput(addr, 0)
			in.Record, in.Now = ipwarden.Record{}, testNow.Add(at)
			in.prepare(nil)
			if got := s.Holds(in); got != (at < until) {
				t.Errorf("%s after %v: %v", addr, at, got)
			}
		}
	}
	in := testInput("203.0.113.66", 0)
	for at, want := range map[time.Duration]bool{0: true, time.Hour: false} {
		in.Now = testNow.Add(at)
		if s.HoldsNumber(in, 64496) != want || s.HoldsText(in, "NO") != want {
			t.Errorf("after %v: the AS %v, the country %v", at, s.HoldsNumber(in, 64496), s.HoldsText(in, "NO"))
		}
	}
}

func TestTimedMistakes(t *testing.T) {
	for name, entry := range map[string]Timed{
		"nothing": {Expires: testNow}, "no end": {ASN: 1}, "two": {ASN: 1, Country: "SE", Expires: testNow},
		"a host in a prefix": {Prefix: netip.MustParsePrefix("10.0.0.1/8"), Expires: testNow}, "small letters": {Country: "se", Expires: testNow},
	} {
		if _, err := New(Config{Lists: []List{{Name: "l", Timed: []Timed{entry}}}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
