package docstest

import (
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/dnsbl"
)

// TestDNSBL compares the table of docs/dnsbl.md with the program's.
func TestDNSBL(t *testing.T) {
	rows := rowsBelow(t, "docs/dnsbl.md", "Zones that ipwarden knows")
	zones := dnsbl.Known()
	if len(rows) != len(zones) {
		t.Errorf("the program knows %d zones, the document %d", len(zones), len(rows))
	}
	for i, z := range zones[:min(len(rows), len(zones))] {
		want := "`" + z.Name + "` | [" + z.Listing + "](" + z.URL + ") | " + z.Terms
		if got := strings.Join(rows[i], " | "); got != want {
			t.Errorf("the program says %s, the document %s", want, got)
		}
	}
}
