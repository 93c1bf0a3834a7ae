package dataset

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// reference adds the evidence of what follows from the country or the place.
func (x *explainer) reference(l ipwarden.Location, placed bool) {
	if l.CountryCode == "" && l.ContinentCode == "" {
		return
	}
	isEU := ""
	if l.CountryCode != "" && (l.IsEU || l.ContinentCode != "") {
		isEU = strconv.FormatBool(l.IsEU)
	}
	langs := make([]string, len(l.Languages))
	for i, v := range l.Languages {
		langs[i] = v.Code
	}
	for _, f := range []struct {
		field ipwarden.Field
		value string
		place bool
	}{
		{ipwarden.FieldContinentCode, l.ContinentCode, false},
		{ipwarden.FieldContinent, l.Continent, false},
		{ipwarden.FieldCountry, l.Country, false},
		{ipwarden.FieldIsEU, isEU, false},
		{ipwarden.FieldRegion, l.Region, true},
		{ipwarden.FieldTimeZoneID, l.TimeZone.ID, true},
		{ipwarden.FieldCurrencyCode, l.Currency.Code, false},
		{ipwarden.FieldCurrencyName, l.Currency.Name, false},
		{ipwarden.FieldCurrencySymbol, l.Currency.Symbol, false},
		{ipwarden.FieldLanguages, strings.Join(langs, ","), false},
		{ipwarden.FieldCallingCode, l.CallingCode, false},
		{ipwarden.FieldFlag, l.Flag, false},
		{ipwarden.FieldLatitude, decimalText(l.Latitude), true},
		{ipwarden.FieldLongitude, decimalText(l.Longitude), true},
		{ipwarden.FieldAccuracyKM, strconv.Itoa(int(l.AccuracyKM)), true},
	} {
		if f.value == "" || f.place && (f.field == ipwarden.FieldLatitude || f.field == ipwarden.FieldLongitude || f.field == ipwarden.FieldAccuracyKM) && !placed || x.explained(f.field) {
			continue
		}
		c := x.referenceClaim(f.field, l)
		switch {
		case f.field == ipwarden.FieldFlag:
			c = ipwarden.Claim{Feed: "ipwarden", Note: "the regional indicators of " + l.CountryCode}
		case f.place && placed:
			c = x.placeClaim()
			c.Note = "the place called " + l.City
		case f.field == ipwarden.FieldTimeZoneID:
			c.Note = "the zone of every place known in " + l.CountryCode
		case l.CountryCode == "":
			c.Note = "the name of the continent " + l.ContinentCode
		case c.Note == "":
			c.Note = "follows from the country " + l.CountryCode
		}
		c.Value = f.value
		x.out = append(x.out, ipwarden.Evidence{Field: f.field, Value: f.value, By: []ipwarden.Claim{c}})
	}
}

func (x *explainer) explained(f ipwarden.Field) bool {
	return slices.ContainsFunc(x.out, func(e ipwarden.Evidence) bool { return e.Field == f && len(e.By) > 0 })
}

// referenceClaim cites the reference table that filled a field.
func (x *explainer) referenceClaim(f ipwarden.Field, l ipwarden.Location) ipwarden.Claim {
	key := l.CountryCode
	switch f {
	case ipwarden.FieldCurrencyName, ipwarden.FieldCurrencySymbol:
		key = l.Currency.Code
	case ipwarden.FieldRegion:
		key = l.CountryCode + "-" + l.RegionCode
	}
	name, ok := x.d.manifest.From[f.String()+"/"+key]
	if !ok {
		name = x.d.manifest.From[f.String()]
	}
	return x.table(name)
}

// placeClaim cites the gazetteer.
func (x *explainer) placeClaim() ipwarden.Claim {
	return x.table(x.d.manifest.From[ipwarden.FieldLatitude.String()])
}

func (x *explainer) table(name string) ipwarden.Claim {
	c := ipwarden.Claim{Feed: name}
	for _, f := range x.d.manifest.Feeds[x.d.manifest.Inputs:] {
		if f.Name == name {
			c.Date, c.Licence = f.Date, f.Licence
		}
	}
	return c
}
