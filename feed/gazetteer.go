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

func newGazetteer(regions, admin1 map[string]string) *Gazetteer {
	return &Gazetteer{
		names: map[string]int32{}, entries: make([]gazetteerEntry, 1),
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
	var all, inside int
	var any, match int32
	certain := true // every candidate's region could be compared
	for e := head; e != 0; e = g.entries[e].next {
		if g.entries[e].second != second {
			continue
		}
		id := g.entries[e].city
		all, any = all+1, id
		switch g.inRegion(&g.cities[id], country, region) {
		case yes:
			inside, match = inside+1, id
		case unknown:
			certain = false
		}
	}
	switch {
	case inside == 1:
		return g.city(match), true, true
	case all == 1 && !certain:
		return g.city(any), true, true
	}
	// Nothing, or several, or all of them certainly elsewhere.
	return City{}, false, all > 0 && (inside > 1 || !certain)
}

type answer uint8

const (
	unknown answer = iota
	yes
	no
)

// inRegion says whether c lies in the region a feed named. Unknown is the
// answer when none was named, or when its code is not GeoNames' and its name
// is not spelled like GeoNames spells it (exonyms: Hessen, Hesse).
func (g *Gazetteer) inRegion(c *City, country, region string) answer {
	if region == "" {
		return unknown
	}
	name := region
	if isRegion(region) {
		if admin1IsISO[country] {
			if region[3:] == c.Admin1 {
				return yes
			}
			return no
		}
		name = g.regions[region]
	}
	admin1 := g.admin1[country+"."+c.Admin1]
	if name == "" || admin1 == "" {
		return unknown
	}
	var a, b [128]byte
	if string(appendFolded(a[:0], name)) == string(appendFolded(b[:0], admin1)) {
		return yes
	}
	return unknown
}

func (g *Gazetteer) city(id int32) City {
	c := g.cities[id]
	c.Region = g.admin1[c.Country+"."+c.Admin1]
	return c
}

// zoneOf returns the zone that all cities of a country share.
func (g *Gazetteer) zoneOf(country string) (zone string, ok bool) {
	if g == nil {
		return "", false
	}
	for i := range g.cities {
		c := &g.cities[i]
		if c.Country != country || c.TimeZone == "" {
			continue
		}
		if zone != "" && c.TimeZone != zone {
			return "", false
		}
		zone = c.TimeZone
	}
	return zone, zone != ""
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
