package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
)

// Selection says which feeds of a folder go into a dataset.
type Selection struct {
	Feeds   []feed.Spec
	Tables  []feed.ReferenceFile
	Formats map[string]feed.Parser
	// EmbedOnly leaves out what may not be passed on in the embedded dataset.
	EmbedOnly bool
}

// An Assembly is what a folder offers to a build.
type Assembly struct {
	inputs  []*source
	Tables  *feed.Tables
	Sources []dataset.FeedInfo // of the tables
	// Absent are the feeds whose files are not in the folder.
	Absent []string
	// LeftOut says why a feed or table that is there is not used.
	LeftOut []Result
	// TooOld are the feeds that are left out because most are so much newer;
	// that is no failure.
	TooOld []Result
}

// source is one feed and what reading it has shown.
type source struct {
	spec  feed.Spec
	date  time.Time
	sum   string
	parts []part
	parse feed.Parser
	tally tally
	wrong string // why it must not be used
}

// peekRows is how many rows of a large feed are read to find its date; small
// ones are read to their end, where some keep it.
const peekRows = 10_000

// Assemble finds the files of the selected feeds and reads the reference
// tables. Feeds are only opened when the build ranges over them. What cannot
// be used is named in LeftOut and leaves the rest alone; the error is for a
// folder that cannot be read.
func Assemble(ctx context.Context, folder *Folder, sel Selection) (*Assembly, error) {
	a := &Assembly{Tables: &feed.Tables{}}
	for _, s := range sel.Feeds {
		if sel.EmbedOnly && !s.Embed {
			continue
		}
		src, err := folder.source(ctx, s, sel.Formats)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.Absent = append(a.Absent, s.Name)
		case err != nil:
			a.LeftOut = append(a.LeftOut, Result{Feed: s.Name, Status: Refused, Why: err.Error()})
		default:
			a.inputs = append(a.inputs, src)
		}
	}
	for i := range sel.Tables {
		t := &sel.Tables[i]
		if sel.EmbedOnly && !t.Embed {
			continue
		}
		info, err := folder.table(t, a.Tables)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.Absent = append(a.Absent, t.Name)
		case err != nil:
			a.LeftOut = append(a.LeftOut, Result{Feed: t.Name, Status: Refused, Why: err.Error()})
		default:
			a.Sources = append(a.Sources, info)
		}
	}
	a.leaveOutOld()
	return a, context.Cause(ctx)
}

// leaveOutOld takes out what has passed its max_age on the day that the dataset
// is of. That day does not depend on when the build runs: the same feeds give
// the same dataset.
func (a *Assembly) leaveOutOld() {
	dates := make([]time.Time, len(a.inputs))
	for i, s := range a.inputs {
		dates[i] = s.date
	}
	typical := dataset.TypicalDate(dates)
	a.inputs = slices.DeleteFunc(a.inputs, func(s *source) bool {
		if s.spec.MaxAge == 0 || typical.Sub(s.date) <= s.spec.MaxAge {
			return false
		}
		a.TooOld = append(a.TooOld, Result{
			Feed: s.spec.Name, Status: Outdated, Date: s.date,
			Why: fmt.Sprintf("its data is of %s, more than %d days older than most feeds, of %s",
				s.date.Format(time.DateOnly), s.spec.MaxAge/(24*time.Hour), typical.Format(time.DateOnly)),
		})
		return true
	})
}

// source looks a feed's files up: their hash and their date.
func (f *Folder) source(ctx context.Context, s feed.Spec, formats map[string]feed.Parser) (*source, error) {
	parse := formats[s.Format]
	if parse == nil {
		return nil, fmt.Errorf("no parser reads the format %q", s.Format)
	}
	src := &source{spec: s, parse: parse}
	hashes := sha256.New()
	noted := true // the updater has read the files and knows their date
	for _, file := range s.Files {
		name, err := f.find(file.Path)
		if err != nil {
			return nil, err
		}
		sum, err := hashFile(name)
		if err != nil {
			return nil, err
		}
		date, meta, err := f.dateOf(file.Path, name, sum)
		if err != nil {
			return nil, err
		}
		if date.After(src.date) {
			src.date = date
		}
		noted = noted && meta != nil && !meta.Date.IsZero()
		src.sum = sum
		io.WriteString(hashes, sum)
		src.parts = append(src.parts, part{path: filepath.Base(name), open: func() (io.ReadCloser, error) {
			return openUnpacked(name, s.MaxSize)
		}})
	}
	if len(s.Files) > 1 {
		src.sum = hex.EncodeToString(hashes.Sum(nil))
	}
	if !noted {
		if d := src.ownDate(ctx); !d.IsZero() {
			src.date = d
		}
	}
	return src, nil
}

// ownDate is what the files say of themselves, as far as the first rows tell.
func (s *source) ownDate(ctx context.Context) time.Time {
	var newest time.Time
	for _, p := range s.parts {
		t := &tally{}
		for range rows(ctx, s.parse, []part{p}, t) {
			if t.rows+t.bad >= peekRows {
				break
			}
		}
		if t.date.After(newest) {
			newest = t.date
		}
	}
	return newest
}

// facts yields the rows, and at their end whether they may be believed.
func (s *source) facts(ctx context.Context) func(yield func(*feed.Fact, error) bool) {
	return func(yield func(*feed.Fact, error) bool) {
		s.tally, s.wrong = tally{}, ""
		// Also when the build stops at the row that broke the feed off.
		defer func() {
			if s.wrong == "" {
				s.wrong = s.tally.broken()
			}
		}()
		for fact, err := range rows(ctx, s.parse, s.parts, &s.tally) {
			if !yield(fact, err) {
				return
			}
		}
		if s.tally.failed != nil {
			return
		}
		if s.wrong = s.tally.outOfBounds(&s.spec, 0); s.wrong != "" {
			yield(nil, &feed.FileError{Why: s.wrong})
		}
	}
}

// table reads one reference table into t. A table that breaks off may have
// filled a part; what it said until then was read properly.
func (f *Folder) table(r *feed.ReferenceFile, t *feed.Tables) (dataset.FeedInfo, error) {
	name, err := f.find(r.Path)
	if err != nil {
		return dataset.FeedInfo{}, err
	}
	sum, err := hashFile(name)
	if err != nil {
		return dataset.FeedInfo{}, err
	}
	date, _, err := f.dateOf(r.Path, name, sum)
	if err != nil {
		return dataset.FeedInfo{}, err
	}
	file, err := openUnpacked(name, tableSize)
	if err != nil {
		return dataset.FeedInfo{}, err
	}
	defer file.Close()
	if err := r.Table(file, t); err != nil {
		return dataset.FeedInfo{}, err
	}
	return dataset.FeedInfo{Name: r.Name, URL: r.URL, Date: date, SHA256: sum, Licence: r.Licence, Attribution: r.Attribution}, nil
}

// BuildOptions say what the dataset is called.
type BuildOptions struct {
	Date    time.Time // zero: the typical date of the feeds
	Licence string
}

// Build writes a dataset to w. A feed that turns out to be broken, or breaks a
// bound of the catalogue, is left out and named in LeftOut, and the build
// begins again without it; nothing is written before all feeds were read.
func (a *Assembly) Build(ctx context.Context, w io.Writer, opt BuildOptions) (*dataset.Report, error) {
	for {
		cfg := dataset.BuildConfig{
			Tables: a.Tables, TableSources: a.Sources, Date: opt.Date,
			Licence: opt.Licence, Attribution: a.credits(),
		}
		for _, s := range a.inputs {
			cfg.Inputs = append(cfg.Inputs, dataset.Input{Spec: s.spec, Date: s.date, SHA256: s.sum, Facts: s.facts(ctx)})
		}
		report, err := dataset.Build(ctx, w, cfg)
		if err == nil || ctx.Err() != nil {
			return report, err
		}
		before := len(a.inputs)
		a.inputs = slices.DeleteFunc(a.inputs, func(s *source) bool {
			if s.wrong == "" {
				return false
			}
			a.LeftOut = append(a.LeftOut, Result{Feed: s.spec.Name, Status: Refused, Why: s.wrong})
			return true
		})
		if len(a.inputs) == before { // the feeds are not to blame
			return nil, err
		}
		if len(a.inputs) == 0 {
			return nil, fmt.Errorf("no feed is left to build from: %w", err)
		}
	}
}

// Feeds is how many feeds the build has.
func (a *Assembly) Feeds() int { return len(a.inputs) }

// credits are the attributions that the licences of the feeds and tables ask
// for, each once, in alphabetical order.
func (a *Assembly) credits() string {
	var credits []string
	for _, s := range a.inputs {
		credits = append(credits, s.spec.Attribution)
	}
	for _, t := range a.Sources {
		credits = append(credits, t.Attribution)
	}
	slices.Sort(credits)
	credits = slices.Compact(credits)
	return strings.Join(slices.DeleteFunc(credits, func(c string) bool { return c == "" }), "; ")
}
