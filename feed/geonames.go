package feed

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// tsv yields the cells of each line that is neither empty nor a # comment.
func tsv(b []byte) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		var cells []string
		for line := range strings.Lines(string(b)) {
			text := strings.TrimRight(line, "\r\n")
			if text == "" || text[0] == '#' {
				continue
			}
			cells = cells[:0]
			for cell := range strings.SplitSeq(text, "\t") {
				cells = append(cells, cell)
			}
			if !yield(cells) {
				return
			}
		}
	}
}

// GeoNamesCountries reads countryInfo.txt: continents, names and calling codes
// that nothing else gave.
func GeoNamesCountries(r io.Reader, t *Tables) error {
	b, err := readTable(r)
	if err != nil {
		return err
	}
	rows := 0
	for cells := range tsv(b) {
		if len(cells) < 13 || !isCountry(cells[0]) {
			continue
		}
		rows++
		t.setCountry(cells[0], ipwarden.FieldCountry, countryName, cells[4], nameGeoCountries)
		t.setContinent(cells[0], cells[8], nameGeoCountries)
		t.setCountry(cells[0], ipwarden.FieldCallingCode, callingCodeOf, callingCode(cells[12]), nameGeoCountries)
	}
	if rows == 0 {
		return &FileError{Why: "no row of a country: not countryInfo.txt of GeoNames"}
	}
	return nil
}

// admin1IsISO holds the countries whose admin1 codes of GeoNames are those of
// ISO 3166-2, found by comparing the two lists; elsewhere they are FIPS or a
// country's own numbers.
var admin1IsISO = map[string]bool{
	"AD": true, "BB": true, "BE": true, "BF": true, "CH": true, "DM": true, "GB": true,
	"GD": true, "IE": true, "LI": true, "LU": true, "MR": true, "MW": true, "NR": true,
	"SM": true, "US": true, "VC": true, "ZM": true,
}

// GeoNamesAdmin1 reads admin1CodesASCII.txt: the names of the gazetteer's
// regions, and of those of ISO 3166-2 where GeoNames uses its codes.
func GeoNamesAdmin1(r io.Reader, t *Tables) error {
	b, err := readTable(r)
	if err != nil {
		return err
	}
	rows := 0
	for cells := range tsv(b) {
		if len(cells) < 2 || len(cells[0]) < 4 || cells[0][2] != '.' || !isCountry(cells[0][:2]) || cells[1] == "" {
			continue
		}
		rows++
		t.admin1Names()[cells[0]] = cells[1]
		if cc := cells[0][:2]; admin1IsISO[cc] {
			t.setRegion(cc+"-"+cells[0][3:], cells[1], nameAdmin1)
		}
	}
	if rows == 0 {
		return &FileError{Why: "no row of CC.code and name: not admin1CodesASCII.txt of GeoNames"}
	}
	return nil
}

// admin1Names returns the map of admin1 names, which the gazetteer shares.
func (t *Tables) admin1Names() map[string]string {
	if t.admin1 == nil {
		t.admin1 = map[string]string{}
	}
	return t.admin1
}

// maxCities bounds the unpacked gazetteer, in bytes, maxCityRows its places.
const (
	maxCities   = 256 << 20
	maxCityRows = 4 << 20

	bytesPerName = 48 // of the file, roughly
)

// GeoNamesCities reads a zip of GeoNames places, cities15000.zip, into the
// gazetteer. A smaller threshold's file (cities500.zip) has the same form.
func GeoNamesCities(r io.Reader, t *Tables) error {
	b, err := readTable(r)
	if err != nil {
		return err
	}
	text, err := unzipCities(b)
	if err != nil {
		return err
	}
	g := newGazetteer(len(text)/bytesPerName, t.regions(), t.admin1Names())
	for cells := range tsv(text) {
		if len(g.cities) >= maxCityRows {
			return &FileError{Why: fmt.Sprintf("more than %d places", maxCityRows)}
		}
		if c, ok := cityOf(cells); ok {
			g.add(c, cells[2], cells[3])
		}
	}
	if len(g.cities) == 0 {
		return &FileError{Why: "no row of a place in the zip of GeoNames cities"}
	}
	t.Cities = g
	for _, f := range []ipwarden.Field{ipwarden.FieldRegion, ipwarden.FieldCity, ipwarden.FieldLatitude, ipwarden.FieldLongitude} {
		t.fill(f, "city", nameCities)
	}
	return nil
}

// unzipCities returns the largest text file of the zip but the readme.
func unzipCities(b []byte) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, &FileError{Why: "not a zip file", Cause: err}
	}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".txt") || strings.EqualFold(f.Name, "readme.txt") {
			continue
		}
		if f.UncompressedSize64 > maxCities {
			return nil, &FileError{Why: fmt.Sprintf("%s unpacks to more than %d bytes", f.Name, maxCities)}
		}
		r, err := f.Open()
		if err != nil {
			return nil, &FileError{Why: "unpacking " + f.Name, Cause: err}
		}
		// The size in the header is the file's own word, so it is held to the bound.
		text, err := io.ReadAll(io.LimitReader(r, maxCities+1))
		r.Close()
		switch {
		case err != nil:
			return nil, &FileError{Why: "unpacking " + f.Name, Cause: err}
		case len(text) > maxCities:
			return nil, &FileError{Why: fmt.Sprintf("%s unpacks to more than %d bytes", f.Name, maxCities)}
		}
		return text, nil
	}
	return nil, &FileError{Why: "no .txt file in the zip of GeoNames cities"}
}

// cityOf reads the columns of the GeoNames main table.
func cityOf(cells []string) (City, bool) {
	if len(cells) < 18 || cells[1] == "" || !isCountry(cells[8]) {
		return City{}, false
	}
	lat, err1 := strconv.ParseFloat(cells[4], 64)
	lon, err2 := strconv.ParseFloat(cells[5], 64)
	if err1 != nil || err2 != nil || !(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180) {
		return City{}, false
	}
	people, _ := strconv.ParseUint(cells[14], 10, 32) // empty: nobody counted
	c := City{Name: cells[1], Country: cells[8], Admin1: cells[10], Latitude: lat, Longitude: lon, Population: uint32(people)}
	if isZone(cells[17]) {
		c.TimeZone = cells[17]
	}
	return c, true
}
