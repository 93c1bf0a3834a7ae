package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

var testNow = time.Date(2026, time.August, 22, 12, 0, 0, 0, time.UTC)

// testRecord is an address in SE and AS 64500 with some traits.
func testRecord(addr string, t ipwarden.Traits) ipwarden.Record {
	return ipwarden.NewRecord(netip.MustParseAddr(addr), ipwarden.Full{
		Traits: t, Location: ipwarden.Location{CountryCode: "SE"}, ASN: ipwarden.ASN{Number: 64500},
	})
}

func testInput(addr string, t ipwarden.Traits) *Input {
	return &Input{
		Request: &ipwarden.Request{Method: "GET", Host: "example.com", Path: "/", Scheme: "https"},
		Client:  netip.MustParseAddr(addr), ClientStatus: "direct", Record: testRecord(addr, t), Now: testNow,
	}
}

func mustNew(t testing.TB, cfg Config) *Program {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A stage puts one part of the precedence into a program and its input, so that
// by itself it decides.
type stage struct {
	name   string
	put    func(*Config, *Input, ipwarden.Verdict)
	reason Reason
	only   ipwarden.Verdict // the one verdict that the stage can give
}

var always = Expr{Op: OpConst, Type: Bool, Bool: true}

func addrList(prefix string, v ipwarden.Verdict) List {
	return List{Name: prefix, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}, Action: v}
}

var stages = []stage{
	{"long address entry", func(c *Config, _ *Input, v ipwarden.Verdict) {
		c.Lists = append(c.Lists, addrList("203.0.113.0/24", v))
	}, ByAddress, 0},
	{"short address entry", func(c *Config, _ *Input, v ipwarden.Verdict) {
		c.Lists = append(c.Lists, addrList("203.0.0.0/16", v))
	}, ByAddress, 0},
	{"ASN entry", func(c *Config, _ *Input, v ipwarden.Verdict) {
		c.Lists = append(c.Lists, List{Name: "as", ASNs: []uint32{64500}, Action: v})
	}, ByASN, 0},
	{"country entry", func(c *Config, _ *Input, v ipwarden.Verdict) {
		c.Lists = append(c.Lists, List{Name: "country", Countries: []string{"SE"}, Action: v})
	}, ByCountry, 0},
	{"verified crawler", func(c *Config, in *Input, _ ipwarden.Verdict) {
		c.Crawlers.Allow, in.Crawler = true, Verified
	}, ByCrawler, ipwarden.Allow},
	{"first rule", func(c *Config, _ *Input, v ipwarden.Verdict) {
		c.Rules = append([]Rule{{Name: "first", When: always, Action: v}}, c.Rules...)
	}, ByRule, 0},
	{"second rule", func(c *Config, _ *Input, v ipwarden.Verdict) {
		c.Rules = append(c.Rules, Rule{Name: "second", When: always, Action: v})
	}, ByRule, 0},
	{"high threshold", func(c *Config, in *Input, v ipwarden.Verdict) {
		in.Score = 95
		c.Thresholds = append(c.Thresholds, Threshold{Score: 90, Action: v})
	}, ByThreshold, 0},
	{"low threshold", func(c *Config, in *Input, v ipwarden.Verdict) {
		in.Score = 95
		c.Thresholds = append(c.Thresholds, Threshold{Score: 50, Action: v})
	}, ByThreshold, 0},
	{"tier", func(c *Config, _ *Input, v ipwarden.Verdict) {
		c.Tiers = append(c.Tiers, Tier{Name: "t", When: always, Action: v})
	}, ByTier, 0},
	{"default", func(c *Config, _ *Input, v ipwarden.Verdict) { c.Default = v }, ByDefault, 0},
}

// TestPrecedence has a test for each pair of stages: the one that comes first
// wins, whichever of the two is the stricter. Between a threshold and a tier the
// stricter wins, which TestStricterOfScoreAndTier holds.
func TestPrecedence(t *testing.T) {
	for i, high := range stages {
		for _, low := range stages[i+1:] {
			if low.name == "tier" && high.reason == ByThreshold {
				continue
			}
			t.Run(high.name+" before "+low.name, func(t *testing.T) {
				for _, v := range [][2]ipwarden.Verdict{
					{ipwarden.Allow, ipwarden.Block},
					{ipwarden.Block, ipwarden.Allow},
					{ipwarden.Challenge, ipwarden.Block},
					{ipwarden.StepUp, ipwarden.Challenge},
					{ipwarden.Throttle, ipwarden.Block},
				} {
					cfg, in := Config{}, testInput("203.0.113.66", 0)
					low.put(&cfg, in, v[1])
					high.put(&cfg, in, v[0])
					want := v[0]
					if high.only != 0 {
						want = high.only
					}
					var d Decision
					mustNew(t, cfg).Decide(in, &d)
					if d.Verdict != want || d.Reason != high.reason {
						t.Errorf("%s %v over %s %v: got %v by %v", high.name, v[0], low.name, v[1], d.Verdict, d.Reason)
					}
				}
			})
		}
	}
}

// Each stage decides when nothing goes before it, or TestPrecedence shows
// nothing.
func TestEachStageDecides(t *testing.T) {
	for _, s := range stages {
		cfg, in := Config{}, testInput("203.0.113.66", 0)
		s.put(&cfg, in, ipwarden.StepUp)
		want := ipwarden.StepUp
		if s.only != 0 {
			want = s.only
		}
		var d Decision
		mustNew(t, cfg).Decide(in, &d)
		if d.Verdict != want || d.Reason != s.reason {
			t.Errorf("%s: got %v by %v", s.name, d.Verdict, d.Reason)
		}
	}
}

// At equal length the stricter entry wins, whatever the order of the file; so
// for two of one AS or one country.
func TestStricterOfEqualEntries(t *testing.T) {
	kinds := map[string]func(ipwarden.Verdict, string) List{
		"address": func(v ipwarden.Verdict, n string) List {
			l := addrList("203.0.113.0/24", v)
			l.Name = n
			return l
		},
		"ASN":     func(v ipwarden.Verdict, n string) List { return List{Name: n, ASNs: []uint32{64500}, Action: v} },
		"country": func(v ipwarden.Verdict, n string) List { return List{Name: n, Countries: []string{"SE"}, Action: v} },
	}
	order := []ipwarden.Verdict{ipwarden.Allow, ipwarden.Throttle, ipwarden.StepUp, ipwarden.Challenge, ipwarden.Block}
	for kind, list := range kinds {
		for i, lax := range order {
			for _, strict := range order[i+1:] {
				for _, lists := range [][]List{{list(lax, "a"), list(strict, "b")}, {list(strict, "a"), list(lax, "b")}} {
					var d Decision
					mustNew(t, Config{Lists: lists}).Decide(testInput("203.0.113.66", 0), &d)
					if d.Verdict != strict {
						t.Errorf("%s: %v beside %v: got %v", kind, lists[0].Action, lists[1].Action, d.Verdict)
					}
				}
			}
		}
	}
}

func TestStricterOfScoreAndTier(t *testing.T) {
	order := []ipwarden.Verdict{ipwarden.Allow, ipwarden.Throttle, ipwarden.StepUp, ipwarden.Challenge, ipwarden.Block}
	for i, score := range order {
		for j, tier := range order {
			in := testInput("203.0.113.66", 0)
			in.Score = 90
			var d Decision
			mustNew(t, Config{
				Thresholds: []Threshold{{Score: 80, Action: score}}, Tiers: []Tier{{Name: "t", Action: tier}},
			}).Decide(in, &d)
			want, why := score, ByThreshold
			if j > i {
				want, why = tier, ByTier
			}
			if d.Verdict != want || d.Reason != why {
				t.Errorf("score says %v, tier says %v: got %v by %v", score, tier, d.Verdict, d.Reason)
			}
		}
	}
}

// A clearance lifts a challenge, whoever asked for it, and nothing else.
func TestClearanceLiftsAChallengeOnly(t *testing.T) {
	for _, s := range stages {
		if s.only != 0 {
			continue
		}
		for _, v := range []ipwarden.Verdict{ipwarden.Allow, ipwarden.Throttle, ipwarden.StepUp, ipwarden.Challenge, ipwarden.Block} {
			cfg, in := Config{}, testInput("203.0.113.66", 0)
			s.put(&cfg, in, v)
			in.Cleared = true
			var d Decision
			mustNew(t, cfg).Decide(in, &d)
			want, why := v, s.reason
			if v == ipwarden.Challenge {
				want, why = ipwarden.Allow, ByClearance
			}
			if d.Verdict != want || d.Reason != why {
				t.Errorf("%s says %v, cleared: got %v by %v", s.name, v, d.Verdict, d.Reason)
			}
		}
	}
}

// Limits come last: what does not pass takes none; an operator's allow and a
// verified crawler take only their own; all else takes the tier's and the file's.
func TestLimitsComeLast(t *testing.T) {
	limits := []Limit{
		{Name: "general", Limit: 100, Window: time.Minute},
		{Name: "of the tier", Limit: 50, Window: time.Minute, FromTier: true},
		{Name: "own", Limit: 5, Window: time.Minute, FromTier: true},
	}
	names := func(d *Decision) (s string) {
		for _, u := range d.Uses {
			s += u.Limit.Name + ","
		}
		return s
	}
	for _, s := range stages {
		for _, v := range []ipwarden.Verdict{ipwarden.Allow, ipwarden.Throttle, ipwarden.StepUp, ipwarden.Challenge, ipwarden.Block} {
			if s.only != 0 && v != s.only {
				continue
			}
			cfg, in := Config{Limits: limits, Tiers: []Tier{{Name: "all", Limits: []int{1}}}}, testInput("203.0.113.66", 0)
			if s.name == "tier" {
				cfg.Tiers = nil
			}
			s.put(&cfg, in, v)
			want := "general,"
			if s.reason >= ByRule && s.name != "tier" {
				want = "of the tier,general,"
			}
			switch {
			case !v.Passes():
				want = ""
			case v == ipwarden.Allow && s.reason <= ByCrawler:
				want = ""
			}
			var d Decision
			mustNew(t, cfg).Decide(in, &d)
			if got := names(&d); got != want {
				t.Errorf("%s %v: got limits %q, want %q", s.name, v, got, want)
			}
		}
	}
	// An allow that says limit: is under that one alone.
	cfg := Config{Limits: limits, Lists: []List{addrList("203.0.113.0/24", ipwarden.Allow)}}
	cfg.Lists[0].Limit = 3
	var d Decision
	mustNew(t, cfg).Decide(testInput("203.0.113.66", 0), &d)
	if names(&d) != "own," || !d.LiftLimits {
		t.Errorf("an allow with a limit: got %q, lifts %v", names(&d), d.LiftLimits)
	}
}

// What has expired is as if it were not there; what it hid applies.
func TestExpiredEntries(t *testing.T) {
	block := addrList("203.0.113.0/24", ipwarden.Block)
	block.Expires = testNow
	p := mustNew(t, Config{Lists: []List{block, addrList("203.0.0.0/16", ipwarden.Allow)}})
	for now, want := range map[time.Time]ipwarden.Verdict{testNow.Add(-1): ipwarden.Block, testNow: ipwarden.Allow} {
		in := testInput("203.0.113.66", 0)
		in.Now = now
		var d Decision
		p.Decide(in, &d)
		if d.Verdict != want {
			t.Errorf("at %v: got %v, want %v", now, d.Verdict, want)
		}
	}
}

// An entry is for the client, not for the proxy in front of one that is not
// known.
func TestUnverifiedAddressesHaveNoEntries(t *testing.T) {
	in := testInput("203.0.113.66", 0)
	in.Unverified, in.Safe, in.Crawler, in.Score = true, true, Verified, 100
	p := mustNew(t, Config{
		Lists:      []List{addrList("203.0.113.0/24", ipwarden.Allow), {Name: "as", ASNs: []uint32{64500}, Action: ipwarden.Allow}},
		Crawlers:   Crawlers{Allow: true},
		Thresholds: []Threshold{{Score: 1, Action: ipwarden.Block}},
	})
	var d Decision
	p.Decide(in, &d)
	if d.Verdict != ipwarden.Allow || d.Reason != ByDefault || d.LiftLimits || d.Tier.Name != "safe" {
		t.Errorf("got %v by %v, tier %v", d.Verdict, d.Reason, d.Tier)
	}
	if len(d.Uses) != 1 || d.Uses[0].Limit != p.Safe() {
		t.Errorf("the safe limit is not taken: %+v", d.Uses)
	}
}

// Conditions see nothing of an address that is only the nearest hop: a rule for
// the proxies' own network is not for whoever is behind them.
func TestUnverifiedAddressesHaveNoFacts(t *testing.T) {
	hop := netip.MustParsePrefix("203.0.113.0/24")
	p := mustNew(t, Config{
		Lists: []List{{Name: "hops", Prefixes: []netip.Prefix{hop}, ASNs: []uint32{64500}, Countries: []string{"SE"}}},
		Rules: []Rule{
			{Name: "network", When: Expr{Op: OpWithin, Type: Bool, Prefixes: []netip.Prefix{hop}}, Tags: []string{"network"}},
			{Name: "list", When: Expr{Op: OpInList, Type: Bool}, Tags: []string{"list"}},
			{Name: "AS", When: Expr{Op: OpEqual, Type: Bool, Args: []Expr{field(ipwarden.FieldASNumber), {Op: OpConst, Type: Int, Int: 64500}}}, Tags: []string{"AS"}},
			{Name: "address", When: Expr{Op: OpEqual, Type: Bool, Args: []Expr{field(ipwarden.FieldIP), word("203.0.113.66")}}, Tags: []string{"address"}},
			{Name: "trait", When: field(ipwarden.FieldIsHosting), Tags: []string{"trait"}},
			{Name: "score", When: Expr{Op: OpGreaterEqual, Type: Bool, Args: []Expr{{Op: OpScore, Type: Int}, {Op: OpConst, Type: Int, Int: 50}}}, Tags: []string{"score"}},
		},
		Limits: []Limit{{Name: "by AS", Limit: 1, Window: time.Minute, Key: []KeyPart{{Kind: KeyASN}}}, {Name: "by address", Limit: 1, Window: time.Minute}},
	})
	for unverified, want := range map[bool]int{false: 6, true: 0} {
		in := testInput("203.0.113.66", ipwarden.Hosting)
		in.Unverified, in.Score = unverified, 90
		var d Decision
		p.Decide(in, &d)
		if len(d.Tags) != want {
			t.Errorf("unverified %v: the rules %v hold", unverified, d.Tags)
		}
		if _, ok := d.Uses[0].Limit.AppendKey(nil, in); ok == unverified {
			t.Errorf("unverified %v: a key by AS %v", unverified, ok)
		}
		if key, ok := d.Uses[1].Limit.AppendKey(nil, in); !ok || len(key) != 2+len("by address")+2+4 {
			t.Errorf("unverified %v: the key by address is %q", unverified, key)
		}
	}
}
