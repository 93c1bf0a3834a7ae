package dataset

import (
	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// What a row claims falls into three channels that change independently of
// each other. Each is interned: claim 0 says nothing.

type locClaim struct {
	Continent, Country, Region, RegionName, City, Postal, TimeZone string

	HasCoordinates      bool
	Latitude, Longitude float64
	AccuracyKM          uint16
}

type netClaim struct {
	Origin uint32
	Org    uint32 // in the table of organisations
}

// org is a company that uses addresses, or a carrier.
type org struct {
	company, domain, kind string
	carrier, mcc, mnc     string
}

type secClaim struct {
	Traits, Denied            ipwarden.Traits
	Name                      string
	CloudRegion, CloudService string
	RFC, Purpose, Detail      string
	Count                     uint32
	Seen                      int32 // days since 1970, 0 when not said
}

// asClaim is what a feed says of an autonomous system.
type asClaim struct {
	Name, Domain, Kind, Registry string
	Traits                       ipwarden.Traits
	Detail                       string
}

// table interns values: each gets a number, 0 is the zero value.
type table[T comparable] struct {
	ids    map[T]uint32
	values []T
}

func newTable[T comparable]() *table[T] {
	var zero T
	return &table[T]{ids: map[T]uint32{zero: 0}, values: []T{zero}}
}

func (t *table[T]) id(v T) uint32 {
	id, ok := t.ids[v]
	if !ok {
		id = uint32(len(t.values))
		t.ids[v] = id
		t.values = append(t.values, v)
	}
	return id
}

// claimTables interns the claims of all feeds. It is not safe for concurrent
// use; each feed's reader has its own, and they are joined in order.
type claimTables struct {
	loc *table[locClaim]
	net *table[netClaim]
	sec *table[secClaim]
	org *table[org]

	// Most rows of the large feeds say one thing: which country, or which AS.
	country [26 * 26]uint32
	origin  map[uint32]uint32
	traits  map[ipwarden.Traits]uint32
}

func newClaimTables() *claimTables {
	return &claimTables{
		loc: newTable[locClaim](), net: newTable[netClaim](), sec: newTable[secClaim](), org: newTable[org](),
		origin: map[uint32]uint32{}, traits: map[ipwarden.Traits]uint32{},
	}
}

// mask says which parts of a fact a feed is believed.
type mask struct {
	country, region, city, postal, coordinates, timeZone bool
	origin, asName, asDomain, asKind, registry           bool
	company, carrier                                     bool
	traits                                               ipwarden.Traits // that rows may assert themselves
}

func newMask(a *feed.Asserts) (mask, error) {
	fs, err := a.FieldSet()
	if err != nil {
		return mask{}, err
	}
	m := mask{
		country: fs.Has(ipwarden.FieldCountryCode), region: fs.Has(ipwarden.FieldRegion) || fs.Has(ipwarden.FieldRegionCode),
		city: fs.Has(ipwarden.FieldCity), postal: fs.Has(ipwarden.FieldPostal),
		coordinates: fs.Has(ipwarden.FieldLatitude), timeZone: fs.Has(ipwarden.FieldTimeZoneID),
		origin: fs.Has(ipwarden.FieldASNumber), asName: fs.Has(ipwarden.FieldASName), asDomain: fs.Has(ipwarden.FieldASDomain),
		asKind: fs.Has(ipwarden.FieldASKind), registry: fs.Has(ipwarden.FieldASRegistry),
		company: fs.Has(ipwarden.FieldCompanyName), carrier: fs.Has(ipwarden.FieldCarrierName),
	}
	for f := range fs.All() {
		if t := f.Traits(); t != ipwarden.Anonymous && t != ipwarden.Threat {
			m.traits |= t
		}
	}
	return m, nil
}

func (c *claimTables) locID(f *feed.Fact, m *mask) uint32 {
	if m.country && f.Country == "" && f.Continent != "" {
		return c.loc.id(locClaim{Continent: f.Continent})
	}
	if !m.country || f.Country == "" {
		if !m.coordinates && !m.city {
			return 0
		}
	}
	if plain := f.City == "" && f.Region == "" && f.RegionName == "" && f.Postal == "" && f.TimeZone == "" && !f.HasCoordinates; plain && len(f.Country) == 2 {
		i := int(f.Country[0]-'A')*26 + int(f.Country[1]-'A')
		if i < 0 || i >= len(c.country) {
			return 0
		}
		if c.country[i] == 0 {
			c.country[i] = c.loc.id(locClaim{Country: f.Country})
		}
		return c.country[i]
	}
	var l locClaim
	if m.country {
		l.Country = f.Country
	}
	if m.region {
		l.Region, l.RegionName = f.Region, f.RegionName
	}
	if m.city {
		l.City = f.City
	}
	if m.postal {
		l.Postal = f.Postal
	}
	if m.timeZone {
		l.TimeZone = f.TimeZone
	}
	if m.coordinates && f.HasCoordinates {
		l.HasCoordinates, l.Latitude, l.Longitude, l.AccuracyKM = true, f.Latitude, f.Longitude, f.AccuracyKM
	}
	return c.loc.id(l)
}

func (c *claimTables) netID(f *feed.Fact, m *mask) uint32 {
	if plain := f.Company == "" && f.Carrier == "" && f.MCC == ""; plain {
		if !m.origin || f.Origin == 0 {
			return 0
		}
		id, ok := c.origin[f.Origin]
		if !ok {
			id = c.net.id(netClaim{Origin: f.Origin})
			c.origin[f.Origin] = id
		}
		return id
	}
	var n netClaim
	if m.origin {
		n.Origin = f.Origin
	}
	var o org
	if m.company {
		o.company, o.domain, o.kind = f.Company, f.CompanyDomain, f.CompanyKind
	}
	if m.carrier {
		o.carrier, o.mcc, o.mnc = f.Carrier, f.MCC, f.MNC
	}
	n.Org = c.org.id(o)
	return c.net.id(n)
}

// secID adds what the whole list asserts to what the row says.
func (c *claimTables) secID(f *feed.Fact, m *mask, in *input) uint32 {
	t := f.Traits&m.traits | in.traits
	denied := f.Denied | in.denies
	named := f.Name != "" || f.CloudRegion != "" || f.CloudService != "" || f.RFC != "" || f.Purpose != "" ||
		f.Detail != "" || f.Count != 0 || !f.Seen.IsZero() || in.Asserts.Name != "" || in.Asserts.Listing != ""
	if t|denied == 0 && in.Asserts.Listing == "" && !in.Asserts.DeniesListings {
		return 0
	}
	if !named && denied == 0 {
		id, ok := c.traits[t]
		if !ok {
			id = c.sec.id(secClaim{Traits: t})
			c.traits[t] = id
		}
		return id
	}
	s := secClaim{
		Traits: t, Denied: denied, Name: f.Name, CloudRegion: f.CloudRegion, CloudService: f.CloudService,
		RFC: f.RFC, Purpose: f.Purpose, Detail: f.Detail, Count: f.Count,
	}
	if s.Name == "" {
		s.Name = in.Asserts.Name
	}
	if s.Purpose == "" {
		s.Purpose = in.Asserts.Purpose
	}
	if !f.Seen.IsZero() {
		s.Seen = int32(f.Seen.Unix() / 86400)
	}
	return c.sec.id(s)
}
