package feed

import (
	"bytes"
	"io"
)

// TorExitsCSV reads "fingerprint, ipaddr, port" of a relay a row, as
// alireza-rezaee/tor-nodes derives it from Onionoo. A relay has a row for each
// of its addresses, and relays may share one.
func TorExitsCSV(r io.Reader, _ *Meta) facts {
	return readLines(r, "CSV list of Tor relays", func(ls *lines) {
		var f Fact
		var cells [][]byte
		at := 1
		for first := true; ls.next(); first = false {
			if isBlank(ls.row) {
				first = true // it was no row
				continue
			}
			cells = splitCSV(cells[:0], ls.row, ',')
			if first {
				if i := column(cells, "ipaddr"); i >= 0 {
					at = i
					continue
				}
			}
			a, ok := parseAddr(cell(cells, at))
			if !ok {
				ls.bad(whyNoAddr(cell(cells, at)))
				continue
			}
			f.SetAddr(a)
			ls.fact(&f)
		}
	})
}

// TorExitAddresses reads the exit list of the Tor Project (TorDNSEL): records
// of a relay, each with its status and the addresses that were seen leaving
// it. The latest status dates the list.
func TorExitAddresses(r io.Reader, meta *Meta) facts {
	return readLines(r, "Tor exit list", func(ls *lines) {
		var f Fact
		for ls.next() {
			key, value, _ := bytes.Cut(bytes.TrimSpace(ls.row), []byte(" "))
			switch string(key) {
			case "", "ExitNode", "Published", "@type", "Downloaded":
			case "LastStatus":
				if t, ok := parseTime(string(value), "2006-01-02 15:04:05"); ok && t.After(meta.Date) {
					meta.Date = t
				}
			case "ExitAddress":
				addr, seen, _ := bytes.Cut(value, []byte(" "))
				a, ok := parseAddr(addr)
				if !ok {
					ls.bad(whyNoAddr(addr))
					continue
				}
				f.SetAddr(a)
				f.Seen, _ = parseTime(string(seen), "2006-01-02 15:04:05")
				ls.fact(&f)
			default:
				ls.bad("no line of an exit list begins like this")
			}
		}
	})
}
