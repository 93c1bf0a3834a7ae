package provider

import "github.com/ipwarden/ipwarden"

// ipasis is IPASIS. Its plans are the shapes of its address: the vendor documents
// /v1/lookup?ip=, and the others are in use. Each shape's answer is read as any:
// what is said at the top level, in privacy and in security.
func ipasis() *vendor {
	return &vendor{
		base: "https://api.ipasis.com", terms: "IPASIS terms of service",
		plans: []string{"lookup", "v1", "v1/ip", "v2/ip"},
		keyIn: []string{inHeader, inBearer, inQuery}, header: "X-API-Key", query: "key", needsKey: true,
		target: func(c *Config) string {
			switch c.Plan {
			case "v1":
				return "/v1/{ip}"
			case "v1/ip":
				return "/v1/ip/{ip}"
			case "v2/ip":
				return "/v2/ip/{ip}"
			}
			return "/v1/lookup?ip={ip}"
		},
		read: readIPASIS,
	}
}

func readIPASIS(a *answer, d node) {
	a.set(ipwarden.FieldCountryCode, d.first("location.country_code", "country_code"))
	if d.get("location.country_code").v == nil {
		a.set(ipwarden.FieldCountryCode, d.get("country")) // of the documented shape it is the code
	}
	a.set(ipwarden.FieldRegion, d.first("location.region", "region"))
	a.set(ipwarden.FieldCity, d.first("location.city", "city"))
	a.set(ipwarden.FieldPostal, d.first("location.postal", "postal"))
	a.set(ipwarden.FieldTimeZoneID, d.first("location.time_zone.id", "timezone", "time_zone.id"))
	a.loc(d.get("loc"))
	a.place(d.first("location.latitude", "latitude"), d.first("location.longitude", "longitude"))

	a.set(ipwarden.FieldASNumber, d.first("asn.ASN", "asn.asn", "asn.number"))
	a.set(ipwarden.FieldASName, d.first("asn.Name", "asn.name", "isp"))
	a.set(ipwarden.FieldASDomain, d.first("asn.Domain", "asn.domain"))
	a.set(ipwarden.FieldASRoute, d.first("asn.Route", "asn.route"))
	a.set(ipwarden.FieldASKind, d.first("asn.Type", "asn.type", "asn.kind"))
	a.set(ipwarden.FieldCompanyName, d.first("company.Name", "company.name"))
	a.set(ipwarden.FieldCompanyDomain, d.first("company.Domain", "company.domain"))
	a.set(ipwarden.FieldCompanyKind, d.first("company.Type", "company.type", "company.kind"))

	for _, m := range []struct {
		trait                 ipwarden.Traits
		privacy, plain, snake string
	}{
		{trait: ipwarden.VPN, privacy: "VPN", plain: "vpn", snake: "is_vpn"},
		{trait: ipwarden.Proxy, privacy: "Proxy", plain: "proxy", snake: "is_proxy"},
		{trait: ipwarden.Tor, privacy: "Tor", plain: "tor", snake: "is_tor"},
		{trait: ipwarden.Relay, privacy: "Relay", plain: "relay", snake: "is_relay"},
		{trait: ipwarden.Hosting, privacy: "Hosting", plain: "hosting", snake: "is_hosting"},
		{trait: ipwarden.Abuser, privacy: "Abuse", plain: "abuse", snake: "is_abuser"},
		{trait: ipwarden.Crawler, privacy: "Crawler", plain: "crawler", snake: "is_crawler"},
		{trait: ipwarden.ResidentialProxy, privacy: "ResidentialProxy", plain: "residential_proxy", snake: "is_residential_proxy"},
		{trait: ipwarden.Attacker, privacy: "Attacker", plain: "attacker", snake: "is_attacker"},
		{trait: ipwarden.Scanner, privacy: "Scanner", plain: "scanner", snake: "is_scanner"},
	} {
		a.trait(m.trait, d.get("privacy."+m.privacy))
		a.trait(m.trait, d.get("privacy."+m.plain))
		a.trait(m.trait, d.get("security."+m.snake))
		a.trait(m.trait, d.get(m.snake))
	}
	if d.get("privacy.AI").isTrue() { // crawlers that gather for models
		a.trait(ipwarden.Crawler, node{true})
		a.set(ipwarden.FieldCrawlerPurpose, node{"ai_training"})
	}
	a.set(ipwarden.FieldVPNName, d.first("privacy.Service", "privacy.service"))
}
