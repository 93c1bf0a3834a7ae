package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// SpamhausJSON reads Spamhaus DROP in JSON lines: a prefix and its SBL number
// each, and at the end a line about the file, whose timestamp is the date.
func SpamhausJSON(r io.Reader, meta *Meta) facts {
	return spamhaus(r, meta, "Spamhaus DROP list", func(ls *lines, row *spamhausRow, f *Fact) (why string) {
		p, _, why := parsePrefix([]byte(row.CIDR))
		if why == "" {
			f.SetPrefix(p)
		}
		return why
	})
}

// ASNDrop reads Spamhaus ASN-DROP in JSON lines: an autonomous system each,
// with its name, and a line about the file at the end.
func ASNDrop(r io.Reader, meta *Meta) facts {
	var in interner
	return spamhaus(r, meta, "Spamhaus ASN-DROP list", func(ls *lines, row *spamhausRow, f *Fact) (why string) {
		as, ok := parseASN([]byte(row.ASN))
		if !ok || as == 0 {
			return "the number of the autonomous system is missing or none"
		}
		*f = Fact{AS: as, ASName: in.text([]byte(row.ASName))}
		if strings.Contains(string(row.Domain), ".") { // some are bare names
			f.ASDomain = in.text([]byte(row.Domain))
		}
		switch row.RIR {
		case "afrinic", "apnic", "arin", "lacnic", "ripencc":
			f.Registry = in.text([]byte(row.RIR))
		}
		return ""
	})
}

// spamhausRow is a line of either list, or the one about the file.
type spamhausRow struct {
	CIDR   loose `json:"cidr"`
	ASN    loose `json:"asn"`
	ASName loose `json:"asname"`
	Domain loose `json:"domain"`
	RIR    loose `json:"rir"`

	Type      loose `json:"type"` // "metadata"
	Timestamp loose `json:"timestamp"`
	Records   loose `json:"records"`
}

func spamhaus(r io.Reader, meta *Meta, format string, read func(*lines, *spamhausRow, *Fact) string) facts {
	return readLines(r, format, func(ls *lines) {
		var f Fact
		for ls.next() {
			if len(bytes.TrimSpace(ls.row)) == 0 {
				continue
			}
			var row spamhausRow
			if err := json.Unmarshal(ls.row, &row); err != nil {
				ls.bad("the line is no JSON object")
				continue
			}
			if row.Type == "metadata" {
				if sec, ok := parseUint([]byte(row.Timestamp), 1<<40); ok {
					if t := time.Unix(int64(sec), 0).UTC(); plausible(t) {
						meta.Date = t
					}
				}
				n, ok := parseUint([]byte(row.Records), 1<<32)
				if ok && int(n) != ls.good+ls.count {
					ls.fail(fmt.Sprintf("the file says it has %d records and has %d: it is not whole", n, ls.good+ls.count), nil)
				}
				continue
			}
			if why := read(ls, &row, &f); why != "" {
				ls.bad(why)
				continue
			}
			ls.fact(&f)
		}
	})
}
