package policy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func decide(t *testing.T, cfg Config, in *Input) *Decision {
	t.Helper()
	var d Decision
	mustNew(t, cfg).Decide(in, &d)
	return &d
}

// A shared address is not shut out by reputation alone: neither by its score,
// nor by its tier, nor by a rule that asks for nothing else.
func TestSharedAddressesAreNotBlockedByReputation(t *testing.T) {
	hosting := field(ipwarden.FieldIsHosting)
	login := Expr{Op: OpEqual, Type: Bool, Args: []Expr{{Op: OpPath, Type: String}, word("/")}}
	block := func(e Expr) Config { return Config{Rules: []Rule{{Name: "r", When: e, Action: ipwarden.Block}}} }
	even := block(hosting)
	even.Rules[0].EvenShared = true
	for name, c := range map[string]struct {
		cfg  Config
		want ipwarden.Verdict
	}{
		"score":                            {Config{Thresholds: []Threshold{{Score: 50, Action: ipwarden.Block}}}, ipwarden.Challenge},
		"tier":                             {Config{Tiers: []Tier{{Name: "t", Action: ipwarden.Block}}}, ipwarden.Challenge},
		"rule of reputation":               {block(hosting), ipwarden.Challenge},
		"rule of the score":                {block(Expr{Op: OpGreaterEqual, Type: Bool, Args: []Expr{{Op: OpScore, Type: Int}, {Op: OpConst, Type: Int, Int: 5}}}), ipwarden.Challenge},
		"rule that says even shared":       {even, ipwarden.Block},
		"rule that has thought of it":      {block(and(hosting, Expr{Op: OpShared, Type: Bool})), ipwarden.Block},
		"rule that asks for more":          {block(and(hosting, login)), ipwarden.Block},
		"rule of the request":              {block(login), ipwarden.Block},
		"rule without a condition":         {block(Expr{}), ipwarden.Block},
		"an operator's entry":              {Config{Lists: []List{addrList("203.0.113.0/24", ipwarden.Block)}}, ipwarden.Block},
		"rule of a country, no reputation": {block(Expr{Op: OpOneOf, Type: Bool, Texts: []string{"SE"}, Args: []Expr{field(ipwarden.FieldCountryCode)}}), ipwarden.Block},
	} {
		in := testInput("203.0.113.66", ipwarden.Hosting)
		in.Shared, in.Score = true, 90
		if d := decide(t, c.cfg, in); d.Verdict != c.want || d.Softened != (c.want == ipwarden.Challenge) {
			t.Errorf("%s: got %v, softened %v", name, d.Verdict, d.Softened)
		}
		in.Shared = false
		if d := decide(t, c.cfg, in); d.Verdict != ipwarden.Block && name != "rule that has thought of it" {
			t.Errorf("%s, not shared: got %v", name, d.Verdict)
		}
	}
}

// A crawler that is being verified is neither let in for good nor shut out.
func TestPendingCrawlers(t *testing.T) {
	limits := []Limit{{Name: "pending", Limit: 1, Window: time.Minute, FromTier: true}}
	for name, c := range map[string]struct {
		cfg  Config
		want ipwarden.Verdict
		why  Reason
	}{
		"nothing said": {Config{}, ipwarden.Flag, ByPending},
		"blocked":      {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Block}}}, ipwarden.Challenge, ByPending},
		"throttled":    {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Block}}, Crawlers: Crawlers{Pending: ipwarden.Throttle}}, ipwarden.Throttle, ByPending},
		"let in":       {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Allow, LiftLimits: true}}}, ipwarden.Flag, ByPending},
		"challenged":   {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Challenge}}}, ipwarden.Challenge, ByRule},
		"banned":       {Config{Lists: []List{addrList("203.0.113.66/32", ipwarden.Block)}}, ipwarden.Block, ByAddress},
	} {
		c.cfg.Limits = limits
		c.cfg.Crawlers.PendingLimit = 1
		in := testInput("203.0.113.66", 0)
		in.Crawler = Pending
		d := decide(t, c.cfg, in)
		if d.Verdict != c.want || d.Reason != c.why || d.LiftLimits {
			t.Errorf("%s: got %v by %v", name, d.Verdict, d.Reason)
		}
		if d.Verdict.Passes() != (len(d.Uses) == 1) {
			t.Errorf("%s: %d limits", name, len(d.Uses))
		}
	}
}

// A claim that nobody answers is none, but for a limit.
func TestUnansweredCrawler(t *testing.T) {
	limits := []Limit{{Name: "pending", Limit: 1, Window: time.Minute, FromTier: true}}
	pending := Expr{Op: OpCrawlerPending, Type: Bool}
	failed := Expr{Op: OpCrawlerFailed, Type: Bool}
	for name, c := range map[string]struct {
		cfg    Config
		want   ipwarden.Verdict
		why    Reason
		limits int
	}{
		"nothing said": {Config{}, ipwarden.Allow, ByDefault, 1},
		"blocked":      {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Block}}}, ipwarden.Block, ByRule, 0},
		"let in":       {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Allow, LiftLimits: true}}}, ipwarden.Allow, ByRule, 0},
		"not pending":  {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Block, When: pending}, {Name: "s", Action: ipwarden.Block, When: failed}}}, ipwarden.Allow, ByDefault, 1},
	} {
		c.cfg.Limits = limits
		c.cfg.Crawlers.PendingLimit = 1
		in := testInput("203.0.113.66", 0)
		in.Crawler = Unanswered
		d := decide(t, c.cfg, in)
		if d.Verdict != c.want || d.Reason != c.why || len(d.Uses) != c.limits || d.Softened {
			t.Errorf("%s: got %v by %v with %d limits", name, d.Verdict, d.Reason, len(d.Uses))
		}
	}
}

func TestCrawlersThatAreAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		crawlers Crawlers
		want     ipwarden.Verdict
	}{
		"none": {Crawlers{}, ipwarden.Block}, "all": {Crawlers{Allow: true}, ipwarden.Allow}, "by name": {Crawlers{Allow: true, Names: []string{"Googlebot"}}, ipwarden.Allow},
		"by purpose": {Crawlers{Allow: true, Purposes: []string{"search"}}, ipwarden.Allow}, "another": {Crawlers{Allow: true, Names: []string{"Bingbot"}, Purposes: []string{"preview"}}, ipwarden.Block},
	} {
		in := testInput("203.0.113.66", 0)
		in.Crawler = Verified
		in.Record = ipwarden.NewRecord(in.Client, ipwarden.Full{Traits: ipwarden.Crawler, Security: ipwarden.Security{Crawler: ipwarden.CrawlerInfo{Name: "Googlebot", Purpose: "search"}}})
		if d := decide(t, Config{Crawlers: c.crawlers, Default: ipwarden.Block}, in); d.Verdict != c.want {
			t.Errorf("%s: got %v", name, d.Verdict)
		}
	}
}

// Flags end nothing, and turn an allow into a flag; what goes on counts when it
// is the stricter; what only tags leaves no trace else; what is in shadow is
// noted.
func TestRulesThatGoOn(t *testing.T) {
	rules := func(rs ...Rule) Config {
		for i := range rs {
			rs[i].Name = string(rune('a' + i))
		}
		return Config{Rules: rs}
	}
	flag, stepUp := Rule{Action: ipwarden.Flag}, Rule{Action: ipwarden.StepUp, Continue: true}
	for name, c := range map[string]struct {
		cfg        Config
		want       ipwarden.Verdict
		rule, tags string
		flags      int
		shadow     int
	}{
		"flag alone":             {rules(flag), ipwarden.Flag, "a", "", 1, 0},
		"flag, then allow":       {rules(flag, Rule{Action: ipwarden.Allow}), ipwarden.Flag, "b", "", 1, 0},
		"flag, then block":       {rules(flag, Rule{Action: ipwarden.Block}), ipwarden.Block, "b", "", 1, 0},
		"two flags":              {rules(flag, flag), ipwarden.Flag, "a", "", 2, 0},
		"goes on to nothing":     {rules(stepUp), ipwarden.StepUp, "a", "", 0, 0},
		"goes on to a block":     {rules(stepUp, Rule{Action: ipwarden.Block}), ipwarden.Block, "b", "", 0, 0},
		"goes on to an allow":    {rules(stepUp, Rule{Action: ipwarden.Allow, LiftLimits: true}), ipwarden.StepUp, "a", "", 0, 0},
		"goes on to a throttle":  {rules(stepUp, Rule{Action: ipwarden.Throttle}), ipwarden.StepUp, "a", "", 0, 0},
		"two that go on":         {rules(stepUp, Rule{Action: ipwarden.Challenge, Continue: true}, stepUp), ipwarden.Challenge, "b", "", 0, 0},
		"tags":                   {rules(Rule{Tags: []string{"x", "y"}}, Rule{Tags: []string{"z"}}), ipwarden.Allow, "", "x y z", 0, 0},
		"shadow":                 {rules(Rule{Action: ipwarden.Block, Shadow: true, Tags: []string{"x"}}), ipwarden.Allow, "", "", 0, 1},
		"shadow, then challenge": {rules(Rule{Action: ipwarden.Block, Shadow: true}, Rule{Action: ipwarden.Challenge}), ipwarden.Challenge, "b", "", 0, 1},
	} {
		d := decide(t, c.cfg, testInput("203.0.113.66", 0))
		rule := ""
		if d.Rule != nil {
			rule = d.Rule.Name
		}
		if d.Verdict != c.want || rule != c.rule || strings.Join(d.Tags, " ") != c.tags || len(d.Flags) != c.flags || len(d.Shadow) != c.shadow || d.LiftLimits {
			t.Errorf("%s: got %v by rule %q, tags %v, %d flags, %d in shadow", name, d.Verdict, rule, d.Tags, len(d.Flags), len(d.Shadow))
		}
	}
}

// A share of 5 % is 5 %, and each rule has a share of its own.
func TestShares(t *testing.T) {
	p := mustNew(t, Config{Rules: []Rule{
		{Name: "one", Tags: []string{"one"}, Share: 1 << 32 / 20}, {Name: "two", Tags: []string{"two"}, Share: 1 << 32 / 20},
	}})
	in := testInput("203.0.113.66", 0)
	var d Decision
	got := map[string]int{}
	const n = 200_000
	for i := range uint32(n) {
		in.Sample = i * 2654435769
		p.Decide(in, &d)
		got[strings.Join(d.Tags, "+")]++
		if len(d.Tags)+len(d.Shadow) != 2 {
			t.Fatalf("%v and %d in shadow", d.Tags, len(d.Shadow))
		}
	}
	for tags, want := range map[string]float64{"one": .0475, "two": .0475, "one+two": .0025, "": .9025} {
		if share := float64(got[tags]) / n; share < want*.85 || share > want*1.15 {
			t.Errorf("%q: %.4f of the requests, want %.4f", tags, share, want)
		}
	}
}

// What throttles without a limit refuses; with one it lets in up to it.
func TestThrottle(t *testing.T) {
	own := []Limit{{Name: "own", Limit: 1, Window: time.Minute, FromTier: true}}
	for name, c := range map[string]struct {
		cfg  Config
		want ipwarden.Verdict
		uses int
	}{
		"rule":               {Config{Rules: []Rule{{Name: "r", Action: ipwarden.Throttle}}}, ipwarden.Throttle, 0},
		"rule and limit":     {Config{Limits: own, Rules: []Rule{{Name: "r", Action: ipwarden.Throttle, Limit: 1}}}, ipwarden.Allow, 1},
		"threshold":          {Config{Thresholds: []Threshold{{Score: 1, Action: ipwarden.Throttle}}}, ipwarden.Throttle, 0},
		"threshold, limited": {Config{Limits: own, Thresholds: []Threshold{{Score: 1, Action: ipwarden.Throttle, Limit: 1}}}, ipwarden.Allow, 1},
	} {
		in := testInput("203.0.113.66", 0)
		in.Score = 5
		if d := decide(t, c.cfg, in); d.Verdict != c.want || len(d.Uses) != c.uses {
			t.Errorf("%s: got %v and %d limits", name, d.Verdict, len(d.Uses))
		}
	}
	entry := addrList("203.0.113.0/24", ipwarden.Throttle)
	entry.Limit = 1
	if d := decide(t, Config{Limits: own, Lists: []List{entry}}, testInput("203.0.113.66", 0)); d.Verdict != ipwarden.Allow || len(d.Uses) != 1 || d.LiftLimits {
		t.Errorf("entry: got %v and %d limits", d.Verdict, len(d.Uses))
	}
}

// Responses go with the verdict they are for; a redirect goes with any.
func TestResponses(t *testing.T) {
	where := []Expr{word("https://example.com"), {Op: OpPath, Type: String}, word("?"), {Op: OpQuery, Type: String}, word("&h="), {Op: OpHost, Type: String}}
	cfg := Config{
		Responses: []Response{{Name: "page", HTML: "<p>"}, {Name: "away", Redirect: where}, {Name: "block", Title: "own"}},
		Rules: []Rule{
			{Name: "page", When: pathIs("/page"), Action: ipwarden.Block, Response: "page"},
			{Name: "own", When: pathIs("/own"), Action: ipwarden.Block},
			{Name: "away", When: pathIs("/a way/\r\n"), Action: ipwarden.Allow, Response: "away"},
			{Name: "let in", When: pathIs("/in"), Action: ipwarden.Allow, Response: "page"},
			{Name: "challenge", When: pathIs("/challenge"), Action: ipwarden.Challenge},
		},
	}
	for path, want := range map[string]string{"/page": "page", "/own": "block", "/a way/\r\n": "away", "/in": "", "/challenge": "", "/": ""} {
		in := testInput("203.0.113.66", 0)
		in.Request.Path, in.Request.Query, in.Request.Host = path, "x=å&y=1 #", "a/..\\b:80"
		d := decide(t, cfg, in)
		got := ""
		if d.Response != nil {
			got = d.Response.Name
		}
		if got != want {
			t.Errorf("%q: got the response %q, want %q", path, got, want)
		}
		if want == "away" {
			const location = "https://example.com/a%20way/%0D%0A?x=%C3%A5&y=1%20%23&h=a%2F..%5Cb:80"
			if got := string(d.Response.AppendLocation(nil, in)); got != location {
				t.Errorf("got %s, want %s", got, location)
			}
		}
	}
	// A path of two slashes would be another host.
	r := &Response{Name: "r", Redirect: []Expr{{Op: OpPath, Type: String}}}
	p := mustNew(t, Config{Responses: []Response{*r}, Rules: []Rule{{Name: "r", Action: ipwarden.Block, Response: "r"}}})
	in := testInput("203.0.113.66", 0)
	in.Request.Path = "//evil.example/"
	var d Decision
	p.Decide(in, &d)
	if got := string(d.Response.AppendLocation([]byte("Location: "), in)); got != "Location: /evil.example/" {
		t.Errorf("got %s", got)
	}
}

func pathIs(s string) Expr {
	return Expr{Op: OpEqual, Type: Bool, Args: []Expr{{Op: OpPath, Type: String}, word(s)}}
}

func TestHeadersAndCookies(t *testing.T) {
	in := testInput("203.0.113.66", 0)
	in.Request.Header = http.Header{"X-One": {"a"}, "X-Many": {"a", "b", ""}, "Cookie": {`sid=1; x="two"; empty=; flag`, "late= 3 "}}
	for name, want := range map[string]string{"X-One": "a", "X-Many": "a, b, ", "X-None": ""} {
		if got := in.Header(name); got != want || in.HasHeader(name) != (name != "X-None") {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for name, want := range map[string]string{"sid": "1", "x": "two", "empty": "", "late": "3"} {
		if got, ok := in.Cookie(name); got != want || !ok {
			t.Errorf("%s: got %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"flag", "SID", "none", ""} {
		if got, ok := in.Cookie(name); ok {
			t.Errorf("%s: got %q", name, got)
		}
	}
	var zero Input // nothing is there, and nothing fails
	if _, ok := zero.Cookie("a"); ok || zero.Header("A") != "" || zero.HasHeader("A") {
		t.Error("the zero input has something")
	}
	mustNew(t, Config{}).Decide(&zero, &Decision{})
}

func TestRoutes(t *testing.T) {
	p := mustNew(t, Config{Routes: []Route{
		{Name: "api", Paths: []string{"/api/*", "/v1"}, Methods: []string{"POST", "PUT"}}, {Name: "host", Hosts: []string{"*.example.com", "localhost"}}, {Name: "all", Paths: []string{"/x*"}},
	}})
	for _, c := range []struct{ method, host, path, want string }{
		{"POST", "a", "/api/x", "api"},
		{"POST", "a", "/api", "api"},
		{"POST", "a", "/apix", "default"},
		{"GET", "a", "/api/x", "default"},
		{"PUT", "a", "/v1", "api"},
		{"PUT", "a", "/v1/", "default"},
		{"GET", "b.example.com", "/", "host"},
		{"GET", "example.com", "/", "default"},
		{"GET", "badexample.com", "/", "default"},
		{"GET", "localhost", "/", "host"},
		{"GET", "a", "/xyz", "all"},
	} {
		if got := p.Route(&ipwarden.Request{Method: c.method, Host: c.host, Path: c.path}); got.Name != c.want || got.Budget != DefaultBudget {
			t.Errorf("%s %s%s: got %s, want %s", c.method, c.host, c.path, got.Name, c.want)
		}
	}
}
