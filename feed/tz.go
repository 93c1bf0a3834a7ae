package feed

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// TZZones reads zone.tab of the tz database: one country, one zone a row.
func TZZones(r io.Reader, t *Tables) error { return readZones(r, t, nameZones) }

// TZZones1970 reads zone1970.tab, whose rows name several countries; it serves
// only for countries that zone.tab did not name.
func TZZones1970(r io.Reader, t *Tables) error { return readZones(r, t, nameZones1970) }

func readZones(r io.Reader, t *Tables, file string) error {
	b, err := readTable(r)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, z := range t.Zones {
		known[z.Country] = true
	}
	rows := 0
	for line := range bytes.Lines(b) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		cells := strings.Split(text, "\t")
		if len(cells) < 3 || !isZone(cells[2]) {
			continue
		}
		for cc := range strings.SplitSeq(cells[0], ",") {
			if !isCountry(cc) {
				continue
			}
			rows++
			if !known[cc] {
				t.Zones = append(t.Zones, TimeZone{cc, cells[2]})
				t.fill(ipwarden.FieldTimeZoneID, cc, file)
			}
		}
	}
	if rows == 0 {
		return &FileError{Why: "no row of country, coordinates and zone: not a zone table of the tz database"}
	}
	return nil
}

// isZone reports whether id looks like an IANA zone: Area/Location.
func isZone(id string) bool {
	if len(id) > 64 || !strings.Contains(id, "/") || strings.HasPrefix(id, "/") || strings.Contains(id, "..") {
		return false
	}
	for _, c := range []byte(id) {
		if !isUpper(c) && (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("/_-+", rune(c)) {
			return false
		}
	}
	return true
}

// ZoneOf returns the time zone of a country that has exactly one. A country
// with several counts as having one when all of its cities in the gazetteer, of
// which there must be many, keep that one's time: Germany's second zone is a
// village's.
func (t *Tables) ZoneOf(country string) (string, bool) {
	first, several := "", false
	for _, z := range t.Zones {
		if z.Country == country {
			several = first != ""
			if several {
				break
			}
			first = z.ID
		}
	}
	if !several {
		return first, first != ""
	}
	zone, ok := t.Cities.zoneOf(country)
	if !ok || !slices.Contains(t.Zones, TimeZone{country, zone}) {
		return "", false
	}
	return zone, true
}
