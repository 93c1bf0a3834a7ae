package redis

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

func banTable(t *testing.T, l *Limiter) *ban.Table {
	t.Helper()
	table, err := ban.New(t.Context(), ban.Config{Store: l.Bans(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table
}

func banned(table *ban.Table, network string) bool {
	return table.Find(netip.MustParsePrefix(network).Addr(), time.Now()) != nil
}

func addBan(t *testing.T, table *ban.Table, network string, life time.Duration) {
	t.Helper()
	b := ban.Ban{Network: netip.MustParsePrefix(network), Action: ipwarden.Challenge, Until: time.Now().Add(life), Reason: "a b  c"}
	if _, err := table.Add(b); err != nil {
		t.Fatal(err)
	}
}

// Two nodes have the same bans through one server: also what was said while it was
// away, and after it has lost everything.
func TestBansAreShared(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server := start(t, addr)
	config := Config{Addresses: []string{addr}}
	a, b := banTable(t, limiter(t, config)), banTable(t, limiter(t, config))
	comes := func(what string, f func() bool) {
		t.Helper()
		proxytest.Eventually(t, what, f)
	}
	addBan(t, a, "203.0.113.7/32", time.Hour)
	comes("the other node knows of the ban", func() bool { return banned(b, "203.0.113.7/32") })
	list, _ := b.List(netip.Addr{}, 10)
	if len(list) != 1 || list[0].Action != ipwarden.Challenge || list[0].Reason != "a b  c" || list[0].Since.IsZero() {
		t.Errorf("%+v", list)
	}
	b.Lift(netip.MustParsePrefix("203.0.113.7/32"))
	comes("the first node knows that it is lifted", func() bool { return !banned(a, "203.0.113.7/32") })

	addBan(t, a, "203.0.113.8/32", time.Hour)
	comes("another ban is known", func() bool { return banned(b, "203.0.113.8/32") })
	server.Stop()
	addBan(t, a, "203.0.113.9/32", time.Hour)
	if !banned(a, "203.0.113.9/32") || !banned(b, "203.0.113.8/32") {
		t.Error("without the server a node does not go on with what it knows")
	}
	start(t, addr) // with nothing in it
	comes("what was said meanwhile is known", func() bool { return banned(b, "203.0.113.9/32") })
	late := banTable(t, limiter(t, config))
	comes("a new node knows what the server had lost", func() bool { return banned(late, "203.0.113.8/32") && banned(late, "203.0.113.9/32") })
	if banned(late, "203.0.113.7/32") {
		t.Error("what was lifted came back")
	}
}

// A ban that a limit made is shared as such, and lifted for all.
func TestBansOfLimitsAreShared(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	config := Config{Addresses: []string{addr}}
	a, b := banTable(t, limiter(t, config)), banTable(t, limiter(t, config))
	network := netip.MustParsePrefix("203.0.113.7/32")
	if !a.Over(network, "failed log-ins", time.Now().Add(time.Hour)) {
		t.Fatal("it is not made")
	}
	proxytest.Eventually(t, "the other node knows of the ban", func() bool { return banned(b, "203.0.113.7/32") })
	if list, _ := b.List(netip.Addr{}, 10); len(list) != 1 || !list[0].OverLimit || list[0].Reason != "failed log-ins" || list[0].Action != ipwarden.Throttle {
		t.Errorf("%+v", list)
	}
	b.Lift(network)
	proxytest.Eventually(t, "the first node knows that it is lifted", func() bool { return !banned(a, "203.0.113.7/32") })
	if a.Over(network, "failed log-ins", time.Now().Add(time.Hour)) {
		t.Error("what was lifted at another node is banned again")
	}
}

// More entries than fit into one answer arrive, in a cluster too.
func TestManyBansAreShared(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	config := Config{Addresses: []string{addr}}
	a := banTable(t, limiter(t, config))
	const n = 2*banPage + 7
	for i := range n {
		addBan(t, a, fmt.Sprintf("10.%d.%d.1/32", i/250, i%250), time.Hour)
	}
	b := banTable(t, limiter(t, config))
	proxytest.Eventually(t, "all bans are known", func() bool { return b.Stats().Bans == n })
}

// What has ended is dropped from the server by whoever asks next.
func TestBansEndInTheServer(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	a := banTable(t, limiter(t, Config{Addresses: []string{addr}}))
	addBan(t, a, "203.0.113.7/32", time.Second)
	proxytest.Eventually(t, "the server has the ban", func() bool { return cli(t, addr, "hlen", "ipwarden:limit:{bans}texts") == "1\n" })
	proxytest.Eventually(t, "the server has it no longer", func() bool { return cli(t, addr, "hlen", "ipwarden:limit:{bans}texts") == "0\n" })
	if a.Stats().ShareErrors > 0 {
		t.Errorf("%+v", a.Stats())
	}
}

func FuzzParseBan(f *testing.F) {
	f.Add("1764000000000 203.0.113.7/32 block 1764000000000 1764003600000 sshd: 5 failures")
	f.Add("1764000000000 203.0.113.7/32 lifted-over-throttle 1764000000000 1764003600000 failed log-ins")
	f.Add("1 ::/0 lifted-throttle 1 2 ")
	f.Fuzz(func(t *testing.T, text string) {
		e := parseBan(text)
		if e.Stamp != 0 && e.Action != 0 {
			if again := parseBan(banText(&e)); again != e && len(banText(&e)) <= 512 {
				t.Errorf("%q: %+v, and again %+v", text, e, again)
			}
		}
	})
}

// The keys are in one slot of a cluster.
func TestBansOfACluster(t *testing.T) {
	addrs, _ := startCluster(t)
	config := Config{Addresses: addrs, Cluster: true}
	a, b := banTable(t, limiter(t, config)), banTable(t, limiter(t, config))
	addBan(t, a, "203.0.113.7/32", time.Hour)
	proxytest.Eventually(t, "the other node knows of the ban", func() bool { return banned(b, "203.0.113.7/32") })
	if n := a.Stats().ShareErrors + b.Stats().ShareErrors; n > 0 {
		t.Errorf("%d errors", n)
	}
}
