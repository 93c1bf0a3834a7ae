package feed

import (
	"bytes"
	"io"
	"time"
)

// Geofeed reads the self-published feeds of RFC 8805: prefix, country, region,
// city, postal code, of which all but the prefix may be empty or left out:
//
//	100.0.0.0/24,US,US-MA,Tewksbury,
//
// It takes what real feeds do: a BOM, CRLF, a header that is no comment, bare
// addresses, host bits that are set, blanks. Facts: Country, Region, City,
// Postal. A country that is not of ISO 3166-1 makes the row bad; a region that
// is no code of that country is left out. A row without any place asks that
// none be told (section 2.1.2), and yields nothing. The date is taken from a
// comment before the first row that says when the file was generated.
func Geofeed(r io.Reader, meta *Meta) facts {
	return readLines(r, "geofeed (RFC 8805)", func(ls *lines) {
		var (
			f     Fact
			in    interner
			cells [5][]byte
			first = true
		)
		for ls.next() {
			row := ls.row
			// Section 2.1: from # to the end of the line is a comment.
			if i := bytes.IndexByte(row, '#'); i >= 0 {
				if first && ls.n <= maxBanner && meta.Date.IsZero() {
					meta.Date = statedDate(row[i+1:])
				}
				row = row[:i]
			}
			if row = bytes.TrimSpace(row); len(row) == 0 {
				continue
			}
			n := geofeedCells(&cells, row)
			header := first && !bytes.ContainsAny(cells[0], ".:/")
			first = false
			if header && n > 1 {
				continue
			}
			p, _, why := parsePrefix(cells[0])
			if why != "" {
				ls.bad(why)
				continue
			}
			cc := cells[1]
			f.Country = parseCountry(cc)
			if f.Country == "" && len(cc) > 0 && !bytes.EqualFold(cc, []byte("ZZ")) {
				ls.bad("the country is no code of ISO 3166-1")
				continue
			}
			f.Region = parseRegion(cells[2], f.Country, &in)
			f.City = ""
			if hasLetter(cells[3]) {
				f.City = in.text(cells[3])
			}
			f.Postal = ""
			if len(cells[4]) <= maxPostal {
				f.Postal = in.text(cells[4])
			}
			if f.Country == "" && f.City == "" && f.Postal == "" {
				ls.good++ // a good row that asks for silence
				continue
			}
			f.SetPrefix(p)
			ls.fact(&f)
		}
	})
}

// maxBanner bounds the lines in which a date is looked for.
const maxBanner = 100

// maxPostal bounds a postal code, in bytes; the longest real ones have ten.
const maxPostal = 32

// geofeedCells reads the first five cells, and returns how many there are. It
// is splitCSV when there is a quote; nearly no feed has one.
func geofeedCells(cells *[5][]byte, row []byte) int {
	*cells = [5][]byte{}
	if bytes.IndexByte(row, '"') >= 0 {
		all := splitCSV(nil, row, ',')
		copy(cells[:], all)
		return len(all)
	}
	n := 0
	for {
		i := bytes.IndexByte(row, ',')
		cell := row
		if i >= 0 {
			cell, row = row[:i], row[i+1:]
		}
		if n < len(cells) {
			cells[n] = bytes.TrimSpace(cell)
		}
		n++
		if i < 0 {
			return n
		}
	}
}

// hasLetter tells a name from a placeholder ("-", "?", "0").
func hasLetter(b []byte) bool {
	for _, c := range b {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 {
			return true
		}
	}
	return false
}

// statedDate reads a comment that says when the file was made: one of the
// words, and one ISO 8601 date, with its time if that can be read. The zero
// time when in doubt.
func statedDate(comment []byte) time.Time {
	lower := bytes.ToLower(comment[:min(len(comment), maxText)])
	said := false
	for _, word := range []string{"generated", "updated", "modified"} {
		said = said || bytes.Contains(lower, []byte(word))
	}
	if !said {
		return time.Time{}
	}
	var found time.Time
	text := string(bytes.ToUpper(lower))
	for i := 0; i+10 <= len(text); i++ {
		if i > 0 && '0' <= text[i-1] && text[i-1] <= '9' {
			continue
		}
		t, err := time.Parse(time.DateOnly, text[i:i+10])
		if err != nil {
			continue
		}
		if !found.IsZero() {
			return time.Time{} // two dates: which one?
		}
		found = t
		for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z", time.DateTime} {
			end := len(text)
			for end > i+10 {
				if t, err := time.Parse(layout, text[i:end]); err == nil {
					found = t.UTC()
					break
				}
				end--
			}
			if !found.Equal(t) {
				break
			}
		}
		i += 9
	}
	return found
}
