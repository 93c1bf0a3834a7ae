package feed

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

// excerpt returns the excerpt of a reference file.
func excerpt(t testing.TB, f ReferenceFile) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "reference", strings.TrimPrefix(path.Base(f.Path), "geonames-")))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func excerptTables(t testing.TB, keep func(ReferenceFile) bool) *Tables {
	t.Helper()
	tables := &Tables{}
	for _, f := range ReferenceFiles() {
		if !keep(f) {
			continue
		}
		if err := f.Table(bytes.NewReader(excerpt(t, f)), tables); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	return tables
}

func embeddable(f ReferenceFile) bool { return f.Embed }
func everyFile(ReferenceFile) bool    { return true }

func TestCountries(t *testing.T) {
	tables := excerptTables(t, everyFile)
	for _, want := range []Country{
		{"SE", "Sweden", "EU", "Europe", true, "SEK", []string{"sv", "en"}, "46"},
		{"CH", "Switzerland", "EU", "Europe", false, "CHF", []string{"de", "gsw", "fr", "it", "en"}, "41"},
		// ISO 4217 has the euro where CLDR 47 still has the lev.
		{"BG", "Bulgaria", "EU", "Europe", true, "EUR", []string{"bg", "en", "ru"}, "359"},
		// The country's own beside the dollar, in whatever order.
		{"PA", "Panama", "NA", "North America", false, "PAB", []string{"es"}, "507"},
		{"LS", "Lesotho", "AF", "Africa", false, "LSL", []string{"en", "st"}, "266"},
		{"DO", "Dominican Republic", "NA", "North America", false, "DOP", []string{"es"}, "1"},
		// M49 has Cyprus in Asia, everybody else in Europe.
		{"CY", "Cyprus", "EU", "Europe", true, "EUR", []string{"el", "tr", "en"}, "357"},
		// In no table but GeoNames, CLDR and mledoze.
		{"XK", "Kosovo", "EU", "Europe", false, "EUR", []string{"aln", "sq", "sr"}, "383"},
		{"AQ", "Antarctica", "AN", "Antarctica", false, "", nil, "672"},
	} {
		got := tables.Countries[want.Code]
		if want.Code == "CY" || want.Code == "LS" || want.Code == "XK" { // order by speakers, which changes with the years
			slices.Sort(got.Languages)
			slices.Sort(want.Languages)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	for _, cc := range []string{"EU", "ZZ", "US-alt-short", "001", "UN"} {
		if _, ok := tables.Countries[cc]; ok {
			t.Errorf("%s is no country", cc)
		}
	}
}

func TestCurrencies(t *testing.T) {
	tables := excerptTables(t, everyFile)
	for _, want := range []Currency{
		{"SEK", "Swedish Krona", "kr"},
		{"USD", "US Dollar", "$"},
		{"CAD", "Canadian Dollar", "CA$"}, // more telling than the narrow "$"
		{"CHF", "Swiss Franc", "CHF"},
		{"XAU", "Gold", ""}, // iso-codes alone
		{"AWG", "Aruban florin", "ƒ"},
	} {
		if got := tables.Currencies[want.Code]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestLanguages(t *testing.T) {
	tables := excerptTables(t, everyFile)
	for _, want := range []Language{
		{"sv", "Swedish", "svenska"},
		{"zh-Hant", "Traditional Chinese", "繁體中文"},
		{"ja", "Japanese", "日本語"},
	} {
		if got := tables.Languages[want.Code]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for code, l := range tables.Languages {
		if strings.ContainsAny(code, "_") || strings.Contains(code, "alt") || l.Code != code {
			t.Errorf("language %q is %+v", code, l)
		}
	}
	for cc, c := range tables.Countries {
		if len(c.Languages) > maxLanguages {
			t.Errorf("%s has %d languages", cc, len(c.Languages))
		}
		for _, code := range c.Languages {
			if _, ok := tables.Languages[code]; !ok {
				t.Errorf("%s speaks %q, which no table knows", cc, code)
			}
		}
	}
}

func TestSourceOfReferenceFacts(t *testing.T) {
	tables := excerptTables(t, everyFile)
	for _, c := range []struct {
		field ipwarden.Field
		key   string
		want  string
	}{
		{ipwarden.FieldCountry, "SE", nameTerritories},
		{ipwarden.FieldCallingCode, "SE", nameCountryCodes},
		{ipwarden.FieldCallingCode, "XK", nameMledoze},
		{ipwarden.FieldContinentCode, "XK", nameGeoCountries},
		{ipwarden.FieldContinent, "SE", nameCountryCodes},
		{ipwarden.FieldIsEU, "SE", nameContainment},
		{ipwarden.FieldCurrencyCode, "SE", nameCountryCodes},
		{ipwarden.FieldCurrencyCode, "PA", nameCurrencyData},
		{ipwarden.FieldCurrencyName, "SEK", nameCurrencies},
		{ipwarden.FieldCurrencyName, "XAU", nameISOCurrencies},
		{ipwarden.FieldLanguages, "SE", nameTerritoryInfo},
		{ipwarden.FieldTimeZoneID, "SE", nameZones},
		{ipwarden.FieldRegion, "US-CA", nameAdmin1},
		{ipwarden.FieldRegion, "DE-HE", nameISORegions},
		{ipwarden.FieldCity, "", nameCities},
		{ipwarden.FieldASName, "", ""},
	} {
		if got := tables.Source(c.field, c.key); got != c.want {
			t.Errorf("%s of %s is from %q, want %q", c.field, c.key, got, c.want)
		}
	}
}

func TestRegions(t *testing.T) {
	tables := excerptTables(t, embeddable)
	if got := tables.Regions["US-CA"]; got != "California" {
		t.Errorf("US-CA is %q", got)
	}
	if got, ok := tables.Regions["DE-05"]; ok {
		t.Errorf("DE-05 is %q: GeoNames' codes are not ISO 3166-2 in Germany", got)
	}
	if _, ok := tables.Regions["DE-HE"]; ok {
		t.Error("iso-codes got into the embeddable tables")
	}
	if got := excerptTables(t, everyFile).Regions["DE-HE"]; got != "Hessen" {
		t.Errorf("DE-HE is %q", got)
	}
}

func TestZoneOf(t *testing.T) {
	tables := excerptTables(t, everyFile)
	for _, c := range []struct{ country, want string }{
		{"SE", "Europe/Stockholm"}, // a link in tzdata; zone.tab names it all the same
		{"DE", ""},                 // two zones, and too few cities in the excerpt to tell
		{"CY", ""},                 // two cities, two zones
		{"US", ""},
		{"XX", ""},
	} {
		got, ok := tables.ZoneOf(c.country)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q %t, want %q", c.country, got, ok, c.want)
		}
	}
	if got, ok := new(Tables).ZoneOf("SE"); ok {
		t.Errorf("empty tables know %q", got)
	}
}

func TestFlagEmoji(t *testing.T) {
	for cc, want := range map[string]string{"SE": "🇸🇪", "US": "🇺🇸", "": "", "se": "", "SWE": ""} {
		if got := FlagEmoji(cc); got != want {
			t.Errorf("%q: %q, want %q", cc, got, want)
		}
	}
}

func TestCallingCode(t *testing.T) {
	for in, want := range map[string]string{
		"46": "46", "+46": "46", "1-809,1-829": "1", " 44-1481": "44", "39-06": "39", "": "", " ": "", "+383": "383", "9999": "", "x1": "",
	} {
		if got := callingCode(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Every table refuses what is not its own, with a reason, and leaves alone
// what the others said.
func TestReferenceRefusals(t *testing.T) {
	var empty bytes.Buffer
	z := zip.NewWriter(&empty)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range ReferenceFiles() {
		good := excerpt(t, f)
		for name, b := range map[string][]byte{
			"empty":     nil,
			"html":      []byte("<!doctype html><title>404</title>"),
			"json":      []byte(`{"a":1}`),
			"array":     []byte(`[]`),
			"truncated": good[:min(len(good), 40)],
			"zip":       empty.Bytes(),
			"nul":       make([]byte, 4096),
		} {
			if name == "truncated" && strings.HasPrefix(f.Path, "reference/tz") || name == "truncated" && f.Name == nameAdmin1 {
				continue // rows of a table of lines stand for themselves
			}
			tables := &Tables{}
			err := f.Table(bytes.NewReader(b), tables)
			var file *FileError
			if !errors.As(err, &file) || file.Why == "" {
				t.Errorf("%s, %s: %v", f.Name, name, err)
			}
			if len(tables.Countries)+len(tables.Currencies)+len(tables.Regions)+tables.Cities.Len() > 0 {
				t.Errorf("%s, %s: filled something", f.Name, name)
			}
		}
	}
}

func TestReferenceFiles(t *testing.T) {
	seen := map[string]bool{}
	manual := false
	for _, f := range ReferenceFiles() {
		if f.Name == "" || seen[f.Name] || seen[f.Path] || f.Licence == "" || f.Attribution == "" || f.Table == nil {
			t.Errorf("%+v", f)
		}
		seen[f.Name], seen[f.Path] = true, true
		if manual && f.Embed {
			t.Errorf("%s comes after a table that may not be embedded", f.Name)
		}
		manual = manual || !f.Embed
	}
	if len(References()) != len(ReferenceFiles()) {
		t.Error("References lost some")
	}
}

func FuzzReferences(f *testing.F) {
	files := ReferenceFiles()
	for i, file := range files {
		f.Add(i, excerpt(f, file))
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		tables := &Tables{}
		_ = files[uint(i)%uint(len(files))].Table(bytes.NewReader(b), tables)
		for cc, c := range tables.Countries {
			if !isCountry(cc) || c.Code != cc || len(c.Languages) > maxLanguages || len(c.CallingCode) > 3 {
				t.Errorf("%q: %+v", cc, c)
			}
			tables.ZoneOf(cc)
		}
		tables.Cities.Find("US", "US-CA", "Dublin")
	})
}
