package api

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
	"github.com/ipwarden/ipwarden/risk"
)

// Where each dialect says a fact, by its paths; the native answer's are the names
// of the facts. Of several the first that is there counts.
var factPaths = map[string]struct {
	target string // with %s for the address
	paths  map[string]string
}{
	"native": {"/v1/ip/%s", map[string]string{
		"country": "location.country_code", "country name": "location.country", "continent": "location.continent_code", "region": "location.region",
		"city": "location.city", "postal": "location.postal", "latitude": "location.latitude", "longitude": "location.longitude",
		"zone": "location.time_zone.id", "asn": "asn.number", "as name": "asn.name", "route": "asn.route", "as kind": "asn.kind",
		"company": "company.name", "mcc": "carrier.mcc", "currency": "location.currency.code", "vpn": "security.is_vpn",
		"tor": "security.is_tor", "relay": "security.is_relay", "hosting": "security.is_hosting", "anonymous": "security.is_anonymous",
		"mobile": "security.is_mobile", "anycast": "security.is_anycast", "threat": "security.is_threat", "abuser": "security.is_abuser",
		"attacker": "security.is_attacker", "crawler": "security.is_crawler", "operator": "security.vpn.name",
	}},
	"ipdata": {"/%s", map[string]string{
		"country": "country_code", "country name": "country_name", "continent": "continent_code", "region": "region", "city": "city",
		"postal": "postal", "latitude": "latitude", "longitude": "longitude", "zone": "time_zone.name", "asn": "asn.asn", "as name": "asn.name",
		"route": "asn.route", "as kind": "asn.type", "company": "company.name", "mcc": "carrier.mcc", "currency": "currency.code",
		"vpn": "threat.is_vpn", "tor": "threat.is_tor", "relay": "threat.is_icloud_relay", "hosting": "threat.is_datacenter",
		"abuser": "threat.is_known_abuser", "attacker": "threat.is_known_attacker", "threat": "threat.is_threat",
	}},
	"ipinfo": {"/%s", map[string]string{
		"country": "country", "region": "region", "city": "city", "postal": "postal", "zone": "timezone", "asn": "asn.asn", "as name": "asn.name",
		"route": "asn.route", "as kind": "asn.type", "company": "company.name", "mcc": "carrier.mcc", "anycast": "anycast",
		"vpn": "privacy.vpn", "tor": "privacy.tor", "relay": "privacy.relay", "hosting": "privacy.hosting", "operator": "privacy.service",
	}},
	"ipinfo core": {"/lookup/%s", map[string]string{
		"country": "geo.country_code", "country name": "geo.country", "continent": "geo.continent_code", "region": "geo.region", "city": "geo.city",
		"postal": "geo.postal_code", "latitude": "geo.latitude", "longitude": "geo.longitude", "zone": "geo.timezone", "asn": "as.asn",
		"as name": "as.name", "as kind": "as.type", "hosting": "is_hosting", "anonymous": "is_anonymous", "mobile": "is_mobile", "anycast": "is_anycast",
		"vpn": "anonymous.is_vpn", "tor": "anonymous.is_tor", "relay": "anonymous.is_relay", "mcc": "mobile.mcc", "operator": "anonymous.name",
	}},
	"ipinfo lite": {"/lite/%s", map[string]string{
		"country": "country_code", "country name": "country", "continent": "continent_code", "asn": "asn", "as name": "as_name",
	}},
	"maxmind": {"/geoip/v2.1/insights/%s", map[string]string{
		"country": "country.iso_code", "country name": "country.names.en", "continent": "continent.code", "region": "subdivisions.0.names.en",
		"city": "city.names.en", "postal": "postal.code", "latitude": "location.latitude", "longitude": "location.longitude",
		"zone": "location.time_zone", "asn": "traits.autonomous_system_number", "as name": "traits.autonomous_system_organization",
		"company": "traits.organization", "mcc": "traits.mobile_country_code", "vpn": "anonymizer.is_anonymous_vpn",
		"tor": "traits.is_tor_exit_node", "hosting": "anonymizer.is_hosting_provider", "anonymous": "traits.is_anonymous",
		"anycast": "traits.is_anycast", "operator": "anonymizer.provider_name",
	}},
	"ip-api": {"/json/%s?fields=66846719", map[string]string{
		"country": "countryCode", "country name": "country", "continent": "continentCode", "region": "regionName", "city": "city", "postal": "zip",
		"latitude": "lat", "longitude": "lon", "zone": "timezone", "asn": "as", "as name": "isp", "company": "org", "currency": "currency",
		"hosting": "hosting", "anonymous": "proxy", "mobile": "mobile",
	}},
	"ipregistry": {"/%s", map[string]string{
		"country": "location.country.code", "country name": "location.country.name", "continent": "location.continent.code",
		"region": "location.region.name", "city": "location.city", "postal": "location.postal", "latitude": "location.latitude",
		"longitude": "location.longitude", "zone": "time_zone.id", "asn": "connection.asn", "as name": "connection.organization",
		"route": "connection.route", "as kind": "connection.type", "company": "company.name", "mcc": "carrier.mcc", "currency": "currency.code",
		"vpn": "security.is_vpn", "tor": "security.is_tor", "relay": "security.is_relay", "hosting": "security.is_cloud_provider",
		"anonymous": "security.is_anonymous", "anycast": "connection.is_anycast", "threat": "security.is_threat",
		"abuser": "security.is_abuser", "attacker": "security.is_attacker",
	}},
	"ipasis": {"/v1/%s", map[string]string{
		"country": "location.country_code", "region": "region", "city": "city", "postal": "postal", "zone": "timezone", "asn": "asn.ASN",
		"as name": "asn.Name", "company": "company.Name", "vpn": "security.is_vpn", "tor": "privacy.Tor", "relay": "privacy.Relay",
		"hosting": "privacy.Hosting", "crawler": "security.is_crawler",
	}},
}

// The same address is the same in all dialects.
func TestDialectsAgree(t *testing.T) {
	set, err := dialect.New(dialect.Config{Scores: risk.Scores})
	if err != nil {
		t.Fatal(err)
	}
	spoken := map[string]bool{}
	for name := range factPaths {
		spoken[strings.Fields(name)[0]] = true
	}
	for _, name := range dialect.Names() {
		if !spoken[name] {
			t.Errorf("nothing is asked in the dialect %s", name)
		}
	}
	h := newAPI(t, func(c *Config) { c.Dialects = set }).Handler()
	facts := func(name, addr string) map[string]string {
		d := factPaths[name]
		target := fmt.Sprintf(d.target, addr)
		if name != "native" {
			target = "/compat/" + strings.Fields(name)[0] + target
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = target
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var doc any
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
			t.Errorf("%s: %d %v: %s", target, w.Code, err, w.Body)
		}
		said := map[string]string{}
		for fact, path := range d.paths {
			said[fact] = factText(fact, at(doc, path))
		}
		return said
	}
	for _, addr := range journeyAddrs {
		if addr == "9.9.9.9" { // nothing is known of it, which each vendor says in another way
			continue
		}
		want := facts("native", addr)
		for name := range factPaths {
			for fact, got := range facts(name, addr) {
				if got != want[fact] {
					t.Errorf("%s in %s: the %s is %q, and %q in ours", addr, name, fact, got, want[fact])
				}
			}
		}
	}
}

// at finds a value by its path; nil where there is none.
func at(doc any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		switch d := doc.(type) {
		case map[string]any:
			doc = d[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(d) {
				return nil
			}
			doc = d[i]
		default:
			return nil
		}
	}
	return doc
}

// factText is a fact as one text, whatever a vendor writes it as: what is false
// or not known is empty, an AS is its number.
func factText(fact string, v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case bool:
		if !x {
			return ""
		}
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case string:
		if fact == "asn" {
			number, _, _ := strings.Cut(strings.TrimPrefix(x, "AS"), " ")
			return number
		}
	}
	return fmt.Sprint(v)
}
