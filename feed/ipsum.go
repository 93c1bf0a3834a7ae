package feed

import (
	"bytes"
	"io"
)

// IPsum reads stamparm/ipsum: "ADDRESS<TAB>COUNT", the count being of the
// blocklists that name the address, after a header with the date.
func IPsum(r io.Reader, meta *Meta) facts {
	return readLines(r, "ipsum list", func(ls *lines) {
		var f Fact
		for ls.next() {
			row := bytes.TrimSpace(ls.row)
			if len(row) == 0 || row[0] == '#' {
				if ls.good == 0 {
					dateFrom(row, meta)
				}
				continue
			}
			cell, count, _ := bytes.Cut(row, []byte("\t"))
			a, ok := parseAddr(bytes.TrimSpace(cell))
			if !ok {
				ls.bad(whyNoAddr(cell))
				continue
			}
			n, ok := parseUint(bytes.TrimSpace(count), 1<<32-1)
			if !ok {
				ls.bad("the count of lists is missing or no number")
				continue
			}
			f.SetAddr(a)
			f.Count = uint32(n)
			ls.fact(&f)
		}
	})
}
