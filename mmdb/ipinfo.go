package mmdb

import (
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// ipinfo is the flat schema of IPinfo's files, whose values are strings: Lite,
// ASN, company, carrier, geolocation, privacy, and the bundles Core and Plus.
// See https://ipinfo.io/developers/database-types.
type ipinfo struct {
	Country       text   `maxminddb:"country"` // a code, and in Lite a name
	CountryCode   text   `maxminddb:"country_code"`
	Continent     text   `maxminddb:"continent"`
	ContinentCode text   `maxminddb:"continent_code"`
	Region        text   `maxminddb:"region"`
	RegionCode    text   `maxminddb:"region_code"`
	City          text   `maxminddb:"city"`
	Postal        text   `maxminddb:"postal_code"`
	Lat           number `maxminddb:"lat"`
	Lng           number `maxminddb:"lng"`
	Latitude      number `maxminddb:"latitude"`
	Longitude     number `maxminddb:"longitude"`
	Radius        number `maxminddb:"radius"`
	TimeZone      text   `maxminddb:"timezone"`

	ASN      number `maxminddb:"asn"`
	ASName   *text  `maxminddb:"as_name"` // nil where the file has no such field
	ASDomain text   `maxminddb:"as_domain"`
	ASType   text   `maxminddb:"as_type"`
	// Of the AS in the ASN file, of the company in the company file, of the
	// carrier in the carrier file.
	Name        text `maxminddb:"name"`
	Domain      text `maxminddb:"domain"`
	Type        text `maxminddb:"type"`
	Carrier     text `maxminddb:"carrier"`
	CarrierName text `maxminddb:"carrier_name"`
	MCC         text `maxminddb:"mcc"`
	MNC         text `maxminddb:"mnc"`

	VPN         flag `maxminddb:"vpn"`
	IsVPN       flag `maxminddb:"is_vpn"`
	Proxy       flag `maxminddb:"proxy"`
	IsProxy     flag `maxminddb:"is_proxy"`
	IsResProxy  flag `maxminddb:"is_res_proxy"`
	Tor         flag `maxminddb:"tor"`
	IsTor       flag `maxminddb:"is_tor"`
	Relay       flag `maxminddb:"relay"`
	IsRelay     flag `maxminddb:"is_relay"`
	Hosting     flag `maxminddb:"hosting"`
	IsHosting   flag `maxminddb:"is_hosting"`
	IsAnycast   flag `maxminddb:"is_anycast"`
	IsMobile    flag `maxminddb:"is_mobile"`
	IsSatellite flag `maxminddb:"is_satellite"`
	Service     text `maxminddb:"service"`
	LastSeen    text `maxminddb:"last_seen"`
}

// fact implements row.
func (i *ipinfo) fact(f *feed.Fact) {
	f.Country = countryCode(i.CountryCode)
	if f.Country == "" {
		f.Country = countryCode(i.Country)
	}
	f.RegionName, f.City, f.Postal = string(i.Region), string(i.City), string(i.Postal)
	f.Region = regionCode(f.Country, i.RegionCode)
	setPlace(f, i.Lat, i.Lng)
	setPlace(f, i.Latitude, i.Longitude)
	f.AccuracyKM = uint16(i.Radius.uint(1<<16 - 1))
	f.TimeZone = string(i.TimeZone)

	f.Origin = i.ASN.uint(1<<32 - 1)
	if i.ASName != nil {
		f.ASName = string(*i.ASName)
	}
	f.ASDomain, f.ASKind = string(i.ASDomain), networkKind(i.ASType)
	f.MCC, f.MNC = string(i.MCC), string(i.MNC)
	set(&f.Carrier, i.Carrier)
	set(&f.Carrier, i.CarrierName)
	switch {
	case f.MCC != "" && f.Carrier == "":
		f.Carrier = string(i.Name)
	case f.Origin != 0 && i.ASName == nil: // the ASN file
		f.ASName, f.ASDomain, f.ASKind = string(i.Name), string(i.Domain), networkKind(i.Type)
	default:
		f.Company, f.CompanyDomain, f.CompanyKind = string(i.Name), string(i.Domain), networkKind(i.Type)
	}

	f.Name = string(i.Service)
	if day, err := time.Parse(time.DateOnly, string(i.LastSeen)); err == nil {
		f.Seen = day
	}
	for _, t := range [...]struct {
		is    flag
		trait ipwarden.Traits
	}{
		{i.VPN || i.IsVPN, ipwarden.VPN},
		{i.Proxy || i.IsProxy, ipwarden.Proxy},
		{i.IsResProxy, ipwarden.ResidentialProxy},
		{i.Tor || i.IsTor, ipwarden.Tor},
		{i.Relay || i.IsRelay, ipwarden.Relay},
		{i.Hosting || i.IsHosting, ipwarden.Hosting},
		{i.IsAnycast, ipwarden.Anycast},
		{i.IsMobile, ipwarden.Mobile},
		{i.IsSatellite, ipwarden.Satellite},
	} {
		if t.is {
			f.Traits |= t.trait
		}
	}
}

// more implements row.
func (i *ipinfo) more(full *ipwarden.Full) {
	loc := &full.Location
	loc.ContinentCode, loc.Continent = string(i.ContinentCode), string(i.Continent)
	if i.CountryCode != "" && len(i.Country) > 2 {
		loc.Country = string(i.Country)
	}
}

// networkKind returns IPinfo's type where it is one of our kinds.
func networkKind(t text) string {
	switch t {
	case "business", "education", "government", "hosting", "isp":
		return string(t)
	}
	return ""
}
