package policy

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func not(e Expr) Expr             { return Expr{Op: OpNot, Type: Bool, Args: []Expr{e}} }
func and(es ...Expr) Expr         { return Expr{Op: OpAnd, Type: Bool, Args: es} }
func field(f ipwarden.Field) Expr { return Expr{Op: OpField, Type: TypeOf(f), Field: f} }
func word(s string) Expr          { return Expr{Op: OpConst, Type: String, Text: s} }

// twentyRules is a policy of the usual kind: traits, countries, paths, a header,
// an AS, the score. None of the rules holds for an ordinary visitor, so that all
// of them are asked.
func twentyRules(t testing.TB) *Program {
	path := Expr{Op: OpPath, Type: String}
	starts := func(s string) Expr { return Expr{Op: OpStartsWith, Type: Bool, Args: []Expr{path, word(s)}} }
	country := func(cs ...string) Expr {
		return Expr{Op: OpOneOf, Type: Bool, Texts: cs, Args: []Expr{field(ipwarden.FieldCountryCode)}}
	}
	agent := Expr{Op: OpContains, Type: Bool, Args: []Expr{{Op: OpHeader, Type: String, Text: "User-Agent"}, word("sqlmap")}}
	score := func(n int64) Expr {
		return Expr{Op: OpGreaterEqual, Type: Bool, Args: []Expr{{Op: OpScore, Type: Int}, {Op: OpConst, Type: Int, Int: n}}}
	}
	conditions := []Expr{
		field(ipwarden.FieldIsTor), field(ipwarden.FieldIsResidentialProxy), field(ipwarden.FieldIsVPN),
		and(field(ipwarden.FieldIsHosting), not(field(ipwarden.FieldIsRelay))), field(ipwarden.FieldIsAttacker),
		and(starts("/admin"), not(country("SE"))), and(starts("/login"), field(ipwarden.FieldIsAnonymous)), country("KP", "IR"),
		agent, score(90),
		{Op: OpOneOf, Type: Bool, Ints: []int64{64496, 64497, 64498}, Args: []Expr{field(ipwarden.FieldASNumber)}},
		{Op: OpInList, Type: Bool, Int: 0},
		and(Expr{Op: OpEqual, Type: Bool, Args: []Expr{{Op: OpMethod, Type: String}, word("POST")}}, score(40)),
		{Op: OpCrawlerFailed, Type: Bool},
		and(Expr{Op: OpNotEqual, Type: Bool, Args: []Expr{{Op: OpAccount, Type: String, Text: "billing_country"}, word("")}}, country("BR")),
		starts("/wp-"), starts("/.git"), starts("/cgi-bin"), field(ipwarden.FieldIsBogon), and(field(ipwarden.FieldIsScanner), not(Expr{Op: OpShared, Type: Bool})),
	}
	cfg := Config{
		Lists:      []List{{Name: "bad", ASNs: []uint32{64499, 64500 - 10}, Countries: []string{"XX"}}},
		Tiers:      []Tier{{Name: "slow", When: field(ipwarden.FieldIsAnonymous), Limits: []int{0}}, {Name: "home", When: country("SE", "NO", "DK"), Limits: []int{1}}},
		Thresholds: []Threshold{{Score: 90, Action: ipwarden.Block}, {Score: 70, Action: ipwarden.Challenge}},
		Limits: []Limit{
			{Name: "slow", Limit: 5, Window: time.Minute, FromTier: true},
			{Name: "home", Limit: 200, Window: time.Minute, FromTier: true},
			{Name: "login", Limit: 3, Window: time.Hour, When: starts("/login")},
		},
	}
	for i, c := range conditions {
		cfg.Rules = append(cfg.Rules, Rule{Name: "rule " + strconv.Itoa(i), When: c, Action: ipwarden.Block})
	}
	if len(cfg.Rules) != 20 {
		t.Fatalf("%d rules", len(cfg.Rules))
	}
	return mustNew(t, cfg)
}

func ordinary() *Input {
	in := testInput("203.0.113.66", 0)
	in.Request.Path = "/articles/1"
	in.Request.Header = http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0"}}
	return in
}

// BenchmarkDecide20Rules is a decision with 20 rules of which none holds.
func BenchmarkDecide20Rules(b *testing.B) {
	p, in := twentyRules(b), ordinary()
	var d Decision
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(in, &d)
	}
	if d.Verdict != ipwarden.Allow || len(d.Uses) != 1 {
		b.Fatalf("%v by %v, %d limits", d.Verdict, d.Reason, len(d.Uses))
	}
}

// BenchmarkAppendKey is the key of a limit by address and account.
func BenchmarkAppendKey(b *testing.B) {
	in := ordinary()
	in.Request.Account = map[string]string{"id": "ann@example.com"}
	p := mustNew(b, Config{Limits: []Limit{{Name: "logins", Limit: 1, Window: time.Minute, Key: []KeyPart{{Kind: KeyAddress}, {Kind: KeyAccount, Name: "id"}}}}})
	var d Decision
	p.Decide(in, &d)
	buf := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = d.Uses[0].Limit.AppendKey(buf[:0], in)
	}
}

// Deciding does not allocate, whichever way it ends.
func TestDecideDoesNotAllocate(t *testing.T) {
	p := twentyRules(t)
	var d Decision
	for name, change := range map[string]func(*Input){
		"ordinary": func(*Input) {}, "tor": func(in *Input) { in.Record = testRecord("203.0.113.66", ipwarden.Tor) },
		"score": func(in *Input) { in.Score = 95 }, "pending": func(in *Input) { in.Crawler = Pending }, "safe": func(in *Input) { in.Safe, in.Unverified = true, true },
	} {
		in := ordinary()
		change(in)
		p.Decide(in, &d)
		if n := testing.AllocsPerRun(100, func() { p.Decide(in, &d) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
