package mmdb

import (
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// maxmind is the schema of GeoIP2 and GeoLite2 in all their databases: City,
// Country and Enterprise, which are nested, and ASN, ISP, Anonymous-IP,
// Anonymous-Plus, Connection-Type, Domain and Residential-Proxy, which are flat
// and use the words that Enterprise has under traits. The key ipwarden is our
// own addition to it. See https://dev.maxmind.com/geoip/docs/databases/.
type maxmind struct {
	residential bool // the database lists residential proxies

	City struct {
		Names names `maxminddb:"names"`
	} `maxminddb:"city"`
	Continent struct {
		Code  text  `maxminddb:"code"`
		Names names `maxminddb:"names"`
	} `maxminddb:"continent"`
	Country struct {
		Code  text  `maxminddb:"iso_code"`
		Names names `maxminddb:"names"`
		InEU  flag  `maxminddb:"is_in_european_union"`
	} `maxminddb:"country"`
	Location struct {
		Latitude  number `maxminddb:"latitude"`
		Longitude number `maxminddb:"longitude"`
		Radius    number `maxminddb:"accuracy_radius"`
		TimeZone  text   `maxminddb:"time_zone"`
	} `maxminddb:"location"`
	Postal struct {
		Code text `maxminddb:"code"`
	} `maxminddb:"postal"`
	Subdivisions []struct {
		Code  text  `maxminddb:"iso_code"`
		Names names `maxminddb:"names"`
	} `maxminddb:"subdivisions"`
	Traits words `maxminddb:"traits"`
	words
	Own own `maxminddb:"ipwarden"`
}

// names holds the one language we keep.
type names struct {
	English text `maxminddb:"en"`
}

// words are the fields of the flat databases and of traits.
type words struct {
	ASNumber       number `maxminddb:"autonomous_system_number"`
	ASOrganization text   `maxminddb:"autonomous_system_organization"`
	ISP            text   `maxminddb:"isp"`
	Organization   text   `maxminddb:"organization"`
	Domain         text   `maxminddb:"domain"`
	MCC            text   `maxminddb:"mobile_country_code"`
	MNC            text   `maxminddb:"mobile_network_code"`
	ConnectionType text   `maxminddb:"connection_type"`
	UserType       text   `maxminddb:"user_type"`
	Provider       text   `maxminddb:"provider_name"`
	LastSeen       text   `maxminddb:"network_last_seen"`

	VPN              flag `maxminddb:"is_anonymous_vpn"`
	Proxy            flag `maxminddb:"is_public_proxy"`
	ResidentialProxy flag `maxminddb:"is_residential_proxy"`
	Tor              flag `maxminddb:"is_tor_exit_node"`
	Hosting          flag `maxminddb:"is_hosting_provider"`
	Anycast          flag `maxminddb:"is_anycast"`
	Satellite        flag `maxminddb:"is_satellite_provider"`
}

// own is what we know and MaxMind's schema has no word for.
type own struct {
	Traits  []text `maxminddb:"traits"`
	VPN     text   `maxminddb:"vpn"`
	Crawler struct {
		Name    text `maxminddb:"name"`
		Purpose text `maxminddb:"purpose"`
	} `maxminddb:"crawler"`
	Hosting struct {
		Name    text `maxminddb:"name"`
		Region  text `maxminddb:"region"`
		Service text `maxminddb:"service"`
	} `maxminddb:"hosting"`
	Bogon struct {
		Name text `maxminddb:"name"`
		RFC  text `maxminddb:"rfc"`
	} `maxminddb:"bogon"`
	Listings []struct {
		Name text `maxminddb:"name"`
		Type text `maxminddb:"type"`
		URL  text `maxminddb:"url"`
		Date text `maxminddb:"date"`
	} `maxminddb:"listings"`
	ASN struct {
		Domain   text `maxminddb:"domain"`
		Kind     text `maxminddb:"kind"`
		Registry text `maxminddb:"registry"`
	} `maxminddb:"asn"`
	Company struct {
		Kind text `maxminddb:"kind"`
	} `maxminddb:"company"`
	Carrier text `maxminddb:"carrier"`
}

// kinds of a network's user, where MaxMind's user_type says which.
var userKinds = map[text]string{
	"business": "business", "cafe": "business",
	"college": "education", "school": "education", "library": "education",
	"government": "government", "military": "government",
	"hosting": "hosting", "content_delivery_network": "hosting",
	"residential": "isp", "cellular": "isp",
}

// fact implements row. A flag that is absent is not claimed to be false.
func (m *maxmind) fact(f *feed.Fact) {
	f.Country = countryCode(m.Country.Code)
	f.City = string(m.City.Names.English)
	f.Postal = string(m.Postal.Code)
	if len(m.Subdivisions) > 0 { // the first is the largest
		f.RegionName = string(m.Subdivisions[0].Names.English)
		f.Region = regionCode(f.Country, m.Subdivisions[0].Code)
	}
	setPlace(f, m.Location.Latitude, m.Location.Longitude)
	f.AccuracyKM = uint16(m.Location.Radius.uint(1<<16 - 1))
	f.TimeZone = string(m.Location.TimeZone)
	m.words.fact(f)
	m.Traits.fact(f)
	if m.residential {
		f.Traits |= ipwarden.ResidentialProxy
	}
}

func (w *words) fact(f *feed.Fact) {
	set(&f.ASName, w.ASOrganization)
	set(&f.Company, w.Organization)
	set(&f.CompanyDomain, w.Domain)
	set(&f.CompanyKind, text(userKinds[w.UserType]))
	set(&f.MCC, w.MCC)
	set(&f.MNC, w.MNC)
	if w.MCC != "" { // the provider is a carrier where MaxMind gives its network's code
		set(&f.Carrier, w.ISP)
	}
	set(&f.Name, w.Provider)
	if n := w.ASNumber.uint(1<<32 - 1); n != 0 {
		f.Origin = n
	}
	if day, err := time.Parse(time.DateOnly, string(w.LastSeen)); err == nil {
		f.Seen = day
	}
	for _, t := range [...]struct {
		is    bool
		trait ipwarden.Traits
	}{
		{bool(w.VPN), ipwarden.VPN},
		{bool(w.Proxy), ipwarden.Proxy},
		{bool(w.ResidentialProxy), ipwarden.ResidentialProxy},
		{bool(w.Tor), ipwarden.Tor},
		{bool(w.Hosting), ipwarden.Hosting},
		{bool(w.Anycast), ipwarden.Anycast},
		{bool(w.Satellite) || w.ConnectionType == "Satellite", ipwarden.Satellite},
		{w.ConnectionType == "Cellular" || w.UserType == "cellular", ipwarden.Mobile},
		{w.UserType == "consumer_privacy_network", ipwarden.Relay},
		{w.UserType == "search_engine_spider", ipwarden.Crawler},
	} {
		if t.is {
			f.Traits |= t.trait
		}
	}
}

// more implements row.
func (m *maxmind) more(full *ipwarden.Full) {
	loc := &full.Location
	loc.ContinentCode, loc.Continent = string(m.Continent.Code), string(m.Continent.Names.English)
	loc.Country, loc.IsEU = string(m.Country.Names.English), bool(m.Country.InEU)

	o := &m.Own
	for _, name := range o.Traits {
		if t, ok := ipwarden.TraitNamed(string(name)); ok {
			full.Traits |= t
		}
	}
	sec := &full.Security
	set(&sec.VPN, o.VPN)
	sec.Crawler = ipwarden.CrawlerInfo{Name: string(o.Crawler.Name), Purpose: string(o.Crawler.Purpose)}
	set(&sec.Hosting.Name, o.Hosting.Name)
	sec.Hosting.Region, sec.Hosting.Service = string(o.Hosting.Region), string(o.Hosting.Service)
	sec.Bogon = ipwarden.BogonInfo{Name: string(o.Bogon.Name), RFC: string(o.Bogon.RFC)}
	for _, l := range o.Listings {
		day, _ := time.Parse(time.DateOnly, string(l.Date)) // absent: not said
		sec.Listings = append(sec.Listings, ipwarden.Listing{Name: string(l.Name), Type: string(l.Type), URL: string(l.URL), Date: day})
	}
	set(&full.ASN.Domain, o.ASN.Domain)
	set(&full.ASN.Kind, o.ASN.Kind)
	set(&full.ASN.Registry, o.ASN.Registry)
	set(&full.Company.Kind, o.Company.Kind)
	set(&full.Carrier.Name, o.Carrier)
}

func set(to *string, v text) {
	if v != "" {
		*to = string(v)
	}
}

// countryCode returns an ISO 3166-1 alpha-2 code in capitals, or "".
func countryCode(t text) string {
	if len(t) != 2 {
		return ""
	}
	cc := strings.ToUpper(string(t))
	if cc[0] < 'A' || cc[0] > 'Z' || cc[1] < 'A' || cc[1] > 'Z' {
		return ""
	}
	return cc
}

// regionCode returns an ISO 3166-2 code with the country, or "".
func regionCode(country string, t text) string {
	code := strings.ToUpper(string(t))
	if country == "" || len(code) < 1 || len(code) > 3 {
		return ""
	}
	for _, c := range []byte(code) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return ""
		}
	}
	return country + "-" + code
}

// setPlace sets the coordinates when both are on this planet.
func setPlace(f *feed.Fact, latitude, longitude number) {
	if latitude.is && longitude.is && latitude.v >= -90 && latitude.v <= 90 && longitude.v >= -180 && longitude.v <= 180 {
		f.HasCoordinates, f.Latitude, f.Longitude = true, latitude.v, longitude.v
	}
}
