package provider

import (
	"net/http"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// ipinfo is IPinfo. Its plans differ in path and shape: Lite has the country and
// the AS; Core and Plus have geo, as and flags; legacy is what came before them.
func ipinfo() *vendor {
	return &vendor{
		base: "https://api.ipinfo.io", bases: map[string]string{"legacy": "https://ipinfo.io"}, terms: "IPinfo terms of service; Lite: CC-BY-SA-4.0",
		plans: []string{"lite", "core", "plus", "legacy"},
		keyIn: []string{inBearer, inBasic, inQuery}, query: "token",
		target: func(c *Config) string {
			switch c.Plan {
			case "lite":
				return "/lite/{ip}"
			case "legacy":
				return "/{ip}/json"
			}
			return "/lookup/{ip}"
		},
		read:    readIPinfo,
		refused: refusedIPinfo,
	}
}

func refusedIPinfo(status int, d node) (meaning, string) {
	message := d.first("error.message", "message", "error.title", "title").text()
	switch {
	case status == http.StatusNotFound && strings.Contains(strings.ToLower(d.get("error.title").text()), "wrong ip"):
		return meansInvalid, message
	case status == http.StatusForbidden && strings.Contains(strings.ToLower(message), "limit"):
		return meansQuota, message
	case status == http.StatusOK && d.get("bogon").isTrue():
		return meansUnknown, ""
	}
	return meansFine, ""
}

func readIPinfo(a *answer, d node) {
	if d.get("geo").object() || d.get("as").object() {
		readIPinfoCore(a, d)
		return
	}
	if code := d.get("country_code"); code.v != nil { // Lite
		a.set(ipwarden.FieldCountryCode, code)
		a.set(ipwarden.FieldCountry, d.get("country"))
		a.set(ipwarden.FieldContinentCode, d.get("continent_code"))
		a.set(ipwarden.FieldContinent, d.get("continent"))
		a.set(ipwarden.FieldASNumber, d.get("asn"))
		a.set(ipwarden.FieldASName, d.get("as_name"))
		a.set(ipwarden.FieldASDomain, d.get("as_domain"))
		return
	}
	a.set(ipwarden.FieldCountryCode, d.get("country"))
	a.set(ipwarden.FieldRegion, d.get("region"))
	a.set(ipwarden.FieldCity, d.get("city"))
	a.set(ipwarden.FieldPostal, d.get("postal"))
	a.set(ipwarden.FieldTimeZoneID, d.get("timezone"))
	a.loc(d.get("loc"))
	a.org(d.get("org"))
	a.set(ipwarden.FieldASNumber, d.get("asn.asn"))
	a.set(ipwarden.FieldASName, d.get("asn.name"))
	a.set(ipwarden.FieldASDomain, d.get("asn.domain"))
	a.set(ipwarden.FieldASRoute, d.get("asn.route"))
	a.set(ipwarden.FieldASKind, d.get("asn.type"))
	a.set(ipwarden.FieldCompanyName, d.get("company.name"))
	a.set(ipwarden.FieldCompanyDomain, d.get("company.domain"))
	a.set(ipwarden.FieldCompanyKind, d.get("company.type"))
	readIPinfoCarrier(a, d.get("carrier"))
	a.trait(ipwarden.Anycast, d.get("anycast"))
	p := d.get("privacy")
	a.trait(ipwarden.VPN, p.get("vpn"))
	a.trait(ipwarden.Proxy, p.get("proxy"))
	a.trait(ipwarden.Tor, p.get("tor"))
	a.trait(ipwarden.Relay, p.get("relay"))
	a.trait(ipwarden.Hosting, p.get("hosting"))
	a.set(ipwarden.FieldVPNName, p.get("service"))
}

func readIPinfoCore(a *answer, d node) {
	g := d.get("geo")
	a.set(ipwarden.FieldCountryCode, g.get("country_code"))
	a.set(ipwarden.FieldCountry, g.get("country"))
	a.set(ipwarden.FieldContinentCode, g.get("continent_code"))
	a.set(ipwarden.FieldContinent, g.get("continent"))
	a.set(ipwarden.FieldRegion, g.get("region"))
	a.set(ipwarden.FieldRegionCode, g.get("region_code"))
	a.set(ipwarden.FieldCity, g.get("city"))
	a.set(ipwarden.FieldPostal, g.get("postal_code"))
	a.set(ipwarden.FieldTimeZoneID, g.get("timezone"))
	a.set(ipwarden.FieldAccuracyKM, g.get("radius"))
	a.place(g.get("latitude"), g.get("longitude"))
	a.set(ipwarden.FieldASNumber, d.get("as.asn"))
	a.set(ipwarden.FieldASName, d.get("as.name"))
	a.set(ipwarden.FieldASDomain, d.get("as.domain"))
	a.set(ipwarden.FieldASKind, d.get("as.type"))
	a.trait(ipwarden.Anycast, d.get("is_anycast"))
	a.trait(ipwarden.Hosting, d.get("is_hosting"))
	a.trait(ipwarden.Satellite, d.get("is_satellite"))
	readIPinfoCarrier(a, d.get("mobile"))
	a.trait(ipwarden.Mobile, d.get("is_mobile"))
	n := d.get("anonymous")
	a.trait(ipwarden.VPN, n.get("is_vpn"))
	a.trait(ipwarden.Proxy, n.get("is_proxy"))
	a.trait(ipwarden.Tor, n.get("is_tor"))
	a.trait(ipwarden.Relay, n.get("is_relay"))
	a.trait(ipwarden.ResidentialProxy, n.get("is_res_proxy"))
	a.trait(ipwarden.Anonymous, d.get("is_anonymous"))
	a.set(ipwarden.FieldVPNName, n.get("name"))
}

func readIPinfoCarrier(a *answer, c node) {
	if c.get("name").text() == "" {
		return
	}
	a.set(ipwarden.FieldCarrierName, c.get("name"))
	a.set(ipwarden.FieldCarrierMCC, c.get("mcc"))
	a.set(ipwarden.FieldCarrierMNC, c.get("mnc"))
	a.trait(ipwarden.Mobile, node{true})
}
