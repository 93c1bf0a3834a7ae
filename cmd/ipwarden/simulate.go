package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ipwarden/ipwarden/internal/nats"
	"github.com/ipwarden/ipwarden/internal/simulate"
)

// simulateCmd groups what runs many servers on one machine.
type simulateCmd struct {
	Regions simulateRegionsCmd `cmd:"" help:"Run many regions, break one part after the other, and compare what was sent with what was counted." example:"ipwarden simulate regions --regions 11"`
	Stream  simulateStreamCmd  `cmd:"" hidden:"" help:"Run a stream server alone: regions starts it."`
}

type simulateRegionsCmd struct {
	Regions     int           `default:"11" placeholder:"N" help:"How many regions, as far from each other as those of a large cloud: 2 to 11; default ${default}."`
	Near        bool          `help:"All on the loopback, where nothing takes time and nothing is cut off: needs no root."`
	Hold        time.Duration `default:"6s" placeholder:"TIME" help:"How long each fault lasts; default ${default}."`
	Faults      []string      `default:"all" placeholder:"LIST" help:"Which: partition, server, aggregator, stream, postgres, redis, with commas; all, none; default ${default}."`
	Rate        int           `default:"40" placeholder:"N" help:"Calls a second through each region all the time; default ${default}."`
	Quota       int           `default:"20000" placeholder:"N" help:"A quota that all regions spend at once; 0 is none; default ${default}."`
	QuotaRate   int           `default:"150" placeholder:"N" help:"Calls a second that each region wants of it; default ${default}."`
	Probes      int           `default:"33" placeholder:"N" help:"Calls whose way to the other regions is measured; 0 is none; default ${default}."`
	Revocations int           `default:"5" placeholder:"N" help:"Keys whose revocation is measured; 0 is none; default ${default}."`
	Skew        time.Duration `default:"90s" placeholder:"TIME" help:"How wrong the clocks of two regions are; 0 is not at all; default ${default}."`
	Dir         string        `placeholder:"DIR" help:"Where everything is written and stays, the logs of all processes among it; default a folder that is deleted in the end."`
}

// Help is the long help.
func (simulateRegionsCmd) Help() string {
	return `Starts 'ipwarden serve --accounts' for each region, in a network of its own, with
packets between them that take as long as between the regions of a large cloud; one
PostgreSQL for all, in the first; the last has its stream on a server of its own. Two
clocks are wrong. Calls go through all regions all the time, while a region is cut
off, and its server, the server that writes the sums, a stream server, PostgreSQL and
the Redis that counts by client are killed (kill -9) and started again. Prints how long a call takes to be known
elsewhere and a key to be refused, how many calls more than a quota are admitted,
against the bound of docs/usage.md, and whether every sum is what was sent, in every
region, in the database and in Redis. Exit status 1 if one is not, or the bound was exceeded.

Needs Linux, root, /dev/net/tun and PostgreSQL's programs; with --near only the
programs. Without redis-server that fault is left out.

Examples:
  sudo ipwarden simulate regions
  sudo ipwarden simulate regions --regions 3 --faults server,postgres --hold 2s
  ipwarden simulate regions --near --regions 3`
}

// Run simulates.
func (c *simulateRegionsCmd) Run(e *env) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	config.Out = e.stdout
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := simulate.Run(ctx, config)
	if err != nil {
		return err
	}
	for i := range r.Admitted {
		if s := &r.Admitted[i]; s.Over() > s.Bound {
			fmt.Fprintf(e.stdout, "\nThe bound was exceeded: %d calls too many, %s.\n", s.Over(), s.When)
			return errReported
		}
	}
	return nil
}

func (c *simulateRegionsCmd) config() (simulate.Config, error) {
	var errs []error
	if c.Regions < 2 || c.Regions > len(places) {
		errs = append(errs, fmt.Errorf("--regions: there are 2 to %d, not %d", len(places), c.Regions))
		c.Regions = 2
	}
	faults := c.Faults
	switch strings.Join(faults, ",") {
	case "all":
		faults = nil
	case "none":
		faults = []string{}
	}
	for _, n := range []struct {
		flag string
		n    int
	}{{"--rate", c.Rate - 1}, {"--quota", c.Quota}, {"--quota-rate", c.QuotaRate - 1}, {"--probes", c.Probes}, {"--revocations", c.Revocations}} {
		if n.n < 0 || n.n > 1_000_000 {
			errs = append(errs, fmt.Errorf("%s is out of bounds", n.flag))
		}
	}
	program, err := os.Executable()
	if err != nil {
		errs = append(errs, err)
	}
	none := func(n int) int { // as simulate.Config says it
		if n == 0 {
			return -1
		}
		return n
	}
	config := simulate.Config{
		Program: program, RTT: func(from, to int) time.Duration { return roundTrip(from, to) }, Near: c.Near, Dir: c.Dir,
		Hold: max(c.Hold, time.Millisecond), Faults: faults, Rate: c.Rate, Quota: none(c.Quota), QuotaRate: c.QuotaRate,
		Probes: none(c.Probes), Revocations: none(c.Revocations), Skew: c.Skew, Bound: quotaBound,
	}
	if c.Near {
		config.RTT = nil
	}
	if c.Skew == 0 {
		config.Skew = -1
	}
	for _, p := range places[:c.Regions] {
		config.Regions = append(config.Regions, p.name)
	}
	for _, f := range faults {
		if !slices.Contains(simulate.Faults(), f) {
			errs = append(errs, fmt.Errorf("--faults: %.40q is none; there are %s", f, strings.Join(simulate.Faults(), ", ")))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return config, usageError{err}
	}
	return config, nil
}

// roundTrips are typical times between the regions of places, in milliseconds, to a
// region from those before it.
var roundTrips = [][]int{
	{},
	{12},
	{62, 51},
	{67, 50, 21},
	{68, 79, 129, 119},
	{92, 101, 149, 143, 22},
	{190, 198, 230, 217, 122, 118},
	{215, 201, 172, 163, 175, 158, 58},
	{198, 187, 140, 140, 255, 248, 148, 93},
	{148, 132, 109, 98, 200, 225, 127, 70, 106},
	{113, 123, 174, 176, 178, 204, 300, 325, 310, 258},
}

func roundTrip(a, b int) time.Duration {
	if a == b {
		return 0
	}
	return time.Duration(roundTrips[max(a, b)][min(a, b)]) * time.Millisecond
}

// simulateStreamCmd is a region's stream in a process of its own.
type simulateStreamCmd struct {
	Listen       string `required:"" placeholder:"ADDR" help:"Where it listens."`
	Dir          string `required:"" placeholder:"DIR" help:"Where it keeps its streams."`
	PasswordFile string `required:"" placeholder:"FILE" help:"What is asked of who connects."`
}

// Run serves until it is told to stop.
func (c *simulateStreamCmd) Run() error {
	password, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return err
	}
	server, err := nats.Serve(nats.ServerConfig{Dir: c.Dir, Listen: c.Listen, User: "ipwarden", Password: strings.TrimSpace(string(password))})
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return nil
}

// simulatedClock is the clock of a server that ipwarden simulate has started: it may be
// wrong on purpose.
func simulatedClock(getenv func(string) string) func() time.Time {
	wrong, err := time.ParseDuration(getenv(simulate.ClockEnv))
	if err != nil || wrong == 0 {
		return time.Now
	}
	return func() time.Time { return time.Now().Add(wrong) }
}
