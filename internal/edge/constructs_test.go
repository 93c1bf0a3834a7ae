package edge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/edge"
	"github.com/ipwarden/ipwarden/internal/edge/decide"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
)

// constructs are policies of what the other ones have little of: entries that end, those of
// equal length, what one decision adds to another, paths that are read in other ways.
var constructs = map[string]string{
	"timed": `
lists:
  a: {networks: [{network: 8.8.8.0/24, expires: 2026-11-21T12:00:00Z, reason: x}, {network: 8.8.4.0/24, expires: 2026-11-22T00:00:00Z, reason: x}, 78.64.0.0/12], action: block}
  b: {asns: [{asn: 15169, expires: 2026-11-21T12:34:56Z, reason: x}, {asn: AS3301, expires: 2026-11-21T12:34:57Z, reason: y}], action: challenge}
  c: {countries: [{country: US, expires: 2026-11-20, reason: q}, {country: DE, expires: 2026-11-21, reason: q}], action: flag, tags: [land]}
  d: {networks: [0.0.0.0/1], action: allow, limit: 10/min, expires: 2026-11-21}
  e: {networks: ["2000::/3"], action: step_up, expires: 2026-11-20}
rules:
  - {name: r1, when: ip in lists.a, tags: [ina]}
  - {name: r2, when: ip in lists.b, tags: [inb]}
  - {name: r3, when: ip in lists.c && ip in lists.d, action: block}
  - {name: r4, when: ip.asn.number in lists.b, tags: [asn]}
  - {name: r5, when: ip.location.country_code in lists.c, tags: [land2]}
`,
	"ties": `
lists:
  a1: {networks: [1.0.0.0/8, 2.0.0.0/8, 5.0.0.0/8, "2a00::/12"], action: allow}
  a2: {networks: [1.0.0.0/8, 2.128.0.0/9, 5.0.0.0/16, "2a00::/16"], action: block}
  a3: {networks: [1.0.0.0/8, 2.128.0.0/10, "2a00::/16"], action: challenge, limit: 3/min}
  a4: {networks: [1.0.0.0/9, 2.128.0.0/10], action: flag, tags: [x, y]}
  n1: {asns: [3301, 7922], action: allow, limit: 5/min}
  n2: {asns: [3301, 15169], action: throttle, limit: 9/min}
  n3: {asns: [15169], action: step_up, response: r}
  l1: {countries: [JP, US], action: flag, tags: [t]}
  l2: {countries: [JP, BR], action: throttle}
  l3: {countries: [BR], action: allow}
responses:
  r: {status: 451}
  block: {status: 404}
  challenge: {status: 401}
  throttle: {detail: x}
  step_up: {status: 302, redirect: "https://{request.host}/step?p={request.path}&q={request.query}&a={ip.address}&m={request.method}&t={tier}&s={client.status}"}
tiers:
  - {name: one, when: ip.version == 6, limits: 5/min, action: step_up}
  - {name: two, when: ip.security.is_hosting, limits: 5/min, action: challenge, response: r}
  - {name: three, when: ip.location.continent_code == "AS", action: block}
thresholds:
  - {score: 20, action: flag}
  - {score: 40, action: throttle, limit: 2/min}
  - {score: 60, action: challenge}
  - {score: 90, action: block, response: r}
defaults: {action: flag}
`,
	"rules": `
lists:
  v: {values: [example.com, "/login", GET, "1"]}
  n: {networks: [64.0.0.0/2]}
rules:
  - {name: c1, when: risk.score > 30, action: challenge, continue: true, tags: [c1]}
  - {name: c2, when: ip.location.country_code == "US", action: step_up, continue: true}
  - {name: c3, when: request.method == "POST", action: throttle, continue: true, limit: 4/min}
  - {name: s1, when: ip.version == 4, action: block, mode: shadow}
  - {name: lift, when: 'request.path == "/lift" || request.path == "/login"', action: allow, lift_limits: true}
  - {name: f, when: request.path in lists.v, action: flag, tags: [f]}
  - {name: m, when: request.method in lists.v && request.host in lists.v, tags: [m]}
  - {name: w, when: 'ip.within("10.0.0.0/8") || ip.within("8.0.0.0/7") || ip.within("2001:db8::/32")', action: block}
  - {name: addr, when: 'ip.address.startsWith("1") || ip.address.endsWith("::1") || ip.address == "78.64.1.1"', tags: [addr]}
  - {name: tiers, when: 'tier == "b"', tags: [tb]}
  - {name: tern, when: '(ip.version == 6 ? request.query : request.path + "!" + request.host).size() > 20', tags: [long]}
  - {name: status, when: 'client.status == "forwarded"', tags: [fw]}
  - {name: hdr, when: '"x-test" in request.headers && request.headers["X-TEST"] != ""', tags: [hdr]}
  - {name: low, when: 'request.headers["user-agent"].lowerAscii().contains("mozilla") && !request.headers["user-agent"].matches("^[A-Z]")', tags: [low]}
  - {name: re, when: 'request.query.matches("(a|b)+c$") || request.path.matches("^/[^/]*$")', tags: [re]}
  - {name: pad, when: 'request.headers["x-pad"].matches("^x*$")', action: block}
  - {name: padallow, when: 'request.headers["x-pad2"].matches("^x*$") && request.headers["x-pad2"] != ""', action: allow}
  - {name: cookie, when: 'has(request.cookies.lang) && request.cookies.lang == "sv"', tags: [sv]}
  - {name: cookie2, when: 'request.cookies["session"].size() > 30', action: step_up}
  - {name: acc, when: 'has(account.id) && account.id != "ann"', action: block}
  - {name: acc2, when: 'account["country"] == ip.location.country_code', tags: [home]}
  - {name: shared, when: risk.shared && risk.score > 10, action: block, even_shared: true}
  - {name: rep, when: ip.security.is_anonymous || risk.score > 50, action: block}
  - {name: cr, when: crawler.name != "" && !crawler.verified, tags: [claim]}
  - {name: cr2, when: crawler.verified, tags: [cv]}
  - {name: lists, when: '"tor" in ip.security.listings || ip.security.listings.size() > 2', tags: [li]}
  - {name: lang, when: '"en" in ip.location.languages && !("sv" in ip.location.languages)', tags: [en]}
  - {name: q, when: 'request.query == "" && request.path.size() > 3', tags: [q]}
  - {name: fl, when: ip.location.latitude > 59.5 && ip.location.longitude <= 18.25, tags: [sthlm]}
  - {name: neg, when: '!(ip in lists.n) && !(request.host in ["a", "b", "example.com"])', tags: [neg]}
  - {name: bool, when: 'ip.security.is_vpn == false && ip.location.is_eu != true', tags: [nb]}
tiers:
  - {name: a, when: ip.security.is_hosting && ip.version == 4, limits: [5/min, {rate: 3/min, key: asn}]}
  - {name: b, when: 'request.path.startsWith("/a")', limits: 5/min, action: flag}
crawlers: {allow: [Googlebot, GPTBot], limit: 4/min, pending: {action: throttle, limit: 2/min}}
`,
	"paths1": `
paths: {slashes: keep, parameters: keep, encoded_slashes: keep, case: keep}
rules:
  - {name: a, when: 'request.path == "/admin" || request.path.startsWith("/admin/")', action: block}
  - {name: b, when: 'request.path.contains("//")', tags: [dd]}
  - {name: c, when: 'request.path.contains(";")', tags: [semi]}
  - {name: d, when: 'request.path.contains("%2F") || request.path.contains("%2f")', tags: [enc]}
  - {name: e, when: 'request.path.endsWith("é")', tags: [e]}
routes:
  - {name: x, path: /login, method: POST, fail_mode: closed}
`,
	"paths2": `
paths: {slashes: merge, parameters: strip, encoded_slashes: keep, case: fold}
rules:
  - {name: a, when: 'request.path == "/admin" || request.path.startsWith("/admin/")', action: block, response: x}
  - {name: b, when: 'request.path.contains("a")', tags: [dd]}
responses:
  x: {status: 303, redirect: "/{request.path}?{request.query}{request.headers[\"x-test\"]}{request.cookies[\"lang\"]}{account.id}{ip.location.city}"}
`,
	"risk": `
risk: {weights: {hosting: 10, vpn: 60, tor: 5, mobile: 3}, half_lives: {vpn: 72h, abuser: 1h}, floor: 10}
thresholds:
  - {score: 1, action: flag}
  - {score: 15, action: step_up}
  - {score: 25, action: challenge}
  - {score: 35, action: block}
rules:
  - {name: a, when: risk.score >= 12 && risk.score < 14, action: allow}
crawlers: {allow: none, purposes: [ai_training, preview]}
`,
	"fields": `
rules:
  - {name: f1, when: 'ip.security.vpn.name != "" && ip.security.vpn.name.contains("N")', tags: [f1]}
  - {name: f2, when: 'ip.security.hosting.name.startsWith("A")', tags: [f2]}
  - {name: f3, when: 'ip.asn.name.size() > 10 && ip.asn.domain.endsWith(".com")', tags: [f3]}
  - {name: f4, when: 'ip.location.region_code == "CA" || ip.location.city.startsWith("S")', tags: [f4]}
  - {name: f5, when: 'ip.location.time_zone.id == "Europe/Stockholm"', tags: [f5]}
  - {name: f6, when: 'ip.location.currency.code == "EUR"', tags: [f6]}
  - {name: f7, when: 'ip.security.scores.trust < 50', tags: [f7]}
  - {name: f8, when: 'ip.security.is_relay || ip.security.is_residential_proxy || ip.security.is_satellite', tags: [f8]}
  - {name: f9, when: 'ip.security.is_bogon', tags: [f9]}
  - {name: f10, when: 'ip.security.is_anycast', tags: [f10]}
  - {name: f11, when: 'ip.company.kind == "hosting"', tags: [f11]}
  - {name: f14, when: 'ip.security.crawler.purpose == "search"', tags: [f14]}
`,
}

// The engine, as Go, decides as the gate does on whatever the policy language has, at the
// ends of entries that end, about requests of which much is odd.
func TestConstructs(t *testing.T) {
	ds := edgetest.World(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	moment := edgetest.Moment
	t.Cleanup(func() { edgetest.Moment = moment })
	for name, text := range constructs {
		t.Run(name, func(t *testing.T) {
			p := edgetest.Read(t, name, "version: 1\n"+text)
			parts, err := edge.Compile(&edge.Config{Policy: p, Name: name, Dataset: ds})
			if err != nil {
				t.Fatal(err)
			}
			e, err := decide.New(decide.Config{Program: parts.Program, Dataset: parts.Dataset, Now: moment})
			if err != nil {
				t.Fatal(err)
			}
			o := edgetest.NewOracle(t, p, ds, parts.Told)
			wrong := 0
			var b []byte
			for i, q := range edgetest.Questions(t, ds, r, 6000) {
				if i%1000 == 0 {
					edgetest.Moment = moments[i/1000]
				}
				spice(&q, r)
				want := o.Ask(&q)
				b = q.Append(b[:0], edgetest.Moment, 0, 0, 0)
				v := e.Decide(b)
				if v[0] == decide.TooLong && len(want.Location) > 16<<10 {
					continue
				}
				if got, err := edgetest.ReadVerdict(v); err != nil || got != want {
					if wrong++; wrong <= 5 {
						t.Errorf("at %v, %.600s:\n got %+v, %v\nwant %+v", edgetest.Moment, fmt.Sprintf("%+v", q), got, err, want)
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d answers are others", wrong)
			}
		})
	}
}

// moments are before, at and behind the ends of the entries above, and long after the data.
var moments = [6]time.Time{
	time.Date(2026, 8, 23, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 11, 59, 59, 0, time.UTC), time.Date(2026, 11, 21, 12, 34, 56, 0, time.UTC),
	time.Date(2026, 11, 21, 12, 34, 57, 0, time.UTC), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC),
}

// spice makes a question odd.
func spice(q *edgetest.Question, r *rand.Rand) {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	if r.IntN(3) == 0 {
		q.Path = pick("/admin", "/ADMIN/x", "//admin", "/admin;a=b/c", "/;/admin", "/a%2Fb", "/a%2fadmin", "/admin/%2e", "/x/../admin", "/x/%2e%2e/admin", "/caf\xc3\xa9", "/caf%c3%a9", "/\xff", "/%ff", "/a?b?c", "/?", "?x", "", "admin", "/"+strings.Repeat("a", 8190), "/"+strings.Repeat("a", 8191), "/"+strings.Repeat("a", 8192), "/a?"+strings.Repeat("ab", 4090)+"c", "/lift", "/a#b", "/a\x00b", "/a b", "/%20", "/..", "/.", "/...", "/a/.", "/%", "/%1", "/%gg", "/x;", "/;", "/a//", "/abc?aac", "/abc?<>\"' &%", "/"+strings.Repeat("%41", 3000))
	}
	if r.IntN(4) == 0 {
		q.Address = pick("10.1.2.3", "127.0.0.2", "192.0.2.1", "100.64.0.1", "::1", "fe80::1", "2001:db8::1", "2002:808:808::", "64:ff9b::808:808", "::ffff:8.8.8.8", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "78.64.1.1", "8.8.8.8", "8.8.4.4", "0.0.0.0", "255.255.255.255", "::", "1.1.1.1", "66.249.66.1", "2a00:1450::1", "185.220.101.1", "ff02::1", "64:ff9b:1::1", "3fff::1", "224.0.0.1")
	}
	if r.IntN(3) == 0 {
		q.Method = pick("get", "pOST", "POST", "", "X", "M-SEARCH", "\xc3\xa9", "gEt ", "CONNECT")
		q.Host = pick("example.com", "", "a", "[::1]", "xn--caf-dma.example", "\xff")
		q.Scheme = pick("http", "https", "", "HTTP")
	}
	for range r.IntN(3) {
		q.Headers = append(q.Headers, [2]string{pick("X-Test", "x-test", "X-Pad", "X-Pad2", "Cookie", "User-Agent", "USER-AGENT", "Authorization", "X-Api-Key"), pick("", "1", " 1", "xxx", strings.Repeat("x", 8191), strings.Repeat("x", 8192), strings.Repeat("x", 8193), strings.Repeat("x", 9000), "lang=sv", "lang=\"sv\"; lang=en", " lang = sv ;", "session="+strings.Repeat("y", 31), "lang", "=sv", "lang==sv", "lang=\xc2\xa0sv", "Bearer abc", "bearer ", "Mozilla/5.0 (compatible; Googlebot/2.1)", "googlebot", "GPTBot Googlebot", "facebookexternalhit Twitterbot Slackbot", "\xff\xfe", "é", "a,b")})
	}
	if r.IntN(4) == 0 {
		q.Account = map[string]string{pick("id", "ID", "", "country", "billing_country", "last_country"): pick("", "ann", "bob", "SE", "US", "se", "\xff", strings.Repeat("z", 300))}
	}
}
