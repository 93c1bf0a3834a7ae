package provider

import (
	"net/http"
	"time"

	"github.com/ipwarden/ipwarden"
)

// maxMind is the GeoIP2 web service, v2.1. Its plans are its services; that of
// GeoLite is had by url: https://geolite.info.
func maxMind() *vendor {
	return &vendor{
		base: "https://geoip.maxmind.com", terms: "MaxMind end user licence agreement",
		plans: []string{"country", "city", "insights"},
		keyIn: []string{inBasic}, needsKey: true, needsAccount: true,
		target:  func(c *Config) string { return "/geoip/v2.1/" + c.Plan + "/{ip}" },
		read:    readMaxMind,
		refused: refusedMaxMind,
		left: func(h http.Header, d node, now time.Time) Quota {
			q := commonQuota(h, now)
			if n, ok := parseCount(d.get("maxmind.queries_remaining").text()); ok {
				q.Remaining = n
			}
			return q
		},
	}
}

func refusedMaxMind(_ int, d node) (meaning, string) {
	message := d.get("error").text()
	switch d.get("code").text() {
	case "IP_ADDRESS_NOT_FOUND", "IP_ADDRESS_RESERVED":
		return meansUnknown, ""
	case "IP_ADDRESS_INVALID", "IP_ADDRESS_REQUIRED":
		return meansInvalid, message
	case "AUTHORIZATION_INVALID", "LICENSE_KEY_REQUIRED", "ACCOUNT_ID_REQUIRED", "ACCOUNT_ID_UNKNOWN", "PERMISSION_REQUIRED":
		return meansAuth, message
	case "INSUFFICIENT_FUNDS", "OUT_OF_QUERIES":
		return meansQuota, message
	}
	return meansFine, ""
}

func readMaxMind(a *answer, d node) {
	a.set(ipwarden.FieldContinentCode, d.get("continent.code"))
	a.set(ipwarden.FieldContinent, d.get("continent.names.en"))
	a.set(ipwarden.FieldCountryCode, d.get("country.iso_code"))
	a.set(ipwarden.FieldCountry, d.get("country.names.en"))
	if d.get("country").object() { // keys whose value is empty or false are left out
		on, _ := d.get("country.is_in_european_union").truth()
		a.set(ipwarden.FieldIsEU, node{on})
	}
	a.set(ipwarden.FieldRegion, d.get("subdivisions.0.names.en"))
	a.set(ipwarden.FieldRegionCode, d.get("subdivisions.0.iso_code"))
	a.set(ipwarden.FieldCity, d.get("city.names.en"))
	a.set(ipwarden.FieldPostal, d.get("postal.code"))
	a.place(d.get("location.latitude"), d.get("location.longitude"))
	a.set(ipwarden.FieldAccuracyKM, d.get("location.accuracy_radius"))
	a.set(ipwarden.FieldTimeZoneID, d.get("location.time_zone"))

	t := d.get("traits")
	a.network(t.get("network"))
	a.set(ipwarden.FieldASNumber, t.get("autonomous_system_number"))
	a.set(ipwarden.FieldASName, t.get("autonomous_system_organization"))
	a.set(ipwarden.FieldCompanyName, t.get("organization"))
	a.set(ipwarden.FieldCompanyDomain, t.get("domain"))
	a.set(ipwarden.FieldCompanyKind, t.get("user_type"))
	a.set(ipwarden.FieldCarrierMCC, t.get("mobile_country_code"))
	a.set(ipwarden.FieldCarrierMNC, t.get("mobile_network_code"))
	if a.said.Has(ipwarden.FieldCarrierMCC) {
		a.set(ipwarden.FieldCarrierName, t.get("isp"))
	}
	if t.get("connection_type").text() == "Cellular" || t.get("user_type").text() == "cellular" {
		a.trait(ipwarden.Mobile, node{true})
	}
	if t.get("connection_type").text() == "Satellite" {
		a.trait(ipwarden.Satellite, node{true})
	}
	a.trait(ipwarden.Anycast, t.get("is_anycast"))
	if a.cfg.Plan == "insights" {
		readAnonymizer(a, t, d.get("anonymizer"))
	}
}

// readAnonymizer reads the flags of insights, of which only those that are true
// are in an answer: the others are denied. They are in two places.
func readAnonymizer(a *answer, traits, anonymizer node) {
	for _, m := range []struct {
		trait ipwarden.Traits
		name  string
	}{
		{ipwarden.VPN, "is_anonymous_vpn"},
		{ipwarden.Hosting, "is_hosting_provider"},
		{ipwarden.Proxy, "is_public_proxy"},
		{ipwarden.ResidentialProxy, "is_residential_proxy"},
		{ipwarden.Tor, "is_tor_exit_node"},
	} {
		a.trait(m.trait, node{traits.get(m.name).isTrue() || anonymizer.get(m.name).isTrue()})
	}
	a.trait(ipwarden.Anonymous, node{traits.get("is_anonymous").isTrue() || anonymizer.get("is_anonymous").isTrue()})
	a.set(ipwarden.FieldVPNName, anonymizer.get("provider_name"))
	switch traits.get("user_type").text() {
	case "search_engine_spider":
		a.trait(ipwarden.Crawler, node{true})
		a.set(ipwarden.FieldCrawlerPurpose, node{"search"})
	case "hosting", "content_delivery_network":
		a.trait(ipwarden.Hosting, node{true})
	}
}
