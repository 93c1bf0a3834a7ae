package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/feed"
)

// Config says how to update a folder of feeds.
type Config struct {
	// Dir is the folder of feeds; it is made when it is not there.
	Dir string
	// Stage, when set, receives what is new, and Dir stays as it is: a dry run.
	Stage string
	// From, when set, is a folder whose files are taken instead of asking the
	// publishers.
	From string
	// Formats are the parsers that check what came.
	Formats map[string]feed.Parser
	// Force asks even where a feed was asked a moment ago, and takes what
	// breaks a bound of the catalogue. What cannot be read stays refused.
	Force bool
	// Client asks; default: a client with timeouts of its own. Its redirects
	// are bounded in any case.
	Client *http.Client
	// UserAgent names us to the publishers; default "ipwarden".
	UserAgent string
	// Parallel is how many feeds are fetched at once; default 4.
	Parallel int
	// Timeout bounds one request, body included; default 15 minutes.
	Timeout time.Duration
	// Stall is how long a transfer may stand still; default 30 seconds.
	Stall time.Duration
	// Progress, when set, hears how far each feed is; it is called from
	// several goroutines.
	Progress func(Progress)

	// The world, for tests; the defaults are the real one.
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
	Random func() float64
}

// An Updater keeps a folder of feeds current. It may be used again; two runs
// over one folder at a time are kept apart by [Lock].
type Updater struct {
	cfg  Config
	from *Folder // nil: ask the publishers

	reached atomic.Bool  // somebody has answered
	lost    atomic.Int32 // files that nobody answered for, after all attempts
}

// New checks the configuration and fills in the defaults.
func New(cfg Config) (*Updater, error) {
	if cfg.Dir == "" {
		return nil, errors.New("update: no folder of feeds is named")
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "ipwarden"
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 4
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 15 * time.Minute
	}
	if cfg.Stall <= 0 {
		cfg.Stall = 30 * time.Second
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	cfg.Client = withBounds(cfg.Client)
	u := &Updater{cfg: cfg}
	if cfg.From != "" {
		from, err := OpenFolder(cfg.From)
		if err != nil {
			return nil, err
		}
		u.from = from
	}
	return u, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// item is a feed or a reference table: both are fetched alike.
type item struct {
	spec  feed.Spec
	table feed.Tabler // nil for a feed
}

// Reference tables have no limits of their own in the catalogue.
const (
	tableRefresh = 7 * 24 * time.Hour
	tableSize    = 64 << 20
)

func tableItem(r *feed.ReferenceFile) item {
	return item{table: r.Table, spec: feed.Spec{
		Name: r.Name, Files: []feed.SpecFile{{Path: r.Path, URL: r.URL}},
		Manual: r.URL == "", Refresh: tableRefresh, MaxSize: tableSize,
	}}
}

// Run updates the feeds and the reference tables and returns a Result for
// each, in that order. Feeds fail one by one; the error is for what concerns
// all of them: a folder that cannot be written, a cancelled context.
func (u *Updater) Run(ctx context.Context, specs []feed.Spec, tables []feed.ReferenceFile) ([]Result, error) {
	dest := u.dest()
	if err := os.MkdirAll(dest, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of feeds: %w", err)
	}
	if err := sweep(dest); err != nil {
		return nil, err
	}
	items := make([]item, 0, len(specs)+len(tables))
	for _, s := range specs {
		items = append(items, item{spec: s})
	}
	for i := range tables {
		items = append(items, tableItem(&tables[i]))
	}
	results := make([]Result, len(items))
	var wg sync.WaitGroup
	slots := make(chan struct{}, u.cfg.Parallel)
	for i := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = u.one(ctx, &items[i])
			u.cfg.Progress(Progress{Feed: items[i].spec.Name, Result: &results[i]})
		})
	}
	wg.Wait()
	return results, context.Cause(ctx)
}

func (u *Updater) dest() string {
	if u.cfg.Stage != "" {
		return u.cfg.Stage
	}
	return u.cfg.Dir
}

// sweep removes what a killed run left behind.
func sweep(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.Type().IsRegular() && strings.HasPrefix(base, ".") && strings.HasSuffix(base, ".part") {
			return os.Remove(name)
		}
		return nil
	})
}

// copyOf is one file of a feed as it lies in the folder.
type copyOf struct {
	name string // "" when there is none
	sum  string
	meta *Meta // nil when unknown or no longer true
	date time.Time
}

func (u *Updater) kept(it *item) ([]copyOf, error) {
	folder := &Folder{dirs: []string{u.cfg.Dir}}
	copies := make([]copyOf, len(it.spec.Files))
	for i, f := range it.spec.Files {
		name, err := folder.find(f.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sum, err := hashFile(name)
		if err != nil {
			return nil, err
		}
		date, meta, err := folder.dateOf(f.Path, name, sum)
		if err != nil {
			return nil, err
		}
		copies[i] = copyOf{name: name, sum: sum, meta: meta, date: date}
	}
	return copies, nil
}

// one brings one feed up to date.
func (u *Updater) one(ctx context.Context, it *item) (res Result) {
	begin := u.cfg.Now()
	defer func() { res.Feed, res.Took = it.spec.Name, u.cfg.Now().Sub(begin) }()
	old, err := u.kept(it)
	if err != nil {
		return Result{Status: Missing, Why: err.Error()}
	}
	whole := haveAll(old)
	res = describe(old)
	fail := func(why string) Result {
		res.Why, res.Status = why, Missing
		if whole {
			res.Status = Kept
		}
		return res
	}
	switch {
	case u.from == nil && (it.spec.Manual || !hasURLs(it)):
		res.Status = Absent
		if whole {
			res.Status = InPlace
		}
		return res
	case u.from == nil && whole && !u.cfg.Force && u.fresh(it, old):
		res.Status = Fresh
		return res
	}
	got := make([]arrival, len(it.spec.Files))
	defer func() {
		for _, a := range got {
			if a.temp != "" {
				os.Remove(a.temp) // gone already when it was taken
			}
		}
	}()
	same := true
	for i := range it.spec.Files {
		if u.from != nil {
			got[i], err = u.take(it, i, &old[i])
		} else {
			got[i], err = u.fetch(ctx, it, i, &old[i])
		}
		res.Attempts += got[i].attempts
		switch {
		case u.from != nil && errors.Is(err, fs.ErrNotExist) && whole:
			res.Status = Unchanged // the folder has nothing newer than ours
			return res
		case u.from != nil && errors.Is(err, fs.ErrNotExist):
			res.Status = Absent
			return res
		case err != nil:
			return fail(err.Error())
		}
		same = same && got[i].temp == ""
	}
	if same && whole && haveMeta(old) {
		for i := range old {
			u.stillCurrent(&old[i], &got[i])
		}
		res.Status = Unchanged
		return res
	}
	return u.settle(ctx, it, old, got, res)
}

// settle reads what came, and takes it when it is believed.
func (u *Updater) settle(ctx context.Context, it *item, old []copyOf, got []arrival, res Result) Result {
	was, whole := res.Rows, haveAll(old)
	if whole && was == 0 && it.table == nil { // nobody counted the copy yet
		was = u.check(ctx, it, old, nil).rows
	}
	t := u.check(ctx, it, old, got)
	why := t.broken()
	if why == "" && it.table == nil && !u.cfg.Force {
		why = t.outOfBounds(&it.spec, was)
	}
	if ctx.Err() != nil {
		res.Status, res.Why = Kept, context.Cause(ctx).Error()
		if !whole {
			res.Status = Missing
		}
		return res
	}
	if why != "" {
		res.Status, res.Why, res.Was = Refused, why, was
		return res
	}
	res.Rows, res.Bad, res.Was, res.Bytes, res.Date = t.rows, t.bad, was, 0, time.Time{}
	changed := false
	for i := range got {
		a := &got[i]
		a.meta.Rows, a.meta.Bad = 0, 0
		if i == 0 { // the counts are the feed's, kept with its first file
			a.meta.Rows, a.meta.Bad = t.rows, t.bad
		}
		// A list from the future would win against every other for ever.
		if !t.date.IsZero() && t.date.Before(u.cfg.Now().Add(24*time.Hour)) {
			a.meta.Date = t.date
		}
		changed = changed || a.temp != ""
		if err := u.commit(it.spec.Files[i].Path, &old[i], a); err != nil {
			res.Status, res.Why = Kept, err.Error()
			return res
		}
		res.Bytes += a.size
		if a.meta.Date.After(res.Date) {
			res.Date = a.meta.Date
		}
	}
	res.Status = Unchanged
	if changed {
		res.Status = Updated
	}
	return res
}

// check reads the feed as it would be: what came over what is there.
func (u *Updater) check(ctx context.Context, it *item, old []copyOf, got []arrival) *tally {
	parts := make([]part, len(it.spec.Files))
	for i, f := range it.spec.Files {
		name := old[i].name
		if got != nil && got[i].temp != "" {
			name = got[i].temp
		}
		parts[i] = part{path: f.Path, open: func() (r readCloser, err error) { return openUnpacked(name, it.spec.MaxSize) }}
	}
	if it.table != nil {
		return readTable(it.table, parts[0])
	}
	parse := u.cfg.Formats[it.spec.Format]
	if parse == nil {
		return &tally{failed: fmt.Errorf("no parser reads the format %q", it.spec.Format)}
	}
	return read(ctx, parse, parts)
}

// commit puts one file in its place, and what is known of it beside it.
func (u *Updater) commit(path string, old *copyOf, a *arrival) error {
	if a.temp == "" {
		if u.cfg.Stage != "" {
			return nil
		}
		return writeMeta(old.name, &a.meta)
	}
	if a.path != "" {
		path = a.path
	}
	name := filepath.Join(u.dest(), filepath.FromSlash(path))
	other := name + ".gz"
	if a.packed && !strings.HasSuffix(name, ".gz") && !strings.HasSuffix(name, ".tgz") {
		name, other = other, name
	}
	if err := replace(a.temp, name); err != nil {
		return err
	}
	if err := writeMeta(name, &a.meta); err != nil {
		return err
	}
	// A copy under the other spelling would be found first, or again later.
	for _, n := range [...]string{other, other + metaSuffix} {
		if err := os.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func haveAll(copies []copyOf) bool {
	for _, c := range copies {
		if c.name == "" {
			return false
		}
	}
	return len(copies) > 0
}

func haveMeta(copies []copyOf) bool {
	for _, c := range copies {
		if c.meta == nil {
			return false
		}
	}
	return true
}

func hasURLs(it *item) bool {
	for _, f := range it.spec.Files {
		if f.URL == "" {
			return false
		}
	}
	return len(it.spec.Files) > 0
}

// describe sums up the copies that are there.
func describe(copies []copyOf) (r Result) {
	for _, c := range copies {
		if c.meta != nil {
			r.Rows += c.meta.Rows
			r.Bad += c.meta.Bad
		}
		if c.date.After(r.Date) {
			r.Date = c.date
		}
	}
	return r
}

// fresh reports whether every file was asked for within the refresh interval.
func (u *Updater) fresh(it *item, copies []copyOf) bool {
	now := u.cfg.Now()
	for i, c := range copies {
		if c.meta == nil || c.meta.URL != it.spec.Files[i].URL || now.Sub(c.meta.Checked) >= it.spec.Refresh || c.meta.Checked.After(now) {
			return false
		}
	}
	return true
}
