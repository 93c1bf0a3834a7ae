package mmdb

import (
	"time"

	"github.com/ipwarden/ipwarden"
)

// RecordMap returns what a Record knows in MaxMind's schema: City, ASN,
// Anonymous-IP, ISP and Enterprise in one, names in English. As MaxMind does,
// it leaves out flags that are false and everything that is unknown. The
// network numbers and the anonymizer flags stand at the top level, where the
// flat databases have them, and under traits, where Enterprise has them. What
// the schema has no word for is under the key "ipwarden". The announced prefix,
// evidence and scores are left out, and so is what depends on the time of the
// answer. It is nil when the Record knows nothing.
func RecordMap(r ipwarden.Record) Map {
	m := Map{}
	location(m, r.Location())
	traits, asn := r.Traits(), r.ASN()
	company, carrier, sec := r.Company(), r.Carrier(), r.Security()

	words := Map{}
	if asn.Number != 0 {
		words["autonomous_system_number"] = asn.Number
	}
	words.text("autonomous_system_organization", asn.Name)
	for _, t := range anonymizers {
		if traits.Has(t.traits) {
			words[t.key] = true
		}
	}
	for key, v := range words { // so far both places have them
		m[key] = v
	}
	words.text("organization", company.Name)
	words.text("domain", company.Domain)
	words.text("mobile_country_code", carrier.MCC)
	words.text("mobile_network_code", carrier.MNC)
	words.text("user_type", userType(traits, company.Kind))
	if traits.Has(ipwarden.Anycast) {
		words["is_anycast"] = true
	}
	switch {
	case traits.Has(ipwarden.Satellite):
		words["is_satellite_provider"] = true
		words["connection_type"] = "Satellite"
	case traits.Has(ipwarden.Mobile):
		words["connection_type"] = "Cellular"
	}
	m.sub("traits", words)
	m.sub("ipwarden", ownWords(traits, asn, company, carrier, sec))
	if len(m) == 0 {
		return nil
	}
	return m
}

// anonymizers are the flags of the Anonymous-IP database.
var anonymizers = []struct {
	key    string
	traits ipwarden.Traits
}{
	{"is_anonymous", ipwarden.Anonymous},
	{"is_anonymous_vpn", ipwarden.VPN},
	{"is_hosting_provider", ipwarden.Hosting},
	{"is_public_proxy", ipwarden.Proxy},
	{"is_residential_proxy", ipwarden.ResidentialProxy},
	{"is_tor_exit_node", ipwarden.Tor},
}

// userType returns MaxMind's word for who uses the network, where ours means
// the same.
func userType(t ipwarden.Traits, company string) string {
	switch {
	case t.Has(ipwarden.Relay):
		return "consumer_privacy_network"
	case company == "business" || company == "government" || company == "hosting":
		return company
	}
	return ""
}

func location(m Map, l ipwarden.Location) {
	m.sub("city", Map{}.named(l.City))
	continent := Map{}.named(l.Continent)
	continent.text("code", l.ContinentCode)
	m.sub("continent", continent)
	country := Map{}.named(l.Country)
	country.text("iso_code", l.CountryCode)
	if l.IsEU {
		country["is_in_european_union"] = true
	}
	m.sub("country", country)
	place := Map{}
	if l.HasCoordinates {
		place["latitude"], place["longitude"] = l.Latitude, l.Longitude
	}
	if l.AccuracyKM != 0 {
		place["accuracy_radius"] = l.AccuracyKM
	}
	place.text("time_zone", l.TimeZone.ID)
	m.sub("location", place)
	postal := Map{}
	postal.text("code", l.Postal)
	m.sub("postal", postal)
	region := Map{}.named(l.Region)
	region.text("iso_code", l.RegionCode)
	if len(region) > 0 {
		m["subdivisions"] = []any{region}
	}
}

// maxmindTraits are the traits that MaxMind's schema has a flag for; relays and
// crawlers can only be user types there.
const maxmindTraits = ipwarden.VPN | ipwarden.Proxy | ipwarden.ResidentialProxy | ipwarden.Tor | ipwarden.Hosting |
	ipwarden.Anycast | ipwarden.Satellite

// ownWords is the map under "ipwarden"; type own reads it.
func ownWords(t ipwarden.Traits, asn ipwarden.ASN, company ipwarden.Company, carrier ipwarden.Carrier, sec ipwarden.Security) Map {
	m := Map{}
	if names := (t &^ maxmindTraits).Names(); len(names) > 0 {
		list := make([]any, len(names))
		for i, n := range names {
			list[i] = n
		}
		m["traits"] = list
	}
	m.text("vpn", sec.VPN)
	m.text("carrier", carrier.Name)
	m.texts("crawler", "name", sec.Crawler.Name, "purpose", sec.Crawler.Purpose)
	m.texts("hosting", "name", sec.Hosting.Name, "region", sec.Hosting.Region, "service", sec.Hosting.Service)
	m.texts("bogon", "name", sec.Bogon.Name, "rfc", sec.Bogon.RFC)
	m.texts("asn", "domain", asn.Domain, "kind", asn.Kind, "registry", asn.Registry)
	m.texts("company", "kind", company.Kind)
	var listings []any
	for _, l := range sec.Listings {
		entry := Map{}
		entry.text("name", l.Name)
		entry.text("type", l.Type)
		entry.text("url", l.URL)
		if !l.Date.IsZero() {
			entry.text("date", l.Date.UTC().Format(time.DateOnly))
		}
		listings = append(listings, entry)
	}
	if len(listings) > 0 {
		m["listings"] = listings
	}
	return m
}

// text sets a text that is known.
func (m Map) text(key, v string) {
	if v != "" {
		m[key] = v
	}
}

// texts sets a map of those of the texts that are known.
func (m Map) texts(key string, pairs ...string) {
	sub := Map{}
	for i := 0; i < len(pairs); i += 2 {
		sub.text(pairs[i], pairs[i+1])
	}
	m.sub(key, sub)
}

// sub sets a map that holds something.
func (m Map) sub(key string, sub Map) {
	if len(sub) > 0 {
		m[key] = sub
	}
}

// named adds an English name that is known.
func (m Map) named(english string) Map {
	if english != "" {
		m["names"] = Map{"en": english}
	}
	return m
}
