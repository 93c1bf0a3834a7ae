package feed

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"golang.org/x/text/language"

	"github.com/ipwarden/ipwarden"
)

// Mledoze reads mledoze/countries: names, calling codes, currencies and
// languages of countries of which nothing else spoke. Its licence is
// share-alike, so it only fills gaps and is never embedded.
func Mledoze(r io.Reader, t *Tables) error {
	var all []struct {
		Code string `json:"cca2"`
		Name struct {
			Common string `json:"common"`
		} `json:"name"`
		Currencies   json.RawMessage `json:"currencies"` // [] where there are none
		Languages    json.RawMessage `json:"languages"`
		CallingCodes []string        `json:"callingCodes"`
	}
	if err := readJSON(r, "mledoze/countries", &all); err != nil {
		return err
	}
	if len(all) == 0 {
		return &FileError{Why: "no countries in the list of mledoze/countries"}
	}
	for _, c := range all {
		t.setCountry(c.Code, ipwarden.FieldCountry, countryName, c.Name.Common, nameMledoze)
		if len(c.CallingCodes) > 0 {
			t.setCountry(c.Code, ipwarden.FieldCallingCode, callingCodeOf, callingCode(c.CallingCodes[0]), nameMledoze)
		}
		var tenders map[string]struct{ Name, Symbol string }
		if json.Unmarshal(c.Currencies, &tenders) == nil {
			codes := slices.DeleteFunc(slices.Sorted(maps.Keys(tenders)), func(s string) bool { return !isCurrency(s) })
			for _, code := range codes {
				t.currency(Currency{code, tenders[code].Name, tenders[code].Symbol}, nameMledoze)
			}
			if len(codes) == 1 { // several are in no order
				t.setCountry(c.Code, ipwarden.FieldCurrencyCode, countryTender, codes[0], nameMledoze)
			}
		}
		var spoken map[string]string
		if json.Unmarshal(c.Languages, &spoken) == nil {
			t.mledozeLanguages(c.Code, spoken)
		}
	}
	return nil
}

// mledozeLanguages gives cc its languages, keyed by ISO 639-3, when it has none.
func (t *Tables) mledozeLanguages(cc string, spoken map[string]string) {
	if len(spoken) == 0 {
		return
	}
	t.country(cc, func(c *Country) {
		if len(c.Languages) > 0 {
			return
		}
		for _, code := range slices.Sorted(maps.Keys(spoken)) {
			base, err := language.ParseBase(code) // "nld" is "nl" in CLDR
			if err != nil || len(c.Languages) == maxLanguages {
				continue
			}
			t.language(base.String())
			if l := t.Languages[base.String()]; l.Name == "" {
				l.Name = cmp.Or(spoken[code], base.String())
				t.Languages[base.String()] = l
			}
			c.Languages = append(c.Languages, base.String())
			t.fill(ipwarden.FieldLanguages, cc, nameMledoze)
		}
	})
}
