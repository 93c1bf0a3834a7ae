package dataset

import (
	"slices"

	"github.com/ipwarden/ipwarden"
)

// Country returns what follows from a country's code (name, continent,
// currency, languages, calling code, flag); false when the dataset does not
// know the country.
func (d *Dataset) Country(code string) (ipwarden.Location, bool) {
	i := slices.IndexFunc(d.countries, func(l ipwarden.Location) bool { return l.CountryCode == code })
	if i < 0 || code == "" {
		return ipwarden.Location{}, false
	}
	return d.countries[i], true
}
