package feed

// badLists are the broken files of clouds and lists; see badFiles.
var badLists = []struct {
	file, format string
	want         []string
}{
	{"aws.json", "aws", []string{
		`3.4.12.0/24 CloudRegion="eu-west-1" CloudService="EC2"`,
		`bad line 1: an IPv4 prefix length goes to 32: "3.4.12.4/33"`,
		`bad line 2: the address is missing: ""`,
		`bad line 3: the entry is a JSON number: ""`,
		`bad line 4: the entry is a JSON array: ""`,
		`bad line 5: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "7"`,
	}},
	{"google-truncated.json", "google", []string{
		`192.0.2.0/24`,
		`198.51.100.0/24`,
		`ended the document is cut off after entry 3`,
	}},
	{"google.json", "google", []string{
		`192.0.2.0/24`,
		`bad line 2: an IPv4-mapped prefix is ambiguous: write it as IPv4: "::ffff:1.2.3.0/120"`,
		`ended the document is broken after entry 2: invalid character 'a' in literal true (expecting 'u')`,
	}},
	{"google-array.json", "google", []string{
		`ended the file is no list of prefixes in Google's form: the shape is wrong: an object was expected`,
	}},
	{"google-error.json", "google", []string{
		`ended the file is no list of prefixes in Google's form: it lacks the list that makes it one`,
	}},
	{"google-syntax.json", "google", []string{
		`192.0.2.0/24`,
		`ended the document is broken after entry 2: invalid character ']' looking for beginning of value`,
	}},
	{"google-deep.json", "google", []string{
		`ended the file is no list of prefixes in Google's form: the shape is wrong: it nests deeper than any list does`,
	}},
	{"google-truncated.json", "prefixes", []string{
		`192.0.2.0/24`,
		`198.51.100.0/24`,
		`ended the document is cut off after entry 3`,
	}},
	{"azure.json", "azure", []string{
		`192.0.2.0/24 CloudService="X"`,
		`203.0.113.0/24 CloudRegion="eastus" CloudService="Z"`,
		`bad line 2: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "0.0.0.0.0"`,
		`bad line 3: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "5"`,
		`bad line 4: an address with a zone means something on one host only: "fe80::1%eth0"`,
		`bad line 5: "properties.addressPrefixes" is a JSON string: ""`,
	}},
	{"oci.json", "oci", []string{
		`192.0.2.0/24 CloudRegion="r" CloudService="OSN"`,
		`bad line 2: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "x"`,
		`bad line 3: the address is missing: ""`,
		`bad line 4: "cidrs" is a JSON object: ""`,
		`bad line 5: "cidrs.tags" is a JSON string: ""`,
	}},
	{"lists.json", "fastly", []string{
		`192.0.2.0/24`,
		`bad line 2: the address is missing: ""`,
		`bad line 3: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "1.2.3"`,
		`bad line 4: the prefix length is no number of 0 to 32, or to 128 for IPv6: "2001:db8::/129"`,
		`bad line 5: the address is missing: ""`,
		`bad line 6: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "{\"a\":1}"`,
	}},
	{"lists.json", "zscaler", []string{
		`ended the file is no Zscaler hub list: the shape is wrong: a list was expected`,
	}},
	{"lists.json", "bgp-json", []string{
		`ended the file is no list of announced prefixes: it lacks the list that makes it one`,
	}},
	{"github-meta.json", "github", []string{
		`192.0.2.0/24 CloudService="hooks"`,
		`198.51.100.0/24 CloudService="pages"`,
		`bad line 2: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "github.com"`,
		`bad line 3: the prefix length is no number of 0 to 32, or to 128 for IPv6: "[\"198.51.100.0/24\"]"`,
		`ended the document is cut off after entry 4`,
	}},
	{"datadog.json", "datadog", []string{
		`ended the file is no Datadog list: the shape is wrong: an object was expected`,
	}},
	{"atlassian.json", "atlassian", []string{
		`192.0.2.0/24 CloudService="jira, xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"`,
		`bad line 1: "region" is a JSON string: ""`,
		`bad line 3: the address is missing: ""`,
	}},
	{"misp.json", "misp", []string{
		`192.0.2.1/32`,
		`2001:db8::1/128`,
		`bad line 2: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "dns.example"`,
		`bad line 3: the prefix length is no number of 0 to 32, or to 128 for IPv6: "192.0.2.0/24/24"`,
	}},
	{"ranges.csv", "range-csv", []string{
		`192.0.2.0-192.0.2.9 Name="Name"`,
		`192.0.2.10/32`,
		`bad line 3: the range ends before it begins: "192.0.2.9,192.0.2.0,Backwards,"`,
		`bad line 4: the row has no end of the range: "192.0.2.0"`,
		`bad line 5: the range's ends are not of one family: "192.0.2.0,2001:db8::,Mixed"`,
		`bad line 6: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "start,end,name,url"`,
		`bad line 7: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "192.0.2.300,192.0.2.301,X,"`,
	}},
	{"netset.txt", "netset", []string{
		`192.0.2.0/24`,
		`198.51.100.7/32`,
		`0.0.0.0/0`,
		`bad line 4: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "203.0.113.1 and more"`,
		`bad line 5: the prefix length is no number of 0 to 32, or to 128 for IPv6: "10.0.0.0/8/8"`,
		`bad line 6: an IPv4 part has a leading zero, which is octal to some readers: "01.2.3.4"`,
		`bad line 7: an IPv4-mapped prefix is ambiguous: write it as IPv4: "::ffff:0:0/96"`,
		`bad line 8: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "1.2.3.4-1.2.3.9"`,
		`bad line 9: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "example.com"`,
	}},
	{"netset.txt", "prefixes", []string{
		`192.0.2.0/24`,
		`198.51.100.7/32`,
		`0.0.0.0/0`,
		`bad line 4: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "203.0.113.1 and more"`,
		`bad line 5: the prefix length is no number of 0 to 32, or to 128 for IPv6: "10.0.0.0/8/8"`,
		`bad line 6: an IPv4 part has a leading zero, which is octal to some readers: "01.2.3.4"`,
		`bad line 7: an IPv4-mapped prefix is ambiguous: write it as IPv4: "::ffff:0:0/96"`,
		`bad line 8: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "1.2.3.4-1.2.3.9"`,
		`bad line 9: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "example.com"`,
	}},
	{"ip.csv", "ip-csv", []string{
		`192.0.2.1/32 Name="A, Inc"`,
		`198.51.100.0/24`,
		`bad line 3: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "not an address,B"`,
		`bad line 4: the address is missing: ",C"`,
		`bad line 6: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "192.0.2.1:80,D"`,
	}},
	{"ip-count.csv", "ip-csv", []string{
		`192.0.2.1/32 Count=5`,
		`bad line 3: the count is missing or no number: "192.0.2.2"`,
		`bad line 4: the count is missing or no number: "192.0.2.3,-1"`,
		`bad line 5: the count is missing or no number: "192.0.2.4,99999999999"`,
	}},
	{"ip-noheader.csv", "ip-csv", []string{
		`192.0.2.1/32`,
		`192.0.2.2/32`,
	}},
	{"tor.csv", "tor-exits-csv", []string{
		`192.0.2.1/32`,
		`bad line 3: the address is missing: "BBBB"`,
		`bad line 4: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "CCCC, tor.example, 9001"`,
		`bad line 5: an address with a zone means something on one host only: "DDDD, fe80::1%1, 9001"`,
	}},
	{"tor-exit-addresses", "tor-exit-addresses", []string{
		`192.0.2.1/32 Seen=2024-03-12T08:10:51Z`,
		`192.0.2.2/32`,
		`bad line 5: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "ExitAddress 192.0.2"`,
		`bad line 6: the address is missing: "ExitAddress"`,
		`bad line 7: no line of an exit list begins like this: "Something else"`,
	}},
	{"proxies.txt", "proxies", []string{
		`192.0.2.1/32`,
		`2001:db8::1/128`,
		`bad line 2: the port is no number of 1 to 65535: "http://192.0.2.2:0"`,
		`bad line 4: an IPv6 address with a port needs brackets: "2001:db8::1:1080"`,
		`bad line 5: the port is missing: "192.0.2.3"`,
		`bad line 6: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "proxy.example:80"`,
		`bad line 7: the port is no number of 1 to 65535: "http://192.0.2.4:99999"`,
		`bad line 8: the port is missing: "Proxy list (#1) updated at now"`,
	}},
	{"ipsum.txt", "ipsum", []string{
		`192.0.2.1/32 Count=3`,
		`bad line 3: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "192.0.2.2 3"`,
		`bad line 4: the count of lists is missing or no number: "192.0.2.3"`,
		`bad line 5: the count of lists is missing or no number: "192.0.2.4\tmany"`,
		`bad line 6: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "x\t1"`,
		`bad line 7: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "192.0.2.0/24\t1"`,
	}},
	{"spamhaus.json", "spamhaus-json", []string{
		`192.0.2.0/24`,
		`bad line 2: an IPv4 prefix length goes to 32: "{\"cidr\":\"192.0.2.0/40\"}"`,
		`bad line 3: the address is missing: "{}"`,
		`bad line 4: the line is no JSON object: "[]"`,
		`bad line 5: the line is no JSON object: "{\"cidr\":"`,
	}},
	{"spamhaus-truncated.json", "spamhaus-json", []string{
		`date 2026-08-22T16:14:02Z`,
		`192.0.2.0/24`,
		`ended the file says it has 1699 records and has 1: it is not whole`,
	}},
	{"asndrop.json", "asndrop", []string{
		`AS64496 ASName="X"`,
		`AS64497 ASDomain="example.com" Registry="lacnic"`,
		`bad line 2: the number of the autonomous system is missing or none: "{\"asn\":0}"`,
		`bad line 3: the number of the autonomous system is missing or none: "{\"asn\":\"x\"}"`,
		`bad line 4: the number of the autonomous system is missing or none: "{\"asn\":4294967296}"`,
	}},
	{"netset.txt", "spamhaus-text", []string{
		`192.0.2.0/24`,
		`198.51.100.7/32`,
		`0.0.0.0/0`,
		`bad line 4: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "203.0.113.1 and more"`,
		`bad line 5: the prefix length is no number of 0 to 32, or to 128 for IPv6: "10.0.0.0/8/8"`,
		`bad line 6: an IPv4 part has a leading zero, which is octal to some readers: "01.2.3.4"`,
		`bad line 7: an IPv4-mapped prefix is ambiguous: write it as IPv4: "::ffff:0:0/96"`,
		`bad line 8: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "1.2.3.4-1.2.3.9"`,
		`bad line 9: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "example.com"`,
	}},
	{"feodo.csv", "feodo", []string{
		`192.0.2.1/32 Name="M"`,
		`bad line 4: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "\"x\",\"192.0.2\",\"1\",\"online\",\"2024-04-01\",\"M\""`,
		`bad line 5: the address is missing: "\"x\""`,
	}},
	{"feodo-header.csv", "feodo", []string{
		`ended the file is no Feodo Tracker list: its header has no dst_ip`,
	}},
	{"threats.csv", "shadowwhisperer", []string{
		`192.0.2.1/32 Detail="alien"`,
		`192.0.2.2/32`,
		`bad line 3: this is neither an IPv4 address in four decimal parts nor an IPv6 address: "host,recon,,,,2026-01-01,2026-01-01"`,
	}},
	{"threats-header.csv", "shadowwhisperer", []string{
		`ended the file is no ShadowWhisperer list of threats: its header has no ip and category`,
	}},
	{"iana.csv", "iana-special", []string{
		`10.0.0.0/8 Traits=bogon Name="Private-Use" RFC="RFC1918"`,
		`10.1.0.0/16 Denied=bogon`,
		`10.2.0.0/16 Traits=bogon Name="Two" RFC="RFC1, RFC22"`,
		`10.3.0.0/16 Traits=bogon Name="Two" RFC="RFC1, RFC22"`,
		`bad line 3: an IPv4 prefix length goes to 32: "10.9.0.0/33"`,
		`bad line 6: the row is shorter than the header: "172.16.0.0/12"`,
		`bad line 7: the address is missing: ""`,
	}},
	{"iana-header.csv", "iana-special", []string{
		`ended the file is no special-purpose registry: its header has no "Address Block"`,
	}},
	{"long-line.txt", "netset", []string{
		`192.0.2.0/24`,
		`198.51.100.0/24`,
		`bad line 2: the line is longer than 64 KiB: "111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"`,
	}},
	{"zones.tar.gz", "google", []string{
		`ended the file is gzip: it has to be unpacked first`,
	}},
	{"google.json", "netset", []string{
		`bad line 1: the prefix length is no number of 0 to 32, or to 128 for IPv6: "{\"creationTime\":\"9999-01-01T00:00:00\",\"prefixes\":[{\"ipv4Prefix\":\"192.0.2.0/24\"},{\"ipv6Prefix\":\"::ffff:1.2.3.0/120\"}]} tr…"`,
		`ended the file is no list of prefixes: not one of its rows could be read`,
	}},
}
