package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/feed"
)

// tally is what reading a feed to its end has shown.
type tally struct {
	rows, bad int
	date      time.Time // what the files say of themselves, zero when nothing
	first     string    // the first bad row
	failed    error     // what ended the reading before its end
}

// part is one file of a feed: its name tells the parser what the file may not.
type part struct {
	path string
	open func() (io.ReadCloser, error)
}

// rows yields the rows of a feed's files, one file after the other, and fills
// t as it goes. A file that breaks off ends the feed.
func rows(ctx context.Context, parse feed.Parser, parts []part, t *tally) iter.Seq2[*feed.Fact, error] {
	return func(yield func(*feed.Fact, error) bool) {
		for _, p := range parts {
			r, err := p.open()
			if err != nil {
				t.failed = err
				yield(nil, &feed.FileError{Why: p.path + " cannot be opened", Cause: err})
				return
			}
			meta := &feed.Meta{Name: strings.TrimSuffix(path.Base(p.path), ".gz")}
			more := rowsOf(ctx, parse(r, meta), t, yield)
			r.Close()
			if meta.Date.After(t.date) {
				t.date = meta.Date
			}
			if !more {
				return
			}
		}
	}
}

// checkEvery is after how many rows a cancelled context is noticed.
const checkEvery = 4096

func rowsOf(ctx context.Context, facts iter.Seq2[*feed.Fact, error], t *tally, yield func(*feed.Fact, error) bool) bool {
	n := 0
	for fact, err := range facts {
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			err = &feed.FileError{Why: "the reading was stopped", Cause: context.Cause(ctx)}
		}
		var fatal *feed.FileError
		switch {
		case err == nil:
			t.rows++
		case errors.As(err, &fatal):
			t.failed = err
			yield(nil, err)
			return false
		default:
			if t.bad++; t.first == "" {
				t.first = err.Error()
			}
		}
		if !yield(fact, err) {
			return false
		}
	}
	return true
}

// read reads everything and keeps only the counts.
func read(ctx context.Context, parse feed.Parser, parts []part) *tally {
	t := &tally{}
	for range rows(ctx, parse, parts, t) {
		// Counting is all that is wanted here.
	}
	return t
}

// broken says why these rows are no feed at all, "" when they are one.
func (t *tally) broken() string {
	if t.failed != nil {
		return t.failed.Error()
	}
	return ""
}

// outOfBounds says which bound of the catalogue the feed breaks, "" when none.
// was is the number of rows of the kept copy, 0 when there is none.
func (t *tally) outOfBounds(s *feed.Spec, was int) string {
	if all := t.rows + t.bad; t.bad > 0 && float64(t.bad) > s.MaxBad*float64(all) {
		return fmt.Sprintf("%d of %d rows are bad, more than %s; the first: %s", t.bad, all, percent(s.MaxBad), t.first)
	}
	if t.rows < max(s.MinRows, 1) {
		return fmt.Sprintf("%d rows are fewer than the %d it always had", t.rows, max(s.MinRows, 1))
	}
	if was > 0 && s.MaxChange > 0 {
		if moved := float64(t.rows-was) / float64(was); moved > s.MaxChange || -moved > s.MaxChange {
			return fmt.Sprintf("it went from %d to %d rows, more than %s; --force takes it", was, t.rows, percent(s.MaxChange))
		}
	}
	return ""
}

func percent(share float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", share*100), ".0") + " %"
}
