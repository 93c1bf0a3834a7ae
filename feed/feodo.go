package feed

import "io"

// Feodo reads the CSV of abuse.ch's Feodo Tracker: a banner of comments with
// the date, a header, and the address of a botnet's server each, with when it
// was last seen and the name of the malware that it commands.
func Feodo(r io.Reader, meta *Meta) facts {
	return readLines(r, "Feodo Tracker list", func(ls *lines) {
		var f Fact
		var in interner
		var cells [][]byte
		ip, seen, malware := -1, -1, -1
		for ls.next() {
			if isBlank(ls.row) {
				if ls.good == 0 {
					dateFrom(ls.row, meta)
				}
				continue
			}
			cells = splitCSV(cells[:0], ls.row, ',')
			if ip < 0 {
				if ip = column(cells, "dst_ip"); ip < 0 {
					ls.fail("the file is no Feodo Tracker list: its header has no dst_ip", nil)
					return
				}
				seen, malware = column(cells, "last_online"), column(cells, "malware")
				continue
			}
			a, ok := parseAddr(cell(cells, ip))
			if !ok {
				ls.bad(whyNoAddr(cell(cells, ip)))
				continue
			}
			f.SetAddr(a)
			f.Seen, _ = parseTime(string(cell(cells, seen)), isoLayouts...)
			f.Name = in.text(cell(cells, malware))
			ls.fact(&f)
		}
	})
}
