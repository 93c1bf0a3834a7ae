package shield

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func country(code string, a Action, life time.Duration) Measure {
	return Measure{Kind: Country, Value: code, Action: a, Since: noon, Until: noon.Add(life)}
}

func empty(t testing.TB) *State {
	t.Helper()
	s, err := ParseState("", noon)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func names(ms []Measure) string {
	var all []string
	for _, m := range ms {
		all = append(all, m.Name()+"/"+string(m.Action))
	}
	return strings.Join(all, " ")
}

func TestState(t *testing.T) {
	s := empty(t)
	if err := s.Set(noon, country("SE", Challenge, time.Hour), Measure{Kind: RequireKeys, Since: noon, Until: noon.Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(noon, country("SE", Block, 10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := names(s.Active(noon)); got != "country:SE/block require-keys/" {
		t.Error(got)
	}
	if got := names(s.Active(noon.Add(time.Minute))); got != "country:SE/block" {
		t.Error(got)
	}
	// What a change took the place of is in force again.
	done, err := s.Undo(noon)
	if err != nil || len(done) != 1 || done[0] != "in force again: challenge the country SE" {
		t.Error(done, err)
	}
	// Then the change before that, of which one half has another word by now.
	if done, err = s.Undo(noon); err != nil || fmt.Sprint(done) != "[ended: refuse calls without a key]" {
		t.Error(done, err)
	}
	if _, err = s.Undo(noon); err == nil {
		t.Error("undone more often than done")
	}
	if err := s.Expire(noon, noon.Add(5*time.Minute), "country:SE"); err != nil {
		t.Error(err)
	}
	if got := names(s.Active(noon.Add(6 * time.Minute))); got != "" {
		t.Error(got)
	}
	if err := s.Expire(noon, noon, "country:SE", "country:NO"); err == nil || len(s.Active(noon)) != 1 {
		t.Error("half of what was wanted was done: ", err)
	}
	if err := s.Expire(noon, noon, "country:SE"); err != nil || len(s.Active(noon)) != 0 {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	s := empty(t)
	err := s.Set(noon, country("se", Block, time.Hour), country("NO", "tickle", time.Hour), country("DK", Block, 100*24*time.Hour),
		country("FI", Block, -time.Hour), Measure{Kind: Work, Since: noon, Until: noon.Add(time.Hour), Bits: 9, From: 101},
		Measure{Kind: RequireKeys, Since: noon, Until: noon.Add(time.Hour), Reason: "two\nlines"})
	for _, want := range []string{`"se" is written "SE"`, "tickle", "90 days", "end at once", "9 bits", "101", "one line"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if s.String() != "" {
		t.Error("what was wrong was kept")
	}
	var many []Measure
	for i := range MaxMeasures + 1 {
		many = append(many, Measure{Kind: ASN, Value: fmt.Sprint(i + 1), Action: Block, Since: noon, Until: noon.Add(time.Hour)})
	}
	if err := s.Set(noon, many...); err == nil || !strings.Contains(err.Error(), "1000 at most") {
		t.Error(err)
	}
	for name, ok := range map[string]bool{"country:SE": true, "country:se": true, "asn:AS64500": true, "dnsbl:Zen.Spamhaus.org.": true, "pow": true, "pow:3": false, "tea": false, "dnsbl:1.2.3.4": false, "asn:0": false, "asn:4294967296": false} {
		if _, err := ParseName(name); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever happens at several nodes, and however it is told on, they end up with the
// same measures, and the last word counts.
func TestMerge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		nodes := []*State{empty(t), empty(t), empty(t)}
		now := noon
		for range 30 {
			n := nodes[rnd.IntN(len(nodes))]
			now = now.Add(time.Duration(rnd.IntN(3)) * time.Millisecond) // some at the same time
			m := country([]string{"SE", "NO", "DK", "FI"}[rnd.IntN(4)], []Action{Block, Challenge}[rnd.IntN(2)], time.Duration(1+rnd.IntN(60))*time.Minute)
			switch rnd.IntN(5) {
			case 0:
				_, _ = n.Undo(now) // there may be nothing
			case 1:
				_ = n.Expire(now, now, m.Name()) // it may not be in force
			case 2:
				n.Merge(nodes[rnd.IntN(len(nodes))])
			default:
				if err := n.Set(now, m); err != nil {
					t.Fatal(err)
				}
			}
		}
		var texts []string
		for i := range nodes {
			all := empty(t)
			for _, j := range rnd.Perm(len(nodes)) {
				all.Merge(nodes[j])
			}
			all.Merge(nodes[i])
			texts = append(texts, all.String())
		}
		if texts[0] != texts[1] || texts[1] != texts[2] {
			t.Fatalf("nodes differ:\n%s\n%s\n%s", texts[0], texts[1], texts[2])
		}
		again, err := ParseState(texts[0], now)
		if err != nil || again.String() != texts[0] {
			t.Fatalf("%v: read and written again it is another:\n%s\n%s", err, texts[0], again)
		}
	}
}

// A clock that is behind does not make a word that is lost.
func TestSlowClock(t *testing.T) {
	s := empty(t)
	if err := s.Set(noon, country("SE", Block, time.Hour)); err != nil {
		t.Fatal(err)
	}
	o, _ := ParseState(s.String(), noon)
	slow := noon.Add(-30 * time.Second)
	if err := o.Expire(slow, slow, "country:SE"); err != nil {
		t.Fatal(err)
	}
	s.Merge(o)
	if len(s.Active(noon)) != 0 {
		t.Error("the later word of a slow clock was not heard")
	}
}

func FuzzParseState(f *testing.F) {
	s := empty(f)
	_ = s.Set(noon, country("SE", Block, time.Hour), Measure{Kind: Work, Bits: 2, From: NoScore, Since: noon, Until: noon.Add(time.Hour), Reason: "é"})
	_ = s.Set(noon, country("SE", Challenge, time.Hour))
	f.Add(s.String())
	f.Add(`{"version":1,"measures":[{"kind":"asn","value":"1","action":"block","until":"9999-01-01T00:00:00Z","stamp":1}]}`)
	f.Add(`{"version":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseState(text, noon)
		if err != nil {
			return
		}
		again, err := ParseState(s.String(), noon)
		if err != nil || again.String() != s.String() {
			t.Errorf("%v: %q, then %q", err, s.String(), again)
		}
		for _, m := range s.Active(noon) {
			if m.check() != nil {
				t.Errorf("%+v", m)
			}
			_ = m.Does()
		}
	})
}

// A country that nobody is in would refuse nobody.
func TestCountries(t *testing.T) {
	for text, want := range map[string]string{
		"se": "SE", " XK ": "XK", "TW": "TW", "": "is no country", "S1": "is no country", "SWE": "is no country",
		"XX": "there is no country XX", "ZZ": "there is no country ZZ", "EU": "there is no country EU", "UK": "the code is GB",
	} {
		got, err := Parse(Country, text)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
}
