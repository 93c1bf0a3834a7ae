package dataset

import (
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// Evidence returns who says what about each known field of an answer.
func (d *Dataset) Evidence(addr netip.Addr, id uint32) []ipwarden.Evidence {
	defer runtime.KeepAlive(d)
	r := d.row(id)
	ws := d.witnesses(addr, d.ASNumber(id))
	x := explainer{d: d, ws: ws, rec: ipwarden.MakeRecord(addr, d.store, id)}
	loc := d.locs[r.loc()*locSize:][:locSize]
	x.location(loc)
	x.network(r.by())
	x.traits()
	x.details(d.secs[r.sec()*secSize:][:secSize])
	slices.SortStableFunc(x.out, func(a, b ipwarden.Evidence) int { return int(a.Field) - int(b.Field) })
	return x.out
}

// explainer sorts what was said into evidence.
type explainer struct {
	d   *Dataset
	ws  []said
	rec ipwarden.Record
	out []ipwarden.Evidence
}

// contest adds the evidence of a field whose deciding feed, plus one, is by.
// of gives what a witness says, "" for nothing; why a reason not to count it.
func (x *explainer) contest(f ipwarden.Field, value string, by int, of func(*said) string, why func(*said) string) {
	e := ipwarden.Evidence{Field: f, Value: value}
	for i := range x.ws {
		w := &x.ws[i]
		v := of(w)
		if v == "" {
			continue
		}
		note := ""
		if why != nil {
			note = why(w)
		}
		c := x.d.claimOf(w, v, note)
		switch {
		case value == "" || v != value || note != "":
			if c.Note == "" {
				c.Note = "believed less"
			}
			e.Lost = append(e.Lost, c)
		case w.feed+1 == by:
			e.By = slices.Insert(e.By, 0, c)
		default:
			e.By = append(e.By, c)
		}
	}
	if len(e.By)+len(e.Lost) > 0 {
		x.out = append(x.out, e)
	}
}

func (x *explainer) location(row []byte) {
	l := x.rec.Location()
	off := func(w *said) string {
		if w.off {
			return "outside of its operator's own networks"
		}
		return ""
	}
	x.contest(ipwarden.FieldCountryCode, l.CountryCode, int(row[30]), func(w *said) string { return w.loc.Country }, off)
	if l.CountryCode == "" {
		x.contest(ipwarden.FieldContinentCode, l.ContinentCode, int(row[30]), func(w *said) string { return w.loc.Continent }, nil)
	} else {
		x.contest(ipwarden.FieldContinentCode, "", 0, func(w *said) string {
			if w.loc.Continent == l.ContinentCode {
				return ""
			}
			return w.loc.Continent
		}, nil)
	}
	by := int(row[31])
	for _, f := range []struct {
		field ipwarden.Field
		value string
		of    func(*locClaim) string
	}{
		{ipwarden.FieldRegionCode, l.RegionCode, func(c *locClaim) string { return strings.TrimPrefix(c.Region, c.Country+"-") }},
		{ipwarden.FieldRegion, l.Region, func(c *locClaim) string { return c.RegionName }},
		{ipwarden.FieldCity, l.City, func(c *locClaim) string { return c.City }},
		{ipwarden.FieldPostal, l.Postal, func(c *locClaim) string { return c.Postal }},
		{ipwarden.FieldTimeZoneID, l.TimeZone.ID, func(c *locClaim) string { return c.TimeZone }},
	} {
		x.contest(f.field, f.value, by, func(w *said) string { return f.of(&w.loc) }, off)
	}
	if l.HasCoordinates {
		for _, f := range []struct {
			field ipwarden.Field
			value float64
			of    func(*locClaim) float64
		}{
			{ipwarden.FieldLatitude, l.Latitude, func(c *locClaim) float64 { return c.Latitude }},
			{ipwarden.FieldLongitude, l.Longitude, func(c *locClaim) float64 { return c.Longitude }},
		} {
			x.contest(f.field, decimalText(f.value), by, func(w *said) string {
				if !w.loc.HasCoordinates {
					return ""
				}
				return decimalText(f.of(&w.loc))
			}, off)
		}
		x.contest(ipwarden.FieldAccuracyKM, strconv.Itoa(int(l.AccuracyKM)), by, func(w *said) string {
			if !w.loc.HasCoordinates || w.loc.AccuracyKM == 0 {
				return ""
			}
			return strconv.Itoa(int(w.loc.AccuracyKM))
		}, off)
	}
	x.reference(l, row[32]&locPlaced != 0)
}

func decimalText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (x *explainer) network(by int) {
	a := x.rec.ASN()
	number := ""
	if a.Number != 0 {
		number = strconv.FormatUint(uint64(a.Number), 10)
	}
	x.contest(ipwarden.FieldASNumber, number, by, func(w *said) string {
		if w.net.Origin == 0 {
			return ""
		}
		return strconv.FormatUint(uint64(w.net.Origin), 10)
	}, nil)
	if a.Number != 0 {
		i, _ := x.d.asIndex(a.Number)
		p := x.d.profile(i)
		x.contest(ipwarden.FieldASName, a.Name, int(p[6]), func(w *said) string { return w.as.Name }, nil)
		x.contest(ipwarden.FieldASDomain, a.Domain, 0, func(w *said) string { return w.as.Domain }, nil)
		x.contest(ipwarden.FieldASKind, a.Kind, int(p[7]), func(w *said) string { return w.as.Kind }, nil)
		x.contest(ipwarden.FieldASRegistry, a.Registry, int(p[8]), func(w *said) string { return w.as.Registry }, nil)
		if a.Route.IsValid() {
			x.contest(ipwarden.FieldASRoute, a.Route.String(), by, func(w *said) string {
				if w.net.Origin == 0 {
					return ""
				}
				return w.match
			}, nil)
		}
	}
	c := x.rec.Company()
	x.contest(ipwarden.FieldCompanyName, c.Name, 0, func(w *said) string { return w.org.company }, nil)
	x.contest(ipwarden.FieldCompanyDomain, c.Domain, 0, func(w *said) string { return w.org.domain }, nil)
	x.contest(ipwarden.FieldCompanyKind, c.Kind, 0, func(w *said) string { return w.org.kind }, nil)
	m := x.rec.Carrier()
	x.contest(ipwarden.FieldCarrierName, m.Name, 0, func(w *said) string { return w.org.carrier }, nil)
	x.contest(ipwarden.FieldCarrierMCC, m.MCC, 0, func(w *said) string { return w.org.mcc }, nil)
	x.contest(ipwarden.FieldCarrierMNC, m.MNC, 0, func(w *said) string { return w.org.mnc }, nil)
}
