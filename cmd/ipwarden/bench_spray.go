package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// sprayCmd measures what a spray of new clients does to the memory of a gate, and
// to those who are over a limit.
type sprayCmd struct {
	KeysPerSecond int           `default:"1000000" placeholder:"N" help:"How many clients that nobody has seen come in a second; default ${default}."`
	For           time.Duration `default:"10s" placeholder:"TIME" help:"For how long; default ${default}."`
}

// Help is the long help.
func (sprayCmd) Help() string {
	return `Lets a gate in this process decide about clients that nobody has seen, each from a
/64 of its own, so many a second, and says how much memory the process takes before
and while they come. 1,000 clients are over a limit before that, and are asked for
again behind it. Exit status 1 if one of them was let in, or if the memory grew by
more than what the table of limits and the decisions that are remembered take.

Example:
  ipwarden bench spray --keys-per-second 1000000 --for 60s`
}

const (
	sprayLimited = 1000
	// sprayMost is what a gate may grow by: the table of limits, the decisions that are
	// remembered, and as much again for what the collector has not taken up yet.
	sprayMost = 96 << 20
	sprayRule = "limits: [{name: spray, rate: 3/hour}]"
)

// noData knows nothing of anybody, at once.
type noData struct{}

func (noData) Lookup(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	return ipwarden.MakeRecord(a, nil, 0), nil
}

func (noData) Local() bool { return true }

// Run measures.
func (c *sprayCmd) Run(ctx context.Context, e *env) error {
	if c.KeysPerSecond < 1 || c.For < 10*time.Millisecond || c.For > time.Hour {
		return usagef("--keys-per-second is at least 1, and --for from 10ms to 1h, such as 10s")
	}
	p, err := compile.Read("spray.yaml", []byte(sprayRule), compile.Options{})
	if err != nil {
		return err
	}
	g, err := gate.New(gate.Config{Source: noData{}, Program: p.Program, Risk: p.Risk})
	if err != nil {
		return err
	}
	for n := range sprayLimited * 4 {
		sprayed(ctx, g, uint64(n%sprayLimited), new(gate.Decision))
	}
	before := residentBytes()
	asked, most, took := c.spray(ctx, g)
	let := 0
	for n := range sprayLimited {
		if sprayed(ctx, g, uint64(n), new(gate.Decision)) {
			let++
		}
	}
	grown := most - min(before, most)
	fmt.Fprintf(e.stdout, "%d clients in %.1f s, %.0f a second of %d that were wanted\n", asked, took.Seconds(), float64(asked)/took.Seconds(), c.KeysPerSecond)
	fmt.Fprintf(e.stdout, "memory: %d MiB before, %d MiB at most while they came; %d MiB more are allowed for\n", before>>20, most>>20, sprayMost>>20)
	fmt.Fprintf(e.stdout, "of %d clients that were over a limit, %d were let in\n", sprayLimited, let)
	if let > 0 || grown > sprayMost {
		return errReported
	}
	return ctx.Err()
}

// spray asks for new clients, on all processors, no faster than was wanted.
func (c *sprayCmd) spray(ctx context.Context, g *gate.Gate) (asked uint64, most int64, took time.Duration) {
	var next atomic.Uint64
	next.Store(sprayLimited)
	begun := time.Now()
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			const batch = 1000
			var d gate.Decision
			for ctx.Err() == nil && time.Since(begun) < c.For {
				first := next.Add(batch) - batch
				for n := range uint64(batch) {
					sprayed(ctx, g, first+n, &d)
				}
				due := time.Duration(float64(first+batch-sprayLimited) / float64(c.KeysPerSecond) * float64(time.Second))
				if ahead := due - time.Since(begun); ahead > time.Millisecond {
					time.Sleep(min(ahead, c.For))
				}
			}
		})
	}
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, residentBytes())
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	all.Wait()
	took = time.Since(begun)
	close(stop)
	<-watched
	return next.Load() - sprayLimited, max(most, residentBytes()), took
}

// sprayed reports whether client n is let in. Neighbours share no /48.
func sprayed(ctx context.Context, g *gate.Gate, n uint64, d *gate.Decision) bool {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], 0x2a00<<48|n&0xffffffff<<16|n>>32)
	b[15] = 1
	req := ipwarden.Request{Peer: netip.AddrFrom16(b), Header: http.Header{}, Method: "GET", Scheme: "https", Host: "example.org", Path: "/"}
	g.Decide(ctx, &req, d)
	return d.Reason != policy.ByLimit
}

// residentBytes is what of the process is in memory, and where the system does not
// tell, what the runtime has got from it.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			return pages * int64(os.Getpagesize())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
