package mmdb

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

func readFile(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// factsOf collects facts by network.
func factsOf(t testing.TB, parse feed.Parser, b []byte, meta *feed.Meta) map[string]feed.Fact {
	t.Helper()
	all := map[string]feed.Fact{}
	for f, err := range parse(bytes.NewReader(b), meta) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Bits < 0 {
			t.Fatalf("%s-%s is no prefix", f.From, f.To)
		}
		all[netip.PrefixFrom(f.From, f.Bits).String()] = *f
	}
	return all
}

func TestImportMaxMind(t *testing.T) {
	for _, c := range []struct {
		file, network string
		want          feed.Fact
	}{
		{"GeoIP2-City-Test", "2.125.160.216/29", feed.Fact{
			Country: "GB", Region: "GB-ENG", RegionName: "England", City: "Boxford", Postal: "OX1",
			HasCoordinates: true, Latitude: 51.75, Longitude: -1.25, AccuracyKM: 100, TimeZone: "Europe/London",
		}},
		{"GeoLite2-ASN-Test", "1.0.0.0/24", feed.Fact{Origin: 15169, ASName: "Google Inc."}},
		{"GeoLite2-ASN-Test", "12.81.96.0/19", feed.Fact{Origin: 7018}},
		{"GeoIP2-Anonymous-IP-Test", "81.2.69.0/24", feed.Fact{
			Traits: ipwarden.VPN | ipwarden.Hosting | ipwarden.Proxy | ipwarden.ResidentialProxy | ipwarden.Tor,
		}},
		{"GeoIP-Anonymous-Plus-Test", "1.2.0.1/32", feed.Fact{
			Traits: ipwarden.VPN, Name: "foo", Seen: time.Date(2025, 4, 14, 0, 0, 0, 0, time.UTC),
		}},
		{"GeoIP-Residential-Proxy-Test", "1.2.0.4/32", feed.Fact{
			Traits: ipwarden.ResidentialProxy, Name: "quickshift", Seen: time.Date(2026, 5, 11, 0, 0, 0, 0, time.UTC),
		}},
		{"GeoIP2-Connection-Type-Test", "108.96.0.0/11", feed.Fact{Traits: ipwarden.Mobile}},
		{"GeoIP2-Connection-Type-Test", "1.0.0.0/24", feed.Fact{}},
		{"GeoIP2-Domain-Test", "1.2.0.0/16", feed.Fact{CompanyDomain: "maxmind.com"}},
		{"GeoIP2-Enterprise-Test", "149.101.100.0/28", feed.Fact{
			Country: "US", HasCoordinates: true, Latitude: 37.751, Longitude: -97.822, AccuracyKM: 1000, TimeZone: "America/Chicago",
			Origin: 6167, ASName: "CELLCO-PART", Company: "Verizon Wireless", Carrier: "Verizon Wireless", MCC: "310", MNC: "004",
		}},
		{"GeoIP2-Enterprise-Test", "214.214.214.221/32", feed.Fact{CompanyKind: "hosting"}},
	} {
		meta := feed.Meta{}
		all := factsOf(t, MaxMind, readFile(t, "good", c.file+".mmdb"), &meta)
		want := c.want
		want.SetPrefix(netip.MustParsePrefix(c.network))
		got, ok := all[c.network]
		if !ok {
			t.Errorf("%s: no network %s", c.file, c.network)
		} else if got != want {
			t.Errorf("%s: %s:\ngot  %+v\nwant %+v", c.file, c.network, got, want)
		}
		if meta.Date.Year() < 2015 {
			t.Errorf("%s: built at %s", c.file, meta.Date)
		}
	}
}

func TestImportIPinfo(t *testing.T) {
	for _, c := range []struct {
		file, network string
		want          feed.Fact
	}{
		{"ipinfo_lite_sample", "1.0.0.0/24", feed.Fact{Country: "AU", Origin: 13335, ASName: "Cloudflare, Inc.", ASDomain: "cloudflare.com"}},
		{"ipinfo_lite_sample", "1.0.1.0/24", feed.Fact{Country: "CN"}},
		{"ip_asn_sample", "1.0.16.0/24", feed.Fact{Origin: 2519, ASName: "ARTERIA Networks Corporation", ASDomain: "arteria-net.com"}},
		{"ip_company_sample", "1.0.0.0/24", feed.Fact{
			Country: "AU", Origin: 13335, ASName: "Cloudflare, Inc.", ASDomain: "cloudflare.com", ASKind: "hosting",
			Company: "APNIC and Cloudflare DNS Resolver project", CompanyDomain: "cloudflare.com", CompanyKind: "hosting",
		}},
		{"ip_company_sample", "1.0.1.0/24", feed.Fact{
			Country: "CN", Company: "CHINANET FUJIAN PROVINCE NETWORK", CompanyDomain: "chinatelecom.cn", CompanyKind: "isp",
		}},
		{"ip_geolocation_sample", "1.22.93.0/24", feed.Fact{
			Country: "IN", Region: "IN-GJ", RegionName: "Gujarat", City: "Ahmedabad", Postal: "380001",
			HasCoordinates: true, Latitude: 23.02579, Longitude: 72.58727, TimeZone: "Asia/Kolkata",
		}},
		{"privacy_detection_sample", "1.0.0.0/31", feed.Fact{Traits: ipwarden.Hosting}},
		{"privacy_detection_sample", "1.0.0.2/32", feed.Fact{Traits: ipwarden.Hosting | ipwarden.VPN}},
	} {
		all := factsOf(t, IPinfo, readFile(t, "good", c.file+".mmdb"), &feed.Meta{})
		want := c.want
		want.SetPrefix(netip.MustParsePrefix(c.network))
		got, ok := all[c.network]
		if !ok {
			t.Errorf("%s: no network %s", c.file, c.network)
		} else if got != want {
			t.Errorf("%s: %s:\ngot  %+v\nwant %+v", c.file, c.network, got, want)
		}
	}
}

func TestFormats(t *testing.T) {
	for name, parse := range Formats() {
		var file *feed.FileError
		for f, err := range parse(strings.NewReader("not a database"), &feed.Meta{}) {
			if f != nil || !errors.As(err, &file) {
				t.Errorf("%s: %+v, %v", name, f, err)
			}
		}
		if file == nil {
			t.Errorf("%s takes any text", name)
		}
	}
}

// Files that broke readers, and good ones cut and flipped: an error, or facts,
// but an end.
func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.mmdb")
	if err != nil || len(paths) < 20 {
		t.Fatal(len(paths), err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := 0
		for name, parse := range Formats() {
			for f, err := range parse(bytes.NewReader(b), &feed.Meta{}) {
				var row *feed.RowError
				var file *feed.FileError
				switch {
				case err == nil && f == nil, err != nil && !errors.As(err, &row) && !errors.As(err, &file):
					t.Errorf("%s, %s: %v, %v", path, name, f, err)
				case err != nil:
					bad++
				}
			}
		}
		switch filepath.Base(path) {
		case "libmaxminddb-uint64-max-epoch.mmdb", // sound but for its date
			"libmaxminddb-empty-array-last-in-metadata.mmdb", "libmaxminddb-empty-map-last-in-metadata.mmdb", // sound: only C read past the end
			"libmaxminddb-corrupt-search-tree.mmdb", // what is broken lies behind the tree's last network
			"libmaxminddb-deep-nesting.mmdb":        // a field we pass over
		default:
			if bad == 0 {
				t.Errorf("%s was taken for a good file", path)
			}
		}
		if r, err := OpenBytes(b); err == nil {
			for _, a := range []string{"1.1.1.1", "::1", "2001:db8::1", "81.2.69.160", "255.255.255.255", "::"} {
				_, _ = r.Lookup(t.Context(), netip.MustParseAddr(a))
			}
		}
	}
}

// A few nodes that point at each other stand for more networks than there are
// atoms; the walk must not be begun.
func TestHostileTree(t *testing.T) {
	for name, node := range map[string][2]uint32{
		"loop to data":     {0, 0},
		"chain of doubles": {1, 1},
	} {
		w, err := NewWriter(Options{BuildTime: someDay, DatabaseType: "GeoIP2-City"})
		if err != nil {
			t.Fatal(err)
		}
		// A long path gives the file enough nodes to be turned into a trap.
		if err := w.Insert(netip.MustParsePrefix("2001:db8::1/128"), Map{"a": "b"}); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := w.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		b := out.Bytes()
		const nodes = 120
		for i := range uint32(nodes) {
			left, right := node[0], node[1]
			if name == "chain of doubles" {
				left, right = i+1, i+1
			}
			copy(b[i*6:], appendNode(nil, left, right, 24))
		}
		var file *feed.FileError
		for f, err := range MaxMind(bytes.NewReader(b), &feed.Meta{}) {
			if !errors.As(err, &file) {
				t.Fatalf("%s: %+v, %v", name, f, err)
			}
		}
		if !errors.Is(file, errTree) {
			t.Errorf("%s: %v", name, file)
		}
	}
}

// A size of nodes that does not exist must not be computed with.
func TestUnknownRecordSize(t *testing.T) {
	for _, size := range []byte{0, 1, 23, 36, 255} {
		b := file(t, Options{BuildTime: someDay, DatabaseType: "GeoIP2-City"}, Map{"a": "b"})
		i := bytes.LastIndex(b, []byte("record_size")) + len("record_size") + 1 // behind the control byte
		if b[i] != 24 {
			t.Fatalf("the record size is not where it was: %d", b[i])
		}
		b[i] = size
		var file *feed.FileError
		for f, err := range MaxMind(bytes.NewReader(b), &feed.Meta{}) {
			if !errors.As(err, &file) {
				t.Fatalf("%d: %+v, %v", size, f, err)
			}
		}
		if file == nil {
			t.Errorf("nodes of %d bits were taken", size)
		}
	}
}

func FuzzImport(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.mmdb"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			if len(b) < 8<<10 { // long seeds make slow fuzzing
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		for _, parse := range Formats() {
			n := 0
			for fact, err := range parse(bytes.NewReader(b), &feed.Meta{}) {
				if (fact == nil) == (err == nil) {
					t.Fatalf("%v, %v", fact, err)
				}
				if n++; n > 1000 {
					break
				}
				if fact != nil && (!fact.From.IsValid() || fact.To.Less(fact.From)) {
					t.Fatalf("%s-%s", fact.From, fact.To)
				}
			}
		}
		if r, err := OpenBytes(b); err == nil {
			for _, a := range []string{"1.1.1.1", "::1", "2001:db8::1"} {
				if rec, err := r.Lookup(t.Context(), netip.MustParseAddr(a)); err == nil {
					rec.Evidence()
				}
			}
		}
	})
}
