package policy

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func keyOfLimit(t *testing.T, in *Input, parts ...KeyPart) (string, bool) {
	t.Helper()
	p := mustNew(t, Config{Limits: []Limit{{Name: "l", Limit: 1, Window: time.Minute, Key: parts}}})
	var d Decision
	p.Decide(in, &d)
	key, ok := d.Uses[0].Limit.AppendKey([]byte("before"), in)
	if !bytes.HasPrefix(key, []byte("before")) || !ok && len(key) != len("before") {
		t.Fatalf("what was there is gone: %q", key)
	}
	return string(key[len("before"):]), ok
}

// Keys are tuples with lengths: no parts of one can be taken for parts of
// another, spellings of one account are one, and what is missing has no key.
func TestAppendKey(t *testing.T) {
	account := KeyPart{Kind: KeyAccount, Name: "id"}
	of := func(change func(*Input), parts ...KeyPart) string {
		in := testInput("203.0.113.66", 0)
		in.Request.Account, in.Request.Header = map[string]string{}, http.Header{}
		change(in)
		key, ok := keyOfLimit(t, in, parts...)
		if !ok {
			return "absent"
		}
		return key
	}
	id := func(s string) func(*Input) { return func(in *Input) { in.Request.Account["id"] = s } }
	client := func(s string) func(*Input) { return func(in *Input) { in.Client = netip.MustParseAddr(s) } }
	same := func(what, a, b string) {
		t.Helper()
		if a != b {
			t.Errorf("%s: %q and %q differ", what, a, b)
		}
	}
	differ := func(what, a, b string) {
		t.Helper()
		if a == b {
			t.Errorf("%s: both are %q", what, a)
		}
	}
	same("case", of(id("Ann"), account), of(id("aNN"), account))
	same("space", of(id("ann"), account), of(id(" ann\t"), account))
	same("Kelvin and long s", of(id("\u212Aarl\u017F"), account), of(id("KARLS"), account))
	same("sigma", of(id("ΟΔΟΣ"), account), of(id("οδος"), account))
	same("long names", of(id(strings.Repeat("a", 300)), account), of(id(strings.Repeat("a", 301)), account))
	differ("names", of(id("ann"), account), of(id("anna"), account))
	same("bytes that are not UTF-8", of(id("a\xff"), account), of(id("a\ufffd"), account))
	same("no account", of(func(*Input) {}, account), "absent")
	same("empty account", of(id(" "), account), "absent")
	same("the address by default", of(client("203.0.113.66")), of(client("203.0.113.66"), KeyPart{Kind: KeyAddress}))
	differ("addresses", of(client("203.0.113.66")), of(client("203.0.113.67")))
	same("one /64", of(client("2001:db8:1:2::1")), of(client("2001:db8:1:2:ffff::9")))
	differ("two /64", of(client("2001:db8:1:2::1")), of(client("2001:db8:1:3::1")))
	two := []KeyPart{{Kind: KeyHeader, Name: "A"}, {Kind: KeyHeader, Name: "B"}}
	headers := func(a, b string) func(*Input) {
		return func(in *Input) { in.Request.Header = http.Header{"A": {a}, "B": {b}} }
	}
	differ("where a part ends", of(headers("ab", "c"), two...), of(headers("a", "bc"), two...))
	same("half a tuple", of(headers("a", ""), two...), "absent")
	same("AS", of(func(*Input) {}, KeyPart{Kind: KeyASN}), "\x00\x01l\x00\x04\x00\x00\xfb\xf4")
	same("no AS", of(func(in *Input) { in.Record = ipwarden.Record{} }, KeyPart{Kind: KeyASN}), "absent")
	same("country", of(func(*Input) {}, KeyPart{Kind: KeyCountry}), "\x00\x01l\x00\x02SE")
	same("cookie", of(func(in *Input) { in.Request.Header = http.Header{"Cookie": {"sid=x"}} }, KeyPart{Kind: KeyCookie, Name: "sid"}), "\x00\x01l\x00\x01x")
	key := KeyPart{Kind: KeyAPIKey}
	header := func(name, value string) func(*Input) {
		return func(in *Input) { in.Request.Header = http.Header{name: {value}} }
	}
	same("API keys", of(header("X-Api-Key", "k1"), key), of(header("Authorization", "bEaReR k1"), key))
	differ("API keys have case", of(header("X-Api-Key", "k1"), key), of(header("X-Api-Key", "K1"), key))
	same("no bearer", of(header("Authorization", "Basic k1"), key), "absent")
	same("short", of(header("Authorization", "Bearer"), key), "absent")
	same("expression", of(func(*Input) {}, KeyPart{Kind: KeyExpr, Expr: Expr{Op: OpHost, Type: String}}), "\x00\x01l\x00\x0bexample.com")
}

func TestRollups(t *testing.T) {
	l := &Limit{Name: "l"}
	roll := func(s string, bits int) string {
		k, _ := l.AppendRollup(nil, &Input{Client: netip.MustParseAddr(s)}, bits)
		return string(k)
	}
	for _, c := range []struct {
		a, b string
		bits int
		same bool
	}{
		{"2001:db8:1:2::1", "2001:db8:1:2::2", 64, true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", 64, false},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", 56, true},
		{"2001:db8:1:2::1", "2001:db8:1:102::1", 56, false},
		{"2001:db8:1:2::1", "2001:db8:1:102::1", 48, true},
		{"2001:db8:1::", "2001:db8:2::", 48, false},
		{"203.0.113.1", "203.0.113.2", 48, false},
	} {
		if got := roll(c.a, c.bits) == roll(c.b, c.bits); got != c.same {
			t.Errorf("%s and %s at /%d: one key %v", c.a, c.b, c.bits, got)
		}
	}
	if roll("2001:db8::", 64) == roll("2001:db8::", 56) || roll("2001:db8::", 56) == roll("2001:db8::", 48) {
		t.Error("levels share a key")
	}
	if Prefix(netip.MustParseAddr("2001:db8::1")).String() != "2001:db8::/64" || Prefix(netip.MustParseAddr("192.0.2.1")).String() != "192.0.2.1/32" || Prefix(netip.Addr{}).IsValid() {
		t.Error("Prefix")
	}
}

func TestCountsAndCosts(t *testing.T) {
	status := Expr{Op: OpEqual, Type: Bool, Args: []Expr{{Op: OpStatus, Type: Int}, {Op: OpConst, Type: Int, Int: 401}}}
	event := Expr{Op: OpEqual, Type: Bool, Args: []Expr{{Op: OpOutcome, Type: String}, word("login_failed")}}
	cost := Expr{Op: OpIf, Type: Int, Args: []Expr{pathIs("/dear"), {Op: OpConst, Type: Int, Int: 10}, {Op: OpConst, Type: Int, Int: -3}}}
	p := mustNew(t, Config{Limits: []Limit{
		{Name: "failures", Limit: 3, Window: time.Hour, Algorithm: Sliding, Count: Expr{Op: OpOr, Type: Bool, Args: []Expr{status, event}}, SharedFactor: 4},
		{Name: "cost", Limit: 30, Window: time.Minute, CostExpr: cost, Key: []KeyPart{{Kind: KeyCountry}}, SharedFactor: 4},
		{Name: "plain", Limit: 30, Window: time.Minute, Cost: 2},
	}})
	in := testInput("203.0.113.66", 0)
	in.Shared = true
	for path, want := range map[string]uint32{"/dear": 10, "/": 0} {
		in.Request.Path = path
		var d Decision
		p.Decide(in, &d)
		if len(d.Uses) != 3 || d.Uses[0].Cost != 1 || d.Uses[1].Cost != want || d.Uses[2].Cost != 2 {
			t.Errorf("%s: %+v", path, d.Uses)
		}
		if d.Uses[0].Raise != 4 || d.Uses[1].Raise != 1 || d.Uses[2].Raise != 1 {
			t.Errorf("raised by %d, %d, %d", d.Uses[0].Raise, d.Uses[1].Raise, d.Uses[2].Raise)
		}
	}
	l := p.Limits()[0]
	for _, c := range []struct {
		o    Outcome
		want bool
	}{{Outcome{}, false}, {Outcome{Status: 401}, true}, {Outcome{Status: 200}, false}, {Outcome{Status: 200, Event: "login_failed"}, true}} {
		if l.Counts(in, &c.o) != c.want || l.Counts(nil, &c.o) != c.want {
			t.Errorf("%+v: got %v", c.o, !c.want)
		}
	}
	if !l.CountsOutcomes() || p.Limits()[2].CountsOutcomes() || !p.Limits()[2].Counts(nil, &Outcome{}) {
		t.Error("which limits count outcomes")
	}
}

// All that is wrong with a program is said at once, and where.
func TestNewSaysAll(t *testing.T) {
	bad := Expr{Op: OpStatus, Type: Int}
	_, err := New(Config{
		Lists:      []List{{Name: "l", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}, Countries: []string{"se"}, Limit: 9, Tags: []string{"a"}}},
		Tiers:      []Tier{{Name: "t", When: Expr{Op: OpEqual, Type: Bool, Args: []Expr{{Op: OpTier, Type: String}, word("x")}}, Limits: []int{7}}},
		Rules:      []Rule{{Name: "r"}, {Name: "s", Action: ipwarden.Block, LiftLimits: true, When: word("x"), Response: "none", Limit: 9}, {Name: "u", Action: ipwarden.Allow, Continue: true, When: Expr{Op: OpInList, Type: Bool, Int: 4}}},
		Limits:     []Limit{{Name: "", Limit: 0}, {Name: "b", Limit: 1, Window: time.Hour, Algorithm: Fixed, Burst: 3}, {Name: "b", Limit: 1, Window: time.Hour, CostExpr: bad}},
		Thresholds: []Threshold{{Score: 0, Action: ipwarden.Block}, {Score: 50}, {Score: 70, Action: ipwarden.Block}, {Score: 70, Action: ipwarden.Block}},
		Responses:  []Response{{Name: "", Status: 99}}, Crawlers: Crawlers{Pending: ipwarden.Block, Limit: 9}, Safe: 8,
	})
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"10.0.0.1/8", "country se", "list l: its limit", "need an action", "tier t: its limit", "cannot ask for the tier", "rule r: it does nothing", "only an allow lifts",
		"condition is of type string", "no response none", "rule s: its limit", "goes on says nothing", "a list that is not there", "needs a name", "rate must be", "only gcra", "given before",
		"known to count alone", "score must be", "needs an action", "two for one score", "a response needs a name", "status must be", "neither allowed nor blocked", "crawlers: their limit", "safe limit",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}
