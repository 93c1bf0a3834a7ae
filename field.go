package ipwarden

import (
	"errors"
	"iter"
	"math/bits"
	"strings"
)

// Field is one leaf of the JSON. Its String is the dotted path, which the
// command line, the HTTP API and the policy language all use.
type Field uint8

// The fields, in the order of the JSON.
const (
	FieldIP Field = iota
	FieldQuery
	FieldVersion
	FieldNetwork
	FieldTransition
	FieldZone
	FieldContinentCode
	FieldContinent
	FieldCountryCode
	FieldCountry
	FieldIsEU
	FieldRegionCode
	FieldRegion
	FieldCity
	FieldPostal
	FieldLatitude
	FieldLongitude
	FieldAccuracyKM
	FieldTimeZoneID
	FieldTimeZoneAbbr
	FieldTimeZoneOffset
	FieldTimeZoneIsDST
	FieldTimeZoneCurrentTime
	FieldCurrencyCode
	FieldCurrencyName
	FieldCurrencySymbol
	FieldLanguages
	FieldCallingCode
	FieldFlag
	FieldASNumber
	FieldASName
	FieldASDomain
	FieldASRoute
	FieldASKind
	FieldASRegistry
	FieldCompanyName
	FieldCompanyDomain
	FieldCompanyKind
	FieldCarrierName
	FieldCarrierMCC
	FieldCarrierMNC
	FieldIsVPN
	FieldIsProxy
	FieldIsResidentialProxy
	FieldIsTor
	FieldIsRelay
	FieldIsHosting
	FieldIsCrawler
	FieldIsAnonymous
	FieldIsAttacker
	FieldIsAbuser
	FieldIsScanner
	FieldIsThreat
	FieldIsBogon
	FieldIsAnycast
	FieldIsSatellite
	FieldIsMobile
	FieldVPNName
	FieldCrawlerName
	FieldCrawlerPurpose
	FieldHostingName
	FieldHostingRegion
	FieldHostingService
	FieldBogonName
	FieldBogonRFC
	FieldListings
	FieldScoreVPN
	FieldScoreProxy
	FieldScoreThreat
	FieldScoreTrust
	FieldDatasetDate

	numFields
)

var fieldNames = [numFields]string{
	"ip", "query", "version", "network", "transition", "zone",
	"location.continent_code", "location.continent", "location.country_code", "location.country",
	"location.is_eu", "location.region_code", "location.region", "location.city", "location.postal",
	"location.latitude", "location.longitude", "location.accuracy_km",
	"location.time_zone.id", "location.time_zone.abbr", "location.time_zone.offset",
	"location.time_zone.is_dst", "location.time_zone.current_time",
	"location.currency.code", "location.currency.name", "location.currency.symbol",
	"location.languages", "location.calling_code", "location.flag",
	"asn.number", "asn.name", "asn.domain", "asn.route", "asn.kind", "asn.registry",
	"company.name", "company.domain", "company.kind",
	"carrier.name", "carrier.mcc", "carrier.mnc",
	"security.is_vpn", "security.is_proxy", "security.is_residential_proxy", "security.is_tor",
	"security.is_relay", "security.is_hosting", "security.is_crawler", "security.is_anonymous",
	"security.is_attacker", "security.is_abuser", "security.is_scanner", "security.is_threat",
	"security.is_bogon", "security.is_anycast", "security.is_satellite", "security.is_mobile",
	"security.vpn.name", "security.crawler.name", "security.crawler.purpose",
	"security.hosting.name", "security.hosting.region", "security.hosting.service",
	"security.bogon.name", "security.bogon.rfc", "security.listings",
	"security.scores.vpn", "security.scores.proxy", "security.scores.threat", "security.scores.trust",
	"dataset.date",
}

// fieldTraits holds the trait, or union of traits, behind each is_ field.
var fieldTraits = [numFields]Traits{
	FieldIsVPN: VPN, FieldIsProxy: Proxy, FieldIsResidentialProxy: ResidentialProxy, FieldIsTor: Tor,
	FieldIsRelay: Relay, FieldIsHosting: Hosting, FieldIsCrawler: Crawler, FieldIsAnonymous: Anonymous,
	FieldIsAttacker: Attacker, FieldIsAbuser: Abuser, FieldIsScanner: Scanner, FieldIsThreat: Threat,
	FieldIsBogon: Bogon, FieldIsAnycast: Anycast, FieldIsSatellite: Satellite, FieldIsMobile: Mobile,
}

// String returns the dotted path, "location.country_code".
func (f Field) String() string {
	if f >= numFields {
		return "unknown"
	}
	return fieldNames[f]
}

// Traits returns the traits that an is_ field speaks of, 0 for other fields.
func (f Field) Traits() Traits {
	if f >= numFields {
		return 0
	}
	return fieldTraits[f]
}

// FieldOf returns the is_ field of a single trait.
func FieldOf(t Traits) Field {
	for f, ft := range fieldTraits {
		if ft == t {
			return Field(f)
		}
	}
	return numFields
}

// FieldNamed returns the leaf called by its dotted path.
func FieldNamed(path string) (Field, bool) {
	for i, n := range fieldNames {
		if n == path {
			return Field(i), true
		}
	}
	return 0, false
}

// Explained reports whether a field has evidence: those that follow from the address
// or the time have none.
func (f Field) Explained() bool {
	switch f {
	case FieldIP, FieldQuery, FieldVersion, FieldNetwork, FieldTransition, FieldZone, FieldTimeZoneAbbr, FieldTimeZoneOffset, FieldTimeZoneIsDST,
		FieldTimeZoneCurrentTime, FieldScoreVPN, FieldScoreProxy, FieldScoreThreat, FieldScoreTrust, FieldDatasetDate:
		return false
	}
	return true
}

// Fields is a set of fields. The zero value is the empty set.
type Fields struct{ lo, hi uint64 }

// FieldsOf returns the set of the given fields.
func FieldsOf(fs ...Field) Fields {
	var s Fields
	for _, f := range fs {
		s = s.With(f)
	}
	return s
}

// DefaultFields is what an answer holds when nobody chose: everything but the
// current time, which would make every answer stale at once.
func DefaultFields() Fields {
	var s Fields
	for f := range numFields {
		if f != FieldTimeZoneCurrentTime {
			s = s.With(f)
		}
	}
	return s
}

// With returns the set with f.
func (s Fields) With(f Field) Fields {
	if f < 64 {
		s.lo |= 1 << f
	} else {
		s.hi |= 1 << (f - 64)
	}
	return s
}

// Has reports whether f is in the set.
func (s Fields) Has(f Field) bool {
	if f < 64 {
		return s.lo&(1<<f) != 0
	}
	return s.hi&(1<<(f-64)) != 0
}

// Any reports whether s and t share a field.
func (s Fields) Any(t Fields) bool { return s.lo&t.lo|s.hi&t.hi != 0 }

// Len counts the fields.
func (s Fields) Len() int { return bits.OnesCount64(s.lo) + bits.OnesCount64(s.hi) }

// All yields the fields in the order of the JSON.
func (s Fields) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for w := s.lo; w != 0; w &= w - 1 {
			if !yield(Field(bits.TrailingZeros64(w))) {
				return
			}
		}
		for w := s.hi; w != 0; w &= w - 1 {
			if !yield(Field(64 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}

// AllFields yields every field there is.
func AllFields() iter.Seq[Field] {
	return DefaultFields().With(FieldTimeZoneCurrentTime).All()
}

// maxFieldList bounds the text of a field list, which comes from outside.
const maxFieldList = 4096

// ErrUnknownField is wrapped by errors of ParseFields.
var ErrUnknownField = errors.New("unknown field")

// FieldError names the part of a field list that is no field.
type FieldError struct {
	Name    string // as given, shortened when long
	Nearest string // what may have been meant, "" when nothing is near
}

// Error says which name it was.
func (e *FieldError) Error() string {
	s := "unknown field \"" + e.Name + "\""
	if e.Nearest != "" {
		s += ", did you mean \"" + e.Nearest + "\"?"
	}
	return s
}

// Unwrap returns ErrUnknownField.
func (e *FieldError) Unwrap() error { return ErrUnknownField }

// ParseFields reads a comma-separated list of dotted paths. A group's path
// ("location", "security.vpn") means all its leaves, current_time excepted,
// which must be named itself. The error is a *[FieldError].
func ParseFields(list string) (Fields, error) {
	var s Fields
	if len(list) > maxFieldList {
		return s, &FieldError{Name: list[:32] + "…"}
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.Trim(name, " \t")
		found := false
		for i, n := range fieldNames {
			f := Field(i)
			group := strings.HasPrefix(n, name) && len(n) > len(name) && n[len(name)] == '.' && f != FieldTimeZoneCurrentTime
			if n == name || group && name != "" {
				s, found = s.With(f), true
			}
		}
		if !found {
			return Fields{}, &FieldError{Name: clip(name, 64), Nearest: nearestField(name)}
		}
	}
	return s, nil
}

// nearestField finds the field whose last word is the one asked for.
func nearestField(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return ""
	}
	for _, n := range fieldNames {
		if n[strings.LastIndexByte(n, '.')+1:] == last {
			return n
		}
	}
	for _, n := range fieldNames {
		if strings.Contains(n, last) {
			return n
		}
	}
	return ""
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
