package dialect

import (
	"time"

	"github.com/ipwarden/ipwarden"
)

// appendMaxMind appends the answer of a product. Every key but traits has a comma
// after its value, since traits is always there and last.
func appendMaxMind(dst []byte, c *Call, rec ipwarden.Record, p product) []byte {
	loc, traits := rec.Location(), rec.Traits()
	dst = append(dst, '{')
	if p == mmInsights {
		dst = appendAnonymizer(dst, c, rec, traits)
	}
	if p >= mmCity {
		dst = appendNamed(dst, `"city":{`, loc.City)
	}
	if loc.ContinentCode != "" {
		dst = text(dst, `"continent":{"code":`, loc.ContinentCode)
		dst = append(appendNames(dst, continentKey(loc.ContinentCode), loc.Continent), `},`...)
	}
	if cc := loc.CountryCode; cc != "" {
		dst = append(dst, `"country":{`...)
		if loc.IsEU {
			dst = append(dst, `"is_in_european_union":true,`...)
		}
		dst = text(dst, `"iso_code":`, cc)
		dst = append(appendNames(dst, cc, loc.Country), `},`...)
	}
	if _, left, ok := c.quota(); ok {
		dst = append(number(dst, `"maxmind":{"queries_remaining":`, left), `},`...)
	}
	if p >= mmCity {
		dst = appendPlace(dst, &loc)
		if loc.Postal != "" {
			dst = append(text(dst, `"postal":{"code":`, loc.Postal), `},`...)
		}
		switch {
		case loc.RegionCode != "":
			dst = text(dst, `"subdivisions":[{"iso_code":`, loc.RegionCode)
			dst = append(appendNames(dst, "", loc.Region), `}],`...)
		case loc.Region != "":
			dst = append(text(dst, `"subdivisions":[{"names":{"en":`, loc.Region), `}}],`...)
		}
	}
	return append(appendMaxMindTraits(dst, c, rec, traits, p), '}')
}

// appendNames appends the names of a place: the English one, and of countries and
// continents those in other languages, by their code.
func appendNames(dst []byte, code, en string) []byte {
	if en == "" {
		return dst
	}
	dst = text(dst, `,"names":{"en":`, en)
	if code != "" {
		if p := places()[code]; p != nil {
			dst = append(dst, p.members...)
		}
	}
	return append(dst, '}')
}

func appendNamed(dst []byte, key, en string) []byte {
	if en == "" {
		return dst
	}
	return append(text(append(dst, key...), `"names":{"en":`, en), `}},`...)
}

// appendPlace appends coordinates and time zone.
func appendPlace(dst []byte, loc *ipwarden.Location) []byte {
	zone := loc.TimeZone.ID
	if !loc.HasCoordinates && zone == "" {
		return dst
	}
	dst = append(dst, `"location":{`...)
	if loc.HasCoordinates {
		if loc.AccuracyKM != 0 {
			dst = append(number(dst, `"accuracy_radius":`, int64(loc.AccuracyKM)), ',')
		}
		dst = degrees(dst, `"latitude":`, loc.Latitude)
		dst = degrees(dst, `,"longitude":`, loc.Longitude)
		if zone != "" {
			dst = append(dst, ',')
		}
	}
	if zone != "" {
		dst = text(dst, `"time_zone":`, zone)
	}
	return append(dst, `},`...)
}

// mmFlags are the booleans that both traits and anonymizer have.
var mmFlags = [...]struct {
	traits ipwarden.Traits
	key    string
}{
	{ipwarden.Anonymous, `"is_anonymous":true,`},
	{ipwarden.VPN, `"is_anonymous_vpn":true,`},
	{ipwarden.Hosting, `"is_hosting_provider":true,`},
	{ipwarden.Proxy, `"is_public_proxy":true,`},
	{ipwarden.ResidentialProxy, `"is_residential_proxy":true,`},
	{ipwarden.Tor, `"is_tor_exit_node":true,`},
}

func appendFlags(dst []byte, traits ipwarden.Traits) []byte {
	for i := range mmFlags {
		if traits.Has(mmFlags[i].traits) {
			dst = append(dst, mmFlags[i].key...)
		}
	}
	return dst
}

// appendAnonymizer appends who hides here. The day is the one of which the
// freshest list says so.
func appendAnonymizer(dst []byte, c *Call, rec ipwarden.Record, traits ipwarden.Traits) []byte {
	if !traits.Has(ipwarden.Anonymous | ipwarden.Hosting) {
		return dst
	}
	dst = append(dst, `"anonymizer":{`...)
	if traits.Has(ipwarden.VPN) {
		// The vendor's confidence is that of a VPN, from 1 to 99.
		if s := c.scores(rec).VPN; s > 0 {
			dst = append(number(dst, `"confidence":`, int64(min(s, 99))), ',')
		}
	}
	dst = appendFlags(dst, traits)
	if seen := lastSeen(rec, traits&ipwarden.Anonymous); !seen.IsZero() {
		dst = seen.UTC().AppendFormat(append(dst, `"network_last_seen":"`...), time.DateOnly)
		dst = append(dst, `",`...)
	}
	if traits.Has(ipwarden.VPN) {
		if name := rec.Security().VPN; name != "" {
			dst = append(text(dst, `"provider_name":`, name), ',')
		}
	}
	return append(dst[:len(dst)-1], `},`...) // one of the flags was written
}

// lastSeen is the freshest day of which a list says any of the traits.
func lastSeen(rec ipwarden.Record, traits ipwarden.Traits) (t time.Time) {
	for ; traits != 0; traits &= traits - 1 {
		if _, asOf := rec.Asserted(traits & -traits); asOf.After(t) {
			t = asOf
		}
	}
	return t
}

// appendMaxMindTraits appends traits, the last key.
func appendMaxMindTraits(dst []byte, c *Call, rec ipwarden.Record, traits ipwarden.Traits, p product) []byte {
	dst = append(dst, `"traits":{`...)
	var asn ipwarden.ASN
	if p >= mmCity {
		asn = rec.ASN()
		if asn.Number != 0 {
			dst = append(number(dst, `"autonomous_system_number":`, int64(asn.Number)), ',')
		}
		if asn.Name != "" {
			dst = append(text(dst, `"autonomous_system_organization":`, asn.Name), ',')
		}
		co := rec.Company()
		if t := connectionType(traits, asn.Kind); t != "" {
			dst = append(text(dst, `"connection_type":`, t), ',')
		}
		domain := co.Domain
		if domain == "" {
			domain = asn.Domain
		}
		if domain != "" {
			dst = append(text(dst, `"domain":`, domain), ',')
		}
		dst = append(address(dst, `"ip_address":`, rec.Addr()), ',')
		dst = appendCityTraits(dst, c, rec, traits, &asn, &co, p)
	} else {
		dst = append(address(dst, `"ip_address":`, rec.Addr()), ',')
		if traits.Has(ipwarden.Anycast) {
			dst = append(dst, `"is_anycast":true,`...)
		}
	}
	if n := rec.Network(); n.IsValid() {
		dst = append(network(dst, `"network":`, n), ',')
	}
	if p == mmInsights {
		if t := userType(rec, traits, asn.Kind); t != "" {
			dst = append(text(dst, `"user_type":`, t), ',')
		}
	}
	return append(dst[:len(dst)-1], '}')
}

func appendCityTraits(dst []byte, c *Call, rec ipwarden.Record, traits ipwarden.Traits, asn *ipwarden.ASN, co *ipwarden.Company, p product) []byte {
	if p == mmInsights {
		// The vendor has no snapshot of networks of low risk.
		if s := c.scores(rec).Threat; s > 0 {
			dst = append(number(dst, `"ip_risk_snapshot":`, int64(min(s, 99))), ',')
		}
		dst = appendFlags(dst, traits&ipwarden.Anonymous|traits&ipwarden.Hosting)
	}
	if traits.Has(ipwarden.Anycast) {
		dst = append(dst, `"is_anycast":true,`...)
	}
	if p == mmInsights && traits.Has(ipwarden.Satellite) {
		dst = append(dst, `"is_satellite_provider":true,`...)
	}
	if asn.Name != "" {
		dst = append(text(dst, `"isp":`, asn.Name), ',')
	}
	ca := rec.Carrier()
	if ca.MCC != "" {
		dst = append(text(dst, `"mobile_country_code":`, ca.MCC), ',')
	}
	if ca.MNC != "" {
		dst = append(text(dst, `"mobile_network_code":`, ca.MNC), ',')
	}
	if co.Name != "" {
		dst = append(text(dst, `"organization":`, co.Name), ',')
	}
	return dst
}

// connectionType is the vendor's word for how an address is connected, where a
// trait or the kind of the network says it. Of an ordinary provider nothing does.
func connectionType(traits ipwarden.Traits, kind string) string {
	switch {
	case traits.Has(ipwarden.Satellite):
		return "Satellite"
	case traits.Has(ipwarden.Mobile):
		return "Cellular"
	}
	switch kind {
	case "business", "education", "government", "hosting":
		return "Corporate"
	}
	return ""
}

// userType is the vendor's word for who uses an address, "" when nothing says it.
func userType(rec ipwarden.Record, traits ipwarden.Traits, kind string) string {
	switch {
	case traits.Has(ipwarden.Crawler) && rec.Security().Crawler.Purpose == "search":
		return "search_engine_spider"
	case traits.Has(ipwarden.Relay):
		return "consumer_privacy_network"
	case traits.Has(ipwarden.Hosting):
		return "hosting"
	case traits.Has(ipwarden.ResidentialProxy):
		return "residential"
	case traits.Has(ipwarden.Mobile):
		return "cellular"
	}
	switch kind {
	case "business", "government", "hosting":
		return kind
	case "education":
		return "college"
	}
	return ""
}
