package ipwarden

import (
	"net/netip"
	"time"
)

// Full is an answer in plain structs. An empty string, a zero number and a
// false bool mean unknown, except where a field says otherwise.
type Full struct {
	Network  netip.Prefix
	Traits   Traits
	Location Location
	ASN      ASN
	Company  Company
	Carrier  Carrier
	Security Security
	Date     time.Time
	Evidence []Evidence
}

// Location is where an address is used.
type Location struct {
	ContinentCode  string // AF, AN, AS, EU, NA, OC, SA
	Continent      string
	CountryCode    string // ISO 3166-1 alpha-2
	Country        string
	IsEU           bool   // member of the European Union
	RegionCode     string // ISO 3166-2 without the country, where known
	Region         string
	City           string
	Postal         string
	HasCoordinates bool
	Latitude       float64 // degrees north, -90 to 90
	Longitude      float64 // degrees east, -180 to 180
	AccuracyKM     uint16  // radius round the coordinates, kilometres
	TimeZone       TimeZone
	Currency       Currency
	Languages      []Language
	CallingCode    string // digits only, "1", "44"
	Flag           string // emoji
}

// TimeZone is an IANA time zone.
type TimeZone struct {
	ID   string         // "Europe/Stockholm"
	Zone *time.Location // its rules; nil when ID is unknown here
}

// Currency is the legal tender of the country.
type Currency struct{ Code, Name, Symbol string }

// Language is spoken officially or widely in the country.
type Language struct{ Code, Name, Native string }

// ASN is the autonomous system that announces an address.
type ASN struct {
	Number   uint32
	Name     string
	Domain   string
	Route    netip.Prefix // the announced prefix
	Kind     string       // business, education, government, hosting, isp
	Registry string       // afrinic, apnic, arin, lacnic, ripencc
}

// Company is the organisation that uses an address.
type Company struct{ Name, Domain, Kind string }

// Carrier is a mobile network.
type Carrier struct{ Name, MCC, MNC string }

// Security holds what is known beside the yes and no of the traits.
type Security struct {
	VPN      string // operator
	Crawler  CrawlerInfo
	Hosting  HostingInfo
	Bogon    BogonInfo
	Listings []Listing
}

// CrawlerInfo names a crawler. Purpose is search, ai_training, user_triggered,
// monitoring, preview or other.
type CrawlerInfo struct{ Name, Purpose string }

// HostingInfo names the cloud, its region and its service.
type HostingInfo struct{ Name, Region, Service string }

// BogonInfo names the entry of the IANA special-purpose registry.
type BogonInfo struct{ Name, RFC string }

// Listing is one blocklist that names the address.
type Listing struct {
	Name string
	Type string // attacker, abuser, scanner, spam, botnet, malware, hijacked, …
	URL  string
	Date time.Time // when the row was last seen, or the list's own date
}

// Scores are 0 to 100; package risk computes them from a Record and the time.
type Scores struct{ VPN, Proxy, Threat, Trust uint8 }

// Evidence is who says what about one field.
type Evidence struct {
	Field Field
	Value string  // the answer, as text; "true" for a trait
	By    []Claim // those that say so, the deciding one first
	Lost  []Claim // other answers, and claims that a safelist took back
}

// Contested reports whether somebody says otherwise.
func (e *Evidence) Contested() bool {
	for i := range e.Lost {
		if e.Lost[i].Value != e.Value {
			return true
		}
	}
	return false
}

// Claim is what one feed says.
type Claim struct {
	Feed    string
	Date    time.Time // as of when
	Licence string
	Match   string // the prefix, range or AS of the row that matched
	Value   string
	Note    string // why it lost, or how it was derived; "" otherwise
}

// NewRecord makes the Record of a canonical address from an owned answer.
// f is copied; its slices must not be changed afterwards.
func NewRecord(addr netip.Addr, f Full) Record {
	if !f.Network.IsValid() && addr.IsValid() {
		f.Network = netip.PrefixFrom(addr, addr.BitLen())
	}
	return MakeRecord(addr, NewStore(&owned{f}, nil), 0)
}

// owned is the Backing of one answer.
type owned struct{ f Full }

var (
	_ Backing  = (*owned)(nil)
	_ Asserter = (*owned)(nil)
)

func (o *owned) Network(netip.Addr, uint32) netip.Prefix { return o.f.Network }
func (o *owned) Traits(uint32) Traits                    { return o.f.Traits }
func (o *owned) CountryCode(uint32) string               { return o.f.Location.CountryCode }
func (o *owned) ASNumber(uint32) uint32                  { return o.f.ASN.Number }
func (o *owned) Location(uint32) Location                { return o.f.Location }
func (o *owned) ASN(netip.Addr, uint32) ASN              { return o.f.ASN }
func (o *owned) Company(uint32) Company                  { return o.f.Company }
func (o *owned) Carrier(uint32) Carrier                  { return o.f.Carrier }
func (o *owned) Security(uint32) Security                { return o.f.Security }
func (o *owned) Date() time.Time                         { return o.f.Date }
func (o *owned) Evidence(netip.Addr, uint32) []Evidence  { return o.f.Evidence }

// Asserted is the freshest claim of the evidence.
func (o *owned) Asserted(_ uint32, t Traits) (feed string, asOf time.Time) {
	for i := range o.f.Evidence {
		e := &o.f.Evidence[i]
		if fieldTraits[min(e.Field, numFields-1)] != t || t == 0 {
			continue
		}
		for j := range e.By {
			if c := &e.By[j]; feed == "" || c.Date.After(asOf) {
				feed, asOf = c.Feed, c.Date
			}
		}
		return feed, asOf
	}
	return "", o.f.Date
}

// Text is where f has a field that is a text, nil for others.
func (f *Full) Text(field Field) *string {
	l, s := &f.Location, &f.Security
	switch field {
	case FieldContinentCode:
		return &l.ContinentCode
	case FieldContinent:
		return &l.Continent
	case FieldCountryCode:
		return &l.CountryCode
	case FieldCountry:
		return &l.Country
	case FieldRegionCode:
		return &l.RegionCode
	case FieldRegion:
		return &l.Region
	case FieldCity:
		return &l.City
	case FieldPostal:
		return &l.Postal
	case FieldTimeZoneID:
		return &l.TimeZone.ID
	case FieldCurrencyCode:
		return &l.Currency.Code
	case FieldCurrencyName:
		return &l.Currency.Name
	case FieldCurrencySymbol:
		return &l.Currency.Symbol
	case FieldCallingCode:
		return &l.CallingCode
	case FieldFlag:
		return &l.Flag
	case FieldASName:
		return &f.ASN.Name
	case FieldASDomain:
		return &f.ASN.Domain
	case FieldASKind:
		return &f.ASN.Kind
	case FieldASRegistry:
		return &f.ASN.Registry
	case FieldCompanyName:
		return &f.Company.Name
	case FieldCompanyDomain:
		return &f.Company.Domain
	case FieldCompanyKind:
		return &f.Company.Kind
	case FieldCarrierName:
		return &f.Carrier.Name
	case FieldCarrierMCC:
		return &f.Carrier.MCC
	case FieldCarrierMNC:
		return &f.Carrier.MNC
	case FieldVPNName:
		return &s.VPN
	case FieldCrawlerName:
		return &s.Crawler.Name
	case FieldCrawlerPurpose:
		return &s.Crawler.Purpose
	case FieldHostingName:
		return &s.Hosting.Name
	case FieldHostingRegion:
		return &s.Hosting.Region
	case FieldHostingService:
		return &s.Hosting.Service
	case FieldBogonName:
		return &s.Bogon.Name
	case FieldBogonRFC:
		return &s.Bogon.RFC
	}
	return nil
}
