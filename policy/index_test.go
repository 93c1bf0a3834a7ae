package policy

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// The marks of the leaves, for conditions that are put together at random.
var (
	indexPaths     = []string{"", "/", "/a", "/ab", "/abc", "/login", "/login/", "/logs", "/admin/users", "/x.php", "/.git/config", "/lo", "login", "/é"}
	indexMethods   = []string{"GET", "POST", "PUT", "TRACE", "BREW", ""}
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
	switch r.IntN(20) {
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
			cfg.Rules = append(cfg.Rules, Rule{Name: strings.Repeat("r", i+1), When: randomCondition(r, 3), Action: ipwarden.Flag})
		}
		p := mustNew(t, cfg)
		for range 20 {
			in := testInput(pick(r, []string{"203.0.113.66", "198.51.100.7"}), ipwarden.Traits(0))
			f := ipwarden.Full{Traits: pick(r, []ipwarden.Traits{0, ipwarden.VPN, ipwarden.Tor | ipwarden.Hosting, ipwarden.Mobile})}
			f.Location.CountryCode, f.ASN.Number = pick(r, indexCountries), uint32(r.IntN(4))
			in.Record = ipwarden.NewRecord(in.Client, f)
			in.Score, in.Shared, in.Crawler = uint8(r.IntN(101)), r.IntN(2) == 0, Crawler(r.IntN(5))
			in.Request.Path, in.Request.Method = pick(r, indexPaths), pick(r, indexMethods)
			if r.IntN(2) == 0 {
				in.Request.Account = map[string]string{"plan": pick(r, []string{"", "free"})}
			}
			in.prepare(p)
			marks := in.appendMarks(nil)
			if len(marks) > maxMarks {
				t.Fatalf("%d marks, there is room for %d", len(marks), maxMarks)
			}
			for i := range p.rules {
				in.errors = 0
				holds, over := in.holds(p.rules[i].when)
				switch worth := p.index.worth(i/64, marks)&(1<<(i%64)) != 0; {
				case worth && holds:
					held++
				case !worth && (holds || over || in.errors > 0):
					t.Fatalf("left out: %+v\nholds %v, failed %d, of %+v", p.rules[i].rule.When, holds, in.errors, in.Request)
				case !worth:
					skipped++
				}
			}
		}
	}
	if skipped < 100_000 || held < 10_000 {
		t.Errorf("%d left out, %d that hold: too few to mean something", skipped, held)
	}
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
