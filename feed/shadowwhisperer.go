package feed

import (
	"io"

	"github.com/ipwarden/ipwarden"
)

// ShadowWhisperer reads the Threats list of ShadowWhisperer/IPs: what visited
// its honeypots, with a category and when it was last seen. The category
// decides the trait and, in our words, the type of the listing; one that is
// not known here is taken as it is, without a trait.
func ShadowWhisperer(r io.Reader, _ *Meta) facts {
	return readLines(r, "ShadowWhisperer list of threats", func(ls *lines) {
		var f Fact
		var in interner
		var cells [][]byte
		ip, category, seen := -1, -1, -1
		for ls.next() {
			if isBlank(ls.row) {
				continue
			}
			cells = splitCSV(cells[:0], ls.row, ',')
			if ip < 0 {
				if ip, category = column(cells, "ip"), column(cells, "category"); ip < 0 || category < 0 {
					ls.fail("the file is no ShadowWhisperer list of threats: its header has no ip and category", nil)
					return
				}
				seen = column(cells, "last_seen")
				continue
			}
			p, _, why := parsePrefix(cell(cells, ip))
			if why != "" {
				ls.bad(why)
				continue
			}
			f.SetPrefix(p)
			f.Detail, f.Traits = threatOf(in.text(cell(cells, category)))
			f.Seen, _ = parseTime(string(cell(cells, seen)), "2006-01-02")
			ls.fact(&f)
		}
	})
}

// threatOf translates a category.
func threatOf(category string) (listing string, t ipwarden.Traits) {
	switch category {
	case "intrusion", "exploit":
		return "attacker", ipwarden.Attacker
	case "botnet node":
		return "botnet", ipwarden.Attacker
	case "dropper host": // serves what an intruder loads
		return "malware", ipwarden.Attacker
	case "recon":
		return "scanner", ipwarden.Scanner
	case "abuse":
		return "abuser", ipwarden.Abuser
	}
	return category, 0
}
