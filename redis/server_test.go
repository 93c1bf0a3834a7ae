package redis

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/limit"
)

// start starts a server on addr; every one has its own folder.
func start(t *testing.T, addr string, args ...string) *proxytest.Process {
	t.Helper()
	return proxytest.Redis(t, addr, args...)
}

// cli runs redis-cli and returns what it prints.
func cli(t *testing.T, addr string, args ...string) string {
	t.Helper()
	return proxytest.RedisCLI(t, addr, args...)
}

// limiter is a Limiter for a test: a budget that these machines can keep when
// the server answers.
func limiter(t *testing.T, c Config) *Limiter {
	t.Helper()
	if c.Budget == 0 {
		c.Budget = 2 * time.Second
	}
	if c.Entries == 0 {
		c.Entries = 8192
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	l, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func take(t testing.TB, l limit.Limiter, reqs ...limit.Request) []limit.Result {
	t.Helper()
	results := make([]limit.Result, len(reqs))
	if err := l.Take(t.Context(), reqs, results); err != nil {
		t.Fatal(err)
	}
	return results
}

func key(name string) limit.Key {
	return limit.NewHasher([16]byte{1}).Sum(limit.AppendPart(nil, name))
}

// startCluster starts a cluster of three masters.
func startCluster(t *testing.T) (addrs []string, nodes []*proxytest.Process) {
	t.Helper()
	for range 3 {
		addr := proxytest.FreeAddr(t)
		_, bus, err := net.SplitHostPort(proxytest.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, start(t, addr, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"))
		addrs = append(addrs, addr)
	}
	cli(t, addrs[0], append(append([]string{"--cluster", "create"}, addrs...), "--cluster-replicas", "0", "--cluster-yes")...)
	for _, a := range addrs {
		proxytest.Eventually(t, "the cluster is up at "+a, func() bool {
			return strings.Contains(cli(t, a, "cluster", "info"), "cluster_state:ok")
		})
	}
	return addrs, nodes
}

// startSentinels starts a master, a replica and three sentinels that watch them.
func startSentinels(t *testing.T) (master *proxytest.Process, sentinels []string) {
	t.Helper()
	addr, replica := proxytest.FreeAddr(t), proxytest.FreeAddr(t)
	host, port, _ := net.SplitHostPort(addr)
	master = start(t, addr, "--repl-diskless-sync-delay", "0")
	start(t, replica, "--repl-diskless-sync-delay", "0", "--replica-priority", "1")
	program := proxytest.Need(t, "redis-sentinel", "redis-sentinel")
	cli(t, replica, "replicaof", host, port)
	for range 3 {
		s := proxytest.FreeAddr(t)
		_, sport, _ := net.SplitHostPort(s)
		dir := t.TempDir()
		conf := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor limits %s %s 2\nsentinel down-after-milliseconds limits 500\nsentinel failover-timeout limits 3000\n", sport, dir, host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		proxytest.Start(t, dir, s, program, conf)
		sentinels = append(sentinels, s)
	}
	for _, s := range sentinels {
		proxytest.Eventually(t, "sentinel "+s+" knows the others", func() bool {
			said := strings.Fields(cli(t, s, "sentinel", "master", "limits"))
			known := map[string]string{}
			for i := 0; i+1 < len(said); i++ {
				known[said[i]] = said[i+1]
			}
			return known["num-slaves"] == "1" && known["num-other-sentinels"] == "2"
		})
	}
	return master, sentinels
}
