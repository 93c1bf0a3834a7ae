package provider

import (
	"net/http"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// ipdata is ipdata.co, API v1. Its key goes into the query; there is no other way.
func ipdata() *vendor {
	return &vendor{
		base: "https://api.ipdata.co", terms: "ipdata terms of service",
		keyIn: []string{inQuery}, query: "api-key", needsKey: true,
		target:  func(*Config) string { return "/{ip}" },
		read:    readIPData,
		refused: refusedIPData,
		left: func(h http.Header, d node, now time.Time) Quota {
			q := commonQuota(h, now)
			if n, ok := parseCount(d.get("count").text()); ok {
				q.Used = n
			}
			return q
		},
	}
}

// refusedIPData tells the quota, which is a 403, from a key that is refused, and
// an address that is reserved from one that is none.
func refusedIPData(status int, d node) (meaning, string) {
	message := d.get("message").text()
	words := strings.ToLower(message)
	switch {
	case status == http.StatusForbidden && strings.Contains(words, "quota"):
		return meansQuota, message
	case status == http.StatusBadRequest && (strings.Contains(words, "private") || strings.Contains(words, "reserved") || strings.Contains(words, "bogon")):
		return meansUnknown, ""
	}
	return meansFine, ""
}

func readIPData(a *answer, d node) {
	a.set(ipwarden.FieldCountryCode, d.get("country_code"))
	a.set(ipwarden.FieldCountry, d.get("country_name"))
	a.set(ipwarden.FieldContinentCode, d.get("continent_code"))
	a.set(ipwarden.FieldContinent, d.get("continent_name"))
	a.set(ipwarden.FieldIsEU, d.get("is_eu"))
	a.set(ipwarden.FieldRegion, d.get("region"))
	a.set(ipwarden.FieldRegionCode, d.get("region_code"))
	a.set(ipwarden.FieldCity, d.get("city"))
	a.set(ipwarden.FieldPostal, d.get("postal"))
	a.place(d.get("latitude"), d.get("longitude"))
	a.set(ipwarden.FieldCallingCode, d.get("calling_code"))
	a.set(ipwarden.FieldFlag, d.get("emoji_flag"))
	a.set(ipwarden.FieldLanguages, d.get("languages"))
	a.set(ipwarden.FieldCurrencyCode, d.get("currency.code"))
	a.set(ipwarden.FieldCurrencyName, d.get("currency.name"))
	a.set(ipwarden.FieldCurrencySymbol, d.get("currency.native"))
	a.set(ipwarden.FieldTimeZoneID, d.get("time_zone.name"))

	a.set(ipwarden.FieldASNumber, d.get("asn.asn"))
	a.set(ipwarden.FieldASName, d.get("asn.name"))
	a.set(ipwarden.FieldASDomain, d.get("asn.domain"))
	a.set(ipwarden.FieldASRoute, d.get("asn.route"))
	a.set(ipwarden.FieldASKind, d.get("asn.type"))
	a.set(ipwarden.FieldCompanyName, d.get("company.name"))
	a.set(ipwarden.FieldCompanyDomain, d.get("company.domain"))
	a.set(ipwarden.FieldCompanyKind, d.get("company.type"))
	a.set(ipwarden.FieldCarrierName, d.get("carrier.name"))
	a.set(ipwarden.FieldCarrierMCC, d.get("carrier.mcc"))
	a.set(ipwarden.FieldCarrierMNC, d.get("carrier.mnc"))
	if d.get("carrier").object() {
		a.trait(ipwarden.Mobile, node{true})
	}

	t := d.get("threat")
	a.trait(ipwarden.Tor, t.get("is_tor"))
	a.trait(ipwarden.VPN, t.get("is_vpn"))
	a.trait(ipwarden.Relay, t.get("is_icloud_relay"))
	a.trait(ipwarden.Proxy, t.get("is_proxy"))
	a.trait(ipwarden.Hosting, t.get("is_datacenter"))
	a.trait(ipwarden.Attacker, t.get("is_known_attacker"))
	a.trait(ipwarden.Abuser, t.get("is_known_abuser"))
	a.trait(ipwarden.Bogon, t.get("is_bogon"))
	a.trait(ipwarden.Anonymous, t.get("is_anonymous"))
	for _, b := range t.get("blocklists").list() {
		a.listing(ipwarden.Listing{Name: b.get("name").text(), Type: b.get("type").text(), URL: b.get("site").text()})
	}
}
