package feed

import (
	"bytes"
	"io"
	"time"
)

// TorGeoIP reads the country ranges that the Tor Project makes of IPFire's
// database, geoip and geoip6 alike:
//
//	16777216,16777471,AU
//	2001:4:112::,2001:4:112:ffff:ffff:ffff:ffff:ffff,US
//
// IPv4 in decimal, IPv6 in text, both ends included. Facts: Country. Rows of
// no country (??, EU, codes ISO does not know) yield nothing. The date is the
// header's "# Generated:".
func TorGeoIP(r io.Reader, meta *Meta) facts {
	return readLines(r, "Tor geoip file", func(ls *lines) {
		var f Fact
		for ls.next() {
			row := ls.row
			if len(row) == 0 || row[0] == '#' {
				generated(row, meta)
				continue
			}
			i := bytes.IndexByte(row, ',')
			j := bytes.LastIndexByte(row, ',')
			if i < 0 || i == j {
				ls.bad("want FROM,TO,COUNTRY")
				continue
			}
			from, to, cc := row[:i], row[i+1:j], bytes.TrimSpace(row[j+1:])
			if len(cc) != 2 {
				ls.bad("the country is not two letters")
				continue
			}
			if why := f.setRangeText(from, to); why != "" {
				ls.bad(why)
				continue
			}
			if f.setPlace(cc); f.Country != "" || f.Continent != "" {
				ls.fact(&f)
			}
		}
	})
}

// setRangeText reads a range whose IPv4 ends may be decimal numbers.
func (f *Fact) setRangeText(from, to []byte) (why string) {
	if a, ok := parseUint(from, 1<<32-1); ok {
		b, ok := parseUint(to, 1<<32-1)
		switch {
		case !ok:
			return "the range's ends are not of one form"
		case b < a:
			return "the range ends before it begins"
		}
		f.From, f.To, f.Bits, f.AS = addr4(uint32(a)), addr4(uint32(b)), bits4(uint32(a), uint32(b)), 0
		return ""
	}
	a, b, why := parseRange(from, to)
	if why == "" {
		f.From, f.To, f.Bits, f.AS = a, b, rangeBits(a, b), 0
	}
	return why
}

// generated takes the date from the header of IPFire's exports:
// "# Generated: Thu, 25 Jun 2026 04:33:59 GMT".
func generated(comment []byte, meta *Meta) {
	const word = "Generated:"
	if i := bytes.Index(comment, []byte(word)); i >= 0 && meta.Date.IsZero() {
		if t, err := time.Parse(time.RFC1123, string(bytes.TrimSpace(comment[i+len(word):]))); err == nil {
			meta.Date = t.UTC()
		}
	}
}
