package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden/feed"
)

// Input is one feed of a build.
type Input struct {
	Spec   feed.Spec
	Date   time.Time // of its data
	SHA256 string    // of its bytes, hexadecimal; several files: of their hashes
	// Facts yields its rows; it is ranged over once, beside other inputs.
	Facts iter.Seq2[*feed.Fact, error]
}

// BuildConfig says what to build.
type BuildConfig struct {
	// Inputs in any order; their Spec.Names differ. At most 249.
	Inputs []Input
	// Tables hold the facts about countries and places; nil leaves them out.
	Tables *feed.Tables
	// TableSources are listed in the manifest beside the inputs.
	TableSources []FeedInfo
	// Date of the dataset; default: the TypicalDate of the inputs.
	Date time.Time
	// Licence and Attribution of the whole; default: none stated.
	Licence, Attribution string
}

// Report tells what a build took and what it skipped.
type Report struct {
	Info     Info
	Feeds    []FeedReport
	Ranges4  int // ranges of addresses with one answer
	Ranges6  int
	Rows     int // distinct answers
	Size     int64
	Sections map[string]int64 // bytes
}

// FeedReport is one input of a Report.
type FeedReport struct {
	Name          string
	Rows, Skipped int
	Problems      []string // the first few skipped rows
}

// TypicalDate is the date that a quarter of the feeds have reached: what a
// dataset may call itself. One feed with a date in the future does not make the
// others any newer, nor do many that seldom change make them older. Zero dates
// do not count.
func TypicalDate(dates []time.Time) time.Time {
	dates = slices.DeleteFunc(slices.Clone(dates), time.Time.IsZero)
	if len(dates) == 0 {
		return time.Time{}
	}
	slices.SortFunc(dates, time.Time.Compare)
	return dates[len(dates)*3/4]
}

// maxInputs, with the one of our own, keeps the number of a feed in one byte.
const maxInputs = 250

// Build compiles feeds into a dataset and writes it to w. Rows that a parser
// reports as bad, or that claim more of the address space than a list may, are
// skipped and counted. A feed that cannot be read at all is an error; whether
// to go on without it is the caller's decision. The same inputs give the same
// bytes, whatever the machine and the number of processors.
func Build(ctx context.Context, w io.Writer, cfg BuildConfig) (*Report, error) {
	if len(cfg.Inputs) >= maxInputs {
		return nil, fmt.Errorf("%d inputs are more than %d", len(cfg.Inputs), maxInputs-1)
	}
	cfg.Inputs = append(slices.Clip(cfg.Inputs), special())
	if cfg.Tables == nil {
		cfg.Tables = &feed.Tables{}
	}
	var errs []error
	names := map[string]bool{}
	ins := make([]*input, len(cfg.Inputs))
	for i := range cfg.Inputs {
		in, err := newInput(i, &cfg.Inputs[i])
		if err != nil {
			errs = append(errs, err)
		}
		if n := cfg.Inputs[i].Spec.Name; names[n] {
			errs = append(errs, fmt.Errorf("two inputs are called %q", n))
		} else {
			names[n] = true
		}
		ins[i] = in
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Date.IsZero() {
		var dates []time.Time
		for i := range cfg.Inputs[:len(cfg.Inputs)-1] {
			dates = append(dates, cfg.Inputs[i].Date)
		}
		cfg.Date = TypicalDate(dates)
	}
	if err := read(ctx, ins); err != nil {
		return nil, err
	}
	m := newMerger(ins, cfg.Tables)
	p4, err := m.merge(ctx, ipv4)
	if err != nil {
		return nil, err
	}
	p6, err := m.merge(ctx, ipv6)
	if err != nil {
		return nil, err
	}
	return write(w, &cfg, m, p4, p6)
}
