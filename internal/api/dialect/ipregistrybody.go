package dialect

import (
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// appendRegistry appends the answer without the brace at its end.
func appendRegistry(dst []byte, c *Call, rec ipwarden.Record) []byte {
	addr, traits, loc := rec.Addr(), rec.Traits(), rec.Location()
	asn, co, ca := rec.ASN(), rec.Company(), rec.Carrier()
	dst = address(dst, `{"ip":`, addr)
	version := `"IPv6"`
	if addr.Is4() {
		version = `"IPv4"`
	}
	dst = append(append(dst, `,"type":`...), version...)
	dst = append(dst, `,"hostname":null`...)
	dst = nullable(dst, `,"carrier":{"name":`, ca.Name)
	dst = nullable(dst, `,"mcc":`, ca.MCC)
	dst = nullable(dst, `,"mnc":`, ca.MNC)
	dst = nullable(dst, `},"company":{"domain":`, co.Domain)
	dst = nullable(dst, `,"name":`, co.Name)
	dst = nullable(dst, `,"type":`, co.Kind)
	dst = append(dst, `},"connection":{"asn":`...)
	if asn.Number != 0 {
		dst = number(dst, "", int64(asn.Number))
	} else {
		dst = append(dst, "null"...)
	}
	dst = nullable(dst, `,"domain":`, asn.Domain)
	dst = truth(dst, `,"is_anycast":`, traits.Has(ipwarden.Anycast))
	dst = nullable(dst, `,"organization":`, asn.Name)
	if asn.Route.IsValid() {
		dst = network(dst, `,"route":`, asn.Route)
	} else {
		dst = append(dst, `,"route":null`...)
	}
	dst = nullable(dst, `,"type":`, asn.Kind)
	dst = nullable(dst, `},"currency":{"code":`, loc.Currency.Code)
	dst = nullable(dst, `,"name":`, loc.Currency.Name)
	dst = append(dst, `,"name_native":null,"plural":null,"plural_native":null`...)
	dst = nullable(dst, `,"symbol":`, loc.Currency.Symbol)
	dst = append(dst, `,"symbol_native":null,"format":{"decimal_separator":null,"group_separator":null,`+
		`"negative":{"prefix":null,"suffix":null},"positive":{"prefix":null,"suffix":null}}}`...)
	dst = appendRegistryLocation(dst, c, &loc)
	dst = appendRegistrySecurity(dst, traits)
	return appendRegistryZone(dst, c.Now, loc.TimeZone)
}

func appendRegistryLocation(dst []byte, c *Call, loc *ipwarden.Location) []byte {
	dst = nullable(dst, `,"location":{"continent":{"code":`, loc.ContinentCode)
	dst = nullable(dst, `,"name":`, loc.Continent)
	// Numbers and lists have no null in the vendor's types.
	dst = nullable(dst, `},"country":{"area":0,"borders":[],"calling_code":`, loc.CallingCode)
	dst = nullable(dst, `,"capital":null,"code":`, loc.CountryCode)
	dst = nullable(dst, `,"name":`, loc.Country)
	dst = nullable(dst, `,"population":0,"population_density":0,"flag":{"emoji":`, loc.Flag)
	if loc.Flag == "" {
		dst = append(dst, `,"emoji_unicode":null`...)
	} else {
		dst = append(appendCodePoints(append(dst, `,"emoji_unicode":"`...), loc.Flag), '"')
	}
	for _, key := range [...]string{`,"emojitwo":`, `,"noto":`, `,"twemoji":`, `,"wikimedia":`} {
		dst = appendFlagURL(append(dst, key...), c, loc.CountryCode) // ours, whatever the set
	}
	dst = append(dst, `},"languages":[`...)
	for i := range loc.Languages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRegistryLanguage(dst, loc.Languages[i])
	}
	dst = append(dst, `],"tld":null},"region":{"code":`...)
	if loc.RegionCode != "" && loc.CountryCode != "" { // as ISO 3166-2 writes it: US-CA
		dst = ipwarden.AppendString(dst, loc.CountryCode+"-"+loc.RegionCode)
	} else {
		dst = append(dst, "null"...)
	}
	dst = nullable(dst, `,"name":`, loc.Region)
	dst = nullable(dst, `},"city":`, loc.City)
	dst = nullable(dst, `,"postal":`, loc.Postal)
	if loc.HasCoordinates {
		dst = degrees(dst, `,"latitude":`, loc.Latitude)
		dst = degrees(dst, `,"longitude":`, loc.Longitude)
	} else {
		dst = append(dst, `,"latitude":null,"longitude":null`...)
	}
	var first ipwarden.Language
	if len(loc.Languages) > 0 {
		first = loc.Languages[0]
	}
	dst = appendRegistryLanguage(append(dst, `,"language":`...), first)
	return append(truth(dst, `,"in_eu":`, loc.IsEU), '}')
}

func appendRegistryLanguage(dst []byte, l ipwarden.Language) []byte {
	dst = nullable(dst, `{"code":`, l.Code)
	dst = nullable(dst, `,"name":`, l.Name)
	return append(nullable(dst, `,"native":`, l.Native), '}')
}

func appendRegistrySecurity(dst []byte, t ipwarden.Traits) []byte {
	for _, f := range [...]struct {
		key    string
		traits ipwarden.Traits
	}{
		{`,"security":{"is_abuser":`, ipwarden.Abuser},
		{`,"is_attacker":`, ipwarden.Attacker},
		{`,"is_bogon":`, ipwarden.Bogon},
		{`,"is_cloud_provider":`, ipwarden.Hosting},
		{`,"is_proxy":`, ipwarden.Proxy | ipwarden.ResidentialProxy},
		{`,"is_relay":`, ipwarden.Relay},
		{`,"is_tor":`, ipwarden.Tor},
		{`,"is_tor_exit":`, ipwarden.Tor},
		{`,"is_vpn":`, ipwarden.VPN},
		{`,"is_anonymous":`, ipwarden.Anonymous},
		{`,"is_threat":`, ipwarden.Threat},
	} {
		dst = truth(dst, f.key, t.Has(f.traits))
	}
	return append(dst, '}')
}

func appendRegistryZone(dst []byte, now time.Time, zone ipwarden.TimeZone) []byte {
	dst = nullable(dst, `,"time_zone":{"id":`, zone.ID)
	if zone.Zone == nil {
		return append(dst, `,"abbreviation":null,"current_time":null,"name":null,"offset":0,"in_daylight_saving":false}`...)
	}
	local := now.In(zone.Zone)
	abbr, offset := local.Zone()
	dst = text(dst, `,"abbreviation":`, abbr)
	dst = local.AppendFormat(append(dst, `,"current_time":"`...), time.RFC3339)
	dst = number(dst, `","name":null,"offset":`, int64(offset))
	return append(truth(dst, `,"in_daylight_saving":`, local.IsDST()), '}')
}

// appendAgent appends what a client calls itself, in the vendor's shape.
func appendAgent(dst []byte, agent string) []byte {
	dst = nullable(dst, `{"header":`, agent)
	return append(dst, `,"name":null,"type":null,"version":null,"version_major":null,`+
		`"device":{"brand":null,"name":null,"type":null},`+
		`"engine":{"name":null,"type":null,"version":null,"version_major":null},`+
		`"os":{"name":null,"type":null,"version":null}}`...)
}

// appendRegistryAS appends what an autonomous system is and announces.
func appendRegistryAS(dst []byte, c *Call, n uint32, ok bool) ([]byte, *registryError) {
	switch {
	case !ok:
		return dst, &irInvalidASN
	case reservedAS(n):
		return dst, &irReservedASN
	}
	as, a, known := c.system(n)
	if !known {
		return dst, &irUnknownASN
	}
	registry := registryOf(as.Registry)
	dst = number(dst, `{"allocated":null,"asn":`, int64(n))
	dst = nullable(dst, `,"country_code":null,"domain":`, as.Domain)
	dst = nullable(dst, `,"name":`, as.Name)
	dst = number(dst, `,"prefixes":{"ipv4_count":`, int64(a.n4))
	dst = number(dst, `,"ipv6_count":`, int64(a.n6))
	dst = appendRegistryPrefixes(append(dst, `,"ipv4":`...), a.v4, registry)
	dst = appendRegistryPrefixes(append(dst, `,"ipv6":`...), a.v6, registry)
	dst = nullable(dst, `},"relationships":{"downstreams":[],"peers":[],"upstreams":[]},"registry":`, registry)
	dst = nullable(dst, `,"type":`, as.Kind)
	return append(dst, `,"updated":null}`...), nil
}

func appendRegistryPrefixes(dst []byte, prefixes []netip.Prefix, registry string) []byte {
	dst = append(dst, '[')
	for i, p := range prefixes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = network(dst, `{"cidr":`, p)
		dst = network(dst, `,"country_code":null,"network_name":null,"organization":null,"prefix":`, p)
		dst = nullable(dst, `,"registry":`, registry)
		dst = appendSize(append(dst, `,"size":`...), p)
		dst = append(dst, `,"status":null}`...)
	}
	return append(dst, ']')
}

// registryOf is the vendor's name of a registry.
func registryOf(name string) string {
	switch name {
	case "afrinic":
		return "AFRINIC"
	case "apnic":
		return "APNIC"
	case "arin":
		return "ARIN"
	case "lacnic":
		return "LACNIC"
	case "ripencc":
		return "RIPE_NCC"
	}
	return ""
}
