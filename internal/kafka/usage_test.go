package kafka

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/usagetest"
)

func brokers(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func connect(t *testing.T, c UsageConfig) *UsageConn {
	t.Helper()
	conn, err := ConnectUsage(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func urlOf(c *kfake.Cluster) string { return "kafka://" + strings.Join(c.ListenAddrs(), ",") }

func TestStream(t *testing.T) {
	c := brokers(t)
	usagetest.TestStream(t, func(t *testing.T) usage.Stream { return connect(t, UsageConfig{URL: urlOf(c)}).Stream("eu.west") })
}

func TestPassword(t *testing.T) {
	c := brokers(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "ipwarden", "secret"))
	good := connect(t, UsageConfig{URL: urlOf(c), User: "ipwarden", Password: "secret"}).Stream("a")
	if err := good.Append(t.Context(), usage.Sealed{Node: 1, Sequence: 1, Data: []byte("a")}); err != nil {
		t.Error(err)
	}
	bad := connect(t, UsageConfig{URL: urlOf(c), User: "ipwarden", Password: "secret?"}).Stream("a")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := bad.Append(ctx, usage.Sealed{Node: 1, Sequence: 2, Data: []byte("a")}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("with another password: %v", err)
	}
}

func TestTopicOfSeveralPartitions(t *testing.T) {
	c := brokers(t, kfake.SeedTopics(3, "ipwarden.usage.a"))
	s := connect(t, UsageConfig{URL: urlOf(c)}).Stream("a")
	err := s.Read(t.Context(), 0, func(usage.Item) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "3 partitions") {
		t.Errorf("it is read: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, u := range []string{"", "nats://a:1", "kafka://", "kafka://a:1/topic", "kafka://a:1?sasl=plain", "kafka://b:secret@a:1?sasl=kerberos", "kafka://b:secret@a:x"} {
		conn, err := ConnectUsage(UsageConfig{URL: u})
		if err == nil {
			conn.Close()
			t.Errorf("%q is connected to", u)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error has the password: %v", u, err)
		}
	}
}

func TestLeases(t *testing.T) {
	c := brokers(t)
	giver, taker := connect(t, UsageConfig{URL: urlOf(c)}), connect(t, UsageConfig{URL: urlOf(c)})
	err := giver.GiveLeases("a", func(node uint64, reports []usage.LeaseReport) []usage.LeaseGrant {
		var grants []usage.LeaseGrant
		for _, r := range reports {
			grants = append(grants, usage.LeaseGrant{Number: r.Number, Allowed: int64(node) + r.Allowed, OK: true})
		}
		return grants
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	reports := make([]usage.LeaseReport, mostReports+1)
	for i := range reports {
		reports[i] = usage.LeaseReport{Number: uint64(i), Allowed: 5}
	}
	for {
		// Who asks before the lessor reads is not heard, and asks again.
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		grants, err := taker.AskLeases(once, "a", 7, reports)
		cancel()
		if err == nil {
			if len(grants) != len(reports) || grants[mostReports].Number != mostReports || grants[3].Allowed != 12 {
				t.Errorf("%d grants, the last %+v", len(grants), grants[len(grants)-1])
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// The brokers are stopped and started again while calls are counted: in the end every
// call is known, once.
func TestRestartedBrokers(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	_, text, _ := net.SplitHostPort(addr)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	start := func() *kfake.Cluster {
		for range 50 { // the address is its own, and may be let go of a moment later
			var c *kfake.Cluster
			if c, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(filepath.Join(dir, "brokers"))); err == nil {
				return c
			}
		}
		t.Fatal(err)
		return nil
	}
	c := start()
	t.Cleanup(func() { c.Close() })
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger"), Region: "a", Keys: 256, Clients: 256, Referers: 64})
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, UsageConfig{URL: "kafka://" + addr})
	m, err := usage.New(t.Context(), usage.Config{Ledger: l, Region: "a", Freeze: 20 * time.Millisecond, Stream: conn.Stream("a")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%s; %+v", what, m.Stats())
			}
		}
	}
	total := int64(0)
	count := func() {
		for i := range 1000 {
			m.Record(m.Key(customer.KeyID(i%7+1), 1), customer.EndpointLookup, customer.Charged, 1, netip.MustParseAddr("192.0.2.1"), "")
			total++
		}
	}
	all := func() bool {
		return m.Standing(usage.Subject{Account: 1}).Quota().Month.Used == total
	}
	count()
	wait("not all calls are known", all)
	c.Close()
	count()
	wait("nobody notices that the brokers are away", m.Isolated)
	count()
	c = start()
	count()
	wait("not all calls are known after the restart", all)
	wait("the brokers are not in touch again", func() bool { return !m.Isolated() })
}
