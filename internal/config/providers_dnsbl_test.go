package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

func TestReadDNSBL(t *testing.T) {
	got, err := ReadProviders(strings.NewReader(`
providers:
  - kind: dnsbl
    resolver: [127.0.0.1:53, "::1"]
    ipv6_bits: 48
    zones:
      - BL.blocklist.de.
      - zone: zen.dq.spamhaus.net
        key: ${SPAMHAUS}
        listing: Spamhaus SBL
        ipv6: true
        text: false
        codes:
          127.0.0.2: attacker
          127.0.0.4: [proxy, is_abuser]
          127.0.0.10: none
          127.0.0.11: {traits: attacker, type: botnet, listing: XBL}
`), "p.yaml", environment("SPAMHAUS", "abc"))
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	code := netip.MustParseAddr
	want := []ProviderSpec{{Name: "dnsbl", Kind: "dnsbl", DNSBL: &DNSBLSpec{
		Resolvers: []string{"127.0.0.1:53", "::1"}, IPv6Bits: 48,
		Zones: []ZoneSpec{
			{Zone: "bl.blocklist.de", Place: "p.yaml:7:9"},
			{Zone: "zen.dq.spamhaus.net", Place: "p.yaml:8:9", Listing: "Spamhaus SBL", Key: "abc", IPv6: &yes, Text: &no, Codes: map[netip.Addr]CodeSpec{
				code("127.0.0.2"):  {Traits: ipwarden.Attacker, Type: "attacker"},
				code("127.0.0.4"):  {Traits: ipwarden.Proxy | ipwarden.Abuser, Type: "proxy"},
				code("127.0.0.10"): {},
				code("127.0.0.11"): {Traits: ipwarden.Attacker, Type: "botnet", Listing: "XBL"},
			}},
		},
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got[0].DNSBL, want[0].DNSBL)
	}
}

func TestReadDNSBLMistakes(t *testing.T) {
	_, err := ReadProviders(strings.NewReader(`
providers:
  - kind: dnsbl
    resolver: dns.example
    ipv6_bits: 8
    zones:
      - nodots
      - a.example
      - a.example
      - {zone: b.example, key: hush-hush, colour: red, codes: {10.0.0.2: spam, 127.255.255.254: attacker, 127.0.0.1: none, 127.0.0.2: bogon}}
      - {listing: "x"}
      - [1]
  - {name: two, kind: dnsbl}
  - {kind: ipinfo, zones: [a.example]}
`), "p.yaml", environment())
	if err == nil {
		t.Fatal("no mistake")
	}
	for _, want := range []string{
		`p.yaml:4:15: resolver "dns.example" is no address`, "ipv6_bits must be a whole number from 32 to 128", `p.yaml:7:9: zone "nodots" is no name`,
		"p.yaml:9:9: a.example is there already", "a key in this file is read by whoever", `a zone has no "colour"`, `"10.0.0.2" is no code`,
		`not "spam"`, "127.255.255.254 says that a list refuses", "127.0.0.1 says", `not "bogon"`, "a zone needs a name", "a zone must be a mapping",
		"p.yaml:13:6: zones belongs to kind dnsbl", "p.yaml:14:6: zones belongs to kind dnsbl",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("a key is in\n%v", err)
	}
}
