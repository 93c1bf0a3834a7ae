package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// failures is a limit of failed log-ins an hour: 401, or what the application
// says.
func failures(name string, n uint32) policy.Limit {
	l := perMinute(name, n)
	l.Algorithm, l.Window = policy.Sliding, time.Hour
	l.Count = policy.Expr{Op: policy.OpOr, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{{Op: policy.OpStatus, Type: policy.Int}, {Op: policy.OpConst, Type: policy.Int, Int: 401}}},
		{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{{Op: policy.OpOutcome, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "login_failed"}}},
	}}
	return l
}

// path is a condition.
func path(p string) policy.Expr {
	return policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpPath, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: p},
	}}
}

func left(d *gate.Decision, name string) int {
	for _, l := range d.Limits {
		if l.Name == name {
			return int(l.Remaining)
		}
	}
	return -1
}

func report(t *testing.T, g *gate.Gate, id gate.ID, o policy.Outcome, want bool) {
	t.Helper()
	if counted, err := g.Outcome(context.Background(), id, o); err != nil || counted != want {
		t.Errorf("%+v: counted %v, %v; want %v", o, counted, err, want)
	}
}

// One log-in that failed is one, though the proxy saw 401 and the application
// says so as well, and one that failed later still counts.
func TestALimitIsChargedOnceADecision(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("login", 3)}}, nil)
	var d gate.Decision
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	id := d.ID
	report(t, g, id, policy.Outcome{Status: 200}, true)
	report(t, g, id, policy.Outcome{Status: 401}, true)
	report(t, g, id, policy.Outcome{Event: "login_failed"}, true)
	report(t, g, id, policy.Outcome{Event: "login_failed"}, false)
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	if n := left(&d, "login"); n != 2 {
		t.Errorf("%d left of 3, want 2", n)
	}
	// As the middleware does it.
	report(t, g, d.ID, policy.Outcome{Event: "login_failed"}, true)
	if err := g.Settle(context.Background(), &d, policy.Outcome{Status: 401}); err != nil {
		t.Error(err)
	}
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	if n := left(&d, "login"); n != 1 {
		t.Errorf("%d left of 3, want 1", n)
	}
}

// An attacker who sends many cheap requests beside each attempt does not make the
// attempt be forgotten before it has failed.
func TestJunkDoesNotHideFailures(t *testing.T) {
	login := failures("login", 1)
	login.When = path("/login")
	g := newGate(t, policy.Config{Limits: []policy.Limit{login, perMinute("all", 10)}}, func(c *gate.Config) { c.Remember = 16 })
	var d gate.Decision
	attempt := request("8.8.8.8")
	attempt.Path = "/login"
	g.Decide(context.Background(), attempt, &d)
	id := d.ID
	for i := range 1000 {
		g.Decide(context.Background(), request(fmt.Sprintf("8.8.%d.%d", i/250, i%250)), &d)
	}
	report(t, g, id, policy.Outcome{Status: 401}, true)
	g.Decide(context.Background(), attempt, &d)
	if d.Verdict != ipwarden.Throttle {
		t.Errorf("%s by %s, want throttle", d.Verdict, d.Reason)
	}
}

// The networks round an IPv6 address do not crowd out what is counted by account.
func TestManyLimitsWaitForOneOutcome(t *testing.T) {
	var cfg policy.Config
	for i := range 5 {
		l := failures("address "+strconv.Itoa(i), 100)
		l.Rollup = [2]uint32{4, 16}
		cfg.Limits = append(cfg.Limits, l)
	}
	account := failures("account", 2)
	account.Key = []policy.KeyPart{{Kind: policy.KeyAccount, Name: "id"}}
	cfg.Limits = append(cfg.Limits, account)
	g := newGate(t, cfg, nil)
	var d gate.Decision
	for i := range 3 {
		q := request(fmt.Sprintf("2a00:%x::1", i+1))
		q.Account = map[string]string{"id": "ann"}
		g.Decide(context.Background(), q, &d)
		if want := i < 2; d.Verdict.Passes() != want {
			t.Errorf("attempt %d: %s by %s", i+1, d.Verdict, d.By())
		}
		if err := g.Settle(context.Background(), &d, policy.Outcome{Status: 401}); err != nil {
			t.Error(err)
		}
	}
	if g.Stats().Unawaited == 0 {
		t.Error("what found no room is not counted")
	}
}

// A limit in shadow counts what it would count, and nothing else.
func TestShadowCountsOutcomes(t *testing.T) {
	l := failures("login", 1)
	l.Shadow = true
	g := newGate(t, policy.Config{Limits: []policy.Limit{l}}, nil)
	var d gate.Decision
	for i, status := range []int{200, 200, 200, 401, 401} {
		g.Decide(context.Background(), request("8.8.8.8"), &d)
		if want := map[bool]string{true: "login"}[i == 4]; d.WouldLimit != want || d.Verdict != ipwarden.Allow || len(d.Limits) != 0 {
			t.Errorf("attempt %d: %s, would limit %q, want %q", i+1, d.Verdict, d.WouldLimit, want)
		}
		if err := g.Settle(context.Background(), &d, policy.Outcome{Status: status}); err != nil {
			t.Error(err)
		}
	}
}

// More limits than one Take has room for are charged all or not at all too.
func TestManyLimitsAllOrNone(t *testing.T) {
	var cfg policy.Config
	for i := range 11 {
		l := perMinute("wide "+strconv.Itoa(i), 100)
		l.Rollup = [2]uint32{4, 16}
		cfg.Limits = append(cfg.Limits, l)
	}
	cfg.Limits = append(cfg.Limits, perMinute("narrow", 2))
	g := newGate(t, cfg, nil)
	var d gate.Decision
	for i := range 5 {
		g.Decide(context.Background(), request("2a00::1"), &d)
		if want := i < 2; d.Verdict.Passes() != want {
			t.Errorf("request %d: %s by %s", i+1, d.Verdict, d.By())
		}
	}
	if n := left(&d, "wide 0"); n != 98 {
		t.Errorf("%d left of the first limit, want 98: refused requests were charged", n)
	}
}

// A limit that counts over another time begins anew.
func TestReloadedWindow(t *testing.T) {
	hourly := perMinute("all", 1)
	hourly.Window = time.Hour
	g := newGate(t, policy.Config{Limits: []policy.Limit{hourly}}, nil)
	var d gate.Decision
	for range 2 {
		g.Decide(context.Background(), request("8.8.8.8"), &d)
	}
	if d.Verdict != ipwarden.Throttle {
		t.Fatalf("%s by %s, want throttle", d.Verdict, d.Reason)
	}
	for _, l := range []policy.Limit{perMinute("all", 5), {Name: "all", Limit: 1, Window: time.Hour, Algorithm: policy.Sliding}} {
		p, err := policy.New(policy.Config{Limits: []policy.Limit{l}})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Use(p, nil); err != nil {
			t.Fatal(err)
		}
		if g.Decide(context.Background(), request("8.8.8.8"), &d); d.Verdict != ipwarden.Allow {
			t.Errorf("%s by %s, want allow", d.Verdict, d.Reason)
		}
	}
}

// What is remembered of a decision does not keep the dataset that it was made
// with.
// Why a request was not just let in is remembered with it; of the others, when asked for.
func TestRecallSaysWhy(t *testing.T) {
	full := ipwarden.Full{Traits: ipwarden.Hosting}
	g := newGate(t, policy.Config{Limits: []policy.Limit{{Name: "few", Limit: 1, Window: time.Hour}}}, func(c *gate.Config) {
		c.Source = localFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
			return ipwarden.NewRecord(a, full), nil
		})
	})
	var d gate.Decision
	recall := func() gate.Recalled {
		t.Helper()
		s, err := g.Recall(d.ID)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	why := func(s gate.Recalled) bool {
		return len(s.Contributions) > 0 && s.Contributions[0].Points > 0 && len(s.Limits) == 1 && s.Limits[0].Name == "few" && s.Limits[0].Limit == 1
	}
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	if s := recall(); s.Verdict != ipwarden.Allow || why(s) || s.Score == 0 {
		t.Errorf("an allow: %+v", s)
	}
	g.Elaborate(&d)
	if s := recall(); !why(s) || !s.Limits[0].Allowed {
		t.Errorf("an allow that was asked about: %+v", s)
	}
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	if s := recall(); s.Verdict.Passes() || !why(s) || s.Limits[0].Allowed || s.RetryAfter <= 0 {
		t.Errorf("a refusal: %+v", s)
	}
}

func TestRecallHoldsNoDataset(t *testing.T) {
	evidence := make([]ipwarden.Evidence, 1)
	kept := weak.Make(&evidence[0])
	full := ipwarden.Full{Traits: ipwarden.Hosting, Evidence: evidence}
	full.Location.CountryCode, full.ASN.Number = "SE", 64500
	evidence = nil
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("login", 3)}}, func(c *gate.Config) {
		c.Source = localFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
			defer func() { full = ipwarden.Full{} }()
			return ipwarden.NewRecord(a, full), nil
		})
	})
	var d gate.Decision
	g.Decide(context.Background(), request("8.8.8.8"), &d)
	id := d.ID
	d.Reset()
	for range 10 {
		if runtime.GC(); kept.Value() == nil {
			break
		}
	}
	if kept.Value() != nil {
		t.Error("the record is held on to")
	}
	s, err := g.Recall(id)
	if err != nil || s.Client != netip.MustParseAddr("8.8.8.8") || s.Record.CountryCode() != "SE" || s.Record.ASNumber() != 64500 || s.Record.Traits() != ipwarden.Hosting {
		t.Errorf("%+v, %v", s, err)
	}
}

// Attempts that are sent at once do not all go to the application before the
// first of them has failed, and one that succeeded makes room for the next.
func TestFailuresAtOnce(t *testing.T) {
	account := failures("account", 3)
	account.Key = []policy.KeyPart{{Kind: policy.KeyHeader, Name: "X-Account"}}
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("address", 100), account}}, nil)
	var reached atomic.Int64
	failing := make(chan struct{})
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/right" {
			return
		}
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		reached.Add(1)
		<-failing
		w.WriteHeader(http.StatusUnauthorized)
	}))
	login := func(target string) int {
		r := httptest.NewRequest("POST", target, nil)
		r.RemoteAddr = "8.8.8.8:1"
		r.Header.Set("X-Account", "ann")
		w := httptest.NewRecorder()
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(w, r)
		}()
		return w.Code
	}
	for range 10 { // each is over before the next
		if code := login("/right"); code != 200 {
			t.Fatalf("a log-in that succeeds: %d", code)
		}
		login("/broken")
	}
	var wg sync.WaitGroup
	var refused sync.WaitGroup
	refused.Add(197)
	for range 200 {
		wg.Go(func() {
			if login("/wrong") == http.StatusTooManyRequests {
				refused.Done()
			}
		})
	}
	refused.Wait() // three are inside
	close(failing)
	wg.Wait()
	if n := reached.Load(); n != 3 {
		t.Errorf("%d attempts reached the application, want 3", n)
	}
	if code := login("/right"); code != http.StatusTooManyRequests {
		t.Errorf("after three failures: %d, want 429", code)
	}
}
