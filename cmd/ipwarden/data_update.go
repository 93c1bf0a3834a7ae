package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/feed/catalogue"
	"github.com/ipwarden/ipwarden/internal/update"
)

// catalogueFlag lets an operator change the catalogue.
type catalogueFlag struct {
	Catalogue string `env:"IPWARDEN_CATALOGUE" placeholder:"FILE" help:"Change the catalogue of feeds: entries of FILE replace those of the same name, or are added."`
}

// load returns the embedded catalogue with the operator's file on top.
func (f *catalogueFlag) load() (*catalogue.Catalogue, error) {
	c, err := catalogue.Default()
	if err != nil {
		return nil, err
	}
	if f.Catalogue != "" {
		file, err := os.Open(f.Catalogue)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		over, err := catalogue.Load(file, f.Catalogue)
		if err != nil {
			return nil, err
		}
		c = c.Merge(over)
	}
	known := formats()
	return c, c.CheckFormats(func(name string) bool { return known[name] != nil })
}

type updateCmd struct {
	From      string   `placeholder:"DIR" help:"Take the files of DIR instead of asking the publishers."`
	Feeds     []string `placeholder:"NAME" help:"Only fetch these; the dataset is built from all that are there."`
	DryRun    bool     `help:"Say what would change, and change nothing."`
	Force     bool     `help:"Ask even where nothing can be new, and take what breaks a bound."`
	EmbedOnly bool     `help:"Only feeds whose licence lets them be passed on."`
	Output    string   `short:"o" placeholder:"FILE" help:"Write the dataset to FILE instead of switching to it."`
	Keep      int      `env:"IPWARDEN_KEEP" default:"3" help:"How many datasets stay, the new one among them."`
	MaxMoved  float64  `env:"IPWARDEN_MAX_MOVED" default:"0.25" help:"Refuse a dataset that moves more than this share of the address space."`
	dirFlag
	catalogueFlag
}

// Help is the long help.
func (updateCmd) Help() string {
	return `Feeds are asked with conditional requests. One that fails, shrinks or turns into
something else keeps its last good copy, is named, and makes the exit status 1;
the rest goes on. A running server notices the new dataset by itself.

Examples:
  ipwarden data update
  ipwarden data update --dry-run
  ipwarden data update --from /srv/feeds
  ipwarden data update --feeds tor-exits --force`
}

// Run fetches, builds, checks and switches.
func (c *updateCmd) Run(e *env) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cat, err := c.load()
	if err != nil {
		return err
	}
	specs, tables, err := choose(cat.Feeds, feed.ReferenceFiles(), c.Feeds)
	if err != nil {
		return err
	}
	dir, err := c.dir(e)
	if err != nil {
		return err
	}
	cfg := update.Config{
		Dir: update.FeedsDir(dir), From: c.From, Formats: formats(), Force: c.Force,
		UserAgent: "ipwarden/" + version() + " (+https://github.com/ipwarden/ipwarden)", Now: e.now,
	}
	work := dir
	if c.DryRun { // it leaves no trace in the data directory, which need not be there
		if work, err = os.MkdirTemp("", "ipwarden-dry-run-"); err != nil {
			return err
		}
		defer os.RemoveAll(work)
		cfg.Stage = update.FeedsDir(work)
	} else {
		unlock, err := update.Lock(dir)
		if err != nil {
			return err
		}
		defer unlock()
	}
	results, err := fetch(ctx, e, cfg, specs, tables)
	writeResults(e.stdout, results)
	if err != nil {
		return err
	}
	failed := slices.ContainsFunc(results, func(r update.Result) bool { return r.Failed() })
	leftOut, err := c.build(ctx, e, dir, work, cfg, cat.Feeds)
	if err != nil {
		return err
	}
	if failed || leftOut {
		return errReported
	}
	return nil
}

// choose picks the feeds and tables that are named; all when none is.
func choose(specs []feed.Spec, tables []feed.ReferenceFile, names []string) ([]feed.Spec, []feed.ReferenceFile, error) {
	if len(names) == 0 {
		return specs, tables, nil
	}
	var some []feed.Spec
	var someTables []feed.ReferenceFile
	for _, name := range names {
		i := slices.IndexFunc(specs, func(s feed.Spec) bool { return s.Name == name })
		j := slices.IndexFunc(tables, func(t feed.ReferenceFile) bool { return t.Name == name })
		switch {
		case i >= 0:
			some = append(some, specs[i])
		case j >= 0:
			someTables = append(someTables, tables[j])
		default:
			return nil, nil, usagef("--feeds: there is no feed %q; 'ipwarden data feeds' lists them", clip(name))
		}
	}
	return some, someTables, nil
}

func fetch(ctx context.Context, e *env, cfg update.Config, specs []feed.Spec, tables []feed.ReferenceFile) ([]update.Result, error) {
	bars := newBars(e, len(specs)+len(tables))
	cfg.Progress = bars.report
	u, err := update.New(cfg)
	if err != nil {
		return nil, err
	}
	results, err := u.Run(ctx, specs, tables)
	bars.wait()
	return results, err
}

// writeResults prints what became of each feed: a line for each that changed
// or failed, and a sum.
func writeResults(w io.Writer, results []update.Result) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	count := map[update.Status]int{}
	for _, r := range results {
		count[r.Status]++
		switch {
		case r.Failed():
			fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Feed, r.Status, r.Why)
		case r.Status == update.Updated && r.Was > 0:
			fmt.Fprintf(tw, "%s\t%s\t%d rows (%+d), %d skipped, data of %s\n", r.Feed, r.Status, r.Rows, r.Rows-r.Was, r.Bad, day(r.Date))
		case r.Status == update.Updated && r.Rows == 0: // a table
			fmt.Fprintf(tw, "%s\t%s\tdata of %s\n", r.Feed, r.Status, day(r.Date))
		case r.Status == update.Updated:
			fmt.Fprintf(tw, "%s\t%s\t%d rows, %d skipped, data of %s\n", r.Feed, r.Status, r.Rows, r.Bad, day(r.Date))
		}
	}
	tw.Flush()
	var sums []string
	for _, s := range []update.Status{update.Updated, update.Unchanged, update.Fresh, update.InPlace, update.Kept, update.Refused, update.Missing, update.Absent} {
		if count[s] > 0 {
			sums = append(sums, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	fmt.Fprintf(w, "%d feeds: %s\n", len(results), strings.Join(sums, ", "))
}

func day(t time.Time) string {
	if t.IsZero() {
		return "unknown date"
	}
	return t.UTC().Format(time.DateOnly)
}

// build makes the dataset in work and lets it into dir, or writes it where it
// was asked for.
func (c *updateCmd) build(ctx context.Context, e *env, dir, work string, cfg update.Config, specs []feed.Spec) (leftOut bool, err error) {
	dirs := []string{cfg.Dir}
	if cfg.Stage != "" {
		dirs = []string{cfg.Stage, cfg.Dir}
		if _, err := os.Stat(cfg.Dir); errors.Is(err, os.ErrNotExist) {
			dirs = dirs[:1]
		}
	}
	candidate, err := update.NewCandidate(work)
	if err != nil {
		return false, err
	}
	defer candidate.Discard()
	leftOut, err = buildFrom(ctx, e, candidate, dirs, specs, c.EmbedOnly, time.Time{})
	if err != nil {
		return leftOut, err
	}
	next, err := candidate.Open()
	if err != nil {
		return leftOut, err
	}
	current, err := currentDataset(dir)
	if err != nil {
		return leftOut, err
	}
	if current != nil && current.Info().Hash == next.Info().Hash && c.Output == "" {
		fmt.Fprintf(e.stdout, "nothing changed: the dataset in use is the same, of %s\n", day(next.Date()))
		return leftOut, nil
	}
	diff, err := update.Gate{MaxMoved: c.MaxMoved}.Check(current, next)
	var refused *update.GateError
	switch {
	case errors.As(err, &refused) && c.Force:
		fmt.Fprintf(e.stderr, "ipwarden: taken because of --force: %s\n", strings.Join(refused.Reasons, "; "))
	case errors.As(err, &refused):
		return leftOut, fmt.Errorf("%w\n  for example:  ipwarden data update --dry-run shows what moves; --force takes it", err)
	case err != nil:
		return leftOut, err
	}
	if diff == nil && c.DryRun { // nothing is installed: the embedded one is in use
		if embedded, err := openDataset(""); err == nil {
			d := dataset.Diff(embedded, next)
			diff = &d
		}
	}
	if diff != nil {
		writeDiff(e.stdout, diff)
	}
	switch {
	case c.DryRun:
		fmt.Fprintf(e.stdout, "dry run: a dataset of %s, %s, would be used; nothing was changed\n", day(next.Date()), mib(next.Info().Size))
	case c.Output != "":
		if err := candidate.MoveTo(c.Output); err != nil {
			return leftOut, err
		}
		fmt.Fprintf(e.stdout, "%s: a dataset of %s, %s\n", c.Output, day(next.Date()), mib(next.Info().Size))
	default:
		name, err := candidate.Install(next, c.Keep)
		if err != nil {
			return leftOut, err
		}
		fmt.Fprintf(e.stdout, "in use: %s, data of %s, %s\n", filepath.Base(name), day(next.Date()), mib(next.Info().Size))
	}
	return leftOut, nil
}

func currentDataset(dir string) (*dataset.Dataset, error) {
	name, err := update.Current(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return dataset.Open(name)
}

// The licence of a dataset follows from what is in it: share-alike for what
// may be passed on, and nobody's promise for the rest.
const (
	openLicence  = "CC-BY-SA-4.0"
	mixedLicence = "LicenseRef-mixed: for use where it was built; its manifest names the licence of every feed"
)

// buildMemory is what a build tries to get by with; a world of feeds needs
// less, and without a limit the collector lets garbage pile up to as much again.
// Up to there it may: collecting earlier takes a tenth of a build's time.
const (
	buildMemory    = 360 << 20
	buildGarbage   = 400 // percent of what is in use
	defaultGarbage = 100 // Go's own
)

// boundMemory sets a soft limit, unless $GOMEMLIMIT has, and how soon to collect,
// unless $GOGC has, and returns the undo.
func boundMemory() func() {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return func() {}
	}
	debug.SetMemoryLimit(buildMemory)
	percent := debug.SetGCPercent(buildGarbage)
	if percent != defaultGarbage {
		debug.SetGCPercent(percent)
	}
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// buildFrom writes a dataset made of the feeds in the folders.
func buildFrom(ctx context.Context, e *env, w io.Writer, dirs []string, specs []feed.Spec, embedOnly bool, date time.Time) (leftOut bool, err error) {
	defer boundMemory()()
	folder, err := update.OpenFolder(dirs...)
	if err != nil {
		return false, err
	}
	a, err := update.Assemble(ctx, folder, update.Selection{
		Feeds: specs, Tables: feed.ReferenceFiles(), Formats: formats(), EmbedOnly: embedOnly,
	})
	if err != nil {
		return false, err
	}
	if a.Feeds() == 0 {
		return false, fmt.Errorf("no feed of the catalogue is in %s; 'ipwarden data feeds' tells the names of their files", dirs[len(dirs)-1])
	}
	opt := update.BuildOptions{Date: date, Licence: mixedLicence}
	if embedOnly {
		opt.Licence = openLicence
	}
	begin := e.now()
	report, err := a.Build(ctx, w, opt)
	for _, r := range append(a.TooOld, a.LeftOut...) {
		fmt.Fprintf(e.stderr, "ipwarden: left out: %s\n", &r)
	}
	if err != nil {
		return len(a.LeftOut) > 0, err
	}
	rows, skipped := 0, 0
	for _, f := range report.Feeds {
		rows += f.Rows
		skipped += f.Skipped
	}
	fmt.Fprintf(e.stdout, "built from %d feeds in %v: %d rows taken, %d skipped, %d IPv4 and %d IPv6 ranges, %d distinct answers\n",
		len(report.Feeds), e.now().Sub(begin).Round(100*time.Millisecond), rows, skipped, report.Ranges4, report.Ranges6, report.Rows)
	return len(a.LeftOut) > 0, nil
}

func mib(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
