package feed

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A Gazetteer finds populated places by name. It is read-only once it is
// built, and safe for concurrent use. A nil Gazetteer finds nothing.
type Gazetteer struct {
	cities  []City
	names   map[string]int32  // country and folded name, to the first entry
	entries []gazetteerEntry  // chained by next; entry 0 is none
	regions map[string]string // the Tables' ISO 3166-2 names
	admin1  map[string]string // the Tables' GeoNames admin1 names
}

// gazetteerEntry says that a city has a name, of the first rank (its own) or of
// the second (another language's, an abbreviation's, an old one).
type gazetteerEntry struct {
	city, next int32
	second     bool
}

// newGazetteer makes room for about so many names: growing to them step by step
// costs as much again.
func newGazetteer(names int, regions, admin1 map[string]string) *Gazetteer {
	return &Gazetteer{
		names: make(map[string]int32, names), entries: make([]gazetteerEntry, 1),
		regions: regions, admin1: admin1,
	}
}

// maxNames bounds the alternate names taken of one city.
const maxNames = 256

// add puts c in, under its name, its name in ASCII and the alternate names.
func (g *Gazetteer) add(c City, ascii, alternates string) {
	c.Name, c.Country, c.Admin1, c.TimeZone = strings.Clone(c.Name), strings.Clone(c.Country), strings.Clone(c.Admin1), strings.Clone(c.TimeZone)
	g.cities = append(g.cities, c)
	id := int32(len(g.cities) - 1)
	var buf [128]byte
	g.name(appendKey(buf[:0], c.Country, c.Name), id, false)
	g.name(appendKey(buf[:0], c.Country, ascii), id, false)
	n := 0
	for alt := range strings.SplitSeq(alternates, ",") {
		if n++; n > maxNames {
			break
		}
		// Feeds write Latin letters; codes of airports are no names of cities.
		if alt == "" || alt[0] >= 0xCE || len(alt) <= 3 && strings.ToUpper(alt) == alt {
			continue
		}
		g.name(appendKey(buf[:0], c.Country, alt), id, true)
	}
}

func (g *Gazetteer) name(key []byte, city int32, second bool) {
	if len(key) <= 3 {
		return
	}
	head := g.names[string(key)]
	for e := head; e != 0; e = g.entries[e].next {
		if g.entries[e].city == city {
			return // first rank was there first
		}
	}
	g.entries = append(g.entries, gazetteerEntry{city, head, second})
	g.names[string(key)] = int32(len(g.entries) - 1)
}

// Len counts the cities.
func (g *Gazetteer) Len() int {
	if g == nil {
		return 0
	}
	return len(g.cities)
}

// Find returns the city that a feed means by a country (ISO 3166-1 alpha-2), a
// region (ISO 3166-2 with the country, or a name, or "") and a city's name in
// any spelling. A name that several cities of the country bear is settled by
// the region; one that it does not settle finds nothing, for we do not guess.
// A city's own name goes before other cities' alternate names.
func (g *Gazetteer) Find(country, region, city string) (City, bool) {
	if g == nil || city == "" || len(city) > maxCityName {
		return City{}, false
	}
	var buf [128]byte
	head := g.names[string(appendKey(buf[:0], country, city))]
	for _, second := range []bool{false, true} {
		if c, found, stop := g.settle(head, second, country, region); stop {
			return c, found
		}
	}
	return City{}, false
}

// maxCityName bounds what is looked up, in bytes.
const maxCityName = 256

// settle chooses among the entries of one rank; stop says that the lower rank
// has nothing to add.
func (g *Gazetteer) settle(head int32, second bool, country, region string) (c City, found, stop bool) {
	var best, last int32 // cities: of the closest region, and the last that may be meant
	closest, ties, possible := elsewhere, 0, 0
	for e := head; e != 0; e = g.entries[e].next {
		if g.entries[e].second != second {
			continue
		}
		id := g.entries[e].city
		near := g.near(&g.cities[id], country, region)
		if near == elsewhere {
			continue
		}
		possible, last = possible+1, id
		switch {
		case near > closest:
			best, closest, ties = id, near, 1
		case near == closest:
			ties++
		}
	}
	switch {
	case possible == 1:
		return g.city(last), true, true
	case ties == 1 && closest > untold:
		return g.city(best), true, true
	}
	return City{}, false, possible > 0
}

// nearness says how well a city's region goes with the one a feed named.
type nearness uint8

const (
	elsewhere nearness = iota // certainly another region
	untold                    // none was named, or the two cannot be compared
	alike                     // named alike: "Hessen" or the code HE, and "Hesse"; settles only between rivals
	inside                    // certainly the same
)

// near compares the region of c with the one a feed named.
func (g *Gazetteer) near(c *City, country, region string) nearness {
	if region == "" {
		return untold
	}
	name, code := region, ""
	if isRegion(region) {
		code = region[3:]
		// Some feeds use ISO codes of another level (GB-LND in England), which
		// cannot be compared.
		if _, known := g.admin1[country+"."+code]; known && admin1IsISO[country] {
			if code == c.Admin1 {
				return inside
			}
			return elsewhere
		}
		name = g.regions[region]
	}
	admin1 := g.admin1[country+"."+c.Admin1]
	if admin1 == "" {
		return untold
	}
	var bufA, bufB [128]byte
	a, b := appendFolded(bufA[:0], name), appendFolded(bufB[:0], admin1)
	const start = 4 // letters that two languages' names of a region have in common
	switch {
	case len(a) > 0 && string(a) == string(b):
		return inside
	case len(a) >= start && len(b) >= start && string(a[:start]) == string(b[:start]),
		len(code) > 1 && strings.HasPrefix(string(b), strings.ToLower(code)):
		return alike
	}
	return untold
}

func (g *Gazetteer) city(id int32) City {
	c := g.cities[id]
	c.Region = g.admin1[c.Country+"."+c.Admin1]
	return c
}

// enoughCities is from how many on their sharing a zone says something of the
// country: the one town of an archipelago does not.
const enoughCities = 20

// zoneOf returns the zone that all cities of a country share.
func (g *Gazetteer) zoneOf(country string) (zone string, ok bool) {
	if g == nil {
		return "", false
	}
	n := 0
	for i := range g.cities {
		c := &g.cities[i]
		if c.Country != country || c.TimeZone == "" {
			continue
		}
		n++
		if zone != "" && c.TimeZone != zone {
			return "", false
		}
		zone = c.TimeZone
	}
	return zone, n >= enoughCities
}

func appendKey(dst []byte, country, name string) []byte {
	return appendFolded(append(append(dst, country...), 0), name)
}

// plainLetters are letters that no decomposition takes apart.
var plainLetters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i", 'ħ': "h",
}

// appendFolded appends name without case, accents and punctuation: letters and
// digits, with one blank between words.
func appendFolded(dst []byte, name string) []byte {
	start := len(dst)
	blank := false
	put := func(s string) {
		if blank && len(dst) > start {
			dst = append(dst, ' ')
		}
		blank = false
		dst = append(dst, s...)
	}
	ascii := true
	for i := range len(name) {
		if name[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if !ascii {
		name = norm.NFD.String(name)
	}
	for _, r := range name {
		r = unicode.ToLower(r)
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			put(string(rune(r)))
		case r == '\'' || r == '’' || r == 'ʻ' || r == '‘' || r == '`' || r == '.' || unicode.Is(unicode.Mn, r):
		case plainLetters[r] != "":
			put(plainLetters[r])
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			put(string(r))
		default:
			blank = true
		}
	}
	return dst
}
