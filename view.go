package ipwarden

import (
	"math"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// View says what of a Record is shown, and writes it. The zero View shows
// nothing; start from [NewView]. A View is read-only while in use and may be
// shared.
type View struct {
	Fields  Fields
	Query   string                               // as asked; shown when it differs from the canonical address
	Now     time.Time                            // of the answer: time zones, scores
	Scores  func(r Record, now time.Time) Scores // nil: no scores
	Explain bool                                 // add the evidence
}

// NewView shows the default fields as of now.
func NewView(now time.Time) View { return View{Fields: DefaultFields(), Now: now} }

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

func (v *View) read(rd *reading, r Record) {
	rd.r, rd.view = r, v
	if v.Fields.Any(groupLocation) {
		if onlyCountryCode := v.Fields.lo&groupLocation.lo == 1<<FieldCountryCode; onlyCountryCode {
			rd.loc.CountryCode = r.CountryCode()
		} else {
			rd.loc = r.Location()
		}
		if rd.loc.TimeZone.Zone != nil && v.Fields.Any(groupTime) {
			rd.local = v.Now.In(rd.loc.TimeZone.Zone)
			rd.tzAbbr, rd.tzOff = rd.local.Zone()
		}
	}
	if v.Fields.Any(groupASN) {
		rd.asn = r.ASN()
	}
	if v.Fields.Any(groupCompany) {
		rd.co = r.Company()
	}
	if v.Fields.Any(groupCarrier) {
		rd.ca = r.Carrier()
	}
	if v.Fields.Any(groupTraits) {
		rd.traits = r.Traits()
	}
	if v.Fields.Any(groupSecurity) {
		rd.sec = r.Security()
	}
	if v.Scores != nil && v.Fields.Any(groupScores) {
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
		if rd.r.addr.Is4() {
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
		if rd.loc.CountryCode == "" {
			return value{}
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
	if string(rd.r.addr.AppendTo(buf[:0])) == q {
		return value{}
	}
	return str(q)
}

// AppendJSON appends the answer as one JSON object. It does not allocate
// beyond dst, except for the evidence and the current time.
func (v *View) AppendJSON(dst []byte, r Record) []byte {
	dst = append(dst, '{')
	n := len(dst)
	dst = v.AppendMembers(dst, r)
	if len(dst) > n && dst[n] == ',' {
		dst = append(dst[:n], dst[n+1:]...)
	}
	return append(dst, '}')
}

// AppendMembers appends the members of the answer, each with a comma before
// it, for callers that put members of their own first.
func (v *View) AppendMembers(dst []byte, r Record) []byte {
	var rd reading
	v.read(&rd, r)
	var open1, open2 uint8 // the objects that are open
	for f := range v.Fields.All() {
		val := rd.field(f)
		if val.kind == absent {
			continue
		}
		p := &fieldPaths[f]
		comma := true
		if p.group1 != open1 {
			dst = closeObjects(dst, open1, open2)
			open1, open2 = p.group1, 0
			if open1 != 0 {
				dst = append(append(dst, ','), groupKeys[open1]...)
				comma = false
			}
		}
		if p.group2 != open2 {
			if open2 != 0 {
				dst = append(dst, '}')
			}
			if open2 = p.group2; open2 != 0 {
				if comma {
					dst = append(dst, ',')
				}
				dst = append(dst, groupKeys[open2]...)
				comma = false
			}
		}
		if comma {
			dst = append(dst, ',')
		}
		dst = append(dst, p.key...)
		dst = rd.appendJSON(dst, val)
	}
	dst = closeObjects(dst, open1, open2)
	if v.Explain {
		dst = append(dst, `,"evidence":`...)
		dst = appendEvidence(dst, r.Evidence(), v.Fields)
	}
	return dst
}

func closeObjects(dst []byte, open1, open2 uint8) []byte {
	if open2 != 0 {
		dst = append(dst, '}')
	}
	if open1 != 0 {
		dst = append(dst, '}')
	}
	return dst
}

func (rd *reading) appendJSON(dst []byte, v value) []byte {
	switch v.kind {
	case text:
		return AppendString(dst, v.s)
	case address:
		dst = append(dst, '"')
		dst = rd.r.addr.AppendTo(dst)
		return append(dst, '"')
	case network:
		dst = append(dst, '"')
		dst = v.prefix.AppendTo(dst)
		return append(dst, '"')
	case date:
		dst = append(dst, '"')
		dst = rd.appendText(dst, v)
		return append(dst, '"')
	case languages:
		dst = append(dst, '[')
		for i, l := range rd.loc.Languages {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(append(dst, `{"code":`...), l.Code)
			if l.Name != "" {
				dst = AppendString(append(dst, `,"name":`...), l.Name)
			}
			if l.Native != "" {
				dst = AppendString(append(dst, `,"native":`...), l.Native)
			}
			dst = append(dst, '}')
		}
		return append(dst, ']')
	case listings:
		dst = append(dst, '[')
		for i, l := range rd.sec.Listings {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(append(dst, `{"name":`...), l.Name)
			dst = AppendString(append(dst, `,"type":`...), l.Type)
			if l.URL != "" {
				dst = AppendString(append(dst, `,"url":`...), l.URL)
			}
			if !l.Date.IsZero() {
				dst = append(dst, `,"date":"`...)
				dst = l.Date.UTC().AppendFormat(dst, time.DateOnly)
				dst = append(dst, '"')
			}
			dst = append(dst, '}')
		}
		return append(dst, ']')
	}
	return rd.appendText(dst, v)
}

// AppendText appends one field as plain text; false when it is absent. Lists
// become their codes or names, separated by commas.
func (v *View) AppendText(dst []byte, r Record, f Field) ([]byte, bool) {
	one := *v
	one.Fields = FieldsOf(f)
	var rd reading
	one.read(&rd, r)
	val := rd.field(f)
	if val.kind == absent {
		return dst, false
	}
	return rd.appendText(dst, val), true
}

func (rd *reading) appendText(dst []byte, v value) []byte {
	switch v.kind {
	case text:
		dst = append(dst, v.s...)
	case integer:
		dst = strconv.AppendInt(dst, v.n, 10)
	case decimal:
		if math.IsNaN(v.f) || math.IsInf(v.f, 0) {
			return append(dst, '0')
		}
		dst = strconv.AppendFloat(dst, v.f, 'f', -1, 64)
	case boolean:
		dst = strconv.AppendBool(dst, v.n != 0)
	case address:
		dst = rd.r.addr.AppendTo(dst)
	case network:
		dst = v.prefix.AppendTo(dst)
	case date:
		dst = rd.r.Date().UTC().AppendFormat(dst, time.DateOnly)
	case languages:
		for i, l := range rd.loc.Languages {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, l.Code...)
		}
	case listings:
		for i, l := range rd.sec.Listings {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, l.Name...)
		}
	}
	return dst
}

func appendEvidence(dst []byte, ev []Evidence, shown Fields) []byte {
	dst = append(dst, '{')
	first := true
	for i := range ev {
		e := &ev[i]
		if !shown.Has(e.Field) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = AppendString(dst, e.Field.String())
		dst = append(dst, `:{`...)
		if e.Value != "" {
			dst = AppendString(append(dst, `"value":`...), e.Value)
			dst = append(dst, ',')
		}
		dst = append(dst, `"by":`...)
		dst = appendClaims(dst, e.By)
		if len(e.Lost) > 0 {
			dst = append(dst, `,"lost":`...)
			dst = appendClaims(dst, e.Lost)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendClaims(dst []byte, cs []Claim) []byte {
	dst = append(dst, '[')
	for i := range cs {
		c := &cs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(append(dst, `{"feed":`...), c.Feed)
		if !c.Date.IsZero() {
			dst = append(dst, `,"date":"`...)
			dst = c.Date.UTC().AppendFormat(dst, time.DateOnly)
			dst = append(dst, '"')
		}
		for _, kv := range [...][2]string{{`,"licence":`, c.Licence}, {`,"match":`, c.Match}, {`,"value":`, c.Value}, {`,"note":`, c.Note}} {
			if kv[1] != "" {
				dst = AppendString(append(dst, kv[0]...), kv[1])
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendString appends s as a JSON string (RFC 8259 section 7); bytes that are
// not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n != 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, `\ufffd`...)
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// fieldPath is how a field is written: its key, and the objects round it.
type fieldPath struct {
	key            string
	group1, group2 uint8
}

// Tables made once from the names; groupKeys[0] is the top level.
var fieldPaths, groupKeys = makePaths()

func makePaths() (paths [numFields]fieldPath, keys []string) {
	keys = []string{""}
	ids := map[string]uint8{}
	group := func(path, key string) uint8 {
		if _, ok := ids[path]; !ok {
			ids[path] = uint8(len(keys))
			keys = append(keys, `"`+key+`":{`)
		}
		return ids[path]
	}
	for f, name := range fieldNames {
		p := &paths[f]
		for i, depth := 0, 0; ; depth++ {
			rest := name[i:]
			dot := -1
			for j := range len(rest) {
				if rest[j] == '.' {
					dot = j
					break
				}
			}
			if dot < 0 {
				p.key = `"` + rest + `":`
				break
			}
			id := group(name[:i+dot], rest[:dot])
			if depth == 0 {
				p.group1 = id
			} else {
				p.group2 = id
			}
			i += dot + 1
		}
	}
	return paths, keys
}
