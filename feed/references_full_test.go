package feed

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dataFile opens a file of the full feeds, or FILE.gz.
func dataFile(t testing.TB, path string) io.Reader {
	t.Helper()
	dir := os.Getenv("IPWARDEN_TEST_DATA")
	if dir == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set")
	}
	f, err := os.Open(filepath.Join(dir, path))
	if err != nil {
		f, err = os.Open(filepath.Join(dir, path+".gz"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if !strings.HasSuffix(f.Name(), ".gz") {
		return f
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// fullTables applies the files that keep says, in order.
func fullTables(t testing.TB, keep func(ReferenceFile) bool) *Tables {
	t.Helper()
	tables := &Tables{}
	for _, f := range ReferenceFiles() {
		if !keep(f) {
			continue
		}
		if err := f.Table(dataFile(t, f.Path), tables); err != nil {
			t.Fatalf("%s: %v", f.Path, err)
		}
	}
	return tables
}

// The share of a geofeed's rows whose city the gazetteer knows. What is missing
// is missing there: villages, and Boardman, Oregon, for which a join that
// ignores the state finds Boardman, Ohio.
func TestGazetteerJoinsGeofeeds(t *testing.T) {
	tables := fullTables(t, embeddable)
	for _, c := range []struct {
		path string
		want float64
	}{
		{"geofeed/aws-geofeed.txt", 0.92},
		{"geofeed/digitalocean.csv", 1},
		{"geofeed/linode-akamai.txt", 0.91},
		{"geofeed/verizon.csv", 0.75},
	} {
		found, all, missing := 0, 0, map[string]int{}
		rows := csv.NewReader(dataFile(t, c.path))
		rows.Comment, rows.FieldsPerRecord = '#', -1
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || len(row) < 4 || row[3] == "" {
				continue
			}
			all++
			city, ok := tables.Cities.Find(row[1], row[2], row[3])
			if !ok {
				missing[strings.Join(row[1:4], "/")]++
				continue
			}
			found++
			if row[1] == "US" && "US-"+city.Admin1 != row[2] {
				t.Fatalf("%s: %s is taken for the one in %s", c.path, row[1:4], city.Region)
			}
		}
		if share := float64(found) / float64(all); all == 0 || share < c.want {
			t.Errorf("%s: %d of %d rows (%.4f) find their city, want %.2f; %d names are missing: %.400v", c.path, found, all, share, c.want, len(missing), missing)
		}
	}
}

// The full tables, and against each other where two speak of the same thing.
func TestFullTables(t *testing.T) {
	own := fullTables(t, embeddable)
	if n := len(own.Countries); n != 250 { // ISO 3166-1 has 249; and Kosovo
		t.Errorf("%d countries", n)
	}
	for cc, c := range own.Countries {
		if c.Name == "" || c.Continent == "" {
			t.Errorf("%s: %+v", cc, c)
		}
		if c.Currency == "" && cc != "AQ" {
			t.Errorf("%s has no currency", cc)
		}
		if c.Currency != "" && own.Currencies[c.Currency].Name == "" {
			t.Errorf("%s: nothing is known of %s", cc, c.Currency)
		}
		for _, code := range c.Languages {
			if own.Languages[code].Code == "" {
				t.Errorf("%s: nothing is known of language %s", cc, code)
			}
		}
	}
	members := 0
	for _, c := range own.Countries {
		if c.IsEU {
			members++
		}
	}
	if members != 27 {
		t.Errorf("the European Union has %d members", members)
	}
	if n := own.Cities.Len(); n < 30_000 {
		t.Errorf("%d cities", n)
	}
	for _, want := range []struct{ country, zone string }{{"DE", "Europe/Berlin"}, {"SE", "Europe/Stockholm"}, {"FR", "Europe/Paris"}, {"US", ""}, {"ES", ""}, {"CY", ""}, {"FM", ""}, {"KI", ""}} {
		if got, _ := own.ZoneOf(want.country); got != want.zone {
			t.Errorf("the zone of %s is %q, want %q", want.country, got, want.zone)
		}
	}

	// The codes we take from GeoNames must be those of ISO 3166-2.
	iso := &Tables{}
	if err := ISOSubdivisions(dataFile(t, "reference/iso-codes/iso_3166-2.json"), iso); err != nil {
		t.Fatal(err)
	}
	for code := range own.Regions {
		if iso.Regions[code] == "" {
			t.Errorf("%s is no code of ISO 3166-2", code)
		}
	}
}
