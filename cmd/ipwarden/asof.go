package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/internal/update"
)

// datedFlags say what to answer from, and as of when.
type datedFlags struct {
	AsOf string `placeholder:"DATE" help:"Answer from the dataset of that day or moment, such as 2026-11-17, of those that the data directory keeps."`
	dataFlags
}

// openAsOf opens what the flags name, or of what is kept the dataset that was the newest
// at --as-of. now is the time of the answers.
func (f *datedFlags) openAsOf(e *env) (d *data, now func() time.Time, err error) {
	if f.AsOf == "" {
		d, err = f.open(e)
		return d, e.now, err
	}
	d, t, err := f.openKept(e)
	if present := e.now(); t.After(present) {
		t = present
	}
	return d, func() time.Time { return t }, err
}

func (f *datedFlags) openKept(e *env) (*data, time.Time, error) {
	t, err := update.ParseAsOf(f.AsOf)
	if err != nil {
		return nil, t, usagef("--as-of: %w", err)
	}
	if f.Dataset != "" {
		return nil, t, usagef("--as-of chooses a dataset of the data directory, and --dataset names %s; give one of them", f.Dataset)
	}
	l := loader{flags: &f.dataFlags, env: e}
	present, err := l.load()
	if err != nil || !t.Before(present.Date()) {
		return present, t, err
	}
	dir, err := f.dir(e)
	if err != nil {
		return nil, t, err
	}
	kept, err := update.Datasets(dir)
	// Newer ones than the present are those from which somebody went back.
	kept = kept[:update.AsOf(kept, present.Date().Add(-1))+1]
	if i := update.AsOf(kept, t); i >= 0 {
		ds, err := dataset.Open(kept[i].Path)
		if err != nil {
			return nil, t, err
		}
		entries, err := l.entries()
		if err != nil {
			return nil, t, err
		}
		d, err := newData(ds, entries, func() time.Time { return t })
		return d, t, err
	}
	oldest := present.Date()
	if len(kept) > 0 {
		oldest = kept[0].Date
	}
	return nil, t, errors.Join(err, fmt.Errorf("no dataset of %s or before is kept; the oldest is of %s: --as-of %s takes it, and 'ipwarden data update --keep 30' keeps more from now on",
		t.UTC().Format(time.DateOnly), day(oldest), oldest.Format(asOfFormat(oldest))))
}

// asOfFormat is how a date is written so that --as-of finds it.
func asOfFormat(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return time.DateOnly
	}
	return time.RFC3339
}
