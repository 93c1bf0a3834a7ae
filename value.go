package ipwarden

import (
	"net/netip"
	"time"
)

// The kinds of a value.
type kind uint8

const (
	absent kind = iota
	text
	integer
	decimal
	boolean
	languages
	listings
	address // of the record
	network // in prefix
	date    // of the data
)

// value is one field's answer.
type value struct {
	kind   kind
	s      string
	n      int64
	f      float64
	prefix netip.Prefix
}

// reading reads the groups of a Record once, and only those that are asked for.
type reading struct {
	r      Record
	view   *View
	traits Traits
	loc    Location
	asn    ASN
	co     Company
	ca     Carrier
	sec    Security
	scores Scores
	tzAbbr string
	tzOff  int
	local  time.Time
}

// Groups, as sets of fields.
var (
	groupLocation = fieldRange(FieldContinentCode, FieldFlag)
	groupTime     = fieldRange(FieldTimeZoneAbbr, FieldTimeZoneCurrentTime)
	groupASN      = fieldRange(FieldASNumber, FieldASRegistry)
	groupCompany  = fieldRange(FieldCompanyName, FieldCompanyKind)
	groupCarrier  = fieldRange(FieldCarrierName, FieldCarrierMNC)
	groupTraits   = fieldRange(FieldIsVPN, FieldIsMobile)
	groupSecurity = fieldRange(FieldVPNName, FieldListings)
	groupScores   = fieldRange(FieldScoreVPN, FieldScoreTrust)
)

func fieldRange(from, to Field) (s Fields) {
	for f := from; f <= to; f++ {
		s = s.With(f)
	}
	return s
}

func (rd *reading) read(fields Fields) {
	v, r := rd.view, rd.r
	if fields.Any(groupLocation) {
		if onlyCountryCode := fields.lo&groupLocation.lo == 1<<FieldCountryCode; onlyCountryCode {
			rd.loc.CountryCode = r.CountryCode()
		} else {
			rd.loc = r.Location()
		}
		if rd.loc.TimeZone.Zone != nil && fields.Any(groupTime) {
			rd.local = v.Now.In(rd.loc.TimeZone.Zone)
			rd.tzAbbr, rd.tzOff = rd.local.Zone()
		}
	}
	if fields.Any(groupASN) {
		rd.asn = r.ASN()
	}
	if fields.Any(groupCompany) {
		rd.co = r.Company()
	}
	if fields.Any(groupCarrier) {
		rd.ca = r.Carrier()
	}
	if fields.Any(groupTraits) {
		rd.traits = r.Traits()
	}
	if fields.Any(groupSecurity) {
		rd.sec = r.Security()
	}
	if v.Scores != nil && fields.Any(groupScores) {
		rd.scores = v.Scores(r, v.Now)
	}
}

func str(s string) value {
	if s == "" {
		return value{}
	}
	return value{kind: text, s: s}
}

func num(n int64) value {
	if n == 0 {
		return value{}
	}
	return value{kind: integer, n: n}
}

func yes(b bool) value {
	v := value{kind: boolean}
	if b {
		v.n = 1
	}
	return v
}

func pfx(p netip.Prefix) value {
	if !p.IsValid() {
		return value{}
	}
	return value{kind: network, prefix: p}
}

// field returns the value of one field.
func (rd *reading) field(f Field) value {
	if t := fieldTraits[f]; t != 0 {
		return yes(rd.traits.Has(t))
	}
	known := rd.loc.TimeZone.Zone != nil
	switch f {
	case FieldIP:
		return value{kind: address}
	case FieldQuery:
		return rd.query()
	case FieldVersion:
		if rd.r.Addr().Is4() {
			return num(4)
		}
		return num(6)
	case FieldNetwork:
		return pfx(rd.r.Network())
	case FieldTransition:
		return str(rd.r.Transition().String())
	case FieldZone:
		if !rd.r.Zone() {
			return value{}
		}
		return yes(true)
	case FieldContinentCode:
		return str(rd.loc.ContinentCode)
	case FieldContinent:
		return str(rd.loc.Continent)
	case FieldCountryCode:
		return str(rd.loc.CountryCode)
	case FieldCountry:
		return str(rd.loc.Country)
	case FieldIsEU:
		if rd.loc.CountryCode == "" || !rd.loc.IsEU && rd.loc.ContinentCode == "" {
			return value{} // nothing is known about the country
		}
		return yes(rd.loc.IsEU)
	case FieldRegionCode:
		return str(rd.loc.RegionCode)
	case FieldRegion:
		return str(rd.loc.Region)
	case FieldCity:
		return str(rd.loc.City)
	case FieldPostal:
		return str(rd.loc.Postal)
	case FieldLatitude:
		return rd.degrees(rd.loc.Latitude)
	case FieldLongitude:
		return rd.degrees(rd.loc.Longitude)
	case FieldAccuracyKM:
		return num(int64(rd.loc.AccuracyKM))
	case FieldTimeZoneID:
		return str(rd.loc.TimeZone.ID)
	case FieldTimeZoneAbbr:
		if known {
			return str(rd.tzAbbr)
		}
	case FieldTimeZoneOffset:
		if known {
			return value{kind: integer, n: int64(rd.tzOff)}
		}
	case FieldTimeZoneIsDST:
		if known {
			return yes(rd.local.IsDST())
		}
	case FieldTimeZoneCurrentTime:
		if known {
			return str(rd.local.Format(time.RFC3339))
		}
	case FieldCurrencyCode:
		return str(rd.loc.Currency.Code)
	case FieldCurrencyName:
		return str(rd.loc.Currency.Name)
	case FieldCurrencySymbol:
		return str(rd.loc.Currency.Symbol)
	case FieldLanguages:
		if len(rd.loc.Languages) > 0 {
			return value{kind: languages}
		}
	case FieldCallingCode:
		return str(rd.loc.CallingCode)
	case FieldFlag:
		return str(rd.loc.Flag)
	case FieldASNumber:
		return num(int64(rd.asn.Number))
	case FieldASName:
		return str(rd.asn.Name)
	case FieldASDomain:
		return str(rd.asn.Domain)
	case FieldASRoute:
		return pfx(rd.asn.Route)
	case FieldASKind:
		return str(rd.asn.Kind)
	case FieldASRegistry:
		return str(rd.asn.Registry)
	case FieldCompanyName:
		return str(rd.co.Name)
	case FieldCompanyDomain:
		return str(rd.co.Domain)
	case FieldCompanyKind:
		return str(rd.co.Kind)
	case FieldCarrierName:
		return str(rd.ca.Name)
	case FieldCarrierMCC:
		return str(rd.ca.MCC)
	case FieldCarrierMNC:
		return str(rd.ca.MNC)
	case FieldVPNName:
		return str(rd.sec.VPN)
	case FieldCrawlerName:
		return str(rd.sec.Crawler.Name)
	case FieldCrawlerPurpose:
		return str(rd.sec.Crawler.Purpose)
	case FieldHostingName:
		return str(rd.sec.Hosting.Name)
	case FieldHostingRegion:
		return str(rd.sec.Hosting.Region)
	case FieldHostingService:
		return str(rd.sec.Hosting.Service)
	case FieldBogonName:
		return str(rd.sec.Bogon.Name)
	case FieldBogonRFC:
		return str(rd.sec.Bogon.RFC)
	case FieldListings:
		if len(rd.sec.Listings) > 0 {
			return value{kind: listings}
		}
	case FieldScoreVPN:
		return rd.score(rd.scores.VPN)
	case FieldScoreProxy:
		return rd.score(rd.scores.Proxy)
	case FieldScoreThreat:
		return rd.score(rd.scores.Threat)
	case FieldScoreTrust:
		return rd.score(rd.scores.Trust)
	case FieldDatasetDate:
		if !rd.r.Date().IsZero() {
			return value{kind: date}
		}
	}
	return value{}
}

func (rd *reading) degrees(d float64) value {
	if !rd.loc.HasCoordinates {
		return value{}
	}
	return value{kind: decimal, f: d}
}

func (rd *reading) score(s uint8) value {
	if rd.view.Scores == nil {
		return value{}
	}
	return value{kind: integer, n: int64(s)}
}

// query is what was asked, when that differs from the canonical text.
func (rd *reading) query() value {
	q := rd.view.Query
	if q == "" {
		return value{}
	}
	var buf [48]byte
	if string(rd.r.Addr().AppendTo(buf[:0])) == q {
		return value{}
	}
	return str(q)
}
