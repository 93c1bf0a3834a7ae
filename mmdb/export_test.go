package mmdb

import (
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// everything is a Record with all that an export can hold.
func everything() ipwarden.Full {
	return ipwarden.Full{
		Network: netip.MustParsePrefix("192.0.2.0/24"),
		Traits:  ipwarden.AllTraits,
		Location: ipwarden.Location{
			ContinentCode: "EU", Continent: "Europe", CountryCode: "SE", Country: "Sweden", IsEU: true, Flag: "🇸🇪",
			RegionCode: "AB", Region: "Stockholm", City: "Solna", Postal: "171 45",
			HasCoordinates: true, Latitude: 59.36, Longitude: 18.0, AccuracyKM: 20, TimeZone: ipwarden.TimeZone{ID: "Europe/Stockholm"},
		},
		ASN:     ipwarden.ASN{Number: 64500, Name: "Example AB", Domain: "as.example", Kind: "isp", Registry: "ripencc"},
		Company: ipwarden.Company{Name: "Example Ltd", Domain: "example.com", Kind: "education"},
		Carrier: ipwarden.Carrier{Name: "Example Mobile", MCC: "240", MNC: "01"},
		Security: ipwarden.Security{
			VPN:     "Example VPN",
			Crawler: ipwarden.CrawlerInfo{Name: "Examplebot", Purpose: "search"},
			Hosting: ipwarden.HostingInfo{Name: "Example Cloud", Region: "eu-north-1", Service: "EC2"},
			Bogon:   ipwarden.BogonInfo{Name: "TEST-NET-1", RFC: "RFC5737"},
			Listings: []ipwarden.Listing{
				{Name: "drop", Type: "hijacked", URL: "https://lists.example/drop", Date: time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC)},
				{Name: "other", Type: "attacker"},
			},
		},
	}
}

// What a Record knows comes back through a file, whatever part of it there is.
func TestExportRoundTrip(t *testing.T) {
	full := everything()
	partial := ipwarden.Full{Traits: ipwarden.Relay | ipwarden.Hosting, Network: full.Network, Company: ipwarden.Company{Kind: "business"}}
	country := ipwarden.Full{Network: full.Network, Location: ipwarden.Location{CountryCode: "SE", Flag: "🇸🇪"}}
	addr := netip.MustParseAddr("192.0.2.7")
	for name, want := range map[string]ipwarden.Full{"everything": full, "partial": partial, "country": country} {
		r, err := OpenBytes(file(t, Options{BuildTime: someDay, DatabaseType: "ipwarden"}, RecordMap(ipwarden.NewRecord(addr, want))))
		if err != nil {
			t.Fatal(err)
		}
		got := lookup(t, r, "192.0.2.7").Full()
		want.Date = someDay
		got.Evidence, got.Location.TimeZone.Zone = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

func TestRecordMap(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.7")
	m := RecordMap(ipwarden.NewRecord(addr, everything()))
	for path, want := range map[string]any{
		"city.names.en": "Solna", "continent.code": "EU", "country.iso_code": "SE", "country.is_in_european_union": true,
		"location.latitude": 59.36, "location.accuracy_radius": uint16(20), "location.time_zone": "Europe/Stockholm", "postal.code": "171 45",
		"autonomous_system_number": uint32(64500), "traits.autonomous_system_number": uint32(64500),
		"is_anonymous": true, "traits.is_anonymous": true, "traits.is_tor_exit_node": true, "is_residential_proxy": true,
		"traits.is_anycast": true, "traits.is_satellite_provider": true, "ipwarden.crawler.purpose": "search",
	} {
		var v any = m
		for key := range strings.SplitSeq(path, ".") {
			sub, _ := v.(Map)
			v = sub[key]
		}
		if v != want {
			t.Errorf("%s is %v, want %v", path, v, want)
		}
	}
	if m := RecordMap(ipwarden.Record{}); m != nil {
		t.Errorf("nothing is %v", m)
	}
	// MaxMind leaves out what is false.
	m = RecordMap(ipwarden.NewRecord(addr, ipwarden.Full{ASN: ipwarden.ASN{Number: 64500}}))
	if want := (Map{"autonomous_system_number": uint32(64500), "traits": Map{"autonomous_system_number": uint32(64500)}}); !reflect.DeepEqual(m, want) {
		t.Errorf("got %v, want %v", m, want)
	}
}

// Fields that an operator may ask libmaxminddb for, by its own command.
func TestExportMMDBLookup(t *testing.T) {
	program, err := exec.LookPath("mmdblookup")
	if err != nil {
		t.Skip("mmdblookup is not installed (Debian: mmdb-bin)")
	}
	path := writeFile(t, file(t, Options{BuildTime: someDay}, RecordMap(ipwarden.NewRecord(netip.MustParseAddr("192.0.2.7"), everything()))))
	for keys, want := range map[string]string{
		"country iso_code":             `"SE" <utf8_string>`,
		"subdivisions 0 names en":      `"Stockholm" <utf8_string>`,
		"location latitude":            `59.360000 <double>`,
		"autonomous_system_number":     `64500 <uint32>`,
		"traits is_anonymous_vpn":      `true <boolean>`,
		"ipwarden listings 1 type":     `"attacker" <utf8_string>`,
		"traits mobile_country_code":   `"240" <utf8_string>`,
		"country is_in_european_union": `true <boolean>`,
	} {
		args := append([]string{"--file", path, "--ip", "192.0.2.7"}, strings.Fields(keys)...)
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s, want %s", keys, err, out, want)
		}
	}
}
