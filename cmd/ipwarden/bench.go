package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/redis"
)

// benchCmd groups what measures a promise on the user's own machines. Figures
// beside peers are in the repository's bench folder.
type benchCmd struct {
	Spray     sprayCmd      `cmd:"" help:"Measure what a spray of new clients does to memory and limits." example:"ipwarden bench spray --keys-per-second 1000000 --for 10s"`
	Overshoot overshootCmd  `cmd:"" help:"Measure by how much nodes that share limits exceed them." example:"ipwarden bench overshoot --nodes 4 --redis redis://127.0.0.1:6379"`
	Flood     floodCmd      `cmd:"" help:"Measure what a flood of unknown keys does to those who pay." example:"ipwarden bench flood --keys-per-second 20000"`
	Quota     benchQuotaCmd `cmd:"" help:"Measure how a quota holds in many regions." example:"ipwarden bench quota --regions 11"`
}

type overshootCmd struct {
	Redis     string        `env:"IPWARDEN_REDIS" required:"" placeholder:"URL" help:"The server that nodes share limits through."`
	Nodes     int           `default:"4" placeholder:"N" help:"How many nodes; default ${default}."`
	LimitMode string        `env:"IPWARDEN_LIMIT_MODE" enum:"exact,fast" default:"fast" help:"${enum}; default ${default}."`
	Lease     int           `default:"10" placeholder:"PERCENT" help:"How much of a limit a node admits before it asks, in fast mode; default ${default}."`
	Algorithm string        `enum:"gcra,sliding,fixed" default:"gcra" help:"${enum}; default ${default}."`
	Limit     uint32        `default:"1000" placeholder:"N" help:"The limit; default ${default}."`
	Window    time.Duration `default:"1h" placeholder:"TIME" help:"The window of the limit; default ${default}."`
	Callers   int           `default:"16" placeholder:"N" help:"How many ask at once, on each node; default ${default}."`
	Rounds    int           `default:"5" placeholder:"N" help:"How often, each time with a new key; default ${default}."`
	Budget    time.Duration `default:"1s" placeholder:"TIME" help:"How long a decision waits for the store; default ${default}, so that none is made without it."`
}

// Help is the long help.
func (overshootCmd) Help() string {
	return `Starts so many nodes, lets callers on all of them ask for one key as fast as they
can until all are denied, and compares what was admitted with the limit and the
stated bound (docs/limits.md). Exit status 1 if the bound was exceeded, or if the
store did not answer in time, so that nothing was measured. Keys are new each
time and expire with the window; nothing else on the server is touched.

Example:
  ipwarden bench overshoot --nodes 4 --redis redis://127.0.0.1:6379`
}

// overshot is what one round found.
type overshot struct {
	admitted, asked, here, local int64
	took                         time.Duration
}

// Run measures.
func (c *overshootCmd) Run(ctx context.Context, e *env) error {
	config, err := redis.ParseURL(c.Redis)
	if err != nil {
		return usageError{err}
	}
	alg, _ := limit.AlgorithmNamed(c.Algorithm) // kong has checked it
	rate := &limit.Rate{Name: "overshoot", Algorithm: alg, Limit: c.Limit, Window: c.Window}
	if err := errors.Join(rate.Check(), c.check()); err != nil {
		return usageError{err}
	}
	config.Fast, config.Lease, config.Budget = c.LimitMode == "fast", c.Lease, c.Budget
	config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil)) // what fails is told below
	nodes := make([]*redis.Limiter, c.Nodes)
	for i := range nodes {
		if nodes[i], err = redis.New(ctx, config); err != nil {
			return usageError{err}
		}
		defer nodes[i].Close()
		if s := nodes[i].Stats(); s.Away {
			return fmt.Errorf("the store does not answer: %w", s.Err)
		}
	}
	bound := limit.SharedConfig{Fast: config.Fast, Lease: config.Lease}.Overshoot(rate, 1, c.Nodes)
	fmt.Fprintf(e.stdout, "%d nodes, %s, %d in %s by %s; at most %d more are allowed for\n\n", c.Nodes, c.LimitMode, c.Limit, c.Window, c.Algorithm, bound)
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "round\tasked\tdecided by the node\tadmitted\tdue\tover\tper cent of the bound\t")
	worst, local := int64(math.MinInt64), int64(0)
	for n := range c.Rounds {
		o, err := c.round(ctx, nodes, rate)
		if err != nil {
			return err
		}
		// What the window gave back meanwhile was due too; cells give nothing back
		// within theirs.
		due := int64(c.Limit)
		if alg == limit.GCRA {
			due += int64(math.Ceil(float64(c.Limit) * float64(o.took) / float64(c.Window)))
		}
		over := o.admitted - due
		worst, local = max(worst, over), local+o.local
		share := "-"
		if bound > 0 {
			share = fmt.Sprintf("%.0f %%", 100*float64(max(over, 0))/float64(bound))
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", n+1, o.asked, o.here, o.admitted, due, over, share)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	switch {
	case local > 0:
		fmt.Fprintf(e.stdout, "\nNot measured: %d decisions were made while the store did not answer within %s.\n", local, c.Budget)
	case worst > int64(bound):
		fmt.Fprintf(e.stdout, "\nThe bound was exceeded: %d more than is due, and %d are allowed for.\n", worst, bound)
	default:
		fmt.Fprintf(e.stdout, "\nWithin the bound: at most %d more than is due, and %d are allowed for.\n", max(worst, 0), bound)
		return nil
	}
	return errReported
}

func (c *overshootCmd) check() error {
	var errs []error
	for _, v := range []struct {
		flag        string
		value, most int
	}{{"--nodes", c.Nodes, 64}, {"--callers", c.Callers, 1024}, {"--rounds", c.Rounds, 1000}} {
		if v.value < 1 || v.value > v.most {
			errs = append(errs, fmt.Errorf("%s is %d; it is a number from 1 to %d", v.flag, v.value, v.most))
		}
	}
	if c.Limit == 0 {
		errs = append(errs, errors.New("--limit is 0; it is a number such as 1000"))
	}
	return errors.Join(errs...)
}

// round lets all nodes ask for a new key until each caller was denied often.
func (c *overshootCmd) round(ctx context.Context, nodes []*redis.Limiter, rate *limit.Rate) (o overshot, err error) {
	const denials = 50
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails
	key := limit.NewHasher(seed).Sum(limit.AppendPart(nil, rate.Name))
	var admitted, asked, here, local atomic.Int64
	var failed atomic.Pointer[error]
	begun := time.Now()
	var wg sync.WaitGroup
	for _, node := range nodes {
		for range c.Callers {
			wg.Go(func() {
				reqs, results := []limit.Request{{Rate: rate, Key: key, Cost: 1}}, make([]limit.Result, 1)
				for denied := 0; denied < denials; {
					if err := cmp.Or(node.Take(ctx, reqs, results), ctx.Err()); err != nil {
						failed.Store(&err)
						return
					}
					asked.Add(1)
					if results[0].Allowed {
						admitted.Add(1)
					} else {
						denied++
					}
					switch results[0].Source {
					case limit.Fast:
						here.Add(1)
					case limit.Local:
						local.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if p := failed.Load(); p != nil {
		err = *p
	}
	return overshot{admitted.Load(), asked.Load(), here.Load(), local.Load(), time.Since(begun)}, err
}
