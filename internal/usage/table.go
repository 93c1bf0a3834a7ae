package usage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Groupings are what sums can be taken by.
var Groupings = []string{"hour", "day", "month", "key", "account", "endpoint", "region"}

// anonymous stands where calls had no key.
const anonymous = "anonymous"

// A Line is the sum of rows that are alike in what they are grouped by.
type Line struct {
	By    []string // in the order of the groupings
	Calls [customer.NumClasses]int64
}

// A Table sums rows. It is bounded: what would be a line too many is an error.
type Table struct {
	by    []string
	most  int
	lines map[string]*Line
	buf   []byte
	err   error
}

// NewTable returns a table by some of [Groupings], of at most so many lines.
func NewTable(by []string, most int) (*Table, error) {
	for _, b := range by {
		if !slices.Contains(Groupings, b) {
			return nil, fmt.Errorf("sums are taken by %s, not by %q", strings.Join(Groupings, ", "), b)
		}
	}
	return &Table{by: by, most: most, lines: map[string]*Line{}}, nil
}

// Add adds a row; it says whether to go on.
func (t *Table) Add(r Row, n int64) bool {
	t.buf = t.buf[:0]
	for _, b := range t.by {
		switch b {
		case "hour":
			t.buf = r.Hour.Time().AppendFormat(t.buf, time.RFC3339)
		case "day":
			t.buf = r.Hour.Time().AppendFormat(t.buf, time.DateOnly)
		case "month":
			t.buf = r.Hour.Time().AppendFormat(t.buf, "2006-01")
		case "key":
			switch r.Key {
			case 0:
			case customer.AnonymousKey:
				t.buf = append(t.buf, anonymous...)
			default:
				t.buf = append(t.buf, r.Key.String()...)
			}
		case "account":
			switch r.Account {
			case 0:
			case customer.AnonymousAccount:
				t.buf = append(t.buf, anonymous...)
			default:
				t.buf = append(t.buf, r.Account.String()...)
			}
		case "endpoint":
			t.buf = append(t.buf, r.Endpoint.String()...)
		case "region":
			t.buf = append(t.buf, r.Region...)
		}
		t.buf = append(t.buf, 0)
	}
	l := t.lines[string(t.buf)]
	if l == nil {
		if len(t.lines) == t.most {
			t.err = fmt.Errorf("there are more than %d lines: ask for less time, or by less", t.most)
			return false
		}
		l = &Line{By: strings.Split(strings.TrimSuffix(string(t.buf), "\x00"), "\x00")}
		if len(t.by) == 0 {
			l.By = nil
		}
		t.lines[string(t.buf)] = l
	}
	if r.Class < customer.NumClasses {
		l.Calls[r.Class] += n
	}
	return true
}

// Lines are the sums, in order.
func (t *Table) Lines() ([]*Line, error) {
	all := make([]*Line, 0, len(t.lines))
	for _, l := range t.lines {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Line) int { return slices.CompareFunc(a.By, b.By, cmp.Compare[string]) })
	return all, t.err
}

// ParseHours reads a span of time as people say it: a day, a month or an hour (RFC
// 3339), with both; "" from is the month that now lies in, "" to is now.
func ParseHours(from, to string, now time.Time) (first, last customer.Hour, err error) {
	first, last = customer.Calendar.Month(now).First, customer.HourOf(now)
	if from != "" {
		if first, _, err = parseHours(from); err != nil {
			return 0, 0, fmt.Errorf("from: %w", err)
		}
	}
	if to != "" {
		if _, last, err = parseHours(to); err != nil {
			return 0, 0, fmt.Errorf("to: %w", err)
		}
	}
	if last < first {
		return 0, 0, fmt.Errorf("from %s to %s is no span of time: it ends before it begins", first.Time().Format(time.RFC3339), last.Time().Format(time.RFC3339))
	}
	return first, last, nil
}

func parseHours(s string) (first, last customer.Hour, err error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01"} {
		t, err := time.Parse(layout, s)
		if err != nil || t.Unix() < 0 || t.Year() > 9999 {
			continue
		}
		end := t
		switch layout {
		case time.DateOnly:
			end = t.AddDate(0, 0, 1).Add(-time.Hour)
		case "2006-01":
			end = t.AddDate(0, 1, 0).Add(-time.Hour)
		}
		return customer.HourOf(t), customer.HourOf(end), nil
	}
	return 0, 0, fmt.Errorf("%.40q is no time: it is a day, a month or an hour, such as 2026-11-21, 2026-11 or 2026-11-21T09:00:00Z", s)
}
