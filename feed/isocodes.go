package feed

import (
	"io"

	"github.com/ipwarden/ipwarden"
)

// ISOCountries reads iso_3166-1.json of Debian's iso-codes: names of countries
// that nothing else named.
func ISOCountries(r io.Reader, t *Tables) error {
	var f struct {
		Countries []struct {
			Code   string `json:"alpha_2"`
			Name   string `json:"name"`
			Common string `json:"common_name"`
		} `json:"3166-1"`
	}
	if err := readJSON(r, "iso-codes 3166-1", &f); err != nil {
		return err
	}
	if len(f.Countries) == 0 {
		return &FileError{Why: `no countries under "3166-1"`}
	}
	for _, c := range f.Countries {
		name := c.Common
		if name == "" {
			name = c.Name
		}
		t.setCountry(c.Code, ipwarden.FieldCountry, countryName, name, nameISOCountries)
	}
	return nil
}

// ISOSubdivisions reads iso_3166-2.json of Debian's iso-codes: names of
// regions by ISO 3166-2.
func ISOSubdivisions(r io.Reader, t *Tables) error {
	var f struct {
		Regions []struct {
			Code string `json:"code"`
			Name string `json:"name"`
		} `json:"3166-2"`
	}
	if err := readJSON(r, "iso-codes 3166-2", &f); err != nil {
		return err
	}
	if len(f.Regions) == 0 {
		return &FileError{Why: `no regions under "3166-2"`}
	}
	for _, s := range f.Regions {
		t.setRegion(s.Code, s.Name, nameISORegions)
	}
	return nil
}

// ISOCurrencies reads iso_4217.json of Debian's iso-codes: names of currencies
// that nothing else named.
func ISOCurrencies(r io.Reader, t *Tables) error {
	var f struct {
		Currencies []struct {
			Code string `json:"alpha_3"`
			Name string `json:"name"`
		} `json:"4217"`
	}
	if err := readJSON(r, "iso-codes 4217", &f); err != nil {
		return err
	}
	if len(f.Currencies) == 0 {
		return &FileError{Why: `no currencies under "4217"`}
	}
	for _, c := range f.Currencies {
		if isCurrency(c.Code) {
			t.currency(Currency{Code: c.Code, Name: c.Name}, nameISOCurrencies)
		}
	}
	return nil
}
