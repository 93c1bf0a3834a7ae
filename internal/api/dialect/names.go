package dialect

import (
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/ipwarden/ipwarden"
)

// Some vendors name countries and continents in other languages than English.
// Their names are CLDR's, as golang.org/x/text carries them; those of cities and
// regions are not in there, and stay English.

// tongues are those languages, with the vendors' names for them.
var tongues = [...]struct {
	name string
	tag  language.Tag
}{
	{"de", language.German},
	{"es", language.Spanish},
	{"fr", language.French},
	{"ja", language.Japanese},
	{"pt-BR", language.BrazilianPortuguese},
	{"ru", language.Russian},
	{"zh-CN", language.SimplifiedChinese},
}

const english = -1

// tongueNamed is the place of a language, english when there is no such.
func tongueNamed(name string) int {
	for i := range tongues {
		if tongues[i].name == name {
			return i
		}
	}
	return english
}

// placeNames are the names of one country or continent.
type placeNames struct {
	in      [len(tongues)]string
	members string // as members of a JSON object, each with a comma before it
}

// places are the names by code: a country's as ISO 3166-1 has it, a continent's
// with a + before it, since NA is Namibia as well.
var places = sync.OnceValue(func() map[string]*placeNames {
	codes := map[string]string{"+AF": "002", "+AN": "AQ", "+AS": "142", "+EU": "150", "+NA": "003", "+OC": "009", "+SA": "005"}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			if r, err := language.ParseRegion(code); err == nil && r.IsCountry() && r.Canonicalize().String() == code {
				codes[code] = code
			}
		}
	}
	m := make(map[string]*placeNames, len(codes))
	for code, region := range codes {
		m[code] = new(placeNames)
		r := language.MustParseRegion(region)
		for i, t := range tongues {
			name := display.Regions(t.tag).Name(r)
			if name == "" {
				continue
			}
			m[code].in[i] = name
			m[code].members += string(ipwarden.AppendString([]byte(`,"`+t.name+`":`), name))
		}
	}
	return m
})

// placeName is the name of a country or continent in a language.
func placeName(code string, tongue int, en string) string {
	if tongue != english && en != "" {
		if p := places()[code]; p != nil && p.in[tongue] != "" {
			return p.in[tongue]
		}
	}
	return en
}

// continentKey is the key of a continent in places.
func continentKey(code string) string {
	for _, k := range [...]string{"+AF", "+AN", "+AS", "+EU", "+NA", "+OC", "+SA"} {
		if k[1:] == code {
			return k
		}
	}
	return ""
}
