package main

import (
	"slices"
	"strings"
	"testing"
)

// Bars name rows that there are, and each row is measured by one contestant.
func TestAccountRows(t *testing.T) {
	names := []string{stringRow, refusedRow, openLookupRow, keyedRow, keyedMoreRow}
	for _, k := range accountKinds() {
		for _, row := range k.rows {
			if slices.Contains(names, row) {
				t.Errorf("two contestants measure %q", row)
			}
			names = append(names, row)
		}
	}
	for _, b := range slices.Concat(accountBars(), keyedBars(), usageBars()) {
		if !slices.Contains(names, b.row) || b.peer != "" && !slices.Contains(names, b.peer) {
			t.Errorf("the bar of %q, with the peer %q, is of no row", b.row, b.peer)
		}
	}
}

// What a key costs is told as the difference, round by round.
func TestKeyedReport(t *testing.T) {
	r := &report{keyed: []*keyedHTTP{
		{httpRow: httpRow{name: stringRow, cpu: stats{5, 5, 5}}},
		{httpRow: httpRow{name: refusedRow, cpu: stats{6, 7, 9}}},
		{httpRow: httpRow{name: openLookupRow, cpu: stats{5, 8, 6}}},
		{httpRow: httpRow{name: keyedRow, cpu: stats{6, 9.2, 8}}},
	}}
	var b strings.Builder
	r.writeKeyed(&b)
	for _, want := range []string{
		"| " + refusedRow + " | 7.00 µs | 5.00 µs (" + stringRow + ") | 1.400 | 1.250 | **not met** |",
		"| " + keyedMoreRow + " | 1.20 µs | none; at most 1.50 µs | | | met |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, &b)
		}
	}
}
