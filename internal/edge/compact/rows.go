package compact

import (
	"errors"
	"math"
	"math/bits"
	"time"

	"github.com/ipwarden/ipwarden"
)

// locFields are the texts of a location, in the order of its row.
var locFields = [locTexts]ipwarden.Field{
	ipwarden.FieldContinentCode, ipwarden.FieldContinent, ipwarden.FieldCountryCode, ipwarden.FieldCountry,
	ipwarden.FieldRegionCode, ipwarden.FieldRegion, ipwarden.FieldCity, ipwarden.FieldPostal, ipwarden.FieldTimeZoneID,
	ipwarden.FieldCurrencyCode, ipwarden.FieldCurrencyName, ipwarden.FieldCurrencySymbol, ipwarden.FieldCallingCode, ipwarden.FieldFlag,
}

// Bits of a location's flags.
const (
	locIsEU = 1 << iota
	locHasCoordinates
)

var locOthers = ipwarden.FieldsOf(ipwarden.FieldIsEU, ipwarden.FieldLanguages, ipwarden.FieldLatitude, ipwarden.FieldLongitude, ipwarden.FieldAccuracyKM)

// loc keeps what is read of a location. The country alone is in the hot word.
func (e *encoder) loc(r ipwarden.Record) uint32 {
	some := e.needs.Fields.Any(locOthers)
	for _, f := range locFields {
		some = some || f != ipwarden.FieldCountryCode && e.needs.Fields.Has(f)
	}
	if !some {
		return 0
	}
	l := r.Location()
	full := ipwarden.Full{Location: l}
	var row [locWords]uint32
	for i, f := range locFields {
		row[i] = e.wanted(f, *full.Text(f))
	}
	if e.needs.Fields.Has(ipwarden.FieldLanguages) {
		var codes []uint32
		for _, lang := range l.Languages {
			codes = append(codes, e.text(lang.Code))
		}
		row[locTexts] = e.set(codes)
	}
	if l.IsEU && e.needs.Fields.Has(ipwarden.FieldIsEU) {
		row[locTexts+1] |= locIsEU
	}
	if l.HasCoordinates && e.needs.Fields.Any(ipwarden.FieldsOf(ipwarden.FieldLatitude, ipwarden.FieldLongitude, ipwarden.FieldAccuracyKM)) {
		row[locTexts+1] |= locHasCoordinates | uint32(l.AccuracyKM)<<16
		lat, lon := math.Float64bits(l.Latitude), math.Float64bits(l.Longitude)
		row[locTexts+2], row[locTexts+3], row[locTexts+4], row[locTexts+5] = uint32(lat), uint32(lat>>32), uint32(lon), uint32(lon>>32)
	}
	key := []byte("loc")
	empty := true
	for _, n := range row {
		key = le.AppendUint32(key, n)
		empty = empty && n == 0
	}
	if empty {
		return 0
	}
	if n, ok := e.rows[string(key)]; ok {
		return n
	}
	e.nLocs++
	e.rows[string(key)] = e.nLocs
	e.locs = append(e.locs, row[:]...)
	return e.nLocs
}

func (e *encoder) as(r ipwarden.Record) uint32 {
	if !e.needs.Fields.Any(ipwarden.FieldsOf(ipwarden.FieldASName, ipwarden.FieldASDomain, ipwarden.FieldASKind, ipwarden.FieldASRegistry)) {
		return 0
	}
	a := r.ASN()
	return e.words([]uint32{
		e.wanted(ipwarden.FieldASName, a.Name), e.wanted(ipwarden.FieldASDomain, a.Domain),
		e.wanted(ipwarden.FieldASKind, a.Kind), e.wanted(ipwarden.FieldASRegistry, a.Registry),
	})
}

func (e *encoder) org(r ipwarden.Record) uint32 {
	var row [orgWords]uint32
	full := ipwarden.Full{Company: r.Company(), Carrier: r.Carrier()}
	for i := range row {
		f := ipwarden.FieldCompanyName + ipwarden.Field(i)
		row[i] = e.wanted(f, *full.Text(f))
	}
	return e.words(row[:])
}

// secFields are the texts of a security row, in its order.
var secFields = [...]ipwarden.Field{
	ipwarden.FieldVPNName, ipwarden.FieldCrawlerName, ipwarden.FieldCrawlerPurpose, ipwarden.FieldHostingName,
	ipwarden.FieldHostingRegion, ipwarden.FieldHostingService, ipwarden.FieldBogonName, ipwarden.FieldBogonRFC,
}

func (e *encoder) sec(r ipwarden.Record) uint32 {
	var row [secWords]uint32
	s := r.Security()
	full := ipwarden.Full{Security: s}
	for i, f := range secFields {
		row[i] = e.wanted(f, *full.Text(f))
	}
	if len(s.Listings) > 0 && (e.needs.Score || e.needs.Fields.Has(ipwarden.FieldListings)) {
		var all []uint32
		for i := range s.Listings {
			l := &s.Listings[i]
			day := int64(math.MinInt32)
			if !l.Date.IsZero() {
				if day = l.Date.Unix() / 86400; l.Date.Unix()%86400 != 0 {
					e.err = errors.New("compact: the listing " + l.Name + " is of " + l.Date.String() + ", and only whole days have a place")
				}
			}
			all = append(all, e.text(l.Name), e.text(l.Type), uint32(int32(day)))
		}
		row[len(secFields)] = e.set(all)
	}
	if !e.needs.Score {
		return e.words(row[:])
	}
	// A feed and its date for each trait that has one.
	for t := r.Traits() & scored; t != 0; t &= t - 1 {
		one := t & -t
		name, date := r.Asserted(one)
		i := bits.TrailingZeros32(uint32(one))
		row[len(secFields)+1+i/2] |= uint32(e.feed(name, date)+1) << (16 * (i % 2))
	}
	return e.words(row[:])
}

func (e *encoder) feed(name string, date time.Time) uint16 {
	k := feedKey{name, math.MinInt64}
	if !date.IsZero() {
		k.date = date.UnixNano()
	}
	if n, ok := e.feeds[k]; ok {
		return n
	}
	if len(e.feedRows) >= int(noFeed)-1 {
		e.err = errors.New("compact: there are more feeds than 65534")
		return 0
	}
	n := uint16(len(e.feedRows))
	e.text(name)
	e.feeds[k], e.feedRows = n, append(e.feedRows, k)
	return n
}
