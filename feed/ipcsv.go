package feed

import (
	"bytes"
	"io"
	"strings"
)

// IPCSV reads rows of an address or prefix and one thing said about it, which
// the header names: a company ("ip,company_name") or a count ("IP,Report
// count"). Columns of another name are passed over, and so is the second
// column of a file without a header: what it means would be a guess.
func IPCSV(r io.Reader, _ *Meta) facts {
	return readLines(r, "CSV list of addresses", func(ls *lines) {
		t := table{ip: 0, name: -1, count: -1}
		var f Fact
		var in interner
		var cells [][]byte
		for first := true; ls.next(); first = false {
			if isBlank(ls.row) {
				first = true // it was no row
				continue
			}
			cells = splitCSV(cells[:0], ls.row, ',')
			if first && t.header(cells) {
				continue
			}
			p, _, why := parsePrefix(cell(cells, t.ip))
			if why != "" {
				ls.bad(why)
				continue
			}
			f.SetPrefix(p)
			f.Name = in.text(cell(cells, t.name))
			if t.count >= 0 {
				n, ok := parseUint(cell(cells, t.count), 1<<32-1)
				if !ok {
					ls.bad("the count is missing or no number")
					continue
				}
				f.Count = uint32(n)
			}
			ls.fact(&f)
		}
	})
}

// table holds where the columns are; -1 is nowhere.
type table struct{ ip, name, count int }

// header finds the columns, and reports whether cells are a header at all.
func (t *table) header(cells [][]byte) bool {
	ip := column(cells, "ip", "ip address", "address", "network", "prefix", "cidr")
	if ip < 0 {
		return false
	}
	t.ip = ip
	t.name = column(cells, "company", "company_name", "name", "provider", "organization")
	t.count = column(cells, "report count", "count", "reports")
	return true
}

// column finds the cell that is one of names, in whichever case; -1 when none is.
func column(cells [][]byte, names ...string) int {
	for i, c := range cells {
		for _, n := range names {
			if strings.EqualFold(string(c), n) {
				return i
			}
		}
	}
	return -1
}

// cell returns cells[i], or nothing when the row has no such cell.
func cell(cells [][]byte, i int) []byte {
	if i < 0 || i >= len(cells) {
		return nil
	}
	return cells[i]
}

// isBlank reports whether a row of a CSV file is empty or a comment.
func isBlank(row []byte) bool {
	row = bytes.TrimSpace(row)
	return len(row) == 0 || row[0] == '#'
}
