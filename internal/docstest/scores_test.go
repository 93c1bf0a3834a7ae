package docstest

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/risk"
)

// TestScores computes the worked examples of docs/scores.md.
func TestScores(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/scores.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "## Worked examples")
	if !ok {
		t.Fatal("docs/scores.md has no worked examples")
	}
	now := time.Date(2026, time.August, 22, 0, 0, 0, 0, time.UTC)
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 7 || strings.Contains(line, "---") || strings.Contains(line, "traits") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows++
		var f ipwarden.Full
		for _, name := range list(cells[1]) {
			trait, ok := ipwarden.TraitNamed(name)
			if !ok {
				t.Errorf("there is no trait %q in %q", name, line)
			}
			f.Traits |= trait
		}
		for _, age := range list(cells[2]) {
			days, err := strconv.Atoi(age)
			if err != nil {
				t.Errorf("%q is no number of days in %q", age, line)
			}
			f.Security.Listings = append(f.Security.Listings, ipwarden.Listing{Name: "list", Date: now.AddDate(0, 0, -days)})
		}
		s := risk.Scores(ipwarden.NewRecord(netip.MustParseAddr("203.0.113.1"), f), now)
		got := fmt.Sprint(s.VPN, s.Proxy, s.Threat, s.Trust)
		if want := strings.Join(cells[3:7], " "); got != want {
			t.Errorf("%s: the program says %s, the document %s", cells[1], got, want)
		}
	}
	if rows < 10 {
		t.Errorf("found %d worked examples", rows)
	}
}

// list reads a cell of names or numbers; "none" is none.
func list(cell string) []string {
	if cell == "none" {
		return nil
	}
	return strings.Split(cell, ", ")
}
