package feed

// A ReferenceFile is one reference table: where it is published, what may be
// done with it, and how it is read.
type ReferenceFile struct {
	Name        string // [a-z0-9-]+, unique; the name in the evidence
	Path        string // below the feeds folder; Path + ".gz" is taken as well
	URL         string // where it is really published; "" when it has to be dropped in
	Licence     string // SPDX where there is one
	Attribution string // the credit the licence asks for
	Embed       bool   // may be part of the embedded dataset
	Table       Tabler
}

// Licences and credits of the tables.
const (
	unicodeLicence = "Unicode-3.0"
	unicodeCredit  = "Unicode CLDR, © Unicode, Inc., unicode.org/license.txt"
	geonamesCredit = "GeoNames, geonames.org, CC BY 4.0"
	cldrURL        = "https://raw.githubusercontent.com/unicode-org/cldr-json/main/cldr-json/"
)

// Names of the tables, as the evidence cites them.
const (
	nameTerritories   = "cldr-territories"
	nameCountryCodes  = "country-codes"
	nameGeoCountries  = "geonames-countries"
	nameContainment   = "cldr-territory-containment"
	nameCurrencyData  = "cldr-currency-data"
	nameCurrencies    = "cldr-currencies"
	nameLanguages     = "cldr-languages"
	nameTerritoryInfo = "cldr-territory-info"
	nameZones         = "tz-zones"
	nameZones1970     = "tz-zones-1970"
	nameAdmin1        = "geonames-admin1"
	nameCities        = "geonames-cities"
	nameMledoze       = "mledoze-countries"
	nameISOCountries  = "iso-codes-countries"
	nameISORegions    = "iso-codes-subdivisions"
	nameISOCurrencies = "iso-codes-currencies"
)

// ReferenceFiles lists the tables in the order in which they are to be
// applied: none replaces what an earlier one said, it only fills gaps. Those
// under a share-alike database licence or the LGPL come last and are not for
// embedding; they are read when the operator has them.
func ReferenceFiles() []ReferenceFile {
	return []ReferenceFile{
		{nameTerritories, "reference/cldr/en-territories.json", cldrURL + "cldr-localenames-full/main/en/territories.json", unicodeLicence, unicodeCredit, true, CLDRTerritories},
		{nameCountryCodes, "reference/country-codes.csv", "https://raw.githubusercontent.com/datasets/country-codes/main/data/country-codes.csv", "PDDL-1.0", "datasets/country-codes", true, CountryCodes},
		{nameGeoCountries, "reference/geonames-countryInfo.txt", "https://download.geonames.org/export/dump/countryInfo.txt", "CC-BY-4.0", geonamesCredit, true, GeoNamesCountries},
		{nameContainment, "reference/cldr/territoryContainment.json", cldrURL + "cldr-core/supplemental/territoryContainment.json", unicodeLicence, unicodeCredit, true, CLDRContainment},
		{nameCurrencyData, "reference/cldr/currencyData.json", cldrURL + "cldr-core/supplemental/currencyData.json", unicodeLicence, unicodeCredit, true, CLDRCurrencyData},
		{nameCurrencies, "reference/cldr/en-currencies.json", cldrURL + "cldr-numbers-full/main/en/currencies.json", unicodeLicence, unicodeCredit, true, CLDRCurrencies},
		{nameLanguages, "reference/cldr/en-languages.json", cldrURL + "cldr-localenames-full/main/en/languages.json", unicodeLicence, unicodeCredit, true, CLDRLanguages},
		{nameTerritoryInfo, "reference/cldr/territoryInfo.json", cldrURL + "cldr-core/supplemental/territoryInfo.json", unicodeLicence, unicodeCredit, true, CLDRTerritoryInfo},
		{nameZones, "reference/tz/zone.tab", "https://data.iana.org/time-zones/tzdb/zone.tab", "LicenseRef-public-domain", "IANA time zone database", true, TZZones},
		{nameZones1970, "reference/tz/zone1970.tab", "https://data.iana.org/time-zones/tzdb/zone1970.tab", "LicenseRef-public-domain", "IANA time zone database", true, TZZones1970},
		{nameAdmin1, "reference/geonames-admin1CodesASCII.txt", "https://download.geonames.org/export/dump/admin1CodesASCII.txt", "CC-BY-4.0", geonamesCredit, true, GeoNamesAdmin1},
		{nameCities, "reference/geonames-cities15000.zip", "https://download.geonames.org/export/dump/cities15000.zip", "CC-BY-4.0", geonamesCredit, true, GeoNamesCities},
		{nameMledoze, "reference/mledoze-countries.json", "https://raw.githubusercontent.com/mledoze/countries/master/dist/countries-unescaped.json", "ODbL-1.0", "mledoze/countries, ODbL 1.0", false, Mledoze},
		{nameISOCountries, "reference/iso-codes/iso_3166-1.json", "", "LGPL-2.1-or-later", "iso-codes, salsa.debian.org/iso-codes-team/iso-codes", false, ISOCountries},
		{nameISORegions, "reference/iso-codes/iso_3166-2.json", "", "LGPL-2.1-or-later", "iso-codes, salsa.debian.org/iso-codes-team/iso-codes", false, ISOSubdivisions},
		{nameISOCurrencies, "reference/iso-codes/iso_4217.json", "", "LGPL-2.1-or-later", "iso-codes, salsa.debian.org/iso-codes-team/iso-codes", false, ISOCurrencies},
	}
}

// References names every reader of reference tables; the keys are the names of
// [ReferenceFiles].
func References() map[string]Tabler {
	m := map[string]Tabler{}
	for _, f := range ReferenceFiles() {
		m[f.Name] = f.Table
	}
	return m
}
