package provider

import (
	"strings"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Fields that follow from the country's code.
var ofCountry = [...]ipwarden.Field{
	ipwarden.FieldContinentCode, ipwarden.FieldContinent, ipwarden.FieldCountry, ipwarden.FieldIsEU, ipwarden.FieldCurrencyCode,
	ipwarden.FieldCurrencyName, ipwarden.FieldCurrencySymbol, ipwarden.FieldLanguages, ipwarden.FieldCallingCode, ipwarden.FieldFlag,
}

// record ends the answer. Each field has the provider as its evidence, as of now.
func (a *answer) record(terms string, now time.Time) ipwarden.Record {
	a.country()
	a.details()
	a.full.Date = now
	// Traits together are explained by those that were spoken of.
	for _, t := range [...]ipwarden.Traits{ipwarden.Anonymous, ipwarden.Threat} {
		if a.full.Traits.Has(t) {
			a.said = a.said.With(ipwarden.FieldOf(t))
			a.note(ipwarden.FieldOf(t), "follows from the traits")
		}
	}
	if a.said == (ipwarden.Fields{}) {
		return ipwarden.MakeRecord(a.addr, nil, 0)
	}
	rec := ipwarden.NewRecord(a.addr, a.full)
	var view ipwarden.View
	match := rec.Network().String()
	for f := range a.said.All() {
		value, ok := view.AppendText(nil, rec, f)
		if !ok {
			continue
		}
		c := ipwarden.Claim{Feed: a.cfg.Name, Date: now, Licence: terms, Match: match, Value: string(value), Note: a.notes[f]}
		a.full.Evidence = append(a.full.Evidence, ipwarden.Evidence{Field: f, Value: c.Value, By: []ipwarden.Claim{c}})
	}
	return ipwarden.NewRecord(a.addr, a.full)
}

// country fills in what follows from the country's code. Vendors spell the same
// names in other ways; ours are taken, or spellings would look like contests.
func (a *answer) country() {
	l := &a.full.Location
	if a.cfg.Country == nil || l.CountryCode == "" {
		return
	}
	c, ok := a.cfg.Country(l.CountryCode)
	if !ok {
		return
	}
	l.ContinentCode, l.Continent, l.Country, l.IsEU = c.ContinentCode, c.Continent, c.Country, c.IsEU
	l.Currency, l.Languages, l.CallingCode, l.Flag = c.Currency, c.Languages, c.CallingCode, c.Flag
	for _, f := range ofCountry {
		a.said = a.said.With(f)
		a.note(f, "follows from "+ipwarden.FieldCountryCode.String())
	}
}

// details takes away what is told of a trait that the address has not.
func (a *answer) details() {
	sec, t := &a.full.Security, a.full.Traits
	if !t.Has(ipwarden.VPN) {
		sec.VPN = ""
	}
	if !t.Has(ipwarden.Crawler) {
		sec.Crawler = ipwarden.CrawlerInfo{}
	}
	if !t.Has(ipwarden.Hosting) {
		sec.Hosting = ipwarden.HostingInfo{}
	}
	switch sec.Crawler.Purpose {
	case "search", "ai_training", "user_triggered", "monitoring", "preview", "other":
	default:
		sec.Crawler.Purpose = ""
	}
}

// zones remembers time zones: reading one takes a file. It holds no more than
// there are in the time zone database.
type zones struct{ known sync.Map } // name → *time.Location

// load returns a time zone, nil when there is none of that name.
func (z *zones) load(name string) *time.Location {
	if name == "" || name == "Local" || len(name) > 64 || strings.ContainsAny(name, "\\\x00") {
		return nil
	}
	if l, ok := z.known.Load(name); ok {
		return l.(*time.Location)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	z.known.Store(name, l)
	return l
}
