package feed

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBad reads the broken files of testdata/bad. The good rows among the bad
// are still read, and each bad one is reported with its line and reason.
func TestBad(t *testing.T) {
	for _, tt := range slices.Concat(badFiles, badLists) {
		t.Run(tt.file+" as "+tt.format, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "bad", tt.file))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSpace(transcript(tt.format, tt.file, body)), "\n")
			if !slices.Equal(got, tt.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

type badFile struct {
	file, format string
	want         []string // the facts, the bad rows, the end
}

var badFiles = []badFile{
	{"tor-geoip.txt", "tor-geoip", []string{
		`1.0.0.0/24 Country="AU"`,
		`bad line 2: the range ends before it begins: "16777471,16777216,AU"`,
		`bad line 3: the range's ends are not of one form: "16777216,4294967296,AU"`,
		`bad line 4: the range's ends are not of one family: "1.0.0.0,2001::,AU"`,
		`bad line 5: want FROM,TO,COUNTRY: "16777216,16777471"`,
		`bad line 6: the country is not two letters: "16777216,16777471,AUS"`,
		`bad line 7: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "-1,5,AU"`,
		`bad line 8: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "2001:200::,2001:200:zz::,JP"`,
		`bad line 10: the range ends before it begins: "2001:200::,2001:1ff::,JP"`,
	}},
	{"ipfire.txt", "ipfire", []string{
		`192.0.2.0/24`, // of a pseudo country: nothing is known
		`203.0.113.0/24 Country="SE"`,
		`bad line 1: an IPv4 prefix length goes to 32: "net: 1.0.0.0/33"`,
		`bad line 5: this is no number of an autonomous system: "aut-num: ASX"`,
		`bad line 9: want "yes" or "no": "is-anycast: maybe"`,
		`bad line 12: want "key: value": "no colon here"`,
		`bad line 17: an address with a zone means something on one host only: "net: fe80::1%eth0/64"`,
		`bad line 22: this is no number of an autonomous system: "aut-num: 99999999999"`,
	}},
	{"delegated.txt", "delegated", []string{
		`date 2021-07-14T00:00:00Z`,
		`1.0.0.0/24 Country="AU" Registry="apnic"`,
		`bad line 2: a block of more than 131072 systems is not believed: "apnic|JP|asn|1|4294967295|20020801|allocated"`,
		`bad line 3: the count of systems is none, or goes past the last number: "apnic|JP|asn|173|0|20020801|allocated"`,
		`bad line 4: the count of systems is none, or goes past the last number: "apnic|JP|asn|4294967295|2|20020801|allocated"`,
		`bad line 5: the count of addresses is none, or goes past the last address: "apnic|AU|ipv4|255.255.255.0|512|20110811|assigned"`,
		`bad line 6: the count of addresses is none, or goes past the last address: "apnic|AU|ipv4|1.0.0.0|0|20110811|assigned"`,
		`bad line 7: the status is none of allocated, assigned, available, reserved: "apnic|AU|ipv4|1.0.0.0|256|20110811|stolen"`,
		`bad line 8: the registry is none of afrinic, apnic, arin, lacnic, ripencc: "example|AU|ipv4|1.0.0.0|256|20110811|assigned"`,
		`bad line 9: the type is none of asn, ipv4, ipv6: "apnic|AU|ipv9|1.0.0.0|256|20110811|assigned"`,
		`bad line 10: the prefix length is no number of 0 to 128: "apnic|JP|ipv6|2001:200::|129|19990813|allocated"`,
		`bad line 11: an IPv4-mapped prefix is ambiguous: write it as IPv4: "apnic|JP|ipv6|::ffff:1.2.3.4|120|19990813|allocated"`,
		`bad line 12: want registry|cc|type|start|value|date|status: "apnic|JP"`,
		`bad line 13: an IPv4 part has a leading zero, which is octal to some readers: "apnic|AU|ipv4|01.0.0.0|256|20110811|assigned"`,
	}},
	{"delegated-truncated.txt", "delegated", []string{
		`date 2021-07-14T00:00:00Z`,
		`1.0.0.0/24 Country="AU" Registry="apnic"`,
		`ended the file is truncated: its first line promises 69826 records, and there are 1`,
	}},
	{"us.cidr", "zone", []string{
		`198.51.100.0/24 Country="US"`,
		`bad line 1: an IPv4 prefix length goes to 32: "10.0.0.0/33"`,
		`bad line 2: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "1.2.3"`,
		`bad line 3: the prefix length is no number of 0 to 32, or to 128 for IPv6: "1.2.3.4/"`,
		`bad line 4: the prefix length is no number of 0 to 32, or to 128 for IPv6: "1.2.3.4/08"`,
		`bad line 5: an IPv4-mapped prefix is ambiguous: write it as IPv4: "::ffff:1.2.3.0/120"`,
		`bad line 6: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "300.1.1.1"`,
		`bad line 7: an IPv4 part has a leading zero, which is octal to some readers: "1.2.3.04/32"`,
		`bad line 8: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "2001:db8::1::/64"`,
		`bad line 9: an address with a zone means something on one host only: "fe80::1%eth0"`,
	}},
	{"geofeed.csv", "geofeed", []string{
		`198.51.100.0/24 Country="US" City="Toronto"`,
		`198.51.100.0/24 Country="US" City="X"`,
		`2001:db8::/32 Country="US" Region="US-NY" City="Bronx, \"The\"" Postal="10451"`,
		`bad line 1: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "192.219.0.0.24,CA,CA-MB,Winnipeg,"`,
		`bad line 2: an IPv4 part has a leading zero, which is octal to some readers: "165.254.252.023,US,US-NY,New York,"`,
		`bad line 3: the country is no code of ISO 3166-1: "192.0.2.0/24,USA,US-NY,New York,"`,
		`bad line 4: the country is no code of ISO 3166-1: "192.0.2.0/24,EU,,,"`,
		`bad line 5: the address is missing: ",US,US-NY,,"`,
		`bad line 6: an address with a zone means something on one host only: "fe80::1%1,US,,,"`,
	}},
	{"geofeed.csv", "zone", []string{
		`ended a zone file is named for its country, as us.cidr is; "geofeed.csv" is not`,
	}},
	{"ip2asn.tsv", "iptoasn", []string{
		`1.1.1.0/32 Origin=13335 ASName="X"`,
		`bad line 1: want start, end, system, country and name, divided by tabs: "1.1.1.0\t1.1.1.0"`,
		`bad line 2: the range ends before it begins: "1.1.1.9\t1.1.1.0\t13335\tUS\tX"`,
		`bad line 3: the range's ends are not of one family: "1.1.1.0\t2001::\t13335\tUS\tX"`,
		`bad line 4: this is no number of an autonomous system: "1.1.1.0\t1.1.1.1\tnone\tUS\tX"`,
		`bad line 5: this is no number of an autonomous system: "1.1.1.0\t1.1.1.1\t4294967296\tUS\tX"`,
		`bad line 6: the range's ends are not of one form: "16843008\t1.1.1.1\t13335\tUS\tX"`,
	}},
	{"pyasn.dat", "pyasn", []string{
		`1.0.0.0/24 Origin=15169`,
		`bad line 2: want a prefix, a tab and a system: "1.0.0.0/24 15169"`,
		`bad line 3: this is no number of an autonomous system: "1.0.0.0/24\tAS"`,
		`bad line 4: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "1.0.0/24\t15169"`,
		`bad line 5: this is no number of an autonomous system: "1.0.0.0/24\t{1,2}"`,
	}},
	{"asnames.json", "asnames-json", []string{
		`AS15169 ASName="Google LLC"`,
		`bad line 1: this is no number of an autonomous system: "x"`,
		`bad line 2: the name is no string: "1: 7"`,
		`bad line 3: the name is no string: "2: {\"a\":[1,2]}"`,
		`bad line 4: the name is no string: "3: null"`,
		`bad line 5: this is no number of an autonomous system: "4294967296"`,
		`ended the file is no whole JSON object of numbers and names: unexpected EOF`,
	}},
	{"asnames-array.json", "asnames-json", []string{
		`ended the file is no whole JSON object of numbers and names: it does not begin with {`,
	}},
	{"asn.txt", "asnames-text", []string{
		`AS15169 ASName="Google LLC"`,
		`bad line 1: want the number of an autonomous system, a blank and its name: "GOOGLE, US"`,
		`bad line 2: want the number of an autonomous system, a blank and its name: "-1 NOBODY, US"`,
	}},
	{"asn.csv", "asn-csv", []string{
		`AS15169 ASName="\"unclosed"`,
		`AS64496 ASName="ACME, Inc"`,
		`bad line 2: this is no number of an autonomous system: "ASN,Entity"`,
		`bad line 3: this is no number of an autonomous system: "0,\"Nobody\""`,
		`bad line 4: this is no number of an autonomous system: "4294967296,\"High\""`,
		`bad line 5: this is no number of an autonomous system: ",\"None\""`,
	}},
	{"asn-text.txt", "asn-text", []string{
		`AS15169`,
		`bad line 2: this is no number of an autonomous system: "AS"`,
		`bad line 3: this is no number of an autonomous system: "ASX # x"`,
		`bad line 4: this is no number of an autonomous system: "AS0"`,
		`bad line 5: this is no number of an autonomous system: "15169 13335"`,
	}},
	{"zones.tar.gz", "zone-tar", []string{
		`ended the file is no whole tar or tar.gz: unexpected EOF`,
	}},
	{"zones-truncated.tar.gz", "zone-tar", []string{
		`date 2025-09-04T14:00:00Z`,
		`175.45.176.0/22 Country="KP"`,
		`185.17.220.0/22 Country="VA"`,
		`185.152.68.0/22 Country="VA"`,
		`193.43.102.0/23 Country="VA"`,
		`212.77.0.0/19 Country="VA"`,
		`ended the file is no whole tar or tar.gz: unexpected EOF`,
	}},
	{"zones.tar.gz", "geofeed", []string{
		`ended the file is gzip: it has to be unpacked first`,
	}},
	{"page.html", "geofeed", []string{
		`ended the file is an HTML page, probably an error page of the server`,
	}},
	{"page.html", "zone-tar", []string{
		`ended the file is no whole tar or tar.gz: unexpected EOF`,
	}},
	{"page.html", "asnames-json", []string{
		`ended the file is an HTML page, probably an error page of the server`,
	}},
	{"geofeed.csv", "tor-geoip", []string{
		`bad line 1: the country is not two letters: "192.219.0.0.24,CA,CA-MB,Winnipeg,"`,
		`bad line 2: the country is not two letters: "165.254.252.023,US,US-NY,New York,"`,
		`bad line 3: the country is not two letters: "192.0.2.0/24,USA,US-NY,New York,"`,
		`bad line 4: the country is not two letters: "192.0.2.0/24,EU,,,"`,
		`bad line 5: the country is not two letters: ",US,US-NY,,"`,
		`bad line 6: the country is not two letters: "fe80::1%1,US,,,"`,
		`bad line 7: the country is not two letters: "198.51.100.0/24,US,CA-ON,Toronto,"`,
		`bad line 8: the country is not two letters: "198.51.100.0/24,US,New York,\xff\xfeX,"`,
		`bad line 9: the country is not two letters: "203.0.113.0/24,ZZ,,,"`,
		`bad line 10: want FROM,TO,COUNTRY: "203.0.113.0/24"`,
		`bad line 11: the country is not two letters: "2001:DB8::/32,us,us-ny,\"Bronx, \"\"The\"\"\",10451 # here"`,
		`ended the file is no Tor geoip file: not one of its rows could be read`,
	}},
}
