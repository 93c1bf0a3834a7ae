// Package edgetest is what the engine of the edge is compared with: the gate with the
// whole dataset, asked the same questions.
package edgetest

import (
	"context"
	_ "embed" // the policy
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// Everything is a policy that asks for what a condition can ask for.
//
//go:embed everything.yaml
var Everything string

// Moment is when all cases are decided: some time after the data.
var Moment = time.Date(2026, 11, 21, 12, 34, 56, 789e6, time.UTC)

var world = sync.OnceValues(func() (*dataset.Dataset, error) {
	up := ".."
	for range 8 { // tests run in the folder of their package
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			break
		}
		up = filepath.Join(up, "..")
	}
	return dataset.Open(filepath.Join(up, "embedded", "dataset.ipw"))
})

// World is the embedded dataset.
func World(t testing.TB) *dataset.Dataset {
	t.Helper()
	ds, err := world()
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// Read reads a policy.
func Read(t testing.TB, name, text string) *compile.Policy {
	t.Helper()
	p, err := compile.Read(name, []byte(text), compile.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// A Question is a case: one request.
type Question struct {
	Address string            `json:"address"`
	Method  string            `json:"method"`
	Scheme  string            `json:"scheme"`
	Host    string            `json:"host"`
	Path    string            `json:"path"`
	Headers [][2]string       `json:"headers"`
	Account map[string]string `json:"account,omitempty"`
}

// An Answer is what both must say.
type Answer struct {
	Verdict  string `json:"verdict"`
	Status   int    `json:"status"`
	Reason   string `json:"reason"`
	By       string `json:"by"`
	Tier     string `json:"tier"`
	Risk     uint8  `json:"risk"`
	Location string `json:"location"`
	Tags     string `json:"tags"`
	Country  string `json:"country"`
	ASN      uint32 `json:"asn"`
}

var (
	agents = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36", "curl/8.5.0", "",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Mozilla/5.0 (compatible; bingbot/2.0)", "GPTBot/1.2",
		"Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", "facebookexternalhit/1.1 Facebot Twitterbot/1.0", "CCBot/2.0", "Twitterbot/1.0",
		"python-requests/2.31", "Mozilla/5.0 \xe9t\xe9",
	}
	paths = []string{
		"/", "/login", "/LOGIN", "//login", "/api/v1/users?page=2", "/api", "/six", "/files/123.zip", "/files/x.zip", "/a/../admin", "/%2e%2e/etc", "/a%2fb",
		"/admin;x=1", "/assets/app.js", "/search?q=../../etc", "/%6cogin", "/x%25", "/a%20b", "*", "/caf%C3%A9", "/files/99999.zip?x=1",
	}
	hosts     = []string{"example.com", "admin.example.com", "intern.example.com", "www.example.org"}
	methods   = []string{"GET", "GET", "GET", "POST", "HEAD", "DELETE", "post", "OPTIONS", "PROPFIND"}
	countries = []string{"", "", "", "SE", "US", "DE", "BR"}
)

// Questions are cases: half of the addresses are the ends of networks of the dataset,
// where answers change, and of those at the edge of a range the neighbours.
func Questions(t testing.TB, ds *dataset.Dataset, r *rand.Rand, n int) []Question {
	t.Helper()
	var ends []netip.Addr
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		i := 0
		for p := range ds.Networks(netip.MustParsePrefix(all)) {
			if i++; r.IntN(12) == 0 {
				ends = append(ends, p.Addr())
				if before := p.Addr().Prev(); before.IsValid() {
					ends = append(ends, before)
				}
			}
		}
	}
	pick := func(of []string) string { return of[r.IntN(len(of))] }
	all := make([]Question, n)
	for i := range all {
		var a netip.Addr
		switch k := r.IntN(10); {
		case k < 6:
			a = ends[r.IntN(len(ends))]
		case k < 9:
			a = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, r.Uint32())))
		default:
			b := ends[r.IntN(len(ends))].As16()
			binary.BigEndian.PutUint64(b[8:], r.Uint64())
			a = netip.AddrFrom16(b)
		}
		a, _ = ipwarden.Canonical(a)
		q := Question{Address: a.String(), Method: pick(methods), Scheme: "https", Host: pick(hosts), Path: pick(paths), Headers: [][2]string{{"user-agent", pick(agents)}}}
		if q.Headers[0][1] == "" {
			q.Headers = [][2]string{}
		}
		if r.IntN(5) == 0 {
			q.Headers = append(q.Headers, [2]string{"Cookie", "a=b; session=" + strings.Repeat("x", r.IntN(60))}, [2]string{"Cookie", "lang=sv"})
		}
		if r.IntN(5) == 0 {
			q.Headers = append(q.Headers, [2]string{"X-Test", pick([]string{"1", "two", "\"three\""})}, [2]string{"Accept-Language", "sv, en;q=0.5"})
		}
		if r.IntN(4) == 0 {
			q.Account = map[string]string{"id": "ann", "country": pick(countries), "billing_country": pick(countries), "last_country": pick(countries)}
		}
		all[i] = q
	}
	return all
}

// An Oracle is the gate with the whole dataset.
type Oracle struct {
	gate *gate.Gate
	told pack.Told
	d    gate.Decision
}

// NewOracle makes one; told is what the edge may tell of an address.
func NewOracle(t testing.TB, p *compile.Policy, ds *dataset.Dataset, told pack.Told) *Oracle {
	t.Helper()
	client, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Header: "Cf-Connecting-Ip"})
	if err != nil {
		t.Fatal(err)
	}
	var feeds []string
	for _, f := range ds.Info().Feeds {
		feeds = append(feeds, f.Name)
	}
	// The edge asks no DNS: nor does this one get an answer, so that claims are pending.
	silent := errors.New("no answer")
	crawlers, err := crawler.New(crawler.Config{
		Feeds: feeds, Now: func() time.Time { return Moment },
		LookupAddr: func(ctx context.Context, _ string) ([]string, error) { <-ctx.Done(); return nil, silent },
		LookupHost: func(ctx context.Context, _ string) ([]string, error) { <-ctx.Done(); return nil, silent },
		Timeout:    time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(crawlers.Close)
	g, err := gate.New(gate.Config{Source: ds, Program: p.Program, Risk: p.Risk, Client: client, Crawlers: crawlers, Now: func() time.Time { return Moment }, Remember: -1})
	if err != nil {
		t.Fatal(err)
	}
	return &Oracle{gate: g, told: told}
}

// Ask decides.
func (o *Oracle) Ask(q *Question) Answer {
	h := http.Header{"Cf-Connecting-Ip": {q.Address}}
	for _, l := range q.Headers {
		h.Add(l[0], l[1])
	}
	path, query, _ := strings.Cut(q.Path, "?")
	d := &o.d
	o.gate.Peek(context.Background(), &ipwarden.Request{
		Peer: netip.MustParseAddr("127.0.0.1"), Header: h, Method: q.Method, Scheme: q.Scheme, Host: q.Host, Path: path, Query: query, Account: q.Account,
	}, d)
	a := Answer{Verdict: d.Verdict.String(), Status: d.Status(), Reason: d.Reason.String(), By: d.By(), Location: d.Location, Tags: strings.Join(d.Tags, ",")}
	if d.Tier != nil {
		a.Tier = d.Tier.Name
	}
	if o.told&pack.TellRisk != 0 {
		a.Risk = d.Score
	}
	if o.told&pack.TellCountry != 0 {
		a.Country = d.Record.CountryCode()
	}
	if o.told&pack.TellASN != 0 {
		a.ASN = d.Record.ASNumber()
	}
	return a
}

// APolicy makes a policy by chance, of conditions that have a form at the edge.
func APolicy(r *rand.Rand) string {
	atoms := []string{
		"ip.security.is_vpn", "ip.security.is_proxy", "ip.security.is_hosting", "ip.security.is_anonymous", "ip.security.is_threat", "ip.security.is_crawler",
		"ip.security.is_mobile", "ip.security.is_scanner", "ip.location.is_eu", "risk.shared", "crawler.failed", "crawler.pending", "crawler.verified",
		`ip.location.country_code == "US"`, `ip.location.country_code in ["DE", "FR", "CN", "RU"]`, `ip.location.continent_code == "AS"`, `ip.asn.kind == "isp"`,
		`ip.asn.kind != "hosting"`, "ip.asn.number == 15169", "ip.asn.number in [3301, 7922, 701, 4134]", "ip in lists.some", "ip in lists.lands", "ip in lists.systems",
		`request.method == "POST"`, `request.path.startsWith("/api/")`, `request.path.endsWith(".zip")`, `request.path.contains("log")`, `request.host == "example.com"`,
		`request.query != ""`, `has(request.cookies.session)`, `request.headers["x-test"] == "1"`, `request.headers["user-agent"].matches("(?i)bot|curl")`,
		"ip.version == 6", fmt.Sprintf("risk.score >= %d", 10+r.IntN(80)), fmt.Sprintf("ip.security.scores.vpn > %d", r.IntN(90)), fmt.Sprintf("ip.location.longitude > %d.5", r.IntN(200)-100),
		`account.id == "ann"`, `ip.security.crawler.name == "Googlebot"`, `ip.security.bogon.name != ""`, `ip.asn.registry == "ripencc"`, `ip.company.name.size() > 12`,
		`ip.location.region != ""`, `"en" in ip.location.languages`, `ip.asn.name.startsWith("A")`, `ip.security.listings.size() > 0`,
	}
	var condition func(depth int) string
	condition = func(depth int) string {
		switch k := r.IntN(6); {
		case depth == 0 || k < 2:
			return atoms[r.IntN(len(atoms))]
		case k == 2:
			return "!(" + condition(depth-1) + ")"
		case k == 3:
			return "(" + condition(depth-1) + " || " + condition(depth-1) + ")"
		case k == 4:
			return "(" + condition(depth-1) + " ? " + condition(depth-1) + " : " + condition(depth-1) + ")"
		}
		return "(" + condition(depth-1) + " && " + condition(depth-1) + ")"
	}
	actions := []string{"allow", "flag", "challenge", "step_up", "block", "throttle"}
	var b strings.Builder
	b.WriteString("version: 1\nlists:\n")
	fmt.Fprintf(&b, "  some: {networks: [%d.0.0.0/8, %d.%d.0.0/16, \"2a00::/12\"]}\n  lands: {countries: [SE, JP, BR]}\n  systems: {asns: [3301, 16509, 8075]}\n", 1+r.IntN(9), 100+r.IntN(50), r.IntN(256))
	fmt.Fprintf(&b, "  own: {networks: [%d.0.0.0/9, %d.128.0.0/9], action: %s}\n  land: {countries: [%s], action: %s}\n", 20+r.IntN(50), 70+r.IntN(50), actions[r.IntN(5)], []string{"IT", "KR", "AU"}[r.IntN(3)], actions[r.IntN(5)])
	b.WriteString("tiers:\n")
	for i := range 1 + r.IntN(3) {
		fmt.Fprintf(&b, "  - {name: tier %d, when: '%s', limits: %d/min}\n", i, condition(2), 1+r.IntN(100))
	}
	b.WriteString("rules:\n")
	for i := range 4 + r.IntN(12) {
		fmt.Fprintf(&b, "  - {name: rule %d, when: '%s', action: %s, tags: [t%d]}\n", i, condition(3), actions[r.IntN(len(actions))], i)
	}
	if r.IntN(4) > 0 {
		fmt.Fprintf(&b, "thresholds:\n  - {score: %d, action: block}\n  - {score: %d, action: challenge}\n", 61+r.IntN(39), 10+r.IntN(50))
	}
	fmt.Fprintf(&b, "crawlers: {allow: %s}\n", []string{"all", "none"}[r.IntN(2)])
	return b.String()
}

// Policies are those that are compared: two that are here, and one by chance.
func Policies(t testing.TB) (texts map[string]string, r *rand.Rand) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r = rand.New(rand.NewPCG(seed, 7))
	return map[string]string{"policy.yaml": examples.Policies()["policy.yaml"], "everything.yaml": Everything, "chance.yaml": APolicy(r)}, r
}
