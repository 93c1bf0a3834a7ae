package update

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
)

// A Dated is a dataset that a data directory keeps.
type Dated struct {
	Path    string
	Date    time.Time // of its data
	Written time.Time // when the file was
}

// Datasets lists what a data directory keeps, the oldest first; of one date, that
// which was written first. A data directory that is not there keeps nothing. Files
// whose beginning is no dataset's are left out, and their errors come back with the
// rest.
func Datasets(dataDir string) ([]Dated, error) {
	dir := filepath.Join(dataDir, datasetsDir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Dated
	var errs []error
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		k := Dated{Path: filepath.Join(dir, e.Name())}
		info, err := e.Info()
		if err == nil {
			k.Written = info.ModTime()
			k.Date, err = dataset.DateOf(k.Path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // an update took it away meanwhile
		case err != nil:
			errs = append(errs, err)
		default:
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b Dated) int {
		if c := a.Date.Compare(b.Date); c != 0 {
			return c
		}
		if c := a.Written.Compare(b.Written); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return all, errors.Join(errs...)
}

// AsOf returns the index in kept, which is sorted as Datasets does, of what answered
// at the time t: the newest that is not of a later date; -1 when all are.
func AsOf(kept []Dated, t time.Time) int {
	n, _ := slices.BinarySearchFunc(kept, t, func(k Dated, t time.Time) int {
		if k.Date.After(t) {
			return 1
		}
		return -1
	})
	return n - 1
}

// ParseAsOf reads a time as of which answers are wanted: a day, which is meant to its
// end, or a moment.
func ParseAsOf(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1).Add(-1), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a day nor a moment; write 2026-11-17 or 2026-11-17T08:30:00Z", s)
	}
	return t, nil
}
