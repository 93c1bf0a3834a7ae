package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ipwarden/ipwarden"
)

// errBlock is a block whose content is not what its frame says.
var errBlock = errors.New("its content is damaged")

// unpacker is shared: DecodeAll may be called concurrently.
var unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
})

// block unpacks one block.
func (d *Dataset) block(e dirEntry) ([]byte, error) {
	in := d.claims
	if e.kind == blockSteps {
		in = d.evidence
	}
	dec, err := unpacker()
	if err != nil {
		return nil, err
	}
	raw, err := dec.DecodeAll(in[e.offset:e.offset+uint64(e.length)], make([]byte, 0, e.size))
	if err != nil {
		return nil, err
	}
	if len(raw) != int(e.size) {
		return nil, errBlock
	}
	return raw, nil
}

// find returns the last block of a kind, family and feed that begins at or
// before pos.
func (d *Dataset) find(kind uint8, fam family, feed uint8, pos position) (dirEntry, int, bool) {
	n := len(d.dir) / dirSize
	i := sort.Search(n, func(i int) bool {
		e := d.dirAt(i)
		// The directory is in the order it was written in: steps by feed and
		// family, then the claims by kind.
		a, b := dirRank(e.kind, e.feed, e.fam), dirRank(kind, feed, fam)
		return a > b || a == b && pos.less(e.first)
	})
	if i == 0 {
		return dirEntry{}, 0, false
	}
	e := d.dirAt(i - 1)
	return e, i - 1, e.kind == kind && e.fam == fam && e.feed == feed
}

func dirRank(kind, feed uint8, fam family) int {
	return int(kind)<<16 | int(feed)<<8 | int(fam)
}

// reader decodes a block; the first mistake sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) text() string { return string(r.bytes(r.uvarint())) }

// steps decodes a block of steps; their claims are numbers of the claim tables.
func decodeSteps(raw []byte, first position) ([]step, error) {
	r := reader{b: raw}
	n := r.uvarint()
	if n == 0 || n > stepsPerBlock {
		return nil, errBlock
	}
	steps := make([]step, n)
	zeros := r.bytes(n - 1)
	if r.bad {
		return nil, errBlock
	}
	at := first
	steps[0].from = at
	for i := range zeros {
		if zeros[i] > 127 {
			return nil, errBlock
		}
		delta := position{lo: r.uvarint(), hi: r.uvarint()}.shiftLeft(int(zeros[i]))
		lo := at.lo + delta.lo
		carry := uint64(0)
		if lo < at.lo {
			carry = 1
		}
		at = position{at.hi + delta.hi + carry, lo}
		steps[i+1].from = at
	}
	lengths := r.bytes(n)
	if r.bad {
		return nil, errBlock
	}
	for i := range steps {
		steps[i].bits = int16(int8(lengths[i]))
		if lengths[i] == 128 { // int8 has no 128; -1 marks a range
			steps[i].bits = 128
		}
	}
	for i := range steps {
		steps[i].loc = uint32(r.uvarint())
	}
	for i := range steps {
		steps[i].net = uint32(r.uvarint())
	}
	for i := range steps {
		steps[i].sec = uint32(r.uvarint())
	}
	if r.bad || len(r.b) != 0 {
		return nil, errBlock
	}
	return steps, nil
}

func (r *reader) loc() (c locClaim) {
	c.Country, c.Region, c.RegionName = r.text(), r.text(), r.text()
	c.City, c.Postal, c.TimeZone = r.text(), r.text(), r.text()
	if r.byte() != 0 {
		c.HasCoordinates = true
		c.Latitude, c.Longitude = float64(r.varint())/1e6, float64(r.varint())/1e6
		c.AccuracyKM = uint16(r.uvarint())
	}
	return c
}

func (r *reader) net() (c netClaim) {
	c.Origin, c.Org = uint32(r.uvarint()), uint32(r.uvarint())
	return c
}

func (r *reader) org() (o org) {
	o.company, o.domain, o.kind = r.text(), r.text(), r.text()
	o.carrier, o.mcc, o.mnc = r.text(), r.text(), r.text()
	return o
}

func (r *reader) sec() (c secClaim) {
	c.Traits, c.Denied = ipwarden.Traits(r.uvarint()), ipwarden.Traits(r.uvarint())
	c.Count, c.Seen = uint32(r.uvarint()), int32(r.varint())
	c.Name, c.CloudRegion, c.CloudService = r.text(), r.text(), r.text()
	c.RFC, c.Purpose, c.Detail = r.text(), r.text(), r.text()
	return c
}

func (r *reader) as() (c asClaim) {
	c.Traits = ipwarden.Traits(r.uvarint())
	c.Name, c.Domain, c.Kind, c.Registry, c.Detail = r.text(), r.text(), r.text(), r.text(), r.text()
	return c
}

// claim reads one claim of a table by its number.
func claim[T any](d *Dataset, kind uint8, n uint32, decode func(*reader) T) (c T) {
	e, _, ok := d.find(kind, 0, 0, position{lo: uint64(n)})
	if !ok {
		return c
	}
	raw, err := d.block(e)
	if err != nil {
		return c
	}
	r := reader{b: raw}
	count := r.uvarint()
	if uint64(n)-e.first.lo >= count {
		return c
	}
	for range uint64(n) - e.first.lo {
		decode(&r)
	}
	if c = decode(&r); r.bad {
		var none T
		return none
	}
	return c
}

// checkBlock decodes a block wholly.
func (d *Dataset) checkBlock(i int) error {
	e := d.dirAt(i)
	raw, err := d.block(e)
	if err != nil {
		return err
	}
	if e.kind == blockSteps {
		_, err := decodeSteps(raw, e.first)
		return err
	}
	r := reader{b: raw}
	for range r.uvarint() {
		switch e.kind {
		case blockLoc:
			r.loc()
		case blockNet:
			r.net()
		case blockSec:
			r.sec()
		case blockAS:
			r.as()
		case blockOrg:
			r.org()
		case blockASSaid:
			r.uvarint()
			if int(r.byte()) >= d.manifest.Inputs {
				return errBlock
			}
			r.uvarint()
		}
		if r.bad {
			return errBlock
		}
	}
	if len(r.b) != 0 {
		return errBlock
	}
	return nil
}

// said is what one feed says of an address or of its AS.
type said struct {
	feed  int
	match string
	loc   locClaim
	net   netClaim
	org   org
	sec   secClaim
	as    asClaim
	off   bool // outside of its operator's own networks
}

// witnesses collects what every feed says, the one to believe first in front.
func (d *Dataset) witnesses(addr netip.Addr, origin uint32) []said {
	fam, pos := familyOf(addr), positionOf(addr)
	var all []said
	for f := range d.manifest.Inputs {
		e, at, ok := d.find(blockSteps, fam, uint8(f), pos)
		if !ok {
			continue
		}
		raw, err := d.block(e)
		if err != nil {
			continue
		}
		steps, err := decodeSteps(raw, e.first)
		if err != nil {
			continue
		}
		i := sort.Search(len(steps), func(i int) bool { return pos.less(steps[i].from) }) - 1
		if i < 0 || steps[i].silent() {
			continue
		}
		s := steps[i]
		w := said{feed: f}
		if s.bits >= 0 {
			p, _ := addr.Prefix(int(s.bits))
			w.match = p.String()
		} else {
			to := fam.last()
			if i+1 < len(steps) {
				to = steps[i+1].from.prev()
			} else if at+1 < len(d.dir)/dirSize {
				if next := d.dirAt(at + 1); next.kind == blockSteps && next.fam == fam && int(next.feed) == f {
					to = next.first.prev()
				}
			}
			w.match = prefixText(fam, s.from, to)
		}
		if s.loc != 0 {
			w.loc = claim(d, blockLoc, s.loc, (*reader).loc)
		}
		if s.net != 0 {
			w.net = claim(d, blockNet, s.net, (*reader).net)
			w.org = claim(d, blockOrg, w.net.Org, (*reader).org)
		}
		if s.sec != 0 {
			w.sec = claim(d, blockSec, s.sec, (*reader).sec)
		}
		own := d.manifest.Notes[f].Origins
		w.off = w.loc.Country != "" && len(own) > 0 && !slices.Contains(own, origin)
		all = append(all, w)
	}
	all = append(all, d.saidOfAS(origin)...)
	slices.SortStableFunc(all, func(a, b said) int { return d.manifest.Notes[a.feed].Rank - d.manifest.Notes[b.feed].Rank })
	return all
}

// saidOfAS collects what every feed says of an autonomous system.
func (d *Dataset) saidOfAS(number uint32) []said {
	if number == 0 {
		return nil
	}
	e, _, ok := d.find(blockASSaid, 0, 0, position{lo: uint64(number)})
	if !ok {
		return nil
	}
	raw, err := d.block(e)
	if err != nil {
		return nil
	}
	var all []said
	r := reader{b: raw}
	at := uint32(0)
	for range r.uvarint() {
		at += uint32(r.uvarint())
		f, c := int(r.byte()), uint32(r.uvarint())
		if at > number || r.bad {
			break
		}
		if at == number && f < d.manifest.Inputs {
			w := said{feed: f, match: "AS" + strconv.FormatUint(uint64(number), 10), as: claim(d, blockAS, c, (*reader).as)}
			if w.as.Name == sameName {
				known, _ := d.AS(number)
				w.as.Name = known.Name
			}
			all = append(all, w)
		}
	}
	return all
}

func (d *Dataset) claimOf(w *said, value, note string) ipwarden.Claim {
	f := &d.manifest.Feeds[w.feed]
	return ipwarden.Claim{Feed: f.Name, Date: f.Date, Licence: f.Licence, Match: w.match, Value: value, Note: note}
}

// Evidence returns who says what about each known field of an answer.
func (d *Dataset) Evidence(addr netip.Addr, id uint32) []ipwarden.Evidence {
	defer runtime.KeepAlive(d)
	r := d.row(id)
	ws := d.witnesses(addr, d.ASNumber(id))
	x := explainer{d: d, ws: ws, rec: ipwarden.MakeRecord(addr, d, id)}
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

// reference adds the evidence of what follows from the country or the place.
func (x *explainer) reference(l ipwarden.Location, placed bool) {
	if l.CountryCode == "" {
		return
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
		{ipwarden.FieldContinentCode, l.ContinentCode, false}, {ipwarden.FieldContinent, l.Continent, false},
		{ipwarden.FieldCountry, l.Country, false}, {ipwarden.FieldIsEU, strconv.FormatBool(l.IsEU), false},
		{ipwarden.FieldRegion, l.Region, true}, {ipwarden.FieldTimeZoneID, l.TimeZone.ID, true},
		{ipwarden.FieldCurrencyCode, l.Currency.Code, false}, {ipwarden.FieldCurrencyName, l.Currency.Name, false},
		{ipwarden.FieldCurrencySymbol, l.Currency.Symbol, false}, {ipwarden.FieldLanguages, strings.Join(langs, ","), false},
		{ipwarden.FieldCallingCode, l.CallingCode, false}, {ipwarden.FieldFlag, l.Flag, false},
		{ipwarden.FieldLatitude, decimalText(l.Latitude), true}, {ipwarden.FieldLongitude, decimalText(l.Longitude), true},
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
			c.Note = "the only zone of " + l.CountryCode
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

// traitsSaid is everything a witness says of traits, of the address or its AS.
func (w *said) traitsSaid() ipwarden.Traits { return w.sec.Traits | w.as.Traits }

// traits adds the evidence of each trait that somebody asserts. What a safelist
// took back is among the lost claims, with the safelist's name.
func (x *explainer) traits() {
	have := x.rec.Traits()
	deniedBy := func(t ipwarden.Traits) string {
		for i := range x.ws {
			w := &x.ws[i]
			n := &x.d.manifest.Notes[w.feed]
			if (w.sec.Denied|ipwarden.Traits(n.Denies))&t != 0 && (w.sec != secClaim{} || n.DeniesListings) {
				return "taken back by " + x.d.manifest.Feeds[w.feed].Name + " (" + w.match + ")"
			}
		}
		if have.Has(ipwarden.Bogon) {
			return "special-purpose space is nobody's"
		}
		return "taken back"
	}
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
				c.Note = strings.TrimSuffix(deniedBy(t)+"; "+c.Note, "; ")
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
	for union, parts := range map[ipwarden.Field]ipwarden.Traits{ipwarden.FieldIsAnonymous: ipwarden.Anonymous, ipwarden.FieldIsThreat: ipwarden.Threat} {
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
	if len(s.Listings) == 0 {
		return
	}
	names := make([]string, len(s.Listings))
	for i, l := range s.Listings {
		names[i] = l.Name
	}
	e := ipwarden.Evidence{Field: ipwarden.FieldListings, Value: strings.Join(names, ",")}
	for i := range x.ws {
		if w := &x.ws[i]; slices.Contains(names, x.d.manifest.Feeds[w.feed].Name) {
			e.By = append(e.By, x.d.claimOf(w, x.d.manifest.Feeds[w.feed].Name, w.detail()))
		}
	}
	x.out = append(x.out, e)
}

// name is the operator a witness names, itself or for the whole list.
func (x *explainer) name(w *said) string {
	if w.sec.Name != "" {
		return w.sec.Name
	}
	return x.d.manifest.Notes[w.feed].Name
}
