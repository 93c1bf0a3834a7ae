package mmdb

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// dataFolder is the folder of full feeds.
func dataFolder(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("IPWARDEN_TEST_DATA")
	if dir == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set")
	}
	return dir
}

func writeFile(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.mmdb")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every file there is, through both parsers and as a Source.
func TestEveryFile(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"mmdb/*/*.mmdb", "mmdb/bad-data/*/*.mmdb", "anonymizer/*.mmdb"} {
		found, err := filepath.Glob(filepath.Join(dataFolder(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) < 60 {
		t.Fatalf("%d files", len(paths))
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, parse := range Formats() {
			facts, rows, files := 0, 0, 0
			for f, err := range parse(bytes.NewReader(b), &feed.Meta{}) {
				var row *feed.RowError
				var file *feed.FileError
				switch {
				case errors.As(err, &row):
					rows++
				case errors.As(err, &file):
					files++
				case f != nil && f.Bits >= 0:
					facts++
				default:
					t.Errorf("%s, %s: %v, %v", path, name, f, err)
				}
			}
			base := filepath.Base(path)
			if (strings.HasPrefix(base, "GeoIP") || strings.HasPrefix(base, "GeoLite2")) && name == "mmdb-maxmind" && !strings.Contains(base, "Invalid") && (facts == 0 || files > 0) {
				t.Errorf("%s: %d facts, %d bad rows, %d errors of the file", base, facts, rows, files)
			}
			if base == "icloud-egress-ip-ranges.mmdb" && name == "mmdb-maxmind" && (facts < 10_000 || rows > 0) {
				t.Errorf("%s: %d facts, %d bad rows", base, facts, rows)
			}
		}
		r, err := Open(path)
		if err != nil {
			continue
		}
		for _, a := range []string{"1.1.1.1", "81.2.69.160", "2001:218::1", "255.255.255.255", "::"} {
			if rec, err := r.Lookup(t.Context(), netip.MustParseAddr(a)); err == nil {
				rec.Evidence()
			}
		}
		r.Close()
	}
}

// IPinfo's samples come as CSV too: the same rows must say the same.
func TestIPinfoAgainstCSV(t *testing.T) {
	dir := filepath.Join(dataFolder(t), "mmdb", "ipinfo-samples")
	for _, c := range []struct {
		name   string
		fields map[string]ipwarden.Field
	}{
		{"ipinfo_lite_sample", map[string]ipwarden.Field{
			"country": ipwarden.FieldCountry, "country_code": ipwarden.FieldCountryCode,
			"continent_code": ipwarden.FieldContinentCode, "as_name": ipwarden.FieldASName, "as_domain": ipwarden.FieldASDomain,
		}},
		{"ip_asn_sample", map[string]ipwarden.Field{"name": ipwarden.FieldASName, "domain": ipwarden.FieldASDomain}},
		{"ip_company_sample", map[string]ipwarden.Field{
			"name": ipwarden.FieldCompanyName, "domain": ipwarden.FieldCompanyDomain,
			"type": ipwarden.FieldCompanyKind, "as_name": ipwarden.FieldASName, "as_type": ipwarden.FieldASKind,
		}},
		{"privacy_detection_sample", map[string]ipwarden.Field{
			"vpn": ipwarden.FieldIsVPN, "tor": ipwarden.FieldIsTor,
			"proxy": ipwarden.FieldIsProxy, "relay": ipwarden.FieldIsRelay, "hosting": ipwarden.FieldIsHosting,
		}},
	} {
		r, err := Open(filepath.Join(dir, c.name+".mmdb"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(filepath.Join(dir, c.name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		rows := csv.NewReader(f)
		head, err := rows.Read()
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			start, _, _ := strings.Cut(row[0], "/")
			rec, err := r.Lookup(t.Context(), netip.MustParseAddr(start))
			if err != nil {
				t.Fatal(err)
			}
			for i, column := range head {
				field, ok := c.fields[column]
				if !ok {
					continue
				}
				var view ipwarden.View
				got, _ := view.AppendText(nil, rec, field)
				want := row[i]
				if field.Traits() != 0 && want == "" {
					want = "false"
				}
				if string(got) != want {
					t.Errorf("%s: %s of %s is %q, in the CSV %q", c.name, column, start, got, want)
				}
				checked++
			}
		}
		f.Close()
		r.Close()
		if checked < 200 {
			t.Errorf("%s: %d values compared", c.name, checked)
		}
	}
}
