// Package simulate runs many regions on one machine: a real server of ipwarden in each,
// far from each other, with one PostgreSQL for all; sends traffic through all of them,
// breaks one part after the other, and says what came of it.
//
// The call most people want:
//
//	report, err := simulate.Run(ctx, simulate.Config{Program: "/usr/bin/ipwarden", Regions: names, RTT: rtt, Out: os.Stdout})
//
// It refuses to begin without PostgreSQL's programs, and, unless the regions are Near,
// without what package netns needs.
package simulate

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Config says what is simulated.
type Config struct {
	// Program is ipwarden.
	Program string
	// Regions are their names: the first has the database, the last a stream server of
	// its own. RTT is how long it is from one to another and back. Near is that all are on
	// the loopback, where nothing takes time and nothing is cut off: it needs no rights.
	Regions []string
	RTT     func(from, to int) time.Duration
	Near    bool
	// Dir is where everything is written. Default: a folder that goes with the end.
	Dir string
	// Hold is how long each fault lasts. Default: 6 s.
	Hold time.Duration
	// Faults are which, in their order. Default: all.
	Faults []string
	// Rate is how many calls a second go through each region all the time. Default: 40.
	Rate int
	// Quota is spent by all regions at once, which each want QuotaRate calls a second.
	// Defaults: 20,000 and 150. A Quota of -1 is none.
	Quota, QuotaRate int
	// Probes are calls whose way to all other regions is measured, and Revocations keys
	// whose end is. Defaults: 33 and 5. -1 is none.
	Probes, Revocations int
	// Skew is how far the clocks of two regions are wrong, one ahead and one behind.
	// Default: 90 s. -1 is not at all.
	Skew time.Duration
	// Patience bounds each wait for what must come. Default: 2 min.
	Patience time.Duration
	// Out is told what happens. Default: nobody.
	Out io.Writer
	// Bound is how many calls more than a quota may be admitted where the longest way is
	// far: that of docs/usage.md.
	Bound func(quota, rate, regions int, far time.Duration) int64
}

// ClockEnv is the variable by which a simulated server's clock is wrong.
const ClockEnv = "IPWARDEN_SIMULATED_CLOCK"

// The faults.
const (
	FaultPartition  = "partition"  // a region is cut off from all others
	FaultServer     = "server"     // a region's server is killed, with its stream and its aggregator
	FaultAggregator = "aggregator" // the server that writes the sums is killed
	FaultStream     = "stream"     // a region's stream server is killed
	FaultPostgres   = "postgres"   // the database is killed
	FaultRedis      = "redis"      // the server that counts by client is killed
)

// Faults are all of them.
func Faults() []string {
	return []string{FaultPartition, FaultServer, FaultAggregator, FaultStream, FaultPostgres, FaultRedis}
}

// A Report is what came of it.
type Report struct {
	Propagation []time.Duration // of a call to another region, besides the one-way delay, sorted
	Revocation  []time.Duration // of a key's end to a region, sorted
	Admitted    []Spent         // of quotas
	Answered    int64           // calls, of the traffic
	Lost        int64           // calls whose answer was lost with a process: they may have been counted
	Counted     int64           // in the end, in every region and in the database
	Clients     int64           // calls counted by client, of the traffic and of quotas; 0 is that there was no Redis
	Exact       bool            // every sum is what was sent
	Kills       int             // of processes
}

// Spent is how a quota was spent.
type Spent struct {
	When         string
	Quota, Bound int64
	Admitted     int64
}

// Over is how many calls more than the quota were admitted.
func (s *Spent) Over() int64 { return max(0, s.Admitted-s.Quota) }

func (c *Config) check() error {
	var errs []error
	if c.Program == "" {
		errs = append(errs, errors.New("simulate: no program to run"))
	}
	if len(c.Regions) < 2 {
		errs = append(errs, fmt.Errorf("simulate: %d regions; there are at least 2", len(c.Regions)))
	}
	for _, f := range c.Faults {
		if !slices.Contains(Faults(), f) {
			errs = append(errs, fmt.Errorf("simulate: %q is no fault; there are %s", f, strings.Join(Faults(), ", ")))
		}
	}
	if c.Faults == nil {
		c.Faults = Faults()
	}
	if c.RTT == nil {
		c.RTT = func(int, int) time.Duration { return 0 }
	}
	if c.Bound == nil {
		c.Bound = func(int, int, int, time.Duration) int64 { return 0 }
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	number := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
		*n = max(0, *n)
	}
	number(&c.Rate, 40)
	number(&c.Quota, 20_000)
	number(&c.QuotaRate, 150)
	number(&c.Probes, 33)
	number(&c.Revocations, 5)
	span := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
		*d = max(0, *d)
	}
	span(&c.Hold, 6*time.Second)
	span(&c.Skew, 90*time.Second)
	span(&c.Patience, 2*time.Minute)
	return errors.Join(errs...)
}

// far is the longest way, one way.
func (c *Config) far() (d time.Duration) {
	for i := range c.Regions {
		for j := range c.Regions {
			d = max(d, c.RTT(i, j)/2)
		}
	}
	return d
}

// At is the percentile p of sorted times.
func At(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
