package play

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math/bits"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// TestTiers plays the tiers, what each kind of visitor meets, and failed log-ins
// at each proxy, with a Redis behind the node.
func TestTiers(t *testing.T) {
	redis := proxytest.FreeAddr(t)
	proxytest.Redis(t, redis)
	app := proxytest.NewApp(t)
	// The policy of "policy init", with the budget of a busy machine.
	example, dir := read(t, "../../examples/policy.yaml"), t.TempDir()
	ipwarden(t, dir, "policy", "init")
	if read(t, dir+"/policy.yaml") != example {
		t.Fatal("policy init writes something else than the example")
	}
	patient := strings.Replace(example, "budget: 5ms", "budget: 2s", 1)
	n := startNode(t, patient, "--redis", "redis://"+redis, "--limit-budget", "2s")
	for _, p := range proxies(t, n, app) {
		t.Run(p.name, func(t *testing.T) {
			t.Run("tiers", func(t *testing.T) { tiers(t, p) })
			t.Run("visitors", func(t *testing.T) { visitors(t, p, app) })
			t.Run("log-ins", func(t *testing.T) { logins(t, p, n) })
			t.Run("Redis is emptied", func(t *testing.T) { emptied(t, p, redis) })
		})
	}
	t.Run("the application asks", func(t *testing.T) { decides(t, n) })
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tiers(t *testing.T, p *proxy) {
	for _, c := range []struct {
		what, client string
		limit        int
		tier         string
	}{
		{"trusted", home.next(), 200, "trusted"},
		{"standard", abroad.next(), 50, "standard"},
		{"high risk", vpn.next(), 5, "high_risk"},
		{"many behind one address", mobile.next(), 4 * 50, "standard"},
		{"an address that is nobody's", nobody.next(), 20, "safe"},
	} {
		a := p.spend(t, c.limit+20, "/", c.client)
		a.holds(t, c.what, c.limit, time.Minute)
		if a.degraded > 0 {
			t.Errorf("%s: %d decisions were degraded", c.what, a.degraded)
		}
		if a.limited != nil && !strings.HasPrefix(a.limited.Header.Get("RateLimit-Policy"), `"`+c.tier+`";`) {
			t.Errorf("%s: the limit is that of %v", c.what, a.limited.Header)
		}
	}
	// A crawler that is verified is under no limit.
	if a := p.spend(t, 60, "/", crawler.next()); a.passed != 60 {
		t.Errorf("a crawler: %v", a.n)
	}
	// One address of a /64 is as good as another.
	network := networks.Add(1)
	for i := range 60 {
		r := p.send(t, "GET", "/", fmt.Sprintf("2001:db8:%x::%x", network, i+1))
		if r.Status != 200 && r.Status != 429 || r.Status == 429 && i < 50 || r.Status == 200 && i > 53 {
			t.Errorf("request %d of a /64: %d", i+1, r.Status)
		}
	}
}

// visitors: a data centre is blocked, a residential proxy challenged, a public
// VPN asked for a second factor.
func visitors(t *testing.T, p *proxy, app *proxytest.App) {
	before := app.Hits()
	if r := p.send(t, "GET", "/", dataCentre.next()); r.Status != 403 {
		t.Errorf("a data centre: %d", r.Status)
	}
	solver := residential.next()
	cookie := p.solves(t, "/shop?a=1", solver)
	if cookie == "" {
		t.Fatal("there is no clearance")
	}
	if r := p.send(t, "GET", "/", tor.next()); r.Status != 302 {
		t.Errorf("Tor: %d", r.Status)
	}
	if app.Hits() != before {
		t.Error("the application was asked about those who may not pass")
	}
	if r := p.send(t, "GET", "/shop?a=1", solver, "Cookie: "+cookie); r.Status != 200 || r.Seen == nil ||
		r.Seen.Header.Get("X-Ipwarden-Reason") != "clearance" || r.Seen.Header.Get("X-Ipwarden-Tier") != "high_risk" {
		t.Errorf("who has solved the challenge: %+v", r)
	}
	// It is worth nothing in another network, and lifts nothing else.
	if r := p.send(t, "GET", "/", elsewhere.next(), "Cookie: "+cookie); r.Status != 302 {
		t.Errorf("somebody else with the clearance: %d", r.Status)
	}
	if r := p.send(t, "GET", "/", dataCentre.next(), "Cookie: "+cookie); r.Status != 403 {
		t.Errorf("a data centre with the clearance: %d", r.Status)
	}
	for _, c := range []struct {
		what, client string
		want         map[string]string
	}{
		{"a public VPN", vpn.next(), map[string]string{"X-Ipwarden-Verdict": "step_up", "X-Ipwarden-Rule": "public vpn", "X-Ipwarden-Tier": "high_risk", "X-Ipwarden-Country": "SE", "X-Ipwarden-Traits": "vpn,hosting"}},
		{"a crawler", crawler.next(), map[string]string{"X-Ipwarden-Verdict": "allow", "X-Ipwarden-Reason": "crawler", "X-Ipwarden-Country": "US"}},
		{"a reader at home", home.next(), map[string]string{"X-Ipwarden-Verdict": "allow", "X-Ipwarden-Tier": "trusted", "X-Ipwarden-Country": "US"}},
	} {
		r := p.send(t, "GET", "/", c.client)
		if r.Status != 200 || r.Seen == nil {
			t.Errorf("%s: %d", c.what, r.Status)
			continue
		}
		c.want["X-Ipwarden-Ip"], c.want["X-Forwarded-For"] = c.client, c.client
		for name, want := range c.want {
			got := strings.Join(r.Seen.Header.Values(name), " and ")
			if got != want {
				t.Errorf("%s: the application sees %s: %q, want %q", c.what, name, got, want)
			}
		}
	}
}

// solves does what the challenge's page asks of a browser, and returns the
// cookie.
func (p *proxy) solves(t *testing.T, target, client string) (cookie string) {
	t.Helper()
	r := p.send(t, "GET", target, client)
	to := strings.TrimPrefix(r.Header.Get("Location"), "http://"+p.addr) // Caddy's is absolute
	if r.Status != 302 || !strings.HasPrefix(to, "/.ipwarden/challenge?") {
		t.Fatalf("not sent to a challenge: %d %v", r.Status, r.Header)
	}
	page := p.send(t, "GET", to, client, "Accept: text/html")
	if page.Status != 200 {
		t.Fatalf("the page: %d %v", page.Status, page.Header)
	}
	field := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(page.Body)
		if m == nil {
			t.Fatalf("the page has no %s:\n%s", pattern, page.Body)
		}
		return html.UnescapeString(m[1])
	}
	ticket := field(`name="t" value="([^"]*)"`)
	want, err := strconv.Atoi(field(`data-bits="(\d+)"`))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		sum := sha256.Sum256([]byte(ticket + "." + strconv.Itoa(n)))
		if bits.LeadingZeros32(binary.BigEndian.Uint32(sum[:])) >= want {
			break
		}
	}
	form := url.Values{"t": {ticket}, "to": {field(`name="to" value="([^"]*)"`)}, "kind": {field(`name="kind" value="([^"]*)"`)}, "n": {strconv.Itoa(n)}}
	back, err := proxytest.Try(t, p.addr, "POST", field(`method="post" action="([^"]*)"`), form.Encode(),
		"Content-Type: application/x-www-form-urlencoded", "X-Forwarded-For: "+client)
	if err != nil {
		t.Fatal(err)
	}
	if back.Status != 303 || back.Header.Get("Location") != target {
		t.Fatalf("after the challenge: %d %v\n%s", back.Status, back.Header, back.Body)
	}
	cookie, _, _ = strings.Cut(back.Header.Get("Set-Cookie"), ";")
	return cookie
}

// logins: three failures an hour for a foreign VPN, ten for a reader at home;
// log-ins that succeed do not count.
func logins(t *testing.T, p *proxy, n *node) {
	for _, c := range []struct {
		what, client string
		failures     int
		successes    int
		limit        string
	}{
		// The tier of a VPN is 5 a minute, and there is one request more.
		{"a foreign VPN", vpn.next(), 3, 1, "login from foreign vpn"},
		{"a reader at home", home.next(), 10, 10, "login from home"},
	} {
		login := func(fails bool) *proxytest.Reply {
			t.Helper()
			target := "/login"
			if fails && p.reports {
				target = "/login?status=401"
			}
			r := p.send(t, "POST", target, c.client)
			if r.Seen == nil {
				t.Fatalf("%s: a log-in does not come through: %d %v", c.what, r.Status, r.Header)
			}
			if !p.reports {
				event := map[bool]string{true: "login_failed", false: "login_ok"}[fails]
				body := `{"decision":"` + r.Seen.Header.Get("X-Ipwarden-Decision") + `","event":"` + event + `"}`
				for i := range 2 { // told twice, it counts once
					if got, want := n.ask(t, "/v1/outcome", body), map[int]string{0: "true", 1: "false"}[i]; !strings.Contains(got, `"counted":`+want) {
						t.Errorf("%s: the outcome %d: %s", c.what, i, got)
					}
				}
			}
			return r
		}
		for i := range c.failures {
			if i < c.successes {
				login(false)
			}
			login(true)
		}
		r := p.send(t, "POST", "/login", c.client)
		if r.Status != 429 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: after %d failures: %d %v", c.what, c.failures, r.Status, r.Header)
		}
		if !strings.Contains(r.Header.Get("RateLimit"), `"`+c.limit+`";r=0`) {
			t.Errorf("%s: refused by %v", c.what, r.Header)
		}
		// It is the log-in that is refused.
		if r := p.send(t, "GET", "/", c.client); r.Status != 200 {
			t.Errorf("%s: elsewhere: %d", c.what, r.Status)
		}
	}
}

// ask asks a node over its socket, as an application does.
func (n *node) ask(t *testing.T, path, body string) string {
	t.Helper()
	status, text, err := n.post(path, body)
	if err != nil || status != 200 {
		t.Fatalf("%s: %d, %v: %s", path, status, err, text)
	}
	return text
}

func (n *node) post(path, body string) (status int, answer string, err error) {
	r, err := (&http.Client{Transport: unixTransport(n.unix), Timeout: 10 * time.Second}).Post("http://localhost"+path, "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), err
}

// unixTransport connects to a socket, whatever the URL says.
func unixTransport(socket string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
}

// decides: the bill is from another country, which only the application knows.
func decides(t *testing.T, n *node) {
	for _, c := range []struct{ client, bill, verdict, by string }{
		{home.next(), "US", "allow", ""},
		{home.next(), "SE", "flag", "geo mismatch"},
		{vpn.next(), "US", "step_up", "public vpn"},
		{dataCentre.next(), "US", "block", "hosting"},
		{residential.next(), "US", "challenge", "residential proxy"},
	} {
		var got struct {
			Decision, Verdict, By string
			Passes                bool
		}
		text := n.ask(t, "/v1/decide", `{"ip":"`+c.client+`","method":"POST","host":"example.org","path":"/checkout","account":{"id":"4711","billing_country":"`+c.bill+`"}}`)
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Verdict != c.verdict || got.By != c.by {
			t.Errorf("%s with a bill from %s: %v %s", c.client, c.bill, err, text)
		}
	}
}

// emptied: who was denied before stays so, and nobody else notices.
func emptied(t *testing.T, p *proxy, redis string) {
	client, other := vpn.next(), abroad.next()
	p.spend(t, 6, "/", client)
	p.spend(t, 10, "/", other)
	if !strings.Contains(proxytest.RedisCLI(t, redis, "flushall"), "OK") || !strings.Contains(proxytest.RedisCLI(t, redis, "script", "flush"), "OK") {
		t.Fatal("Redis was not emptied")
	}
	if r := p.send(t, "GET", "/", client); r.Status != 429 {
		t.Errorf("who was denied before: %d", r.Status)
	}
	if a := p.spend(t, 20, "/", other); a.passed != 20 || a.degraded > 0 {
		t.Errorf("others: %v, %d of them degraded", a.n, a.degraded)
	}
}
