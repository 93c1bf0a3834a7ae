package feed

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

// fullFeeds are the facts and bad rows of the full feeds, counted with other
// tools (grep and awk over the files) and against the list of sources.
var fullFeeds = []struct {
	format, path string
	facts, bad   int
	date         string
}{
	// 385,602 rows without the 7,186 of no country: ??, EU, AP and withdrawn codes.
	{"tor-geoip", "geo/tor-geoip", 384686, 0, "2026-06-25"},
	{"tor-geoip", "geo/tor-geoip6", 276265, 0, "2026-06-25"},
	// 1,290,053 nets and 93,412 names, without 718 nets that have nothing but a pseudo country.
	{"ipfire", "geo/ipfire-location-2022-10-29.txt", 1290053 + 93412, 0, "2022-10-29"},
	// Blocks of addresses, and systems.
	{"delegated", "rir/delegated-afrinic-extended-latest", 6212 + 2431, 0, "2024-01-05"},
	{"delegated", "rir/delegated-lacnic-extended-latest", 31882 + 13234, 0, "2024-01-04"},
	{"delegated", "rir/delegated-apnic-latest", 58966 + 23493, 0, "2021-07-14"},
	{"zone", "country-zones/ipv4/us.cidr", 27769, 0, ""},
	{"zone", "country-zones/ipv6/us.cidr", 10009, 0, ""},
	{"zone", "country-zones/ipv4/eu.cidr", 0, 0, ""},
	// 172,627 IPv4 and 73,731 IPv6 rows, without 7198 of eu, ap and zz.
	{"zone-tar", "country-zones/country-ip-blocks.tar.gz", 172627 + 73731 - 7198, 0, "2025-09-04"},
	{"geofeed", "geofeed/verizon.csv", 52169, 0, ""},
	{"geofeed", "geofeed/ellijay-telephone.csv", 40234, 0, "2026-08-21"},
	{"geofeed", "geofeed/aws-geofeed.txt", 10661, 0, "2026-08-22"},
	{"geofeed", "geofeed/linode-akamai.txt", 4552, 0, "2025-07-24"},
	{"geofeed", "geofeed/digitalocean.csv", 1182, 0, ""},
	{"geofeed", "geofeed/3nt.csv", 68, 0, ""},
	{"geofeed", "geofeed/flexnetworks.csv", 52, 1, ""}, // 192.219.0.0.24
	{"geofeed", "geofeed/keyubu.csv", 22, 0, ""},
	{"geofeed", "geofeed/full-fibre.csv", 4, 0, ""},
	{"geofeed", "geofeed/aex-hyperfiber.csv", 24, 0, ""},
	{"geofeed", "geofeed/imon.csv", 56, 0, ""}, // and a header
	{"geofeed", "geofeed/american-cloud.csv", 9, 0, ""},
	{"geofeed", "geofeed/ipcore-my.csv", 6, 0, "2023-02-09"},
	{"geofeed", "geofeed/tv2-dk.csv", 3, 0, ""},
	{"geofeed", "geofeed/oxio.csv", 4, 0, ""},
	{"iptoasn", "asn/ip2asn-v4.excerpt.tsv", 1427, 0, ""},
	{"pyasn", "asn/pyasn-ipasn_20140513.head2000.dat", 1995, 0, "2014-05-13"},
	{"asnames-json", "asn/asnames.json", 77586 - 3734, 0, ""}, // reserved and private ones have no name
	{"asn-csv", "asn/bad-asn-list.csv", 742, 0, ""},
	{"asn-csv", "asn/oxl-kind_hosting.csv", 1135, 0, ""},
	{"asn-csv", "asn/oxl-kind_isp.csv", 4571, 0, ""},
	{"asn-csv", "asn/oxl-kind_education.csv", 494, 0, ""},
	{"asn-csv", "asn/oxl-kind_vpn.csv", 15, 0, ""},
	{"asn-csv", "asn/oxl-kind_scanner.csv", 12, 0, ""},
	{"asn-csv", "asn/oxl-kind_crawler.csv", 9, 0, ""},
	{"asn-text", "asn/x4b-datacenter-ASN.txt", 906, 0, ""},
	{"asn-text", "asn/x4b-vpn-ASN.txt", 15, 0, ""},
}

func TestFullFeeds(t *testing.T) {
	for _, tt := range fullFeeds {
		t.Run(tt.path, func(t *testing.T) {
			meta := Meta{Name: tt.path}
			facts, bad := 0, 0
			for f, err := range Formats()[tt.format](dataFile(t, tt.path), &meta) {
				var row *RowError
				switch {
				case err == nil:
					if facts++; facts%97 == 0 { // checking a fact costs more than parsing it
						checkFact(t, f)
					}
				case errors.As(err, &row):
					if bad++; bad < 10 {
						t.Log(err)
					}
				default:
					t.Error(err)
				}
			}
			date := ""
			if !meta.Date.IsZero() {
				date = meta.Date.Format(time.DateOnly)
			}
			if facts != tt.facts || bad != tt.bad || date != tt.date {
				t.Errorf("%d facts, %d bad rows, date %q; want %d, %d, %q", facts, bad, date, tt.facts, tt.bad, tt.date)
			}
		})
	}
}

// BenchmarkFormats parses the big feeds from memory, unpacked.
func BenchmarkFormats(b *testing.B) {
	for _, bm := range []struct{ format, path string }{
		{"tor-geoip", "geo/tor-geoip"},
		{"tor-geoip", "geo/tor-geoip6"},
		{"ipfire", "geo/ipfire-location-2022-10-29.txt"},
		{"delegated", "rir/delegated-lacnic-extended-latest"},
		{"zone-tar", "country-zones/country-ip-blocks.tar.gz"},
		{"geofeed", "geofeed/verizon.csv"},
		{"asnames-json", "asn/asnames.json"},
	} {
		b.Run(bm.path, func(b *testing.B) {
			body, err := io.ReadAll(dataFile(b, bm.path))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				for _, err := range Formats()[bm.format](bytes.NewReader(body), &Meta{}) {
					if err != nil {
						b.Fatal(err)
					}
					rows++
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
