package feed

import "io"

// RangeCSV reads rows of "START,END,NAME,URL" with inclusive ranges, which
// need not be prefixes, and the operator's name, as client9/ipcat writes them.
func RangeCSV(r io.Reader, _ *Meta) facts {
	return readLines(r, "CSV list of ranges", func(ls *lines) {
		var f Fact
		var in interner
		var cells [][]byte
		for ls.next() {
			if isBlank(ls.row) {
				continue
			}
			cells = splitCSV(cells[:0], ls.row, ',')
			if len(cells) < 2 {
				ls.bad("the row has no end of the range")
				continue
			}
			from, to, why := parseRange(cells[0], cells[1])
			if why == "" {
				if err := f.SetRange(from, to); err != nil {
					why = err.Error()
				}
			}
			if why != "" {
				ls.bad(why)
				continue
			}
			f.Name = in.text(cell(cells, 2))
			ls.fact(&f)
		}
	})
}
