package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/ipwarden/ipwarden"
)

// providerCmd groups what is about providers.
type providerCmd struct {
	List    providerListCmd    `cmd:"" help:"List the kinds of provider, and the maps that ship." example:"ipwarden provider list"`
	Check   providerCheckCmd   `cmd:"" help:"Say every mistake of a providers file." example:"ipwarden provider check providers.yaml"`
	Ask     providerAskCmd     `cmd:"" help:"Ask providers about one address, to try a key." example:"ipwarden provider ask providers.yaml 8.8.8.8"`
	Compare providerCompareCmd `cmd:"" help:"Compare a provider with the data, on a sample." example:"ipwarden provider compare --providers providers.yaml --sample 500 access.log"`
}

type providerCompareCmd struct {
	Files     []string `arg:"" optional:"" placeholder:"FILE" help:"Addresses to sample from: one a line, or an access log, whose lines begin with one; - is standard input. Default: any public IPv4 addresses."`
	Providers string   `env:"IPWARDEN_PROVIDERS" placeholder:"FILE" help:"Where the provider is."`
	Name      string   `placeholder:"NAME" help:"Which provider of the file; default the only one."`
	Sample    int      `default:"200" placeholder:"N" help:"How many addresses are asked about at most; default ${default}."`
	Countries int      `default:"10" placeholder:"N" help:"How many countries are listed; default ${default}."`
	dataFlags
}

// Help is the long help.
func (providerCompareCmd) Help() string {
	return `Asks a provider about a sample of addresses, and tells in which fields it agrees
with the dataset and the overlays, how the country does by country, and how many
look-ups a cache in front of it needs. Each look-up may cost money: the bound is
--sample, and the provider's own max_lookups_per_day.

Examples:
  ipwarden provider compare --providers providers.yaml --sample 500 access.log
  ipwarden provider compare --providers providers.yaml --name ipinfo`
}

// Run compares.
func (c *providerCompareCmd) Run(ctx context.Context, e *env) error {
	if c.Providers == "" {
		return usagef("say where the provider is: --providers providers.yaml")
	}
	if c.Sample < 1 || c.Sample > 1_000_000 {
		return usagef("--sample is 1 to 1000000, such as 200")
	}
	d, err := c.open(e)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	o, err := (&providerFlags{Providers: c.Providers}).open(e, func() *data { return d }, log)
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := c.choose(o)
	if err != nil {
		return err
	}
	s, err := c.addresses(e, d)
	if err != nil {
		return err
	}
	if len(s.addrs) == 0 {
		return errors.New("there is no public address in what was given")
	}
	var total comparison
	var last error
	for _, addr := range s.addrs {
		ours, err := d.Lookup(ctx, addr)
		if err != nil {
			return err
		}
		theirs, err := p.cached.Lookup(ctx, addr)
		if err != nil {
			last = err
		}
		total.add(ours, theirs, err)
		if err == nil {
			s.share(theirs.Network())
		}
	}
	c.report(e.stdout, p, &total, s)
	if total.addresses == 0 {
		return fmt.Errorf("%s answered nothing: %w", p.spec.Name, last)
	}
	return nil
}

func (c *providerCompareCmd) choose(o *outside) (*runningProvider, error) {
	all := o.asks.Load().providers
	var names []string
	for _, p := range all {
		names = append(names, p.spec.Name)
		if p.spec.Name == c.Name || c.Name == "" && len(all) == 1 {
			return p, nil
		}
	}
	return nil, usagef("--name says which provider: there are %s", strings.Join(names, ", "))
}

// sample is what was drawn, and from what.
type sample struct {
	addrs    []netip.Addr
	lines    int64        // with a public address, before drawing
	distinct []netip.Addr // addresses in them, as far as they were told apart, in order
	answered int
	shares   float64 // of look-ups, that the answered ones have
}

// share counts a look-up by halves when its answer serves two of all the addresses,
// and so on: summed over all addresses that would be the number of networks, and
// over a fair sample it is in proportion, however few of each network were drawn.
func (s *sample) share(network netip.Prefix) {
	from := sort.Search(len(s.distinct), func(i int) bool { return s.distinct[i].Compare(network.Masked().Addr()) >= 0 })
	n := sort.Search(len(s.distinct)-from, func(i int) bool { return !network.Contains(s.distinct[from+i]) })
	s.answered++
	s.shares += 1 / float64(max(n, 1))
}

// need is how many look-ups all the addresses need.
func (s *sample) need() float64 {
	return float64(len(s.distinct)) * s.shares / float64(s.answered)
}

// Bounds of what is read.
const (
	maxSampleLine     = 64 << 10
	maxSampleDistinct = 1 << 20
)

// addresses draws the sample.
func (c *providerCompareCmd) addresses(e *env, d *data) (sample, error) {
	s := &drawing{want: c.Sample, seen: map[netip.Addr]bool{}, public: func(a netip.Addr) bool {
		r, err := d.Lookup(context.Background(), a)
		return err == nil && !r.Traits().Has(ipwarden.Bogon)
	}}
	if len(c.Files) == 0 {
		for tries := 0; len(s.addrs) < c.Sample && tries < 100*c.Sample; tries++ {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], rand.Uint32())
			s.add(netip.AddrFrom4(b))
		}
		return s.sample, nil
	}
	for _, name := range c.Files {
		if err := s.file(e, name); err != nil {
			return s.sample, err
		}
	}
	s.distinct = slices.SortedFunc(maps.Keys(s.seen), netip.Addr.Compare)
	return s.sample, nil
}

// drawing keeps a fair sample of the distinct addresses that it is given.
type drawing struct {
	sample
	want   int
	seen   map[netip.Addr]bool
	public func(netip.Addr) bool
}

func (s *drawing) file(e *env, name string) error {
	in := e.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxSampleLine)
	for lines.Scan() {
		word, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if a, err := ipwarden.ParseAddr(word); err == nil {
			s.add(a)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (s *drawing) add(a netip.Addr) {
	a, _ = ipwarden.Canonical(a)
	if !s.public(a) {
		return
	}
	s.lines++
	if s.seen[a] || len(s.seen) >= maxSampleDistinct {
		return
	}
	s.seen[a] = true
	if len(s.addrs) < s.want {
		s.addrs = append(s.addrs, a)
	} else if i := rand.IntN(len(s.seen)); i < s.want {
		s.addrs[i] = a
	}
}

// report prints what came of it.
func (c *providerCompareCmd) report(w io.Writer, p *runningProvider, t *comparison, s sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	asked := p.cached.Stats().Asked
	fmt.Fprintf(w, "%s and the dataset, about %d addresses", p.spec.Name, t.addresses)
	if t.failed > 0 {
		fmt.Fprintf(w, " (and %d at which it failed)", t.failed)
	}
	fmt.Fprint(w, "\n\n")
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "agree\tsame\tdiffer\tdataset only\t%s only\t\n", p.spec.Name)
	for i, f := range comparedFields {
		row(out, t.fields[i], f.String())
	}
	out.Flush()
	if len(t.countries) > 0 {
		fmt.Fprint(w, "\nThe country, by the dataset's\n\n")
		out = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		for i, country := range t.byCountry() {
			if i == c.Countries {
				break
			}
			row(out, t.countries[country], country)
		}
		out.Flush()
	}
	fmt.Fprintf(w, "\nlook-ups: %d for %d addresses, as one answer serves its network", asked, len(s.addrs))
	if s.lines > int64(len(s.addrs)) && len(s.distinct) > 0 && s.answered > 0 {
		need := s.need()
		fmt.Fprintf(w, "\nof %d requests from %d addresses, some %.0f need one: %.1f%% are saved", s.lines, len(s.distinct), need, 100*(1-need/float64(s.lines)))
		if price := p.spec.PricePerLookup; price > 0 {
			fmt.Fprintf(w, ", %.2f of %.2f", (float64(s.lines)-need)*price, float64(s.lines)*price)
		}
	}
	if price := p.spec.PricePerLookup; price > 0 {
		fmt.Fprintf(w, "\nthis comparison cost %.2f", float64(asked)*price)
	}
	fmt.Fprintln(w)
}

func row(w io.Writer, a agreement, name string) {
	share := "-"
	if v, ok := a.share(); ok {
		share = fmt.Sprintf("%.1f%%", 100*v)
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t  %s\n", share, a.same, a.differ, a.oursOnly, a.theirsOnly, name)
}
