package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/wan"
)

// benchQuotaCmd measures how a quota holds in many regions.
type benchQuotaCmd struct {
	Regions int `default:"11" placeholder:"N" help:"How many regions, as far from each other as those of a large cloud; default ${default}."`
	Quota   int `default:"20000" placeholder:"N" help:"Calls that all regions may admit together; default ${default}."`
	Rate    int `default:"200" placeholder:"N" help:"Calls a second that each region wants to admit; default ${default}."`
	Probes  int `default:"30" placeholder:"N" help:"Calls whose way to the other regions is measured; default ${default}."`
}

// Help is the long help.
func (benchQuotaCmd) Help() string {
	return `Starts a node in each of so many regions, in this process: real ledgers, batches,
aggregators and leases, with streams in memory that are as far apart as the regions.
Measures how long after a call in one region the others know of it, how many calls
more than the quota are admitted when all regions spend it at once, against the bound
of docs/usage.md, and whether every region's total is exact in the end. Exit status 1
if the bound was exceeded or a total is wrong.

Example:
  ipwarden bench quota --regions 11`
}

// place is where a region is.
type place struct {
	name     string
	lat, lon float64
}

var places = []place{
	{"us-east-1", 38.9, -77.4},
	{"us-east-2", 40.1, -83.1},
	{"us-west-1", 37.4, -121.9},
	{"us-west-2", 45.8, -119.7},
	{"eu-west-1", 53.4, -6.3},
	{"eu-central-1", 50.1, 8.7},
	{"ap-south-1", 19.1, 72.9},
	{"ap-southeast-1", 1.3, 103.9},
	{"ap-southeast-2", -33.9, 151.2},
	{"ap-northeast-1", 35.6, 139.7},
	{"sa-east-1", -23.5, -46.6},
}

// oneWay is how long a packet takes: light in glass, on a way half as long again as the
// shortest.
func oneWay(a, b place) time.Duration {
	if a == b {
		return 0
	}
	rad := math.Pi / 180
	c := math.Sin(a.lat*rad)*math.Sin(b.lat*rad) + math.Cos(a.lat*rad)*math.Cos(b.lat*rad)*math.Cos((a.lon-b.lon)*rad)
	km := 6371 * math.Acos(min(1, c))
	return time.Millisecond + time.Duration(km/133*float64(time.Millisecond))
}

// quotaWorld is the regions.
type quotaWorld struct {
	places []place
	meters []*usage.Meter
	far    time.Duration // the longest way
}

func (w *quotaWorld) start(ctx context.Context, dir string) error {
	logs := make([]*wan.Log, len(w.places))
	for i := range logs {
		logs[i] = &wan.Log{}
	}
	w.meters = make([]*usage.Meter, len(w.places))
	for i, here := range w.places {
		l, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, here.name), Region: here.name, Keys: 1024, Clients: 1024, Referers: 64})
		if err != nil {
			return err
		}
		c := usage.Config{Ledger: l, Region: here.name, Stream: logs[i], GivesLeases: true}
		for j, there := range w.places {
			w.far = max(w.far, oneWay(here, there))
			c.Sources = append(c.Sources, usage.Source{Region: there.name, Stream: logs[j].From(oneWay(here, there))})
		}
		if len(w.places) > 1 {
			c.Lessor = func(ctx context.Context, region string, node uint64, reports []usage.LeaseReport) ([]usage.LeaseGrant, error) {
				j := slices.IndexFunc(w.places, func(p place) bool { return p.name == region })
				delay := oneWay(here, w.places[j])
				if !wait(ctx, delay) {
					return nil, ctx.Err()
				}
				grants := w.meters[j].Grant(node, reports)
				if !wait(ctx, delay) {
					return nil, ctx.Err()
				}
				return grants, nil
			}
		}
		if w.meters[i], err = usage.New(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Run measures.
func (c *benchQuotaCmd) Run(ctx context.Context, e *env) error {
	if c.Regions < 1 || c.Regions > len(places) || c.Quota < 1 || c.Rate < 1 || c.Rate > 100_000 || c.Probes < 1 {
		return usageError{fmt.Errorf("there are 1 to %d regions, quotas and probes from 1, and rates from 1 to 100000", len(places))}
	}
	dir, err := os.MkdirTemp("", "ipwarden-quota-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := &quotaWorld{places: places[:c.Regions]}
	run, stop := context.WithCancel(ctx)
	defer stop()
	err = w.start(run, dir)
	defer func() {
		for _, m := range w.meters {
			if m != nil {
				_ = m.Close() // the folder goes too
			}
		}
	}()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d regions, up to %s apart; each wants to admit %d calls a second of a quota of %d\n\n", c.Regions, w.far.Round(time.Millisecond), c.Rate, c.Quota)
	if c.Regions > 1 {
		if err := c.propagation(run, w, e.stdout); err != nil {
			return err
		}
	}
	return c.overshoot(run, w, e.stdout)
}

// propagation counts calls in one region after the other and looks when others know.
func (c *benchQuotaCmd) propagation(ctx context.Context, w *quotaWorld, out io.Writer) error {
	var took, late []time.Duration
	for n := range c.Probes {
		i := n % len(w.meters)
		subject := usage.Subject{Account: customer.NewAccountID()}
		begun := time.Now()
		w.meters[i].Record(w.meters[i].Key(customer.NewKeyID(), subject.Account), customer.EndpointLookup, customer.Charged, 1, netip.Addr{}, "")
		for j, m := range w.meters {
			if i == j {
				continue
			}
			s := m.Standing(subject)
			for s.Quota().Month.Used == 0 {
				if time.Since(begun) > 2*time.Minute {
					return errors.New("a call did not become known in another region within 2m")
				}
				if !wait(ctx, time.Millisecond) {
					return ctx.Err()
				}
			}
			// Regions are looked at one after the other: a nearer one after a farther one was
			// known before, and is not measured.
			if d := time.Since(begun); d-oneWay(w.places[i], w.places[j]) > 0 && farther(w, i, j) {
				took = append(took, d)
				late = append(late, d-oneWay(w.places[i], w.places[j]))
			}
		}
	}
	slices.Sort(took)
	slices.Sort(late)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "a call is known in another region after\tp50\tp99\tmost\t")
	for _, row := range []struct {
		name string
		d    []time.Duration
	}{{"in all", took}, {"besides the one-way delay", late}} {
		at := func(p float64) time.Duration {
			return row.d[min(len(row.d)-1, int(p*float64(len(row.d))))].Round(time.Millisecond)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", row.name, at(0.5), at(0.99), at(1))
	}
	return t.Flush()
}

// farther says whether j is farther from i than all regions before j.
func farther(w *quotaWorld, i, j int) bool {
	for k := range j {
		if k != i && oneWay(w.places[i], w.places[k]) >= oneWay(w.places[i], w.places[j]) {
			return false
		}
	}
	return true
}

// overshoot lets all regions spend one quota.
func (c *benchQuotaCmd) overshoot(ctx context.Context, w *quotaWorld, out io.Writer) error {
	subject := usage.Subject{Account: customer.NewAccountID()}
	for _, m := range w.meters {
		m.SetTerms(subject, usage.Terms{PerMonth: int64(c.Quota)})
	}
	begun := time.Now()
	var admitted atomic.Int64
	var all sync.WaitGroup
	spend, stop := context.WithCancel(ctx)
	defer stop()
	for _, m := range w.meters {
		all.Go(func() {
			s, k := m.Standing(subject), m.Key(customer.NewKeyID(), subject.Account)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			last, due := time.Now(), 0.0
			for {
				select {
				case <-spend.Done():
					return
				case now := <-tick.C:
					due += now.Sub(last).Seconds() * float64(c.Rate)
					last = now
					n := s.TakeUpTo(int64(due))
					due = min(due-math.Floor(due), 1)
					if n > 0 {
						m.Record(k, customer.EndpointLookup, customer.Charged, uint32(n), netip.Addr{}, "")
						admitted.Add(n)
					}
				}
			}
		})
	}
	// Until the quota is used up, and for some time after, when nothing may be admitted.
	limit := 2*time.Minute + 3*time.Duration(c.Quota)*time.Second/time.Duration(c.Rate*c.Regions)
	for admitted.Load() < int64(c.Quota) && time.Since(begun) < limit && wait(ctx, 10*time.Millisecond) {
	}
	used := time.Since(begun)
	wait(ctx, 3*time.Second)
	stop()
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	bound := quotaBound(c.Quota, c.Rate, c.Regions, w.far)
	over := max(0, admitted.Load()-int64(c.Quota))
	fmt.Fprintf(out, "\nadmitted   %d of %d, the last after %s\novershoot  %d; the bound is %d\n", admitted.Load(), c.Quota, used.Round(10*time.Millisecond), over, bound)

	settled := time.Now()
	wrong := ""
	for i, m := range w.meters {
		known := int64(0)
		for {
			if known = m.Standing(subject).Quota().Month.Used; known == admitted.Load() && known == total(ctx, m, subject) {
				break
			}
			if time.Since(settled) > 2*time.Minute || !wait(ctx, 5*time.Millisecond) {
				wrong += fmt.Sprintf("%s knows of %d; ", w.places[i].name, known)
				break
			}
		}
	}
	if wrong != "" {
		fmt.Fprintf(out, "totals     WRONG: %sadmitted were %d\n", wrong, admitted.Load())
		return errReported
	}
	fmt.Fprintf(out, "totals     exact in all %d regions\n", len(w.meters))
	switch {
	case over > bound:
		fmt.Fprintln(out, "\nThe bound was exceeded.")
		return errReported
	case admitted.Load() < int64(c.Quota):
		fmt.Fprintln(out, "\nThe quota could not be used up.")
		return errReported
	}
	fmt.Fprintln(out, "\nWithin the bound.")
	return nil
}

// quotaBound is that of docs/usage.md: what the other regions admit before one knows,
// less what is held back for it.
func quotaBound(quota, rate, regions int, far time.Duration) int64 {
	const freezing, working = 150 * time.Millisecond, 250 * time.Millisecond
	flight := (far + freezing + working).Seconds() * float64(rate) * float64(regions-1)
	return max(0, int64(math.Ceil(flight))-int64(quota/10))
}

func total(ctx context.Context, m *usage.Meter, s usage.Subject) (n int64) {
	_ = m.Rows(ctx, usage.Query{Account: s.Account, To: math.MaxUint32, Charged: true}, func(_ usage.Row, c int64) bool { n += c; return true })
	return n
}
