package usage

import (
	"fmt"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

func TestTable(t *testing.T) {
	hour := customer.HourOf(time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC))
	rows := []Row{
		{1, 2, hour, customer.EndpointLookup, customer.Charged, "eu"},
		{1, 2, hour + 1, customer.EndpointBulk, customer.Charged, "us"},
		{1, 3, hour + 1, customer.EndpointLookup, customer.Limited, "eu"},
	}
	for _, c := range []struct {
		by   []string
		want string
	}{
		{nil, "[] [11 0 0 100 0]; "},
		{[]string{"day"}, "[2026-11-20] [1 0 0 0 0]; [2026-11-21] [10 0 0 100 0]; "},
		{[]string{"region", "endpoint"}, "[eu lookup] [1 0 0 100 0]; [us bulk] [10 0 0 0 0]; "},
		{[]string{"key"}, "[key_0000000000002] [11 0 0 0 0]; [key_0000000000003] [0 0 0 100 0]; "},
		{[]string{"hour"}, "[2026-11-20T23:00:00Z] [1 0 0 0 0]; [2026-11-21T00:00:00Z] [10 0 0 100 0]; "},
	} {
		table, err := NewTable(c.by, 10)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(1)
		for _, r := range rows {
			table.Add(r, n)
			n *= 10
		}
		lines, err := table.Lines()
		got := ""
		for _, l := range lines {
			got += fmt.Sprint(l.By, " ", l.Calls, "; ")
		}
		if got != c.want || err != nil {
			t.Errorf("by %v: %s, %v; want %s", c.by, got, err, c.want)
		}
	}
	if _, err := NewTable([]string{"colour"}, 1); err == nil {
		t.Error("sums are taken by colour")
	}
	table, _ := NewTable([]string{"hour"}, 1)
	table.Add(rows[0], 1)
	table.Add(rows[1], 1)
	if _, err := table.Lines(); err == nil {
		t.Error("there is no bound")
	}
}

func TestParseHours(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	for _, c := range []struct{ from, to, want string }{
		{"", "", "2026-11-01T00 2026-11-21T09"},
		{"2026-11-20", "2026-11-20", "2026-11-20T00 2026-11-20T23"},
		{"2026-02", "2026-02", "2026-02-01T00 2026-02-28T23"},
		{"2026-11-20T10:30:00+01:00", "", "2026-11-20T09 2026-11-21T09"},
		{"yesterday", "", "error"},
		{"2026-11-20", "2026-11-19", "error"},
		{"1969-01-01", "", "error"},
	} {
		first, last, err := ParseHours(c.from, c.to, now)
		got := first.Time().Format("2006-01-02T15 ") + last.Time().Format("2006-01-02T15")
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q to %q: %s, want %s (%v)", c.from, c.to, got, c.want, err)
		}
	}
}
