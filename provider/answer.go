package provider

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden"
)

// Bounds of what is taken from an answer, as feeds are bounded.
const (
	maxText  = 256 // bytes
	maxItems = 32  // of a list
)

// An answer is a Record that is being made of what a vendor says. What is not as
// the field has to be is left out.
type answer struct {
	cfg   *Config
	zones *zones
	addr  netip.Addr
	full  ipwarden.Full
	said  ipwarden.Fields // by the vendor, traits that it denies among them
	notes map[ipwarden.Field]string
}

// texts are the fields that a vendor's text goes into as it is.
func (a *answer) texts(f ipwarden.Field) *string {
	switch f {
	case ipwarden.FieldTimeZoneID, ipwarden.FieldBogonName, ipwarden.FieldBogonRFC:
		return nil // the rules of time zones are here, and what is special space too
	}
	return a.full.Text(f)
}

// set takes one value for one field, whatever its type.
func (a *answer) set(f ipwarden.Field, n node) {
	if t := f.Traits(); t != 0 {
		a.trait(t, n)
		return
	}
	if p := a.texts(f); p != nil {
		if s := a.tidy(f, n.text()); s != "" {
			*p = s
			a.said = a.said.With(f)
		}
		return
	}
	switch f {
	case ipwarden.FieldIsEU:
		if on, ok := n.truth(); ok {
			a.full.Location.IsEU = on
			a.said = a.said.With(f)
		}
	case ipwarden.FieldAccuracyKM:
		if km, ok := n.number(); ok && km >= 0.5 && km <= 20037 { // half the way round the Earth
			a.full.Location.AccuracyKM = uint16(math.Round(km))
			a.said = a.said.With(f)
		}
	case ipwarden.FieldASNumber:
		a.number(n.text())
	case ipwarden.FieldASRoute:
		if p, err := netip.ParsePrefix(n.text()); err == nil && p.Contains(a.addr) {
			a.full.ASN.Route = p.Masked()
			a.said = a.said.With(f)
		}
	case ipwarden.FieldTimeZoneID:
		if zone := a.zones.load(n.text()); zone != nil {
			a.full.Location.TimeZone = ipwarden.TimeZone{ID: n.text(), Zone: zone}
			a.said = a.said.With(f)
		}
	case ipwarden.FieldLanguages:
		a.languages(n)
	}
}

// tidy checks a text of one field, and writes it as ipwarden does.
func (a *answer) tidy(f ipwarden.Field, s string) string {
	if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	switch f {
	case ipwarden.FieldCountryCode:
		return letters(s, 2)
	case ipwarden.FieldCurrencyCode:
		return letters(s, 3)
	case ipwarden.FieldContinentCode:
		if s = letters(s, 2); !strings.Contains(" AF AN AS EU NA OC SA ", " "+s+" ") {
			return ""
		}
	case ipwarden.FieldASKind, ipwarden.FieldCompanyKind:
		return kindOf(s)
	case ipwarden.FieldASRegistry:
		if s = strings.ToLower(s); !strings.Contains(" afrinic apnic arin lacnic ripencc ", " "+s+" ") {
			return ""
		}
	case ipwarden.FieldCallingCode:
		s = strings.TrimPrefix(s, "+")
		fallthrough
	case ipwarden.FieldCarrierMCC, ipwarden.FieldCarrierMNC:
		if strings.Trim(s, "0123456789") != "" {
			return ""
		}
	case ipwarden.FieldRegionCode:
		if cc, rest, ok := strings.Cut(s, "-"); ok && len(cc) == 2 { // SE-AB
			return rest
		}
	case ipwarden.FieldASDomain, ipwarden.FieldCompanyDomain:
		return strings.ToLower(s)
	}
	return s
}

// letters is a code of n capital letters, "" when s is none.
func letters(s string, n int) string {
	if s = strings.ToUpper(s); len(s) != n || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return s
}

// kindOf is a vendor's word for what sort of organisation it is, in ours.
func kindOf(s string) string {
	switch strings.ToLower(s) {
	case "isp", "cellular", "mobile", "residential", "fixed line isp", "mobile isp":
		return "isp"
	case "hosting", "data center", "datacenter", "data center/web hosting/transit", "content delivery network", "cdn", "content_delivery_network":
		return "hosting"
	case "business", "corporate", "commercial", "organization", "company":
		return "business"
	case "education", "edu", "college", "school", "university/college/school", "library", "university":
		return "education"
	case "government", "military", "gov":
		return "government"
	}
	return ""
}

// trait notes what is said of a trait. Where several members speak of one, a yes
// is stronger.
func (a *answer) trait(t ipwarden.Traits, n node) {
	on, ok := n.truth()
	if !ok || t == 0 {
		return
	}
	if t == ipwarden.Anonymous || t == ipwarden.Threat {
		a.union(t, on)
		return
	}
	if on {
		a.full.Traits |= t
	}
	a.said = a.said.With(ipwarden.FieldOf(t))
}

// union notes what is said of several traits together. A yes without one that
// explains it is taken for the plainest; a no says nothing of each, because
// vendors do not agree on which they are.
func (a *answer) union(t ipwarden.Traits, on bool) {
	plain := ipwarden.Proxy
	if t == ipwarden.Threat {
		plain = ipwarden.Abuser
	}
	if !on || a.full.Traits.Has(t) {
		return
	}
	f := ipwarden.FieldOf(plain)
	a.full.Traits |= plain
	a.said = a.said.With(f)
	a.note(f, "only said to be "+strings.TrimPrefix(ipwarden.FieldOf(t).String(), "security.is_"))
}

func (a *answer) note(f ipwarden.Field, text string) {
	if a.notes == nil {
		a.notes = map[ipwarden.Field]string{}
	}
	a.notes[f] = text
}

// number takes the number of an AS, with or without AS before it.
func (a *answer) number(s string) {
	if len(s) > 2 && strings.EqualFold(s[:2], "as") {
		s = s[2:]
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil && n > 0 {
		a.full.ASN.Number = uint32(n)
		a.said = a.said.With(ipwarden.FieldASNumber)
	}
}

// place takes coordinates, which go together.
func (a *answer) place(lat, lon node) {
	y, ok := lat.number()
	x, ok2 := lon.number()
	if !ok || !ok2 || !(y >= -90 && y <= 90) || !(x >= -180 && x <= 180) { // also not for NaN
		return
	}
	l := &a.full.Location
	l.HasCoordinates, l.Latitude, l.Longitude = true, y, x
	a.said = a.said.With(ipwarden.FieldLatitude).With(ipwarden.FieldLongitude)
}

// loc takes "42.0999,-72.5783".
func (a *answer) loc(n node) {
	if lat, lon, ok := strings.Cut(n.text(), ","); ok {
		a.place(node{strings.TrimSpace(lat)}, node{strings.TrimSpace(lon)})
	}
}

// org takes "AS15169 Google LLC".
func (a *answer) org(n node) {
	number, name := splitAS(n.text())
	a.set(ipwarden.FieldASNumber, node{number})
	a.set(ipwarden.FieldASName, node{name})
}

// splitAS splits "AS15169 Google LLC"; a text without a number is a name.
func splitAS(s string) (number, name string) {
	first, rest, _ := strings.Cut(s, " ")
	if len(first) > 2 && strings.EqualFold(first[:2], "as") && strings.Trim(first[2:], "0123456789") == "" {
		return first[2:], strings.TrimSpace(rest)
	}
	return "", s
}

// network takes the network whose addresses all have this answer. A wide one is
// not believed: what is kept of an answer would speak for too many.
func (a *answer) network(n node) {
	p, err := netip.ParsePrefix(n.text())
	if err != nil || !p.Contains(a.addr) || p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 20 {
		return
	}
	a.full.Network = p.Masked()
}

// languages takes a list of codes, or of objects with a code, or codes in one text.
func (a *answer) languages(n node) {
	items := n.list()
	if len(items) == 0 && n.text() != "" {
		for code := range strings.SplitSeq(n.text(), ",") {
			items = append(items, node{code})
		}
	}
	var all []ipwarden.Language
	for _, item := range items[:min(len(items), maxItems)] {
		l := ipwarden.Language{Code: a.tidy(ipwarden.FieldLanguages, item.text())}
		if item.object() {
			l.Code = a.tidy(ipwarden.FieldLanguages, item.get("code").text())
			l.Name = a.tidy(ipwarden.FieldLanguages, item.get("name").text())
			l.Native = a.tidy(ipwarden.FieldLanguages, item.get("native").text())
		}
		if l.Code != "" {
			all = append(all, l)
		}
	}
	if len(all) > 0 {
		a.full.Location.Languages = all
		a.said = a.said.With(ipwarden.FieldLanguages)
	}
}

// listing adds a blocklist that names the address.
func (a *answer) listing(l ipwarden.Listing) {
	l.Name = a.tidy(ipwarden.FieldListings, l.Name)
	l.Type = a.tidy(ipwarden.FieldListings, l.Type)
	l.URL = a.tidy(ipwarden.FieldListings, l.URL)
	if l.Name == "" || len(a.full.Security.Listings) >= maxItems {
		return
	}
	a.full.Security.Listings = append(a.full.Security.Listings, l)
	a.said = a.said.With(ipwarden.FieldListings)
}

// day reads a date, or a time, as vendors write it; else the zero time.
func day(n node) time.Time {
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, n.text()); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
