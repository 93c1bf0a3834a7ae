package summary

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Style holds the escape sequences of a terminal, or nothing.
type Style struct{ Bold, Dim, Reset string }

// WriteText writes the Report for a person. A line has at most 80 characters.
func (r *Report) WriteText(w io.Writer, style Style) error {
	t := &textWriter{bufio.NewWriter(w), style}
	for _, line := range r.headline() {
		fmt.Fprintf(t.out, "%s\n", printable(line))
	}
	var rows []textRow
	for _, x := range r.Traits {
		rows = append(rows, textRow{words(x.Name), x.Share})
	}
	t.list("Traits", "", rows)
	rows = nil
	for _, x := range r.Countries {
		rows = append(rows, textRow{x.label(), x.Share})
	}
	t.list("Countries", more(len(r.Countries), r.Found.Countries), rows)
	rows = nil
	for _, x := range r.Kinds {
		rows = append(rows, textRow{x.Name, x.Share})
	}
	t.list("Kinds of networks", "", rows)
	rows = nil
	for _, x := range r.ASNs {
		rows = append(rows, textRow{x.label(), x.Share})
	}
	t.list("Autonomous systems", more(len(r.ASNs), r.Found.ASNs), rows)
	rows = nil
	for _, x := range r.Providers {
		rows = append(rows, textRow{x.Name + " (" + x.Kind + ")", x.Share})
	}
	t.list("Providers", more(len(r.Providers), r.Found.Providers), rows)

	if len(r.Networks) > 0 {
		t.heading("Networks", "", "requests", "")
	}
	for _, x := range r.Networks {
		t.talker(x.Network.String(), x.Requests, x.Share, x.Who)
	}
	if len(r.Addresses) > 0 {
		t.heading("Addresses", "", "requests", "")
	}
	for _, x := range r.Addresses {
		t.talker(x.IP.String(), x.Requests, x.Share, x.Who)
	}
	if notes := r.notes(); len(notes) > 0 {
		fmt.Fprintln(t.out)
		for _, n := range notes {
			fmt.Fprintln(t.out, n)
		}
	}
	return t.out.Flush()
}

// headline says what was counted, in a few lines.
func (r *Report) headline() []string {
	about := ""
	if r.Spread > 0 {
		about = "about "
	}
	lines := []string{fmt.Sprintf("%s from %s%s in %s", plural(r.All.Requests, "request"), about, plural2(r.All.Addresses, "address", "addresses"), plural2(uint64(r.Found.Countries), "country", "countries"))}
	of := r.Files
	if len(of) == 1 && of[0] == "-" {
		of = []string{"standard input"}
	}
	text := strings.Join(head(of, 3), ", ")
	if n := len(of) - 3; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	if r.Dataset != "" {
		text += "; answered from the data of " + r.Dataset
	}
	lines = append(lines, text)
	if r.Where != "" {
		lines = append(lines, fmt.Sprintf("only those of which %s holds; %s left out", r.Where, plural(uint64(r.Rows.Left), "other")))
	}
	if n := r.Rows.Malformed; n > 0 {
		lines = append(lines, fmt.Sprintf("%s of %s have no address that can be read", group3(uint64(n)), plural(uint64(r.Rows.Read), "row")))
	}
	return lines
}

// notes say what is not exact.
func (r *Report) notes() (notes []string) {
	if r.Spread > 0 {
		notes = append(notes, fmt.Sprintf("Numbers of addresses are estimated from a sample: that of all is within %s in two cases of three, those of small groups within more.", percent(r.Spread)))
	}
	if n := r.Missed.Address; n > 0 {
		notes = append(notes, fmt.Sprintf("An address may have come up to %s more often than it says.", group3(n)))
	}
	if n := r.Missed.Network; n > 0 {
		notes = append(notes, fmt.Sprintf("A network may have come up to %s more often than it says.", group3(n)))
	}
	return notes
}

type textWriter struct {
	out *bufio.Writer
	Style
}

type textRow struct {
	name string
	Share
}

const nameWidth = 30

func (t *textWriter) heading(title, note, first, second string) {
	if note != "" {
		note = " " + note
	}
	pad := strings.Repeat(" ", max(0, nameWidth+2-utf8.RuneCountInString(title+note)))
	fmt.Fprintf(t.out, "\n%s%s%s%s%s%s%s%12s", t.Bold, title, t.Reset, t.Dim, note, pad, t.Reset, first)
	if second != "" {
		fmt.Fprintf(t.out, "%19s", second)
	}
	fmt.Fprintln(t.out)
}

// list writes rows with bars, which show shares of requests.
func (t *textWriter) list(title, note string, rows []textRow) {
	if len(rows) == 0 {
		return
	}
	t.heading(title, note, "requests", "addresses")
	for _, r := range rows {
		fmt.Fprintf(t.out, "  %s%12s%7s%12s%7s %s%s%s\n", fit(r.name, nameWidth), group3(r.Requests), percent(r.Share.Share),
			group3(r.Addresses), percent(r.AddressShare), t.Dim, bar(r.Share.Share, 8), t.Reset)
	}
}

func (t *textWriter) talker(name string, n uint64, share float64, w Who) {
	if len(name) > nameWidth { // an IPv6 address of full length
		fmt.Fprintf(t.out, "  %s\n", name)
		name = ""
	}
	who := strings.TrimSpace(w.Country + " " + w.ASName)
	fmt.Fprintf(t.out, "  %s%12s%7s  %s", fit(name, nameWidth), group3(n), percent(share), strings.TrimRight(fit(who, 26), " "))
	if len(w.Traits) > 0 {
		fmt.Fprintf(t.out, "\n  %s%s%s%s", fit("", nameWidth+21), t.Dim, wordsOf(w.Traits), t.Reset)
	}
	fmt.Fprintln(t.out)
}

func (c Country) label() string {
	if c.Name == "" {
		return c.Code
	}
	return c.Name + " (" + c.Code + ")"
}

func (a ASN) label() string {
	return strings.TrimSpace("AS" + strconv.FormatUint(uint64(a.Number), 10) + " " + a.Name)
}

func more(shown, of int) string {
	if of <= shown {
		return ""
	}
	return fmt.Sprintf("(%d of %d)", shown, of)
}

// words writes the name of a trait for people.
func words(s string) string {
	switch s {
	case "none":
		return "none of these"
	case "vpn":
		return "VPN"
	}
	return strings.ReplaceAll(s, "_", " ")
}

func wordsOf(names []string) string {
	said := make([]string, len(names))
	for i, n := range names {
		said[i] = words(n)
	}
	return strings.Join(said, ", ")
}

// fit cuts or fills s to n characters.
func fit(s string, n int) string {
	s = printable(s)
	if c := utf8.RuneCountInString(s); c <= n {
		return s + strings.Repeat(" ", n-c)
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}

// printable keeps what a dataset or a file's name says from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// group3 writes 1234567 as 1,234,567.
func group3(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(share float64) string {
	switch p := share * 100; {
	case p > 0 && p < 0.05:
		return "<0.1%"
	case p > 99.95 && p < 100:
		return "99.9%"
	default:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	}
}

func plural(n uint64, one string) string { return plural2(n, one, one+"s") }

func plural2(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return group3(n) + " " + many
}

// bar draws a share in eighths of n cells.
func bar(share float64, n int) string {
	eighths := int(math.Round(share * float64(8*n)))
	if eighths == 0 && share > 0 {
		eighths = 1
	}
	s := strings.Repeat("█", eighths/8)
	if e := eighths % 8; e > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[e-1])
	}
	return s
}
