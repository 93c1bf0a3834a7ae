package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// The marks of the leaves, for conditions that are put together at random.
var (
	indexPaths    = []string{"", "/", "/a", "/ab", "/abc", "/login", "/login/", "/logs", "/admin/users", "/x.php", "/.git/config", "/lo", "login", "/é"}
	indexMethods  = []string{"GET", "POST", "PUT", "TRACE", "BREW", ""}
	indexAgents   = []string{"", "c", "cu", "curl/", "curl/8.0", "Mozilla/5.0", "Go"}
	indexAddrs    = []string{"203.0.113.66", "198.51.100.7", "1.2.3.4", "2001:db8::7", "2a00::1", "::", ""}
	indexNetworks = []netip.Prefix{
		netip.MustParsePrefix("203.0.113.64/26"), netip.MustParsePrefix("203.0.113.66/32"), netip.MustParsePrefix("192.0.0.0/2"), netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("198.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2000::/3"), netip.MustParsePrefix("::/0"),
	}
	indexCountries = []string{"SE", "NO", "KP", "ZZ", ""}
	indexFields    = []ipwarden.Field{ipwarden.FieldIsVPN, ipwarden.FieldIsTor, ipwarden.FieldIsAnonymous, ipwarden.FieldIsHosting, ipwarden.FieldIsBogon, ipwarden.FieldIsMobile}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomLeaf is a condition without conditions in it; of three lists the first
// holds countries, the second systems and the third a network, and three more hold
// the same until a time that each has.
func randomLeaf(r *rand.Rand) Expr {
	leaf := func(op Op, args ...Expr) Expr { return Expr{Op: op, Type: Bool, Args: args} }
	path, country := Expr{Op: OpPath, Type: String}, field(ipwarden.FieldCountryCode)
	account := Expr{Op: OpAccount, Type: String, Text: "plan"}
	agent := Expr{Op: OpHeader, Type: String, Text: userAgent}
	switch r.IntN(24) {
	case 0, 1, 2:
		return field(pick(r, indexFields))
	case 3:
		return leaf(OpStartsWith, path, word(pick(r, indexPaths)))
	case 4:
		return leaf(OpEndsWith, path, word(pick(r, indexPaths)))
	case 5:
		return leaf(OpEqual, path, word(pick(r, indexPaths)))
	case 6:
		e := leaf(OpOneOf, path)
		e.Texts = []string{pick(r, indexPaths), pick(r, indexPaths)}
		return e
	case 7:
		return leaf(pick(r, []Op{OpEqual, OpNotEqual}), Expr{Op: OpMethod, Type: String}, word(pick(r, indexMethods)))
	case 8:
		return leaf(pick(r, []Op{OpEqual, OpNotEqual}), country, word(pick(r, indexCountries)))
	case 9:
		e := leaf(OpOneOf, country)
		e.Texts = []string{pick(r, indexCountries), pick(r, indexCountries)}
		return e
	case 10:
		e := leaf(OpOneOf, field(ipwarden.FieldASNumber))
		e.Ints = []int64{int64(r.IntN(4)), -1}
		return e
	case 11:
		return leaf(OpEqual, field(ipwarden.FieldASNumber), Expr{Op: OpConst, Type: Int, Int: int64(r.IntN(4)) - 1})
	case 12:
		return leaf(pick(r, []Op{OpGreater, OpGreaterEqual, OpLess}), Expr{Op: OpScore, Type: Int}, Expr{Op: OpConst, Type: Int, Int: int64(r.IntN(120)) - 10})
	case 13:
		return leaf(pick(r, []Op{OpCrawlerFailed, OpCrawlerPending, OpCrawlerVerified, OpShared}))
	case 14:
		return leaf(pick(r, []Op{OpEqual, OpNotEqual}), account, word(pick(r, []string{"", "free"})))
	case 15:
		return Expr{Op: OpHasAccount, Type: Bool, Text: "plan"}
	case 16:
		e := leaf(OpInList)
		e.Int = int64(r.IntN(6))
		return e
	case 17: // what has an effect besides its answer
		return Expr{Op: OpForeign, Type: Bool}
	case 18:
		e := leaf(OpMatches, path)
		e.Text = "^/l"
		return e
	case 19:
		return leaf(pick(r, []Op{OpEqual, OpNotEqual, OpStartsWith, OpEndsWith, OpContains}), agent, word(pick(r, indexAgents)))
	case 20:
		e := leaf(OpOneOf, agent)
		e.Texts = []string{pick(r, indexAgents), pick(r, indexAgents)}
		return e
	case 21, 22:
		e := leaf(OpWithin)
		e.Prefixes = []netip.Prefix{pick(r, indexNetworks), pick(r, indexNetworks)}[:1+r.IntN(2)]
		return e
	}
	return Expr{Op: OpConst, Type: Bool, Bool: r.IntN(2) == 0}
}

func randomCondition(r *rand.Rand, depth int) Expr {
	if depth == 0 || r.IntN(3) == 0 {
		return randomLeaf(r)
	}
	op, n := pick(r, []Op{OpAnd, OpAnd, OpOr, OpNot}), 1
	if op != OpNot {
		n = 1 + r.IntN(3)
	}
	e := Expr{Op: op, Type: Bool}
	for range n {
		e.Args = append(e.Args, randomCondition(r, depth-1))
	}
	return e
}

// A rule that the index leaves out does not hold, and asking it would have had
// no other effect.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lists := []List{
		{Name: "countries", Countries: []string{"SE", "KP"}},
		{Name: "systems", ASNs: []uint32{2, 3}},
		{Name: "networks", Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}},
		{Name: "timed countries", Timed: []Timed{{Country: "NO", Expires: testNow.Add(time.Hour)}}},
		{Name: "timed systems", Timed: []Timed{{ASN: 1, Expires: testNow.Add(time.Hour)}}},
		{Name: "timed networks", Timed: []Timed{{Prefix: netip.MustParsePrefix("203.0.113.64/26"), Expires: testNow.Add(time.Hour)}}},
	}
	skipped, held := 0, 0
	for range 300 {
		cfg := Config{Lists: lists, Foreign: []Foreign{func(*Input) (Value, bool) { return Value{}, false }}}
		for i := range 70 { // more than one word of 64
			if i < 3 {
				cfg.Tiers = append(cfg.Tiers, Tier{Name: strings.Repeat("t", i+1), When: randomCondition(r, 2)})
				cfg.Limits = append(cfg.Limits, Limit{Name: strings.Repeat("l", i+1), Limit: 1, Window: time.Second, When: randomCondition(r, 2)})
			}
			cfg.Rules = append(cfg.Rules, Rule{Name: strings.Repeat("r", i+1), When: randomCondition(r, 3), Action: ipwarden.Flag})
		}
		p := mustNew(t, cfg)
		for range 20 {
			in := testInput("203.0.113.66", ipwarden.Traits(0))
			in.Client, _ = netip.ParseAddr(pick(r, indexAddrs)) // "" is nobody's
			in.Unverified = r.IntN(8) == 0
			f := ipwarden.Full{Traits: pick(r, []ipwarden.Traits{0, ipwarden.VPN, ipwarden.Tor | ipwarden.Hosting, ipwarden.Mobile})}
			f.Location.CountryCode, f.ASN.Number = pick(r, indexCountries), uint32(r.IntN(4))
			in.Record = ipwarden.NewRecord(in.Client, f)
			in.Score, in.Shared, in.Crawler = uint8(r.IntN(101)), r.IntN(2) == 0, Crawler(r.IntN(5))
			var header ipwarden.Lines
			for range r.IntN(3) {
				header.Add("user-agent", pick(r, indexAgents))
			}
			in.Request.Header = &header
			in.Request.Path, in.Request.Method = pick(r, indexPaths), pick(r, indexMethods)
			if r.IntN(2) == 0 {
				in.Request.Account = map[string]string{"plan": pick(r, []string{"", "free"})}
			}
			in.prepare(p)
			p.mark(in)
			asked := func(i int, when condition, e *Expr) {
				in.errors = 0
				holds, over := in.holds(when)
				switch worth := p.worth(in, i/64)&(1<<(i%64)) != 0; {
				case worth && holds:
					held++
				case !worth && (holds || over || in.errors > 0):
					t.Fatalf("left out: %+v\nholds %v, failed %d, of %+v", e, holds, in.errors, in.Request)
				case !worth:
					skipped++
				}
			}
			for i := range p.tiers {
				asked(i, p.tiers[i].when, &p.tiers[i].tier.When)
			}
			for i := range p.rules {
				asked(len(p.tiers)+i, p.rules[i].when, &p.rules[i].rule.When)
			}
			for i, l := range p.general {
				asked(len(p.tiers)+len(p.rules)+i, l.when, &l.When)
			}
			if in.nMarks > maxMarks {
				t.Fatalf("%d marks, there is room for %d", in.nMarks, maxMarks)
			}
			if got, want := p.tierOf(in), slowTier(p, in); got != want {
				t.Fatalf("the tier is %v, want %v", got, want)
			}
			var d Decision
			p.addLimits(in, &d)
			if want := slowLimits(p, in); !slices.EqualFunc(d.Uses, want, func(u Use, l *Limit) bool { return u.Limit == l }) {
				t.Fatalf("the limits are %v, want %v", d.Uses, want)
			}
		}
	}
	if skipped < 100_000 || held < 10_000 {
		t.Errorf("%d left out, %d that hold: too few to mean something", skipped, held)
	}
}

// slowTier and slowLimits ask every condition.
func slowTier(p *Program, in *Input) *Tier {
	for i := range p.tiers {
		if ok, _ := in.holds(p.tiers[i].when); ok {
			return p.tiers[i].tier
		}
	}
	return nil
}

func slowLimits(p *Program, in *Input) (all []*Limit) {
	for _, l := range p.general {
		if ok, over := in.holds(l.when); ok || over {
			all = append(all, l)
		}
	}
	return all
}

// Routes are found by the same marks.
func TestRouteStarts(t *testing.T) {
	patterns := []string{"*", "/*", "/a/*", "/ab*", "/ab/*", "/login", "/", "/a", "/api/*", ""}
	paths := append([]string{"/api", "/api/", "/api/x", "/a/b", "/abx", "/ab/"}, indexPaths...)
	for _, one := range patterns {
		for _, two := range patterns {
			r := Route{Paths: []string{one, two}}
			r.starts = startsOf(r.Paths)
			for _, path := range paths {
				if q := (&ipwarden.Request{Path: path}); r.holds(q) && !r.starts.has(startMark(path)) {
					t.Errorf("%q, %q: %q is left out", one, two, path)
				}
			}
		}
	}
}
