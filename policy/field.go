package policy

import (
	"time"

	"github.com/ipwarden/ipwarden"
)

// TypeOf is the type that a field has in a condition.
func TypeOf(f ipwarden.Field) Type {
	if f.Traits() != 0 {
		return Bool
	}
	switch f {
	case ipwarden.FieldZone, ipwarden.FieldIsEU, ipwarden.FieldTimeZoneIsDST:
		return Bool
	case ipwarden.FieldVersion, ipwarden.FieldAccuracyKM, ipwarden.FieldTimeZoneOffset, ipwarden.FieldASNumber,
		ipwarden.FieldScoreVPN, ipwarden.FieldScoreProxy, ipwarden.FieldScoreThreat, ipwarden.FieldScoreTrust:
		return Int
	case ipwarden.FieldLatitude, ipwarden.FieldLongitude:
		return Double
	case ipwarden.FieldLanguages, ipwarden.FieldListings:
		return Strings
	}
	return String
}

// FieldBool returns a field that is yes or no; false when unknown.
func (in *Input) FieldBool(f ipwarden.Field) bool {
	if t := f.Traits(); t != 0 {
		return in.rec.Traits().Has(t)
	}
	switch f {
	case ipwarden.FieldZone:
		return in.rec.Zone()
	case ipwarden.FieldIsEU:
		return in.rec.Location().IsEU
	case ipwarden.FieldTimeZoneIsDST:
		t, ok := in.local()
		return ok && t.IsDST()
	}
	return false
}

// FieldInt returns a field that is a whole number; 0 when unknown.
func (in *Input) FieldInt(f ipwarden.Field) int64 {
	switch f {
	case ipwarden.FieldVersion:
		switch a := in.rec.Addr(); {
		case a.Is4():
			return 4
		case a.IsValid():
			return 6
		}
	case ipwarden.FieldAccuracyKM:
		return int64(in.rec.Location().AccuracyKM)
	case ipwarden.FieldTimeZoneOffset:
		if t, ok := in.local(); ok {
			_, offset := t.Zone()
			return int64(offset)
		}
	case ipwarden.FieldASNumber:
		return int64(in.rec.ASNumber())
	case ipwarden.FieldScoreVPN, ipwarden.FieldScoreProxy, ipwarden.FieldScoreThreat, ipwarden.FieldScoreTrust:
		if in.program == nil || in.program.scores == nil {
			return 0
		}
		s := in.program.scores(in.rec, in.Now)
		return int64([...]uint8{s.VPN, s.Proxy, s.Threat, s.Trust}[f-ipwarden.FieldScoreVPN])
	}
	return 0
}

// FieldDouble returns a coordinate in degrees; 0 when unknown.
func (in *Input) FieldDouble(f ipwarden.Field) float64 {
	l := in.rec.Location()
	switch {
	case !l.HasCoordinates:
	case f == ipwarden.FieldLatitude:
		return l.Latitude
	case f == ipwarden.FieldLongitude:
		return l.Longitude
	}
	return 0
}

// FieldText returns a field that is text; "" when unknown. Addresses, networks
// and times are put together, in memory that holds until the next request.
func (in *Input) FieldText(f ipwarden.Field) string {
	r := in.rec
	switch {
	case f >= ipwarden.FieldContinentCode && f <= ipwarden.FieldFlag:
		return in.locationText(f)
	case f >= ipwarden.FieldVPNName && f <= ipwarden.FieldBogonRFC:
		return securityText(r.Security(), f)
	}
	from := len(in.scratch)
	switch f {
	case ipwarden.FieldIP:
		if in.addr.IsValid() {
			in.scratch = in.addr.AppendTo(in.scratch)
		}
	case ipwarden.FieldNetwork:
		if p := r.Network(); p.IsValid() {
			in.scratch = p.AppendTo(in.scratch)
		}
	case ipwarden.FieldASRoute:
		if p := r.ASN().Route; p.IsValid() {
			in.scratch = p.AppendTo(in.scratch)
		}
	case ipwarden.FieldDatasetDate:
		if d := r.Date(); !d.IsZero() {
			in.scratch = d.AppendFormat(in.scratch, time.DateOnly)
		}
	case ipwarden.FieldTransition:
		return r.Transition().String()
	case ipwarden.FieldASName:
		return r.ASN().Name
	case ipwarden.FieldASDomain:
		return r.ASN().Domain
	case ipwarden.FieldASKind:
		return r.ASN().Kind
	case ipwarden.FieldASRegistry:
		return r.ASN().Registry
	case ipwarden.FieldCompanyName:
		return r.Company().Name
	case ipwarden.FieldCompanyDomain:
		return r.Company().Domain
	case ipwarden.FieldCompanyKind:
		return r.Company().Kind
	case ipwarden.FieldCarrierName:
		return r.Carrier().Name
	case ipwarden.FieldCarrierMCC:
		return r.Carrier().MCC
	case ipwarden.FieldCarrierMNC:
		return r.Carrier().MNC
	}
	return in.built(from)
}

func (in *Input) locationText(f ipwarden.Field) string {
	if f == ipwarden.FieldCountryCode {
		return in.rec.CountryCode()
	}
	l := in.rec.Location()
	switch f {
	case ipwarden.FieldContinentCode:
		return l.ContinentCode
	case ipwarden.FieldContinent:
		return l.Continent
	case ipwarden.FieldCountry:
		return l.Country
	case ipwarden.FieldRegionCode:
		return l.RegionCode
	case ipwarden.FieldRegion:
		return l.Region
	case ipwarden.FieldCity:
		return l.City
	case ipwarden.FieldPostal:
		return l.Postal
	case ipwarden.FieldTimeZoneID:
		return l.TimeZone.ID
	case ipwarden.FieldTimeZoneAbbr:
		if t, ok := in.local(); ok {
			abbr, _ := t.Zone()
			return abbr
		}
	case ipwarden.FieldTimeZoneCurrentTime:
		if t, ok := in.local(); ok {
			from := len(in.scratch)
			in.scratch = t.AppendFormat(in.scratch, time.RFC3339)
			return in.built(from)
		}
	case ipwarden.FieldCurrencyCode:
		return l.Currency.Code
	case ipwarden.FieldCurrencyName:
		return l.Currency.Name
	case ipwarden.FieldCurrencySymbol:
		return l.Currency.Symbol
	case ipwarden.FieldCallingCode:
		return l.CallingCode
	case ipwarden.FieldFlag:
		return l.Flag
	}
	return ""
}

func securityText(s ipwarden.Security, f ipwarden.Field) string {
	switch f {
	case ipwarden.FieldVPNName:
		return s.VPN
	case ipwarden.FieldCrawlerName:
		return s.Crawler.Name
	case ipwarden.FieldCrawlerPurpose:
		return s.Crawler.Purpose
	case ipwarden.FieldHostingName:
		return s.Hosting.Name
	case ipwarden.FieldHostingRegion:
		return s.Hosting.Region
	case ipwarden.FieldHostingService:
		return s.Hosting.Service
	case ipwarden.FieldBogonName:
		return s.Bogon.Name
	case ipwarden.FieldBogonRFC:
		return s.Bogon.RFC
	}
	return ""
}

// FieldHas reports whether a field that is a list has an item, and FieldSize how
// many it has: codes of languages, names of listings.
func (in *Input) FieldHas(f ipwarden.Field, item string) bool {
	for i := range in.FieldSize(f) {
		if in.FieldItem(f, i) == item {
			return true
		}
	}
	return false
}

// FieldSize counts the items of a field that is a list.
func (in *Input) FieldSize(f ipwarden.Field) int {
	switch f {
	case ipwarden.FieldLanguages:
		return len(in.rec.Location().Languages)
	case ipwarden.FieldListings:
		return len(in.rec.Security().Listings)
	}
	return 0
}

// FieldItem returns item i of a field that is a list.
func (in *Input) FieldItem(f ipwarden.Field, i int) string {
	if f == ipwarden.FieldLanguages {
		return in.rec.Location().Languages[i].Code
	}
	return in.rec.Security().Listings[i].Name
}

// local is the time of day where the address is used.
func (in *Input) local() (time.Time, bool) {
	zone := in.rec.Location().TimeZone.Zone
	if zone == nil {
		return time.Time{}, false
	}
	return in.Now.In(zone), true
}
