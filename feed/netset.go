package feed

import (
	"bytes"
	"io"
	"time"
)

// Netset reads what most lists are: one prefix or address a line, with
// comments after "#" or ";" on lines of their own or behind the prefix, as
// ipset, FireHOL's netsets and many operators write it. A date in the comments
// before the first row is taken when its label is one of dateLabels.
func Netset(r io.Reader, meta *Meta) facts { return netset(r, meta, "list of prefixes") }

// SpamhausText reads the text form of Spamhaus DROP: "PREFIX ; SBL000000",
// after a header of comments with Last-Modified. Copies of it without the
// comments are as good.
func SpamhausText(r io.Reader, meta *Meta) facts { return netset(r, meta, "Spamhaus DROP list") }

func netset(r io.Reader, meta *Meta, format string) facts {
	return readLines(r, format, func(ls *lines) {
		var f Fact
		for ls.next() {
			row := ls.row
			if i := bytes.IndexAny(row, "#;"); i >= 0 {
				if ls.good == 0 {
					dateFrom(row[i:], meta)
				}
				row = row[:i]
			}
			if row = bytes.TrimSpace(row); len(row) == 0 {
				continue
			}
			p, _, why := parsePrefix(row)
			if why != "" {
				ls.bad(why)
				continue
			}
			f.SetPrefix(p)
			ls.fact(&f)
		}
	})
}

// dateLabels are the labels of a list's own date, the better one first: the
// date of the source says more than that of the copy.
var dateLabels = []string{"source file date", "this file date", "last-modified", "last updated", "last update", "updated", "generated"}

// dateLayouts are the forms in which comments give a date. Of the names of
// zones only UTC and GMT are read: the others are ambiguous.
var dateLayouts = append([]string{
	time.RFC1123Z, "Mon, 02 Jan 2006 15:04:05 GMT", "Mon Jan _2 15:04:05 UTC 2006",
	"2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05 -0700", "Mon, 02 Jan 06 15:04:05 -0700",
}, isoLayouts...)

// dateFrom takes the date of a comment like "# Last update: Sat, 22 Aug 2026
// 03:00:29 +0200" into meta. The first one that can be read stays, except that
// "source file date" goes before the rest.
func dateFrom(comment []byte, meta *Meta) {
	comment = bytes.Trim(comment, "#; \t")
	if len(comment) > 128 {
		return
	}
	label, value, ok := bytes.Cut(comment, []byte(":"))
	if !ok {
		return
	}
	label = bytes.ToLower(bytes.TrimSpace(label))
	for i, l := range dateLabels {
		if string(label) != l || i > 0 && !meta.Date.IsZero() {
			continue
		}
		if t, ok := parseTime(string(bytes.TrimSpace(value)), dateLayouts...); ok {
			meta.Date = t
		}
		return
	}
}
