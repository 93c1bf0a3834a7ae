package compile

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

var update = flag.Bool("update", false, "write what the tests expect")

// TestBad reads the broken policies of testdata/bad. FILE.want is everything
// that is said about each, in one go.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			opts := Options{ReadFile: func(name string) ([]byte, error) {
				return os.ReadFile(filepath.Join("testdata/bad", name))
			}}
			_, err = Load("policy.yaml", text, opts)
			var all Mistakes
			if !errors.As(err, &all) {
				t.Fatalf("got %v, want Mistakes", err)
			}
			got := strings.ReplaceAll(all.Error(), "testdata/bad/", "") + "\n"
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(b) {
				t.Errorf("got\n%s\nwant\n%s", got, b)
			}
		})
	}
}

func load(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Read("policy.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Everything that a file can say arrives in the program.
func TestLoad(t *testing.T) {
	p := load(t, `
lists:
  office: {networks: [203.0.113.0/24, "2001:db8::1"], asns: [64500, AS64501], countries: [SE], action: allow, limit: 100/min, expires: 2027-06-30, tags: [office]}
  words: {values: [a, b]}
tiers:
  - {name: slow, when: ip.security.is_vpn, limits: [5/min, {rate: 100/day, key: [ip, asn], burst: 10}]}
rules:
  - {name: sampled, action: block, mode: sample 5%, when: 'request.host in lists.words', response: page}
  - {name: throttled, action: throttle, limit: {rate: 1/10s, name: own}, response: page}
thresholds: [{score: 50, action: flag}, {score: 90, action: challenge}]
crawlers: {allow: [Googlebot], purposes: [search], limit: 600/min, pending: {action: throttle, limit: 1/min}}
limits:
  - {name: logins, when: request.path == "/login", rate: 3/hour, key: account.id, count: response.status == 401, cost: 2, shared: 1, rollup: off, mode: shadow, response: page}
  - {name: many, rate: 10 per minute, algorithm: fixed, key: [ip, asn, country, account.id, "header:x-key", "cookie:sid", api_key, request.host]}
routes:
  - {name: api, path: [/api/*, /v1], host: "*.example.com", method: POST, fail_mode: closed, budget: 20ms, intelligence: sync}
defaults: {action: challenge, fail_mode: open, budget: 3ms, intelligence: local, safe: 7/min, shared: 9, rollup: {56: 2, 48: 3}}
responses:
  page: {status: 451, title: No, detail: Not here, html: "<p>"}
paths: {slashes: keep, parameters: strip, encoded_slashes: keep, case: fold}
risk: {weights: {vpn: 7}, floor: 20}
`)
	if p.Foreign != 0 {
		t.Errorf("%d parts run on CEL, and none needs to", p.Foreign)
	}
	prog := p.Program
	l := prog.Lists()[0]
	if len(l.Prefixes) != 2 || l.Prefixes[1] != netip.MustParsePrefix("2001:db8::1/128") || len(l.ASNs) != 2 || l.Countries[0] != "SE" ||
		l.Action != ipwarden.Allow || l.Limit == 0 || l.Expires.IsZero() || l.Tags[0] != "office" {
		t.Errorf("list: %+v", l)
	}
	limits := map[string]*policy.Limit{}
	for _, lim := range prog.Limits() {
		limits[lim.Name] = lim
	}
	for name, want := range map[string]string{
		"safe": "7/1m0s gcra", "office": "100/1m0s gcra", "slow": "5/1m0s gcra", "slow-2": "100/24h0m0s gcra", "own": "1/10s gcra",
		"crawlers": "600/1m0s gcra", "crawlers-pending": "1/1m0s gcra", "logins": "3/1h0m0s sliding", "many": "10/1m0s fixed",
	} {
		lim := limits[name]
		if lim == nil {
			t.Errorf("there is no limit %s", name)
			continue
		}
		if got := rateOf(lim) + " " + lim.Algorithm.String(); got != want {
			t.Errorf("limit %s: got %s, want %s", name, got, want)
		}
	}
	if lim := limits["logins"]; !lim.CountsOutcomes() || lim.Cost != 2 || lim.SharedFactor != 1 || lim.Rollup != [2]uint32{} || !lim.Shadow || lim.Response != "page" || lim.FromTier {
		t.Errorf("logins: %+v", lim)
	}
	if lim := limits["slow"]; lim.SharedFactor != 9 || lim.Rollup != [2]uint32{2, 3} || !lim.FromTier {
		t.Errorf("slow: %+v", lim)
	}
	if lim := limits["own"]; lim.Response != "page" || prog.Rules()[1].Response != "" {
		t.Errorf("the response of what throttles is its limit's: %q", lim.Response)
	}
	if r := prog.Rules()[0]; r.Share < 214_748_364 || r.Share > 214_748_365 || r.Response != "page" {
		t.Errorf("sampled: %+v", r)
	}
	if th := prog.Thresholds(); th[0].Score != 90 || th[1].Score != 50 {
		t.Errorf("thresholds: %+v", th)
	}
	r := prog.Route(&ipwarden.Request{Method: "POST", Host: "a.example.com", Path: "/api/x"})
	if r.Name != "api" || r.FailMode != policy.FailClosed || r.Budget.Milliseconds() != 20 || r.Intelligence != ipwarden.IntelligenceSync {
		t.Errorf("route: %+v", r)
	}
	if r := prog.Route(&ipwarden.Request{Path: "/"}); r.Name != "default" || r.FailMode != policy.FailOpen || r.Budget.Milliseconds() != 3 || r.Intelligence != ipwarden.IntelligenceLocal {
		t.Errorf("default route: %+v", r)
	}
	if prog.Paths() != (policy.Paths{KeepSlashes: true, StripParameters: true, KeepEncodedSlashes: true, FoldCase: true}) {
		t.Errorf("paths: %+v", prog.Paths())
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]string{
		"5/min": "5/1m0s", "200/m": "200/1m0s", "3 per hour": "3/1h0m0s", "100/30s": "100/30s", "1_000 / day": "1000/24h0m0s", "10/15min": "10/15m0s",
		"5": "", "5/": "", "0/min": "", "-1/min": "", "5/year": "", "5/0s": "", "5/32d": "", "99999999999/s": "", "5/min/h": "",
	} {
		n, w, ok := parseRate(s)
		got := ""
		if ok {
			got = rateOf(&policy.Limit{Limit: n, Window: w})
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

// A policy typed by anybody is a program or mistakes, and never a panic.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	more, _ := filepath.Glob("../../examples/*.yaml")
	for _, name := range append(files, more...) {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			t.Skip()
		}
		p, err := Read("policy.yaml", []byte(text), Options{ReadFile: func(string) ([]byte, error) { return nil, errors.New("there are no files") }})
		if err != nil {
			var all Mistakes
			if p != nil || !errors.As(err, &all) {
				t.Fatalf("%v and %v", p, err)
			}
			return
		}
		var d policy.Decision
		in := &policy.Input{Client: netip.MustParseAddr("203.0.113.66")}
		p.Program.Decide(in, &d)
		if d.Verdict == ipwarden.NoVerdict || d.Route == nil {
			t.Fatalf("nothing was decided: %+v", d)
		}
		for _, u := range d.Uses {
			u.Limit.AppendKey(nil, in)
		}
	})
}

// Entries of a list may end by themselves, in the policy and in a list's file.
func TestTimedEntries(t *testing.T) {
	p, err := Read("policy.yaml", []byte(`
lists:
  bans:
    networks: [192.0.2.1, {network: 203.0.113.0/24, expires: 2026-12-01T00:00:00Z, reason: ticket 4711}, {network: 192.0.2.2, reason: for good}]
    asns: [{asn: AS64500, expires: 2026-12-31}]
    countries: [{country: SE, expires: 2026-12-31}, "NO"]
    action: block
  file: {file: bans.txt, action: block}
`), Options{ReadFile: func(string) ([]byte, error) {
		return []byte("192.0.2.1\n2001:db8::/32 expires=2026-12-31 # a spray\nAS64501\texpires=2026-12-01T12:00:00+01:00\nSE\n"), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	text := func(l *policy.List) string {
		s := fmt.Sprint(l.Prefixes, l.ASNs, l.Countries)
		for _, e := range l.Timed {
			s += fmt.Sprintf(" %v/%d/%s until %s (%s)", e.Prefix, e.ASN, e.Country, e.Expires.Format(time.RFC3339), e.Reason)
		}
		return s
	}
	for i, want := range []string{
		"[192.0.2.1/32 192.0.2.2/32] [] [NO] 203.0.113.0/24/0/ until 2026-12-01T00:00:00Z (ticket 4711)" +
			" invalid Prefix/64500/ until 2027-01-01T00:00:00Z () invalid Prefix/0/SE until 2027-01-01T00:00:00Z ()",
		"[192.0.2.1/32] [] [SE] 2001:db8::/32/0/ until 2027-01-01T00:00:00Z () invalid Prefix/64501/ until 2026-12-01T11:00:00Z ()",
	} {
		if got := text(&p.Program.Lists()[i]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	in := &policy.Input{Request: &ipwarden.Request{Path: "/"}, Client: netip.MustParseAddr("203.0.113.9"), Now: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}
	x := p.Explain(in)
	if s := x.Steps[0]; s.Name != "bans" || s.Line != 4 || s.Says != "block, until 2026-12-01T00:00:00Z (ticket 4711)" || !s.Decided {
		t.Errorf("explained as %+v", s)
	}
}
