package redis

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/limit"
)

// A server that answers and takes nothing, because its memory is full, it may not
// write, or the user may not, is away like one that is silent: it is not taken for
// back because it says PONG.
func TestTakesNothing(t *testing.T) {
	for _, c := range []struct {
		name         string
		break_, mend [][]string
	}{
		{"full", [][]string{{"config", "set", "maxmemory", "1"}}, [][]string{{"config", "set", "maxmemory", "0"}}},
		{"a replica", [][]string{{"replicaof", "127.0.0.1", "1"}}, [][]string{{"replicaof", "no", "one"}}},
		{"too few replicas", [][]string{{"config", "set", "min-replicas-to-write", "1"}}, [][]string{{"config", "set", "min-replicas-to-write", "0"}}},
		{"no scripts for the user", [][]string{{"acl", "setuser", "default", "-@scripting"}}, [][]string{{"acl", "setuser", "default", "+@all"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := proxytest.FreeAddr(t)
			start(t, addr)
			o := newOutage(t, Config{Addresses: []string{addr}})
			o.use(20)
			for _, args := range c.break_ {
				cli(t, addr, args...)
			}
			proxytest.Eventually(t, "it is left alone", func() bool { o.take(); return o.l.Stats().Away })
			before := refusals(t, addr)
			proxytest.Eventually(t, "three probes have failed", func() bool {
				if !o.l.Stats().Away {
					t.Fatalf("it is taken for back:\n%s", o.log)
				}
				return refusals(t, addr) >= before+3
			})
			if n := strings.Count(o.log.String(), "\n"); n != 1 {
				t.Errorf("%d lines:\n%s", n, o.log)
			}
			for _, args := range c.mend {
				cli(t, addr, args...)
			}
			proxytest.Eventually(t, "it is used again", func() bool { return o.take().Source == limit.Exact })
		})
	}
}

// refusals is how many errors a server has answered.
func refusals(t *testing.T, addr string) (n int) {
	t.Helper()
	for _, line := range strings.Fields(cli(t, addr, "info", "errorstats")) {
		if _, count, ok := strings.Cut(line, ":count="); ok {
			of, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			n += of
		}
	}
	return n
}

// A connection that stays with a server which has become a replica, as behind a name
// that another has now, is given up for one to the other.
func TestDemoted(t *testing.T) {
	old, other := proxytest.FreeAddr(t), proxytest.FreeAddr(t)
	start(t, old)
	start(t, other)
	name := proxytest.NewWire(t, old)
	o := newOutage(t, Config{Addresses: []string{name.Addr}})
	o.use(20)
	name.SetTo(other) // new connections alone
	cli(t, old, "replicaof", "127.0.0.1", "1")
	proxytest.Eventually(t, "the new one is used", func() bool { o.take(); return strings.Contains(cli(t, other, "keys", "*"), "limit") })
	proxytest.Eventually(t, "decisions are exact again", func() bool { return o.take().Source == limit.Exact })
}

// A cluster that does without a node of it is not away for good: its other nodes are
// probed, too.
func TestClusterWithoutANode(t *testing.T) {
	addrs, nodes := startCluster(t)
	for _, a := range addrs {
		cli(t, a, "config", "set", "cluster-require-full-coverage", "no")
	}
	owner := int(slotOf(defaultPrefix+"probe")) * len(addrs) / (1 << 14) // slots are dealt in three parts
	var lost limit.Key
	for n := 0; ; n++ {
		lost = key(strconv.Itoa(n))
		if int(slotOf(string(appendKey(nil, defaultPrefix, lost))))*len(addrs)/(1<<14) == owner {
			break
		}
	}
	l := limiter(t, Config{Addresses: addrs, Cluster: true, Budget: 3 * outageBudget})
	nodes[owner].Signal(syscall.SIGKILL)
	nodes[owner].Stop()
	rate := &limit.Rate{Name: "x", Limit: 1_000_000, Window: time.Hour}
	proxytest.Eventually(t, "it is left alone", func() bool {
		take(t, l, limit.Request{Rate: rate, Key: lost, Cost: 1})
		return l.Stats().Away
	})
	proxytest.Eventually(t, "its other nodes are used again", func() bool { return !l.Stats().Away })
}
