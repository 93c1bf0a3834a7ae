package feed

import (
	"fmt"
	"io"

	"github.com/ipwarden/ipwarden"
)

// Tables are the facts about countries, currencies, languages, time zones and
// places that go with an address's location. A table that was not loaded is
// empty, and what it would have said is absent from the answers. Tables are
// filled by [Tabler] functions one after another, not concurrently; once
// filled they are read-only and safe for concurrent use.
type Tables struct {
	Countries  map[string]Country  // by ISO 3166-1 alpha-2
	Currencies map[string]Currency // by ISO 4217 code
	Languages  map[string]Language // by CLDR code, with hyphens ("en", "zh-Hant")
	Zones      []TimeZone
	Regions    map[string]string // ISO 3166-2 ("US-CA") to name, only where the code is certain
	Cities     *Gazetteer

	// From names the reference file that filled a field: the key is the field's
	// dotted path, or path + "/" + key where a later file filled a gap that the
	// first one left. Read it with Source.
	From map[string]string

	admin1 map[string]string // GeoNames "US.CA" to name
}

// Country is one country or territory.
type Country struct {
	Code          string // ISO 3166-1 alpha-2, and XK
	Name          string // CLDR English
	ContinentCode string // AF, AN, AS, EU, NA, OC, SA
	Continent     string
	IsEU          bool     // member of the European Union
	Currency      string   // ISO 4217, legal tender today
	Languages     []string // CLDR codes: official ones first, then by share of speakers; at most 8
	CallingCode   string   // digits
}

// Currency of ISO 4217.
type Currency struct{ Code, Name, Symbol string }

// Language names a language in English and in itself.
type Language struct{ Code, Name, Native string }

// TimeZone is an IANA time zone and the country whose row it is.
type TimeZone struct{ Country, ID string }

// City is one populated place.
type City struct {
	Name       string
	Country    string
	Region     string // admin1 name
	Admin1     string // GeoNames admin1 code
	Latitude   float64
	Longitude  float64
	TimeZone   string
	Population uint32
}

// Source returns the name of the reference file that says what the tables hold
// of field f under key: a country code, or the code of the currency or region.
// It is "" when no file said anything.
func (t *Tables) Source(f ipwarden.Field, key string) string {
	if name, ok := t.From[f.String()+"/"+key]; ok {
		return name
	}
	return t.From[f.String()]
}

// fill notes that file filled field f under key.
func (t *Tables) fill(f ipwarden.Field, key, file string) {
	if t.From == nil {
		t.From = map[string]string{}
	}
	switch t.From[f.String()] {
	case "":
		t.From[f.String()] = file
	case file:
	default:
		t.From[f.String()+"/"+key] = file
	}
}

// notCountries are two-letter codes in the tables that are no country of
// ISO 3166-1: exceptional reservations, groupings, former states, private use.
// XK (Kosovo) is private use as well, but what every registry uses.
var notCountries = map[string]bool{
	"AC": true, "CP": true, "CQ": true, "DG": true, "EA": true, "IC": true, "TA": true,
	"EU": true, "EZ": true, "UN": true, "QO": true, "XA": true, "XB": true, "ZZ": true,
	"AN": true, "BU": true, "CS": true, "DD": true, "NT": true, "SU": true, "TP": true, "YD": true, "YU": true, "ZR": true,
}

// isCountry reports whether cc is written like ISO 3166-1 alpha-2 and stands
// for a country of today.
func isCountry(cc string) bool {
	return len(cc) == 2 && isUpper(cc[0]) && isUpper(cc[1]) && !notCountries[cc]
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// country lets set change the country cc, adding it when it is new; codes that
// are no country are passed over.
func (t *Tables) country(cc string, set func(*Country)) {
	if !isCountry(cc) {
		return
	}
	if t.Countries == nil {
		t.Countries = map[string]Country{}
	}
	c := t.Countries[cc]
	c.Code = cc
	set(&c)
	t.Countries[cc] = c
}

// setCountry fills one empty text of the country cc and notes where it is from.
func (t *Tables) setCountry(cc string, f ipwarden.Field, field func(*Country) *string, v, file string) {
	if v == "" || !isCountry(cc) {
		return
	}
	t.country(cc, func(c *Country) {
		if p := field(c); *p == "" {
			*p = v
			t.fill(f, cc, file)
		}
	})
}

func countryName(c *Country) *string   { return &c.Name }
func continentCode(c *Country) *string { return &c.ContinentCode }
func countryTender(c *Country) *string { return &c.Currency }
func callingCodeOf(c *Country) *string { return &c.CallingCode }

// continents are the two-letter codes of GeoNames, which all providers use.
var continents = map[string]string{
	"AF": "Africa", "AN": "Antarctica", "AS": "Asia", "EU": "Europe",
	"NA": "North America", "OC": "Oceania", "SA": "South America",
}

// ContinentName returns the English name of a continent's code, "" for others.
func ContinentName(code string) string { return continents[code] }

// setContinent fills the continent of cc.
func (t *Tables) setContinent(cc, code, file string) {
	name := continents[code]
	if name == "" {
		return
	}
	t.setCountry(cc, ipwarden.FieldContinentCode, continentCode, code, file)
	t.country(cc, func(c *Country) {
		if c.Continent == "" {
			c.Continent = continents[c.ContinentCode]
			t.fill(ipwarden.FieldContinent, cc, file)
		}
	})
}

// setRegion names a region of ISO 3166-2 that has no name yet.
func (t *Tables) setRegion(code, name, file string) {
	if !isRegion(code) || name == "" {
		return
	}
	if regions := t.regions(); regions[code] == "" {
		regions[code] = name
		t.fill(ipwarden.FieldRegion, code, file)
	}
}

// regions returns the map of regions, which the gazetteer shares.
func (t *Tables) regions() map[string]string {
	if t.Regions == nil {
		t.Regions = map[string]string{}
	}
	return t.Regions
}

// isRegion reports whether code is written like ISO 3166-2: a country, a
// hyphen, one to three letters or digits.
func isRegion(code string) bool {
	if len(code) < 4 || len(code) > 6 || code[2] != '-' || !isCountry(code[:2]) {
		return false
	}
	for _, c := range []byte(code[3:]) {
		if !isUpper(c) && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// FlagEmoji returns the flag of a country: its code in regional indicator
// symbols (Unicode Technical Standard 51, section B.1), or "" when cc is not
// two capital letters.
func FlagEmoji(cc string) string {
	if len(cc) != 2 || !isUpper(cc[0]) || !isUpper(cc[1]) {
		return ""
	}
	const a = '\U0001F1E6'
	return string([]rune{a + rune(cc[0]-'A'), a + rune(cc[1]-'A')})
}

// maxTable bounds a reference table, in bytes; the largest we know has 9 MB.
const maxTable = 64 << 20

// readTable reads a whole table, at most maxTable bytes of it.
func readTable(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	switch {
	case err != nil:
		return nil, &FileError{Why: "reading the table", Cause: err}
	case len(b) > maxTable:
		return nil, &FileError{Why: fmt.Sprintf("the table is larger than %d bytes", maxTable)}
	}
	return b, nil
}
