package simulate_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/netns"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/simulate"
)

// simulation is a short form of what the command runs.
func simulation(t *testing.T) simulate.Config {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("regions are simulated on Linux")
	}
	proxytest.Need(t, "psql", "postgresql") // which comes with the server
	program := filepath.Join(t.TempDir(), "ipwarden")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/ipwarden").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return simulate.Config{
		Program: program, Dir: t.TempDir(), Regions: []string{"us-east-1", "ap-southeast-2", "sa-east-1"},
		Hold: 500 * time.Millisecond, Rate: 100, Quota: -1, QuotaRate: 60, Probes: -1, Revocations: -1,
	}
}

// simulated runs it. Whatever is killed, every sum is in the end what was sent; how fast
// anything is says a busy machine nothing about.
func simulated(t *testing.T, c simulate.Config) *simulate.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	var out strings.Builder
	c.Out = &out
	r, err := simulate.Run(ctx, c)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Exact || r.Answered == 0 || r.Counted < r.Answered || r.Counted > r.Answered+r.Lost {
		t.Errorf("%+v", r)
	}
	return r
}

// The server of a region with its stream and its aggregator, the server that writes the
// sums, a stream server, PostgreSQL and Redis are killed while calls go through all of
// them.
func TestKills(t *testing.T) {
	c := simulation(t)
	c.Near = true
	c.Faults = []string{simulate.FaultServer, simulate.FaultAggregator, simulate.FaultStream, simulate.FaultPostgres, simulate.FaultRedis}
	proxytest.Need(t, "redis-server", "redis-server")
	if r := simulated(t, c); r.Kills != 5 || r.Clients < r.Counted-r.Lost {
		t.Errorf("%d processes were killed, and %d of %d calls counted by client", r.Kills, r.Clients, r.Counted)
	}
}

// A region is cut off while all spend one quota; a call is heard of, and a key refused,
// in regions that are far away.
func TestFar(t *testing.T) {
	if err := netns.Possible(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	c := simulation(t)
	c.Faults = []string{simulate.FaultPartition}
	c.Rate, c.Quota, c.Probes, c.Revocations = 30, 600, 3, 1
	c.RTT = func(from, to int) time.Duration {
		if from == to {
			return 0
		}
		return [...]time.Duration{1: 198, 2: 113, 3: 310}[from+to] * time.Millisecond
	}
	r := simulated(t, c)
	if len(r.Propagation) != 6 || len(r.Revocation) != 3 || len(r.Admitted) != 2 {
		t.Fatalf("%+v", r)
	}
	for _, s := range r.Admitted {
		if s.Admitted < s.Quota/2 {
			t.Errorf("%s only %d of %d could be used", s.When, s.Admitted, s.Quota)
		}
	}
}
