package dialect

import (
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
)

// apiAnswer is what there is to say about one address.
type apiAnswer struct {
	failed string // why there is nothing to say
	query  string
	now    time.Time

	rec    ipwarden.Record
	traits ipwarden.Traits
	loc    ipwarden.Location
	asn    ipwarden.ASN
	org    string
	tongue int
}

// read reads of a Record what the fields need.
func (a *apiAnswer) read(rec ipwarden.Record, q *apiQuestion) {
	a.rec, a.traits, a.tongue = rec, rec.Traits(), q.tongue
	if q.fields&apiLocation != 0 {
		a.loc = rec.Location()
	}
	if q.fields&apiNetwork != 0 {
		a.asn = rec.ASN()
	}
	if q.fields.has(apiOrg) {
		a.org = rec.Company().Name
	}
}

// The kinds of a value.
type apiKind uint8

const (
	apiText apiKind = iota
	apiNone         // not known, and no text
	apiFloat
	apiInt
	apiBool
	apiOwn // the canonical address
	apiNet // "AS15169 Google LLC"
)

// apiValue is what one field says.
type apiValue struct {
	kind apiKind
	s    string
	f    float64
	n    int64
}

func apiTruth(b bool) apiValue {
	v := apiValue{kind: apiBool}
	if b {
		v.n = 1
	}
	return v
}

// value of a field; false when the answer does not have it.
func (a *apiAnswer) value(f apiField) (v apiValue, ok bool) {
	switch {
	case f == apiStatus && a.failed != "":
		return apiValue{s: "fail"}, true
	case f == apiStatus:
		return apiValue{s: "success"}, true
	case f == apiMessage:
		return apiValue{s: a.failed}, a.failed != ""
	case f == apiQuery && (a.failed != "" || !a.rec.Addr().IsValid()):
		return apiValue{s: a.query}, true
	case f == apiQuery:
		return apiValue{kind: apiOwn}, true
	case a.failed != "":
		return v, false
	}
	loc := &a.loc
	switch f {
	case apiContinent:
		v.s = placeName(continentKey(loc.ContinentCode), a.tongue, loc.Continent)
	case apiContinentCode:
		v.s = loc.ContinentCode
	case apiCountry:
		v.s = placeName(loc.CountryCode, a.tongue, loc.Country)
	case apiCountryCode:
		v.s = loc.CountryCode
	case apiRegion:
		v.s = loc.RegionCode
	case apiRegionName:
		v.s = loc.Region
	case apiCity:
		v.s = loc.City
	case apiZip:
		v.s = loc.Postal
	case apiLat, apiLon:
		v.kind = apiNone
		if loc.HasCoordinates {
			v.kind, v.f = apiFloat, loc.Latitude
			if f == apiLon {
				v.f = loc.Longitude
			}
		}
	case apiTimezone:
		v.s = loc.TimeZone.ID
	case apiOffset:
		v.kind = apiNone
		if zone := loc.TimeZone.Zone; zone != nil {
			_, seconds := a.now.In(zone).Zone()
			v.kind, v.n = apiInt, int64(seconds)
		}
	case apiCurrency:
		v.s = loc.Currency.Code
	case apiISP, apiASName:
		v.s = a.asn.Name
	case apiOrg:
		v.s = a.org
	case apiAS:
		if a.asn.Number != 0 {
			v.kind = apiNet
		}
	case apiMobile:
		v = apiTruth(a.traits.Has(ipwarden.Mobile))
	case apiProxy:
		v = apiTruth(a.traits.Has(ipwarden.Anonymous))
	case apiHosting:
		v = apiTruth(a.traits.Has(ipwarden.Hosting))
	}
	return v, true // district and reverse are texts of which nothing is known
}

// append appends the answer in a format.
func (a *apiAnswer) append(dst []byte, fields apiFields, f apiFormat) []byte {
	switch f {
	case apiXML:
		return a.appendXML(dst, fields)
	case apiCSV:
		return a.appendRow(dst, fields, ',')
	case apiLine:
		return a.appendRow(dst, fields, '\n')
	case apiPHP:
		return a.appendPHP(dst, fields)
	case apiHuman:
		return a.appendHuman(dst, fields)
	}
	return a.appendJSON(dst, fields)
}

// Keys as JSON writes them.
var apiMembers = func() (m [numAPIFields]string) {
	for f, k := range apiKeys {
		m[f] = `,"` + k.name + `":`
	}
	return m
}()

func (a *apiAnswer) appendJSON(dst []byte, fields apiFields) []byte {
	dst = append(dst, '{')
	first := true
	for fields != 0 {
		f := fields.next()
		v, ok := a.value(f)
		if !ok || v.kind == apiNone {
			continue
		}
		key := apiMembers[f]
		if first {
			key, first = key[1:], false
		}
		dst = a.appendJSONValue(append(dst, key...), v)
	}
	return append(dst, '}')
}

func (a *apiAnswer) appendJSONValue(dst []byte, v apiValue) []byte {
	switch v.kind {
	case apiText:
		return ipwarden.AppendString(dst, v.s)
	case apiOwn:
		dst = a.rec.Addr().AppendTo(append(dst, '"'))
		return append(dst, '"')
	case apiNet:
		return appendASText(dst, a.asn)
	}
	return v.appendPlain(dst, a)
}

// appendASText appends "AS15169 Google LLC" as a JSON string.
func appendASText(dst []byte, as ipwarden.ASN) []byte {
	dst = asNumber(append(dst, '"'), as.Number)
	if as.Name == "" {
		return append(dst, '"')
	}
	dst = append(dst, ' ')
	at := len(dst)
	dst = ipwarden.AppendString(dst, as.Name) // without the mark at its beginning
	copy(dst[at:], dst[at+1:])
	return dst[:len(dst)-1]
}

// appendPlain appends a value as text that needs no marks in JSON; others, as
// they are.
func (v apiValue) appendPlain(dst []byte, a *apiAnswer) []byte {
	switch v.kind {
	case apiFloat:
		return appendDegrees(dst, v.f)
	case apiInt:
		return strconv.AppendInt(dst, v.n, 10)
	case apiBool:
		return strconv.AppendBool(dst, v.n != 0)
	case apiOwn:
		return a.rec.Addr().AppendTo(dst)
	case apiNet:
		dst = asNumber(dst, a.asn.Number)
		if a.asn.Name != "" {
			dst = append(append(dst, ' '), a.asn.Name...)
		}
		return dst
	case apiText:
		return append(dst, v.s...)
	}
	return dst
}
