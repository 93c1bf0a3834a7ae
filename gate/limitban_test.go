package gate_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// banning is a gate with limits, of which those that ban write to a table, and the
// clock that all go by.
func banning(t *testing.T, cfg policy.Config, with func(*gate.Config)) (g *gate.Gate, bans *ban.Table, now *time.Time) {
	t.Helper()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	now = &at
	bans, err := ban.New(t.Context(), ban.Config{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bans.Close() })
	memory, err := limit.NewMemory(limit.MemoryConfig{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	g = newGate(t, cfg, func(c *gate.Config) {
		c.Bans, c.Limiter, c.Now = bans, memory, func() time.Time { return at }
		if with != nil {
			with(c)
		}
	})
	return g, bans, now
}

// Who goes over a limit that bans is shut out for its time, whatever its rate is by
// then, and everywhere; then it begins anew.
func TestLimitBans(t *testing.T) {
	login := perMinute("log-ins", 3)
	login.Ban = 10 * time.Minute
	login.Rollup = [2]uint32{4, 16}
	login.When = policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpPath, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "/login"},
	}}
	g, bans, now := banning(t, policy.Config{Limits: []policy.Limit{login}}, nil)
	var d gate.Decision
	ask := func(ip, path string, verdict ipwarden.Verdict, why policy.Reason, retry int) {
		t.Helper()
		q := request(ip)
		q.Path = path
		g.Decide(context.Background(), q, &d)
		if d.Verdict != verdict || d.Reason != why || d.RetrySeconds() != retry {
			t.Fatalf("%s %s: %s by %s for %d s; want %s by %s for %d s", ip, path, d.Verdict, d.Reason, d.RetrySeconds(), verdict, why, retry)
		}
	}
	headers := func() map[string]string {
		h := map[string]string{}
		d.Reply(func(name, value string) { h[name] = strings.Clone(value) })
		return h
	}
	for _, ip := range []string{"8.8.8.8", "2001:4860:1:2::8"} {
		for range 3 {
			ask(ip, "/login", ipwarden.Allow, policy.ByDefault, 0)
		}
		ask(ip, "/login", ipwarden.Throttle, policy.ByLimit, 600)
		if h := headers(); h["Retry-After"] != "600" || h["Ratelimit"] != `"log-ins";r=0;t=600` {
			t.Errorf("the client is told %v", h)
		}
		*now = now.Add(5 * time.Minute) // five times what the rate needs to recover
		ask(ip, "/elsewhere", ipwarden.Throttle, policy.ByBan, 300)
		if h := headers(); h["Retry-After"] != "300" || h["Ratelimit"] != `"log-ins";r=0;t=300` || h["Ratelimit-Policy"] != `"log-ins";q=3;w=60` {
			t.Errorf("while it is banned, the client is told %v", h)
		}
		if body, _ := d.AppendRefusal(nil, false); d.Status() != http.StatusTooManyRequests || !strings.Contains(string(body), `"violated-policies":["log-ins"]`) {
			t.Errorf("%d %s", d.Status(), body)
		}
		if text := string(d.AppendJSON(nil)); d.By() != "log-ins" || !strings.Contains(text, `"limit":"log-ins"}`) {
			t.Errorf("by %q: %s", d.By(), text)
		}
		*now = now.Add(5 * time.Minute)
		ask(ip, "/login", ipwarden.Allow, policy.ByDefault, 0)
	}
	if s := bans.Stats(); s.Over != 2 || s.Made != 0 {
		t.Errorf("%+v", s)
	}
	// Lifted, the limit alone refuses, and does not ban again before its time.
	for range 3 {
		ask("1.1.1.1", "/login", ipwarden.Allow, policy.ByDefault, 0)
	}
	ask("1.1.1.1", "/login", ipwarden.Throttle, policy.ByLimit, 600)
	if !bans.Lift(netip.MustParsePrefix("1.1.1.1/32")) {
		t.Fatal("there is no ban to lift")
	}
	ask("1.1.1.1", "/", ipwarden.Allow, policy.ByDefault, 0)
	ask("1.1.1.1", "/login", ipwarden.Throttle, policy.ByLimit, 20)
	ask("1.1.1.1", "/", ipwarden.Allow, policy.ByDefault, 0)
	*now = now.Add(time.Minute)
	ask("1.1.1.1", "/login", ipwarden.Allow, policy.ByDefault, 0)
}

// A network round an address that is over the limit for it is shut out as a whole.
func TestLimitBansTheSite(t *testing.T) {
	l := perMinute("all", 1)
	l.Ban, l.Rollup = time.Hour, [2]uint32{0, 2}
	g, bans, _ := banning(t, policy.Config{Limits: []policy.Limit{l}}, nil)
	var d gate.Decision
	for _, ip := range []string{"2001:4860:1:1::1", "2001:4860:1:2::1", "2001:4860:1:3::1", "2001:4860:1:4::1"} {
		g.Decide(context.Background(), request(ip), &d)
	}
	list, _ := bans.List(netip.Addr{}, 10)
	if d.Reason != policy.ByBan || len(list) != 1 || list[0].Network.String() != "2001:4860:1::/48" {
		t.Errorf("by %s; %+v", d.Reason, list)
	}
}

// Who is not to be shut out is only limited: shared addresses, our own, who is not
// known, loopback, a question that is none, and attempts that are on their way.
func TestLimitBansNobodyElse(t *testing.T) {
	l := perMinute("all", 1)
	l.Ban = time.Hour
	trusted, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Header: "X-Forwarded-For"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ip, forwarded string
	}{
		"loopback": {"127.0.0.1", ""}, "not known": {"10.0.0.1", ""}, "not read": {"10.0.0.1", "nonsense"}, "ours": {"10.0.0.1", "10.0.0.2"},
	} {
		g, bans, _ := banning(t, policy.Config{Limits: []policy.Limit{l}}, func(c *gate.Config) { c.Client = trusted })
		var d gate.Decision
		for range 30 {
			q := request(c.ip)
			if c.forwarded != "" {
				q.Header = http.Header{"X-Forwarded-For": {c.forwarded}}
			}
			g.Decide(context.Background(), q, &d)
		}
		if n := bans.Stats().Over; n != 0 || d.Reason != policy.ByLimit {
			t.Errorf("%s: %d bans, %s by %s", name, n, d.Verdict, d.Reason)
		}
	}
	g, bans, _ := banning(t, policy.Config{Limits: []policy.Limit{l}}, nil)
	var d gate.Decision
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	g.Peek(context.Background(), request("8.8.8.8"), &d)
	if n := bans.Stats().Over; n != 0 || d.Verdict != ipwarden.Throttle {
		t.Errorf("a question bans: %d, %s", n, d.Verdict)
	}
	shadow := l
	shadow.Shadow = true
	g, bans, _ = banning(t, policy.Config{Limits: []policy.Limit{shadow}}, nil)
	for range 3 {
		g.Decide(context.Background(), request("8.8.8.8"), &d)
	}
	if n := bans.Stats().Over; n != 0 || d.WouldLimit != "all" {
		t.Errorf("a limit in shadow bans: %d", n)
	}
	failures := l
	failures.Limit, failures.Count = 3, policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpStatus, Type: policy.Int}, {Op: policy.OpConst, Type: policy.Int, Int: 401},
	}}
	g, bans, _ = banning(t, policy.Config{Limits: []policy.Limit{failures}}, nil)
	for range 5 {
		g.Decide(context.Background(), request("8.8.8.8"), &d)
	}
	if n := bans.Stats().Over; n != 0 || d.Verdict != ipwarden.Throttle {
		t.Errorf("attempts on their way ban: %d, %s", n, d.Verdict)
	}
}

// A gate that cannot ban says so, instead of leaving it out.
func TestLimitBansWithoutATable(t *testing.T) {
	l := perMinute("all", 1)
	l.Ban = time.Hour
	p, err := policy.New(policy.Config{Limits: []policy.Limit{l}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gate.New(gate.Config{Source: failingSource{}, Program: p}); err == nil || !strings.Contains(err.Error(), "ban.New") {
		t.Errorf("it says %v", err)
	}
	for _, wrong := range []func(*policy.Limit){
		func(l *policy.Limit) { l.Ban = time.Millisecond },
		func(l *policy.Limit) { l.Ban = 31 * 24 * time.Hour },
		func(l *policy.Limit) { l.Key = []policy.KeyPart{{Kind: policy.KeyASN}} },
		func(l *policy.Limit) {
			l.Key = []policy.KeyPart{{Kind: policy.KeyAddress}, {Kind: policy.KeyAccount, Name: "id"}}
		},
	} {
		bad := l
		wrong(&bad)
		if _, err := policy.New(policy.Config{Limits: []policy.Limit{bad}}); err == nil {
			t.Errorf("%+v is no mistake", bad)
		}
	}
}
