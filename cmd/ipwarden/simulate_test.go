package main

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/netns"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/simulate"
)

// simulation is a short form of what the command runs, with the test's own program.
func simulation(t *testing.T) simulate.Config {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("regions are simulated on Linux")
	}
	proxytest.Need(t, "psql", "postgresql") // which comes with the server
	c, err := (&simulateRegionsCmd{Regions: 3, Hold: 500 * time.Millisecond, Faults: []string{"all"}, Rate: 30, QuotaRate: 60}).config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Program, err = exec.LookPath("ipwarden"); err != nil { // see TestMain
		t.Fatal(err)
	}
	c.Dir, c.Skew = t.TempDir(), 90*time.Second
	return c
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
// sums, a stream server and PostgreSQL are killed while calls go through all of them.
func TestSimulateKills(t *testing.T) {
	t.Parallel() // it mostly waits
	c := simulation(t)
	c.Near, c.RTT, c.Rate = true, nil, 100
	c.Faults = []string{simulate.FaultServer, simulate.FaultAggregator, simulate.FaultStream, simulate.FaultPostgres}
	if r := simulated(t, c); r.Kills != 4 {
		t.Errorf("%d processes were killed", r.Kills)
	}
}

// A region is cut off while all spend one quota; a call is heard of, and a key refused,
// in regions that are far away.
func TestSimulateFar(t *testing.T) {
	if err := netns.Possible(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	c := simulation(t)
	c.Faults = []string{simulate.FaultPartition}
	c.Quota, c.Probes, c.Revocations = 600, 3, 1
	c.Regions = append(c.Regions[:1:1], "ap-southeast-2", "sa-east-1") // the farthest
	c.RTT = func(from, to int) time.Duration {
		far := []int{0, 8, 10}
		return roundTrip(far[from], far[to])
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

func TestSimulateFlags(t *testing.T) {
	_, err := (&simulateRegionsCmd{Regions: 12, Faults: []string{"flood", "server"}, Rate: 0, QuotaRate: 1}).config()
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{"2 to 11, not 12", `"flood" is none`, "--rate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("of all mistakes at once %q is missing: %v", want, err)
		}
	}
	for i, row := range roundTrips {
		if len(row) != i {
			t.Errorf("%s has %d round trips, want %d", places[i].name, len(row), i)
		}
	}
}
