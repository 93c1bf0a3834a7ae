package dataset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// traitsSaid is everything a witness says of traits, of the address or its AS.
func (w *said) traitsSaid() ipwarden.Traits { return w.sec.Traits | w.as.Traits }

// deniedBy says which witness took a claim back.
func (x *explainer) deniedBy(took func(w *said, n *feedNote) bool) string {
	for i := range x.ws {
		w := &x.ws[i]
		if took(w, &x.d.manifest.Notes[w.feed]) {
			return "taken back by " + x.d.manifest.Feeds[w.feed].Name + " (" + w.match + ")"
		}
	}
	if x.rec.Traits().Has(ipwarden.Bogon) {
		return "special-purpose space is nobody's"
	}
	return "taken back"
}

// traits adds the evidence of each trait that somebody asserts. What a safelist
// took back is among the lost claims, with the safelist's name.
func (x *explainer) traits() {
	have := x.rec.Traits()
	for t := ipwarden.Traits(1); t&ipwarden.AllTraits != 0; t <<= 1 {
		e := ipwarden.Evidence{Field: ipwarden.FieldOf(t)}
		if have.Has(t) {
			e.Value = "true"
		}
		for i := range x.ws {
			w := &x.ws[i]
			if !w.traitsSaid().Has(t) {
				continue
			}
			c := x.d.claimOf(w, "true", w.detail())
			if have.Has(t) {
				e.By = append(e.By, c)
			} else {
				c.Note = strings.TrimSuffix(x.deniedBy(func(w *said, _ *feedNote) bool { return w.sec.Denied.Has(t) })+"; "+c.Note, "; ")
				e.Lost = append(e.Lost, c)
			}
		}
		if len(e.By)+len(e.Lost) > 0 {
			if e.Value == "" {
				e.Value = "false"
			}
			x.out = append(x.out, e)
		}
	}
	for _, union := range []ipwarden.Field{ipwarden.FieldIsAnonymous, ipwarden.FieldIsThreat} {
		parts := union.Traits()
		if !have.Has(parts) {
			continue
		}
		e := ipwarden.Evidence{Field: union, Value: "true"}
		for i := range x.ws {
			if w := &x.ws[i]; w.traitsSaid().Has(parts & have) {
				e.By = append(e.By, x.d.claimOf(w, "true", strings.Join((w.traitsSaid()&parts&have).Names(), ", ")))
			}
		}
		x.out = append(x.out, e)
	}
}

// detail says what a row adds to its list's assertion.
func (w *said) detail() string {
	var parts []string
	if w.sec.Detail != "" {
		parts = append(parts, w.sec.Detail)
	}
	if w.as.Detail != "" {
		parts = append(parts, w.as.Detail)
	}
	if w.sec.Count != 0 {
		parts = append(parts, fmt.Sprintf("count %d", w.sec.Count))
	}
	if w.sec.Seen != 0 {
		parts = append(parts, "last seen "+time.Unix(int64(w.sec.Seen)*86400, 0).UTC().Format(time.DateOnly))
	}
	return strings.Join(parts, ", ")
}

// details adds the evidence of the names beside the traits.
func (x *explainer) details(row []byte) {
	s := x.rec.Security()
	have := x.rec.Traits()
	for _, f := range []struct {
		field ipwarden.Field
		trait ipwarden.Traits
		value string
		by    byte
		of    func(*said) string
	}{
		{ipwarden.FieldVPNName, ipwarden.VPN, s.VPN, row[36], x.name},
		{ipwarden.FieldCrawlerName, ipwarden.Crawler, s.Crawler.Name, row[37], x.name},
		{ipwarden.FieldCrawlerPurpose, ipwarden.Crawler, s.Crawler.Purpose, row[37], func(w *said) string { return w.sec.Purpose }},
		{ipwarden.FieldHostingName, ipwarden.Hosting, s.Hosting.Name, row[38], x.name},
		{ipwarden.FieldHostingRegion, ipwarden.Hosting, s.Hosting.Region, row[38], func(w *said) string { return w.sec.CloudRegion }},
		{ipwarden.FieldHostingService, ipwarden.Hosting, s.Hosting.Service, row[38], func(w *said) string { return w.sec.CloudService }},
		{ipwarden.FieldBogonName, ipwarden.Bogon, s.Bogon.Name, row[39], x.name},
		{ipwarden.FieldBogonRFC, ipwarden.Bogon, s.Bogon.RFC, row[39], func(w *said) string { return w.sec.RFC }},
	} {
		if !have.Has(f.trait) {
			continue
		}
		x.contest(f.field, f.value, int(f.by), func(w *said) string {
			if !w.traitsSaid().Has(f.trait) {
				return ""
			}
			return f.of(w)
		}, nil)
	}
	x.listings(s.Listings)
}

// listings adds the evidence of the blocklists, and of those whose word a
// safelist took back.
func (x *explainer) listings(on []ipwarden.Listing) {
	names := make([]string, len(on))
	for i, l := range on {
		names[i] = l.Name
	}
	e := ipwarden.Evidence{Field: ipwarden.FieldListings, Value: strings.Join(names, ",")}
	for i := range x.ws {
		w := &x.ws[i]
		name := x.d.manifest.Feeds[w.feed].Name
		switch {
		case x.d.manifest.Notes[w.feed].Listing == "":
		case slices.Contains(names, name):
			e.By = append(e.By, x.d.claimOf(w, name, w.detail()))
		default:
			note := strings.TrimSuffix(x.deniedBy(func(by *said, n *feedNote) bool {
				return by.sec != secClaim{} && (n.DeniesListings || by.sec.Denied.Has(w.traitsSaid()))
			})+"; "+w.detail(), "; ")
			e.Lost = append(e.Lost, x.d.claimOf(w, name, note))
		}
	}
	if len(e.By)+len(e.Lost) > 0 {
		x.out = append(x.out, e)
	}
}

// name is the operator a witness names, itself or for the whole list.
func (x *explainer) name(w *said) string {
	if w.sec.Name != "" {
		return w.sec.Name
	}
	return x.d.manifest.Notes[w.feed].Name
}
