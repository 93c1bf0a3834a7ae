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

// rowsBelow returns the cells of the table below a heading, without its head.
func rowsBelow(t *testing.T, file, heading string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	_, below, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	below, _, _ = strings.Cut(below, "\n## ")
	for line := range strings.Lines(below) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("%s has no table below %q", file, heading)
	}
	return rows[2:]
}

// TestRiskSignals compares the points and half-lives of docs/risk.md with the
// defaults.
func TestRiskSignals(t *testing.T) {
	m := risk.DefaultModel()
	rows := rowsBelow(t, "docs/risk.md", "The signals")
	for i, s := range risk.Signals() {
		if i >= len(rows) {
			t.Fatalf("%s is not in the table", s)
		}
		life := "none"
		if d := m.HalfLife(s); d != 0 {
			life = strconv.Itoa(int(d / (24 * time.Hour)))
		}
		want := fmt.Sprint([]string{s.String(), strconv.Itoa(m.Points(s)), life})
		if got := fmt.Sprint(rows[i][:3]); got != want {
			t.Errorf("the program says %s, the document %s", want, got)
		}
	}
}

// TestRiskExamples computes the worked examples of docs/risk.md.
func TestRiskExamples(t *testing.T) {
	now := time.Date(2026, time.August, 22, 0, 0, 0, 0, time.UTC)
	for _, row := range rowsBelow(t, "docs/risk.md", "Worked examples") {
		if len(row) != 7 {
			t.Fatalf("%d cells in %v", len(row), row)
		}
		days, err := strconv.Atoi(row[2])
		if err != nil {
			t.Errorf("%v: %v", row, err)
		}
		f := ipwarden.Full{
			ASN: ipwarden.ASN{Number: 64500, Kind: row[1]}, Location: ipwarden.Location{CountryCode: "SE"},
			Date: now.AddDate(0, 0, -days),
		}
		for _, name := range list(row[0]) {
			trait, ok := ipwarden.TraitNamed(name)
			if !ok {
				t.Errorf("there is no trait %q in %v", name, row)
			}
			f.Traits |= trait
		}
		var s risk.Situation
		for _, part := range list(row[3]) {
			switch word, country, _ := strings.Cut(part, " "); word {
			case "bill":
				s.BillingCountry = country
			case "last":
				s.LastCountry = country
			case "claims":
				s.ClaimsCrawler = true
			default:
				t.Errorf("what is %q?", part)
			}
		}
		var a risk.Assessment
		risk.DefaultModel().Assess(ipwarden.NewRecord(netip.MustParseAddr("203.0.113.1"), f), s, now, &a)
		var parts []string
		for _, c := range a.Contributions() {
			parts = append(parts, fmt.Sprint(c.Signal, " ", c.Points))
		}
		shared := a.Sharing
		if shared == "" {
			shared = "nobody"
		}
		got := fmt.Sprint(a.Score, " ", shared, " ", strings.Join(parts, ", "))
		if want := strings.Join(row[4:], " "); got != want {
			t.Errorf("%v\nthe program says %s", row, got)
		}
	}
}
