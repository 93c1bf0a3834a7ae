package nats

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/usagetest"
)

func serve(t *testing.T, c ServerConfig) *Server {
	t.Helper()
	s, err := Serve(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, c Config) *Conn {
	t.Helper()
	conn, err := Connect(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestStream(t *testing.T) {
	s := serve(t, ServerConfig{Dir: t.TempDir()})
	usagetest.TestStream(t, func(t *testing.T) usage.Stream { return connect(t, Config{Server: s}).Stream("eu.west") })
}

func TestServeRefuses(t *testing.T) {
	for _, c := range []ServerConfig{{}, {Dir: t.TempDir(), Listen: "127.0.0.1:4222"}, {Dir: t.TempDir(), Listen: "4222", User: "a", Password: "b"}} {
		if s, err := Serve(c); err == nil {
			s.Close()
			t.Errorf("%+v is served", c)
		}
	}
}

// Two regions over TCP, with passwords; the server of one is stopped and started while
// calls are counted. Both know all of them in the end.
func TestRestartedServer(t *testing.T) {
	type region struct {
		name, addr, dir string
		server          *Server
		meter           *usage.Meter
	}
	regions := []*region{{name: "a"}, {name: "b"}}
	dir := t.TempDir()
	start := func(r *region) {
		var err error
		for range 50 { // the address is its own, and may be let go of a moment later
			if r.server, err = Serve(ServerConfig{Dir: r.dir, Listen: r.addr, User: "ipwarden", Password: "secret"}); err == nil {
				return
			}
		}
		t.Fatal(err)
	}
	for _, r := range regions {
		r.addr, r.dir = proxytest.FreeAddr(t), filepath.Join(dir, "stream-"+r.name)
		start(r)
	}
	t.Cleanup(func() {
		for _, r := range regions {
			r.server.Close()
		}
	})
	for _, r := range regions {
		l, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger-"+r.name), Region: r.name, Keys: 256, Clients: 256, Referers: 64})
		if err != nil {
			t.Fatal(err)
		}
		conns := map[string]*Conn{}
		c := usage.Config{Ledger: l, Region: r.name, Freeze: 20 * time.Millisecond, GivesLeases: true}
		for _, o := range regions {
			conns[o.name] = connect(t, Config{URL: "nats://" + o.addr, User: "ipwarden", Password: "secret"})
			c.Sources = append(c.Sources, usage.Source{Region: o.name, Stream: conns[o.name].Stream(o.name)})
		}
		c.Stream = conns[r.name].Stream(r.name)
		c.Lessor = func(ctx context.Context, region string, node uint64, reports []usage.LeaseReport) ([]usage.LeaseGrant, error) {
			return conns[region].AskLeases(ctx, region, node, reports)
		}
		if r.meter, err = usage.New(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.meter.Close() })
		if err := conns[r.name].GiveLeases(r.name, r.meter.Grant); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%s; %+v, %+v", what, regions[0].meter.Stats(), regions[1].meter.Stats())
			}
		}
	}
	total := int64(0)
	count := func(n int) {
		for i := range n {
			m := regions[i%2].meter
			m.Record(m.Key(customer.KeyID(i%7+1), 1), customer.EndpointLookup, customer.Charged, 1, netip.MustParseAddr("192.0.2.1"), "")
			total++
		}
	}
	all := func() bool {
		for _, r := range regions {
			if q := r.meter.Standing(usage.Subject{Account: 1}).Quota(); q.Month.Used != total {
				return false
			}
		}
		return true
	}
	count(1000)
	wait("not all calls are known everywhere", all)
	regions[1].server.Close()
	count(1000)
	wait("nobody notices that a stream is away", func() bool {
		return fmt.Sprint(regions[0].meter.Unheard()) == "[b]" && regions[1].meter.Isolated()
	})
	count(1000)
	start(regions[1])
	count(1000)
	wait("not all calls are known everywhere after the restart", all)
	wait("regions are not in touch again", func() bool { return !regions[0].meter.Isolated() && !regions[1].meter.Isolated() })
	// Leases are asked for over the wire: alone, a region uses all there is.
	for _, r := range regions {
		r.meter.SetTerms(usage.Subject{Account: 2}, usage.Terms{PerDay: 500})
	}
	m, s, taken := regions[0].meter, regions[0].meter.Standing(usage.Subject{Account: 2}), 0
	wait("the quota cannot be used up", func() bool {
		for s.Take(1) {
			taken++
			m.Record(m.Key(100, 2), customer.EndpointLookup, customer.Charged, 1, netip.Addr{}, "")
		}
		return taken >= 500
	})
	if s.Take(1) {
		t.Error("a call more than the quota is admitted")
	}
}
