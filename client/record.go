package client

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// wire is an answer of the API.
type wire struct {
	Network  netip.Prefix `json:"network"`
	Location struct {
		ContinentCode string   `json:"continent_code"`
		Continent     string   `json:"continent"`
		CountryCode   string   `json:"country_code"`
		Country       string   `json:"country"`
		IsEU          bool     `json:"is_eu"`
		RegionCode    string   `json:"region_code"`
		Region        string   `json:"region"`
		City          string   `json:"city"`
		Postal        string   `json:"postal"`
		Latitude      *float64 `json:"latitude"`
		Longitude     *float64 `json:"longitude"`
		AccuracyKM    uint16   `json:"accuracy_km"`
		TimeZone      struct {
			ID string `json:"id"`
		} `json:"time_zone"`
		Currency    ipwarden.Currency   `json:"currency"`  // its members' names fold to those of the JSON
		Languages   []ipwarden.Language `json:"languages"` // likewise
		CallingCode string              `json:"calling_code"`
		Flag        string              `json:"flag"`
	} `json:"location"`
	ASN struct {
		Number   uint32       `json:"number"`
		Name     string       `json:"name"`
		Domain   string       `json:"domain"`
		Route    netip.Prefix `json:"route"`
		Kind     string       `json:"kind"`
		Registry string       `json:"registry"`
	} `json:"asn"`
	Company  ipwarden.Company           `json:"company"`
	Carrier  ipwarden.Carrier           `json:"carrier"`
	Security map[string]json.RawMessage `json:"security"`
	Dataset  struct {
		Date string `json:"date"`
	} `json:"dataset"`
	Evidence map[string]struct {
		Value string      `json:"value"`
		By    []wireClaim `json:"by"`
		Lost  []wireClaim `json:"lost"`
	} `json:"evidence"`
}

type wireClaim struct {
	Feed    string `json:"feed"`
	Date    string `json:"date"`
	Licence string `json:"licence"`
	Match   string `json:"match"`
	Value   string `json:"value"`
	Note    string `json:"note"`
}

// record makes the Record of an answer about the address of asked.
func (w *wire) record(asked ipwarden.Record, c *Client) ipwarden.Record {
	addr := asked.Addr()
	f := ipwarden.Full{Company: w.Company, Carrier: w.Carrier, Date: day(w.Dataset.Date)}
	if w.Network.IsValid() && w.Network.Contains(addr) {
		f.Network = w.Network.Masked()
	}
	l := &w.Location
	f.Location = ipwarden.Location{
		ContinentCode: l.ContinentCode, Continent: l.Continent, CountryCode: l.CountryCode, Country: l.Country, IsEU: l.IsEU,
		RegionCode: l.RegionCode, Region: l.Region, City: l.City, Postal: l.Postal, AccuracyKM: l.AccuracyKM,
		Currency: l.Currency, Languages: l.Languages, CallingCode: l.CallingCode, Flag: l.Flag,
	}
	if lat, lon := l.Latitude, l.Longitude; lat != nil && lon != nil && *lat >= -90 && *lat <= 90 && *lon >= -180 && *lon <= 180 {
		f.Location.HasCoordinates, f.Location.Latitude, f.Location.Longitude = true, *lat, *lon
	}
	if id := l.TimeZone.ID; id != "" && id != "Local" {
		zone, err := time.LoadLocation(id)
		if err != nil {
			zone = nil // of a newer database than ours
		}
		f.Location.TimeZone = ipwarden.TimeZone{ID: id, Zone: zone}
	}
	f.ASN = ipwarden.ASN(w.ASN)
	w.security(&f)
	rec := ipwarden.NewRecord(addr, f)
	if f.Evidence = w.evidence(); f.Evidence == nil {
		f.Evidence = c.evidence(rec)
	}
	if f.Evidence == nil && !w.Network.IsValid() {
		return asked // the server knows nothing
	}
	return ipwarden.NewRecord(addr, f).Asked(asked.Transition(), asked.Zone())
}

// security reads the traits, and what is told of them. A trait that this version
// does not know is passed over.
func (w *wire) security(f *ipwarden.Full) {
	for name, value := range w.Security {
		if t, ok := ipwarden.TraitNamed(name); ok && string(value) == "true" {
			f.Traits |= t
		}
	}
	s := &f.Security
	var vpn struct{ Name string }
	read(w.Security["vpn"], &vpn)
	s.VPN = vpn.Name
	read(w.Security["crawler"], &s.Crawler)
	read(w.Security["hosting"], &s.Hosting)
	read(w.Security["bogon"], &s.Bogon)
	var listings []struct{ Name, Type, URL, Date string }
	read(w.Security["listings"], &listings)
	for _, l := range listings {
		s.Listings = append(s.Listings, ipwarden.Listing{Name: l.Name, Type: l.Type, URL: l.URL, Date: day(l.Date)})
	}
}

func read(text json.RawMessage, to any) {
	if len(text) > 0 {
		_ = json.Unmarshal(text, to) // what is of another type is not there
	}
}

// evidence is that of the server.
func (w *wire) evidence() (all []ipwarden.Evidence) {
	for f := range ipwarden.AllFields() {
		e, ok := w.Evidence[f.String()]
		if !ok {
			continue
		}
		all = append(all, ipwarden.Evidence{Field: f, Value: e.Value, By: claims(e.By), Lost: claims(e.Lost)})
	}
	return all
}

func claims(from []wireClaim) (to []ipwarden.Claim) {
	for _, c := range from {
		to = append(to, ipwarden.Claim{Feed: c.Feed, Date: day(c.Date), Licence: c.Licence, Match: c.Match, Value: c.Value, Note: c.Note})
	}
	return to
}

// Fields that have no evidence: they follow from the address or the time.
var unexplained = ipwarden.FieldsOf(
	ipwarden.FieldIP, ipwarden.FieldQuery, ipwarden.FieldVersion, ipwarden.FieldNetwork, ipwarden.FieldTransition,
	ipwarden.FieldZone, ipwarden.FieldTimeZoneAbbr, ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST,
	ipwarden.FieldTimeZoneCurrentTime, ipwarden.FieldScoreVPN, ipwarden.FieldScoreProxy, ipwarden.FieldScoreThreat,
	ipwarden.FieldScoreTrust, ipwarden.FieldDatasetDate,
)

// evidence is the server's word for each known field. Traits that are not set are
// not denied: the server may know nothing of them.
func (c *Client) evidence(rec ipwarden.Record) (all []ipwarden.Evidence) {
	var view ipwarden.View
	date := rec.Date()
	if date.IsZero() {
		date = c.cfg.Now()
	}
	match := rec.Network().String()
	for f := range ipwarden.AllFields() {
		text, ok := view.AppendText(nil, rec, f)
		if !ok || unexplained.Has(f) || f.Traits() != 0 && string(text) != "true" {
			continue
		}
		claim := ipwarden.Claim{Feed: c.cfg.Name, Date: date, Match: match, Value: string(text)}
		all = append(all, ipwarden.Evidence{Field: f, Value: claim.Value, By: []ipwarden.Claim{claim}})
	}
	return all
}

// day reads a date of the API, "2026-11-20"; the zero time when it is none.
func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
