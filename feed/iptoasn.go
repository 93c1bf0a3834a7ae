package feed

import (
	"bytes"
	"io"
	"time"
)

// IPToASN reads the tables of iptoasn.com, ip2asn-v4, -v6 and -combined, and
// the one with IPv4 in decimal numbers:
//
//	8.8.8.0	8.8.8.255	15169	US	GOOGLE - Google LLC
//
// Facts: Origin, Country, ASName. Rows that are not routed (system 0) yield
// nothing. The file has no date.
func IPToASN(r io.Reader, meta *Meta) facts {
	return readLines(r, "iptoasn table", func(ls *lines) {
		var (
			f    Fact
			in   asNames
			cell [5][]byte
		)
		for ls.next() {
			row := ls.row
			if len(row) == 0 || row[0] == '#' {
				continue
			}
			n := 0
			for n < 4 {
				i := bytes.IndexByte(row, '\t')
				if i < 0 {
					break
				}
				cell[n], row = row[:i], row[i+1:]
				n++
			}
			cell[n] = row
			if n < 2 {
				ls.bad("want start, end, system, country and name, divided by tabs")
				continue
			}
			for n++; n < len(cell); n++ {
				cell[n] = nil
			}
			origin, ok := parseASN(cell[2])
			if !ok {
				ls.bad("this is no number of an autonomous system")
				continue
			}
			if why := f.setRangeText(cell[0], cell[1]); why != "" {
				ls.bad(why)
				continue
			}
			if origin == 0 {
				ls.good++
				continue
			}
			f.Origin, f.Country = origin, parseCountry(cell[3])
			f.ASName = in.nameIn(cell[4], f.Country)
			ls.fact(&f)
		}
	})
}

// PyASN reads the tables of pyasn: prefix, tab, system; comments begin with a
// semicolon. Facts: Origin. The date is that of "; Converted on".
func PyASN(r io.Reader, meta *Meta) facts {
	return readLines(r, "pyasn table", func(ls *lines) {
		var f Fact
		for ls.next() {
			row := bytes.TrimSpace(ls.row)
			if len(row) == 0 || row[0] == '#' {
				continue
			}
			if row[0] == ';' {
				converted(row, meta)
				continue
			}
			i := bytes.IndexByte(row, '\t')
			if i < 0 {
				ls.bad("want a prefix, a tab and a system")
				continue
			}
			p, _, why := parsePrefix(row[:i])
			if why != "" {
				ls.bad(why)
				continue
			}
			origin, ok := parseASN(row[i+1:])
			if !ok {
				ls.bad("this is no number of an autonomous system")
				continue
			}
			if origin == 0 {
				ls.good++
				continue
			}
			f.SetPrefix(p)
			f.Origin = origin
			ls.fact(&f)
		}
	})
}

// converted reads "; Converted on  : Tue May 13 22:03:05 2014".
func converted(comment []byte, meta *Meta) {
	if !bytes.Contains(comment, []byte("Converted on")) {
		return
	}
	_, date, _ := bytes.Cut(comment, []byte(":"))
	if t, err := time.Parse(time.ANSIC, string(bytes.TrimSpace(date))); err == nil {
		meta.Date = t
	}
}
