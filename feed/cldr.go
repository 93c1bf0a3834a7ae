package feed

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/ipwarden/ipwarden"
)

// readJSON reads a bounded JSON table into v.
func readJSON(r io.Reader, what string, v any) error {
	b, err := readTable(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &FileError{Why: "not the JSON of " + what, Cause: err}
	}
	return nil
}

// localeNames is main.LOCALE.localeDisplayNames of cldr-json.
type localeNames struct {
	Main map[string]struct {
		Names struct {
			Territories map[string]string `json:"territories"`
			Languages   map[string]string `json:"languages"`
		} `json:"localeDisplayNames"`
	} `json:"main"`
}

// CLDRTerritories reads the English names of countries (cldr-localenames,
// en/territories.json).
func CLDRTerritories(r io.Reader, t *Tables) error {
	var f localeNames
	if err := readJSON(r, "CLDR territories", &f); err != nil {
		return err
	}
	names := f.Main["en"].Names.Territories
	if len(names) == 0 {
		return &FileError{Why: "no English territory names under main.en.localeDisplayNames.territories"}
	}
	for cc, name := range names {
		t.setCountry(cc, ipwarden.FieldCountry, countryName, name, nameTerritories)
	}
	return nil
}

// CLDRLanguages reads the English names of languages (cldr-localenames,
// en/languages.json), and adds the languages' own names, which
// golang.org/x/text carries from CLDR.
func CLDRLanguages(r io.Reader, t *Tables) error {
	var f localeNames
	if err := readJSON(r, "CLDR languages", &f); err != nil {
		return err
	}
	names := f.Main["en"].Names.Languages
	if len(names) == 0 {
		return &FileError{Why: "no English language names under main.en.localeDisplayNames.languages"}
	}
	if t.Languages == nil {
		t.Languages = map[string]Language{}
	}
	for code, name := range names {
		if strings.Contains(code, "-alt-") {
			continue
		}
		if l := t.Languages[code]; l.Name == "" {
			t.Languages[code] = Language{Code: code, Name: name, Native: selfName(code)}
		}
	}
	return nil
}

// selfName returns what a language calls itself, or "" when that is not known.
func selfName(code string) string {
	tag, err := language.Parse(code)
	if err != nil {
		return ""
	}
	return display.Self.Name(tag)
}

// language makes sure that the table holds code: a variety without a name of
// its own ("pa-Arab") goes by that of its language.
func (t *Tables) language(code string) {
	if _, ok := t.Languages[code]; ok {
		return
	}
	if t.Languages == nil {
		t.Languages = map[string]Language{}
	}
	base, _, _ := strings.Cut(code, "-")
	t.Languages[code] = Language{Code: code, Name: t.Languages[base].Name, Native: selfName(code)}
}

// CLDRCurrencies reads names and symbols of currencies (cldr-numbers,
// en/currencies.json). Where the symbol is only the code, the narrow symbol
// serves ("kr" for SEK); where that is missing too, the symbol stays the code.
func CLDRCurrencies(r io.Reader, t *Tables) error {
	var f struct {
		Main map[string]struct {
			Numbers struct {
				Currencies map[string]struct {
					Name   string `json:"displayName"`
					Symbol string `json:"symbol"`
					Narrow string `json:"symbol-alt-narrow"`
				} `json:"currencies"`
			} `json:"numbers"`
		} `json:"main"`
	}
	if err := readJSON(r, "CLDR currencies", &f); err != nil {
		return err
	}
	all := f.Main["en"].Numbers.Currencies
	if len(all) == 0 {
		return &FileError{Why: "no English currency names under main.en.numbers.currencies"}
	}
	for code, c := range all {
		if (c.Symbol == "" || c.Symbol == code) && c.Narrow != "" {
			c.Symbol = c.Narrow
		}
		t.currency(Currency{code, c.Name, cmp.Or(c.Symbol, code)}, nameCurrencies)
	}
	return nil
}

// currency fills what is not yet known of a currency.
func (t *Tables) currency(c Currency, file string) {
	if t.Currencies == nil {
		t.Currencies = map[string]Currency{}
	}
	old := t.Currencies[c.Code]
	if old.Name == "" && c.Name != "" {
		old.Name = c.Name
		t.fill(ipwarden.FieldCurrencyName, c.Code, file)
	}
	if old.Symbol == "" && c.Symbol != "" {
		old.Symbol = c.Symbol
		t.fill(ipwarden.FieldCurrencySymbol, c.Code, file)
	}
	old.Code = c.Code
	t.Currencies[c.Code] = old
}

// CLDRCurrencyData reads which currency is legal tender where (cldr-core,
// currencyData.json): those with a beginning and no end that are not marked as
// no tender. Of several, the country's own is meant (the code begins with the
// country's, as ISO 4217 makes them: PAB in Panama beside USD); else the
// first, for CLDR lists them by preference.
func CLDRCurrencyData(r io.Reader, t *Tables) error {
	var f struct {
		Supplemental struct {
			Data struct {
				Region map[string][]map[string]struct {
					From   string `json:"_from"`
					To     string `json:"_to"`
					Tender string `json:"_tender"`
				} `json:"region"`
			} `json:"currencyData"`
		} `json:"supplemental"`
	}
	if err := readJSON(r, "CLDR currency data", &f); err != nil {
		return err
	}
	if len(f.Supplemental.Data.Region) == 0 {
		return &FileError{Why: "no regions under supplemental.currencyData.region"}
	}
	for cc, list := range f.Supplemental.Data.Region {
		best := ""
		for _, entry := range list {
			for code, use := range entry {
				if use.From == "" || use.To != "" || use.Tender == "false" {
					continue
				}
				if best == "" || !strings.HasPrefix(best, cc) && strings.HasPrefix(code, cc) {
					best = code
				}
			}
		}
		t.setCountry(cc, ipwarden.FieldCurrencyCode, countryTender, best, nameCurrencyData)
	}
	return nil
}

// maxLanguages bounds the languages of a country, minSpeakers is the share of
// the population, in per cent, from which a language without status counts.
const (
	maxLanguages = 8
	minSpeakers  = 20
)

// CLDRTerritoryInfo reads which languages are spoken where (cldr-core,
// territoryInfo.json): the official ones, by law or by fact, then those that at
// least a fifth of the people speak, each by number of speakers.
func CLDRTerritoryInfo(r io.Reader, t *Tables) error {
	var f struct {
		Supplemental struct {
			Info map[string]struct {
				Languages map[string]struct {
					Percent  string `json:"_populationPercent"`
					Official string `json:"_officialStatus"`
				} `json:"languagePopulation"`
			} `json:"territoryInfo"`
		} `json:"supplemental"`
	}
	if err := readJSON(r, "CLDR territory information", &f); err != nil {
		return err
	}
	if len(f.Supplemental.Info) == 0 {
		return &FileError{Why: "no territories under supplemental.territoryInfo"}
	}
	type spoken struct {
		code     string
		official bool
		percent  float64
	}
	for cc, info := range f.Supplemental.Info {
		if !isCountry(cc) {
			continue
		}
		var all []spoken
		for code, l := range info.Languages {
			percent, _ := strconv.ParseFloat(l.Percent, 64) // junk counts as nobody
			s := spoken{strings.ReplaceAll(code, "_", "-"), l.Official == "official" || l.Official == "de_facto_official", percent}
			if s.code != "und" && (s.official || s.percent >= minSpeakers) {
				all = append(all, s)
			}
		}
		slices.SortFunc(all, func(a, b spoken) int {
			if a.official != b.official {
				if a.official {
					return -1
				}
				return 1
			}
			return cmp.Or(cmp.Compare(b.percent, a.percent), cmp.Compare(a.code, b.code))
		})
		if len(all) == 0 {
			continue
		}
		t.country(cc, func(c *Country) {
			if len(c.Languages) > 0 {
				return
			}
			for _, s := range all {
				base, _, variety := strings.Cut(s.code, "-")
				if len(c.Languages) == maxLanguages || variety && slices.Contains(c.Languages, base) {
					continue // the same language in a second script
				}
				c.Languages = append(c.Languages, s.code)
				t.language(s.code)
			}
			t.fill(ipwarden.FieldLanguages, cc, nameTerritoryInfo)
		})
	}
	return nil
}

// m49 are the regions of UN M49 that make up a continent. Antarctica is not
// among them: M49 has it by itself, and CLDR under Outlying Oceania.
var m49 = map[string]string{
	"002": "AF", "142": "AS", "150": "EU", "009": "OC", "005": "SA",
	"021": "NA", "013": "NA", "029": "NA",
}

// CLDRContainment reads what lies in what (cldr-core,
// territoryContainment.json): the continent by UN M49, and the members of the
// European Union.
func CLDRContainment(r io.Reader, t *Tables) error {
	type group struct {
		Contains []string `json:"_contains"`
	}
	var f struct {
		Supplemental struct {
			Containment map[string]group `json:"territoryContainment"`
		} `json:"supplemental"`
	}
	if err := readJSON(r, "CLDR territory containment", &f); err != nil {
		return err
	}
	all := f.Supplemental.Containment
	if len(all) == 0 {
		return &FileError{Why: "no territories under supplemental.territoryContainment"}
	}
	var inside func(code, continent string, depth int)
	inside = func(code, continent string, depth int) {
		for _, sub := range all[code].Contains {
			switch {
			case len(sub) == 2:
				t.setContinent(sub, continent, nameContainment)
			case depth < 4: // the tree has three levels; a loop must not hang us
				inside(sub, continent, depth+1)
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(m49)) {
		inside(code, m49[code], 0)
	}
	for _, cc := range all["EU"].Contains {
		t.country(cc, func(c *Country) { c.IsEU = true })
	}
	if len(all["EU"].Contains) > 0 {
		t.fill(ipwarden.FieldIsEU, "", nameContainment)
	}
	return nil
}
