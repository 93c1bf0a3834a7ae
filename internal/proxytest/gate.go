package proxytest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/door"
	"github.com/ipwarden/ipwarden/internal/spoa"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy"
)

// Slow is how long a slow gate takes: longer than any configuration waits.
const Slow = 500 * time.Millisecond

// A Gate decides for a proxy: the sample world, a policy that goes by the path,
// and the doors. It listens where it is told, and can be killed and started
// again there.
//
//	/block      blocked              /challenge  challenged
//	/moved      sent to /elsewhere   /limited    two a minute for each address
//	/many       sixteen limits with long names, one an hour for each address
//	/status/…   two 401 an hour for each address
//	/slow       throttled, without a limit
//	/legal      blocked with 451, in the policy's words and with its page
//
// Tor is blocked, and everything else passes.
type Gate struct {
	t       *testing.T
	gate    *gate.Gate
	slow    atomic.Bool
	http    string // where its doors listen; "" is nowhere
	unix    string
	spoa    string
	running []func()

	Agent *spoa.Agent // the SPOP agent that runs
}

// NewGate makes a gate that believes whoever connects from this machine, and
// listens on a Unix socket and for HTTP and SPOP on free ports.
func NewGate(t *testing.T) *Gate {
	t.Helper()
	g := &Gate{t: t, http: FreeAddr(t), spoa: FreeAddr(t), unix: filepath.Join(t.TempDir(), "gate.sock")}
	program, err := policy.New(rules())
	if err != nil {
		t.Fatal(err)
	}
	g.gate, err = gate.New(gate.Config{
		Source: &slowSource{ipwardentest.Sample(), &g.slow}, Program: program, Challenges: challenges{},
		Client: extractor(t, "X-Forwarded-For"),
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(g.Kill)
	return g
}

// HTTP and SPOP are the addresses of the doors, Unix the path of the socket.
func (g *Gate) HTTP() string { return g.http }
func (g *Gate) SPOP() string { return g.spoa }
func (g *Gate) Unix() string { return g.unix }

// Door is the gate as a door of the test's own asks it.
func (g *Gate) Door(forward bool) *door.Gate { return door.NewGate(g.gate, forward) }

// Outcomes counts those that were taken.
func (g *Gate) Outcomes() uint64 { return g.gate.Stats().Outcomes }

// SetSlow makes each decision take the time of Slow, or no longer so.
func (g *Gate) SetSlow(slow bool) { g.slow.Store(slow) }

// Start opens the doors, which must be closed.
func (g *Gate) Start() {
	g.t.Helper()
	for _, listen := range []string{g.http, "unix:" + g.unix} {
		a, err := api.New(api.Config{
			Data: func() api.Data { return ipwardentest.Sample() },
			Gate: &api.GateConfig{
				Gate: g.gate, Nginx: g.gate.With(extractor(g.t, "X-Real-IP")),
				Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			},
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			g.t.Fatal(err)
		}
		s, err := api.Listen(api.ServerConfig{API: a, Listen: listen, Linger: -1, Grace: time.Second})
		if err != nil {
			g.t.Fatal(err)
		}
		g.run(s.Run)
	}
	asked := g.Door(false)
	agent, err := spoa.New(spoa.Config{
		Decide: asked.Decide, Outcome: asked.Outcome, Removes: asked.Removes, Linger: -1, Grace: time.Second,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	// Where nginx tells outcomes.
	outcomes, err := door.ListenOutcomes("unix:"+g.unix+".outcomes", asked.Outcome, slog.New(slog.DiscardHandler))
	if err != nil {
		g.t.Fatal(err)
	}
	g.run(outcomes.Serve)
	ln, err := net.Listen("tcp", g.spoa)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Agent = agent
	g.run(func(ctx context.Context) error { return agent.Serve(ctx, ln) })
}

func (g *Gate) run(serve func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := serve(ctx); err != nil {
			g.t.Errorf("the gate: %v", err)
		}
	}()
	g.running = append(g.running, sync.OnceFunc(func() { cancel(); <-ended }))
}

// Kill closes the doors.
func (g *Gate) Kill() {
	var all sync.WaitGroup
	for _, stop := range g.running {
		all.Go(stop)
	}
	all.Wait()
	g.running = nil
}

func extractor(t *testing.T, header string) *clientip.Extractor {
	t.Helper()
	// The proxies are behind a load balancer on this machine, which is what the
	// tests play.
	x, err := clientip.New(clientip.Config{Header: header, TrustPeer: true, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// rules is the policy.
func rules() policy.Config {
	path := policy.Expr{Op: policy.OpPath, Type: policy.String}
	text := func(s string) policy.Expr { return policy.Expr{Op: policy.OpConst, Type: policy.String, Text: s} }
	is := func(p string) policy.Expr {
		return policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{path, text(p)}}
	}
	below := func(p string) policy.Expr {
		return policy.Expr{Op: policy.OpStartsWith, Type: policy.Bool, Args: []policy.Expr{path, text(p)}}
	}
	unauthorized := policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpStatus, Type: policy.Int}, {Op: policy.OpConst, Type: policy.Int, Int: 401},
	}}
	limits := []policy.Limit{
		{Name: "few", When: is("/limited"), Limit: 2, Window: time.Minute},
		{Name: "failures", When: below("/status/"), Limit: 2, Window: time.Hour, Algorithm: policy.Sliding, Count: unauthorized},
	}
	for i := range 16 { // as many as a request may have, with names as long as they may be
		name := fmt.Sprintf("many-%02d-%s", i, strings.Repeat("n", 56))
		limits = append(limits, policy.Limit{Name: name, When: is("/many"), Limit: 1, Window: time.Hour})
	}
	return policy.Config{
		Rules: []policy.Rule{
			{Name: "blocked", When: is("/block"), Action: ipwarden.Block},
			{Name: "slow", When: is("/slow"), Action: ipwarden.Throttle},
			{Name: "legal", When: is("/legal"), Action: ipwarden.Block, Response: "för lagens skull"},
			{Name: "challenged", When: is("/challenge"), Action: ipwarden.Challenge},
			{Name: "moved", When: is("/moved"), Action: ipwarden.Allow, Response: "elsewhere"},
			{Name: "no tor", When: policy.Expr{Op: policy.OpField, Type: policy.Bool, Field: ipwarden.FieldIsTor}, Action: ipwarden.Block},
		},
		Limits: limits,
		Responses: []policy.Response{
			{Name: "elsewhere", Status: 302, Redirect: []policy.Expr{text("/elsewhere")}},
			{Name: "för lagens skull", Status: 451, Title: "Inte här", Detail: "Enligt lag: \"nej\" 𝄞", HTML: "<!doctype html><h1>Inte här</h1>\n"},
		},
		// The tests ask often, and more than once a test.
		DefaultRoute: policy.Route{Budget: 10 * time.Second, FailMode: policy.FailOpen},
	}
}

// challenges sends everybody to a page that is not there.
type challenges struct{}

var _ gate.Challenges = challenges{}

func (challenges) Cleared(*ipwarden.Request, netip.Addr, uint8, time.Time) bool { return false }

func (challenges) AppendLocation(dst []byte, r *ipwarden.Request, _ netip.Addr, _ uint8, _ time.Time) []byte {
	return append(append(dst, "/.ipwarden/challenge?to="...), url.QueryEscape(r.Path)...)
}

// slowSource answers as the sample does, or takes its time. It is local as far as a
// gate knows, so that the gate itself is what is slow.
type slowSource struct {
	*ipwardentest.World
	slow *atomic.Bool
}

var _ ipwarden.Source = (*slowSource)(nil)

func (s *slowSource) Lookup(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
	if s.slow.Load() {
		<-time.After(Slow) // whatever the context says: it is stuck
	}
	return s.World.Lookup(ctx, a)
}
