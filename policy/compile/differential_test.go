package compile

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// writer writes random conditions that CEL takes.
type writer struct {
	r       *rand.Rand
	foreign bool // use what only CEL can do, too
}

func (w *writer) pick(of ...string) string { return of[w.r.IntN(len(of))] }

func (w *writer) quoted() string {
	return strconv.Quote(w.pick("", "a", "SE", "NO", "/login", "/a", "GET", "curl/8", "CURL", "é", "åÅ", "x=1", "free", "Googlebot", "se", "10.0.0.1", "list-one", "sv"))
}

func (w *writer) text(depth int) string {
	leaves := []string{
		"request.method", "request.path", "request.host", "request.query", "request.scheme", `request.headers["User-Agent"]`, `request.headers["x-many"]`,
		`request.headers["none"]`, `request.cookies["sid"]`, "request.cookies.none", "account.plan", `account["none"]`, "ip.location.country_code",
		"ip.location.city", "ip.address", "ip.network", "ip.asn.name", "ip.asn.route", "ip.asn.kind", "ip.security.vpn.name", "ip.security.crawler.name",
		"ip.transition", "ip.location.time_zone.id", "ip.location.time_zone.abbr", "ip.location.time_zone.current_time", "ip.company.name", "ip.carrier.mcc", "ip.dataset.date",
		"client.status", "crawler.name", "tier", "ip.security.hosting.region", "ip.security.bogon.rfc", "ip.location.currency.code",
	}
	if depth <= 0 {
		return w.pick(append(leaves, w.quoted(), w.quoted())...)
	}
	switch w.r.IntN(8) {
	case 0:
		return "(" + w.text(depth-1) + " + " + w.text(depth-1) + ")"
	case 1:
		return w.text(depth-1) + ".lowerAscii()"
	case 2:
		return "(" + w.bool(depth-1) + " ? " + w.text(depth-1) + " : " + w.text(depth-1) + ")"
	case 3:
		if w.foreign {
			return w.pick("string("+w.int(depth-1)+")", w.text(depth-1)+".upperAscii()", w.text(depth-1)+".replace(\"a\", \"b\")")
		}
	}
	return w.text(0)
}

func (w *writer) int(depth int) string {
	if depth <= 0 {
		return w.pick("risk.score", "ip.asn.number", "ip.version", "ip.location.accuracy_km", "ip.location.time_zone.offset", "ip.security.scores.vpn",
			"ip.security.scores.trust", "size(ip.security.listings)", "ip.location.languages.size()", "0", "1", "-5", "50", "64500", "9223372036854775807")
	}
	switch w.r.IntN(6) {
	case 0:
		return "size(" + w.text(depth-1) + ")"
	case 1:
		return w.text(depth-1) + ".size()"
	case 2:
		return "(" + w.bool(depth-1) + " ? " + w.int(depth-1) + " : " + w.int(depth-1) + ")"
	case 3:
		if w.foreign {
			return "(" + w.int(depth-1) + w.pick(" + ", " - ", " * ", " % ") + w.int(depth-1) + ")"
		}
	}
	return w.int(0)
}

func (w *writer) double(depth int) string {
	if depth > 0 && w.r.IntN(3) == 0 {
		return "(" + w.bool(depth-1) + " ? " + w.double(depth-1) + " : " + w.double(depth-1) + ")"
	}
	return w.pick("ip.location.latitude", "ip.location.longitude", "0.0", "59.3", "-1.5", "1e300")
}

func (w *writer) bool(depth int) string {
	if depth <= 0 {
		return w.pick("true", "false", "ip.security.is_vpn", "ip.security.is_hosting", "ip.security.is_anonymous", "ip.security.is_threat", "ip.location.is_eu",
			"ip.location.time_zone.is_dst", "ip.zone", "risk.shared", "crawler.verified", "crawler.pending", "crawler.failed", "has(account.plan)", "has(account.none)",
			`"User-Agent" in request.headers`, `has(request.headers.none)`, `has(request.cookies.sid)`, `"plan" in account`, "has(ip.location.city)", "has(ip.asn.number)", "has(ip.security.listings)", "has(ip.security.is_vpn)", "has(request.path)", "has(risk.score)",
			"ip in lists.office", "ip in lists.nobody", "ip in lists.expired", `ip.within("10.0.0.0/8")`, `ip.within("2001:db8::/32")`, `ip.within("0.0.0.0/0")`,
			`"list-one" in ip.security.listings`, `"sv" in ip.location.languages`)
	}
	compare := func(x, y string) string { return x + w.pick(" == ", " != ", " < ", " <= ", " > ", " >= ") + y }
	switch w.r.IntN(15) {
	case 0, 1:
		return "(" + w.bool(depth-1) + " && " + w.bool(depth-1) + ")"
	case 2, 3:
		return "(" + w.bool(depth-1) + " || " + w.bool(depth-1) + ")"
	case 4:
		return "!" + "(" + w.bool(depth-1) + ")"
	case 5:
		return "(" + w.bool(depth-1) + " ? " + w.bool(depth-1) + " : " + w.bool(depth-1) + ")"
	case 6:
		return "(" + compare(w.text(depth-1), w.text(depth-1)) + ")"
	case 7:
		return "(" + compare(w.int(depth-1), w.int(depth-1)) + ")"
	case 8:
		return "(" + compare(w.double(depth-1), w.double(depth-1)) + ")"
	case 9:
		return "((" + w.bool(depth-1) + ")" + w.pick(" == ", " != ") + "(" + w.bool(depth-1) + "))"
	case 10:
		return "(" + w.text(depth-1) + ")" + w.pick(".startsWith", ".endsWith", ".contains") + "(" + w.text(depth-1) + ")"
	case 11:
		return "(" + w.text(depth-1) + ").matches(" + w.pick(`"^/a"`, `"[A-Z]+"`, `"(?i)curl"`, `"^$"`, `"."`) + ")"
	case 12:
		many := `"0","1","2","3","4","5","6","7","8",` + w.quoted()
		return "(" + w.text(depth-1) + " in [" + w.pick(w.quoted()+","+w.quoted(), many, `"SE","NO"`) + "])"
	case 13:
		return "(" + w.int(depth-1) + " in [" + w.pick("0,1", "64500", "1,2,3,4,5,6,7,8,9,64500") + "])" + w.pick("", " || ("+w.text(depth-1)+" in lists.office)", " || ("+w.int(depth-1)+" in lists.office)", " || "+w.text(0)+" in ip.security.listings")
	}
	if w.foreign {
		return w.pick(
			"ip.security.listings.exists(l, l.startsWith("+w.quoted()+"))", "ip.location.languages.all(l, l != "+w.quoted()+")",
			"["+w.text(depth-1)+", "+w.text(0)+"].exists(t, t == "+w.text(0)+")", "ip.security.listings.exists_one(l, l == \"list-one\" && risk.shared)",
			`request.headers[`+w.text(0)+`] == ""`, "(("+w.bool(depth-1)+") < ("+w.bool(depth-1)+"))",
		)
	}
	return w.bool(0)
}

// randomInput makes a request and what is known of its client.
func randomInput(r *rand.Rand) *policy.Input {
	some := func(of ...string) string { return of[r.IntN(len(of))] }
	stockholm, err := time.LoadLocation("Europe/Stockholm")
	if err != nil {
		stockholm = time.UTC
	}
	f := ipwarden.Full{
		Traits: ipwarden.Traits(r.Uint32()) & ipwarden.AllTraits,
		Location: ipwarden.Location{
			CountryCode: some("", "SE", "NO", "US"), City: some("", "Ås", "a"), IsEU: r.IntN(2) == 0, AccuracyKM: uint16(r.IntN(3)),
			HasCoordinates: r.IntN(2) == 0, Latitude: 59.3, Longitude: -1.5, Currency: ipwarden.Currency{Code: some("", "SEK")},
		},
		ASN:     ipwarden.ASN{Number: uint32(r.IntN(2) * 64500), Name: some("", "Exämple"), Kind: some("", "isp"), Route: netip.MustParsePrefix("10.0.0.0/9")},
		Company: ipwarden.Company{Name: some("", "A")}, Carrier: ipwarden.Carrier{MCC: some("", "240")},
		Security: ipwarden.Security{
			VPN: some("", "a"), Crawler: ipwarden.CrawlerInfo{Name: some("", "Googlebot")}, Hosting: ipwarden.HostingInfo{Region: some("", "eu-1")},
			Bogon: ipwarden.BogonInfo{RFC: some("", "1918")},
		},
		Date: time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC),
	}
	if r.IntN(2) == 0 {
		f.Location.TimeZone = ipwarden.TimeZone{ID: "Europe/Stockholm", Zone: stockholm}
	}
	for _, l := range []string{"list-one", "list-two"} {
		if r.IntN(2) == 0 {
			f.Security.Listings = append(f.Security.Listings, ipwarden.Listing{Name: l, Type: "abuser", Date: f.Date})
		}
	}
	if r.IntN(2) == 0 {
		f.Location.Languages = []ipwarden.Language{{Code: "sv"}, {Code: "a"}}
	}
	addr := netip.MustParseAddr(some("10.0.0.1", "203.0.113.66", "2001:db8::1", "192.0.2.1"))
	header := http.Header{}
	if r.IntN(3) > 0 {
		header["User-Agent"] = []string{some("curl/8", "CURL", "")}
		header["X-Many"] = []string{"a", "b"}[:1+r.IntN(2)]
		header["Cookie"] = []string{some("sid=a", "x=1; sid=\"b\"; sid=c", "sid", "")}
	}
	q := &ipwarden.Request{
		Method: some("GET", "POST"), Scheme: "https", Host: some("example.com", "a"), Path: some("/", "/a", "/login", "/é"), Query: some("", "x=1"), Header: header,
	}
	if r.IntN(2) == 0 {
		q.Account = map[string]string{"plan": some("", "free", "a")}
	}
	return &policy.Input{
		Request: q, Client: addr, ClientStatus: some("direct", "forwarded"), Record: ipwarden.NewRecord(addr, f), Score: uint8(r.IntN(101)),
		Shared: r.IntN(2) == 0, Crawler: policy.Crawler(r.IntN(4)), CrawlerName: some("", "Googlebot"), Now: time.Date(2026, 8, 22, 12, 0, 0, 0, time.UTC),
	}
}

var differentialLists = []string{"office", "nobody", "expired"}

// differ compares what a condition says lowered with what CEL says of the whole
// of it.
func differ(t *testing.T, c *conditions, w *writer) (held, failed int) {
	t.Helper()
	source := w.bool(1 + w.r.IntN(4))
	c.foreign = nil
	lowered, problems := c.compile(source, policy.Bool, false)
	if len(problems) > 0 {
		if strings.Contains(problems[0].what, "may cost") || strings.Contains(problems[0].what, "no country") || strings.Contains(problems[0].what, "not CEL") {
			return 0, 0 // too dear, a comparison that never holds, or nested too deep
		}
		t.Fatalf("%s\n%v", source, problems)
	}
	if !w.foreign && len(c.foreign) > 0 {
		t.Fatalf("%s\nwas not lowered as a whole", source)
	}
	program, err := policy.New(policy.Config{
		Lists: []policy.List{
			{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/48")}, ASNs: []uint32{64500}, Countries: []string{"NO"}, Crawlers: []string{"Googlebot"}, Values: []string{"a", "free"}},
			{Name: "nobody"},
			{Name: "expired", Countries: []string{"SE"}, Expires: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
		},
		Tiers: []policy.Tier{{Name: "a"}}, Rules: []policy.Rule{{Name: "it", When: lowered, Action: ipwarden.Block, EvenShared: true}},
		Crawlers: policy.Crawlers{Pending: ipwarden.Throttle}, Foreign: c.foreign,
		Scores: func(r ipwarden.Record, _ time.Time) ipwarden.Scores {
			return ipwarden.Scores{VPN: uint8(r.Traits()) % 100, Trust: 7}
		},
	})
	if err != nil {
		t.Fatalf("%s\n%v", source, err)
	}
	checked, issues := c.env.Compile(source)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	whole, err := c.env.Program(checked)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		in := randomInput(w.r)
		var d policy.Decision
		program.Decide(in, &d)
		got := d.Rule != nil
		out, _, err := whole.Eval(&world{in})
		if err != nil {
			continue // an overflow, or a division by zero: a part of it is zero then
		}
		if want := bool(out.(types.Bool)); got != want {
			t.Fatalf("%s\nlowered says %v, CEL %v\nlowered: %s\ninput: %+v", source, got, want, fmt.Sprintf("%+v", lowered), in)
		}
		if got {
			held++
		} else {
			failed++
		}
	}
	return held, failed
}

// TestLoweredIsCEL compares random conditions on random requests: what is
// lowered as a whole, and what runs on CEL in part.
func TestLoweredIsCEL(t *testing.T) {
	c, err := newConditions(differentialLists)
	if err != nil {
		t.Fatal(err)
	}
	n := 3000
	if testing.Short() {
		n = 300
	}
	held, failed := 0, 0
	for seed := range uint64(n) {
		h, f := differ(t, c, &writer{rand.New(rand.NewPCG(seed, 1)), seed%2 == 1})
		held, failed = held+h, failed+f
	}
	if held < n/2 || failed < n/2 {
		t.Errorf("of %d conditions, %d comparisons held and %d did not: too few to show anything", n, held, failed)
	}
}

// FuzzLoweredIsCEL is TestLoweredIsCEL for as long as one likes.
func FuzzLoweredIsCEL(f *testing.F) {
	c, err := newConditions(differentialLists)
	if err != nil {
		f.Fatal(err)
	}
	for seed := range uint64(8) {
		f.Add(seed, seed*7, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, a, b uint64, foreign bool) {
		own := *c // the foreign parts are kept in it
		differ(t, &own, &writer{rand.New(rand.NewPCG(a, b)), foreign})
	})
}
