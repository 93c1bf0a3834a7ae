package feed

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// CountryCodes reads datasets/country-codes: calling codes, continents, the
// currency of ISO 4217 where it names only one, and names where CLDR has none.
// Columns are found by their names.
func CountryCodes(r io.Reader, t *Tables) error {
	b, err := readTable(r)
	if err != nil {
		return err
	}
	rows := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
	rows.FieldsPerRecord = -1
	head, err := rows.Read()
	if err != nil {
		return &FileError{Why: "not the CSV of country-codes", Cause: err}
	}
	column := map[string]int{}
	for i, name := range head {
		column[strings.TrimSpace(name)] = i
	}
	if _, ok := column["ISO3166-1-Alpha-2"]; !ok {
		return &FileError{Why: "no column ISO3166-1-Alpha-2 in the header of country-codes"}
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &FileError{Why: "not the CSV of country-codes", Cause: err}
		}
		cell := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		cc := cell("ISO3166-1-Alpha-2")
		name := cell("CLDR display name")
		if name == "" {
			name = cell("official_name_en")
		}
		t.setCountry(cc, ipwarden.FieldCountry, countryName, name, nameCountryCodes)
		t.setCountry(cc, ipwarden.FieldCallingCode, callingCodeOf, callingCode(cell("Dial")), nameCountryCodes)
		t.setContinent(cc, cell("Continent"), nameCountryCodes)
		// ISO 4217's own list, newer than CLDR's when a country changes; where it
		// names several without an order, CLDR decides.
		if tender := cell("ISO4217-currency_alphabetic_code"); isCurrency(tender) {
			t.setCountry(cc, ipwarden.FieldCurrencyCode, countryTender, tender, nameCountryCodes)
		}
	}
}

// isCurrency reports whether code is written like ISO 4217.
func isCurrency(code string) bool {
	return len(code) == 3 && isUpper(code[0]) && isUpper(code[1]) && isUpper(code[2])
}

// callingCode returns the digits of the first country calling code of ITU-T
// E.164 in s, without area codes: "1" of "1-809,1-829", "46" of "+46".
func callingCode(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	if n > 3 { // E.164 section 6.2.1: one to three digits
		return ""
	}
	return s[:n]
}
