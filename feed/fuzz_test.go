package feed

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzFormats feeds any bytes to any format. Its seeds are the excerpts of
// testdata, each under every format: a file under the wrong name must not do
// harm either.
func FuzzFormats(f *testing.F) {
	formats := Formats()
	names := slices.Sorted(maps.Keys(formats))
	for _, dir := range []string{"good", "bad"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				continue // a folder
			}
			for _, name := range names {
				if filepath.Ext(file) != ".want" && len(body) < 64<<10 {
					f.Add(name, body)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		parse, ok := formats[name]
		if !ok || len(body) > 1<<20 {
			t.Skip()
		}
		// A few bytes may mean many systems; more than any file has is enough.
		left := 1 << 18
		ended := false
		for fact, err := range parse(bytes.NewReader(body), &Meta{Name: "us.cidr"}) {
			if ended {
				t.Fatal("something came after the end of the file")
			}
			if left--; left < 0 {
				return
			}
			if err == nil {
				checkFact(t, fact)
				continue
			}
			var row *RowError
			var file *FileError
			switch {
			case errors.As(err, &row):
				if row.Line < 1 || row.Why == "" || len(row.Row) > maxRow+8 {
					t.Fatalf("a row error that helps nobody: %+v", row)
				}
			case errors.As(err, &file):
				ended = true
			default:
				t.Fatalf("an error that is neither of a row nor of the file: %T", err)
			}
		}
	})
}

// checkFact holds a fact to its contract.
func checkFact(t *testing.T, f *Fact) {
	t.Helper()
	switch {
	case !f.From.IsValid() && !f.To.IsValid():
		if f.AS == 0 {
			t.Fatalf("a fact about nothing: %+v", f)
		}
	case f.From.BitLen() != f.To.BitLen(), f.From.Is4In6(), f.From.Zone() != "", f.To.Zone() != "", f.To.Less(f.From):
		t.Fatalf("the range %s-%s", f.From, f.To)
	case f.Bits != slowBits(f.From, f.To):
		t.Fatalf("%s-%s has Bits %d", f.From, f.To, f.Bits)
	}
	if c := f.Country; c != "" && (len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z') {
		t.Fatalf("the country %q", c)
	}
	if r := f.Region; r != "" && (len(r) < 4 || r[:2] != f.Country || r[2] != '-') {
		t.Fatalf("the region %q of %q", r, f.Country)
	}
	if f.HasCoordinates && !(f.Latitude >= -90 && f.Latitude <= 90 && f.Longitude >= -180 && f.Longitude <= 180) {
		t.Fatalf("the place %v, %v", f.Latitude, f.Longitude)
	}
	for _, s := range []string{
		f.RegionName, f.City, f.Postal, f.TimeZone, f.ASName, f.ASDomain, f.ASKind, f.Registry, f.Company, f.CompanyDomain, f.CompanyKind,
		f.Carrier, f.MCC, f.MNC, f.Name, f.CloudRegion, f.CloudService, f.RFC, f.Purpose, f.Detail,
	} {
		if !utf8.ValidString(s) || len(s) > 1<<10 {
			t.Fatalf("the text %.100q", s)
		}
	}
}
