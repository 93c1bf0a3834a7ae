package compact

import (
	"math"
	"math/bits"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

func (d *Data) row(id uint32, i int) uint32 { return le.Uint32(d.rows[16*id+4*uint32(i):]) }

// part is a row of the details; nil is one of nothing.
func (d *Data) part(n uint32, words int) []byte {
	if n == 0 {
		return nil
	}
	return d.details[4*(n-1):][:4*words]
}

func (d *Data) as(id uint32) []byte  { return d.part(d.row(id, 1), asWords) }
func (d *Data) org(id uint32) []byte { return d.part(d.row(id, 2), orgWords) }
func (d *Data) sec(id uint32) []byte { return d.part(d.row(id, 3), secWords) }

// Network is the address alone: the ranges here are not those of the world.
func (d *Data) Network(addr netip.Addr, _ uint32) netip.Prefix {
	return netip.PrefixFrom(addr, addr.BitLen())
}

// Traits, CountryCode and ASNumber are of the hot word.
func (d *Data) Traits(id uint32) ipwarden.Traits { return d.hot[id].Traits() }
func (d *Data) CountryCode(id uint32) string     { return d.hot[id].CountryCode() }
func (d *Data) ASNumber(id uint32) uint32        { return d.hot[id].ASNumber() }

// Location returns what was kept of where an answer's addresses are used.
func (d *Data) Location(id uint32) (l ipwarden.Location) {
	l.CountryCode = d.CountryCode(id)
	n := d.row(id, 0)
	if n == 0 {
		return l
	}
	b := d.locs[4*locWords*(n-1):][:4*locWords]
	word := func(i int) uint32 { return le.Uint32(b[4*i:]) }
	l.ContinentCode, l.Continent, l.Country = d.str(word(0)), d.str(word(1)), d.str(word(3))
	l.RegionCode, l.Region, l.City, l.Postal, l.TimeZone.ID = d.str(word(4)), d.str(word(5)), d.str(word(6)), d.str(word(7)), d.str(word(8))
	l.Currency = ipwarden.Currency{Code: d.str(word(9)), Name: d.str(word(10)), Symbol: d.str(word(11))}
	l.CallingCode, l.Flag = d.str(word(12)), d.str(word(13))
	l.Languages = d.spoken[word(locTexts)]
	flags := word(locTexts + 1)
	l.IsEU = flags&locIsEU != 0
	if flags&locHasCoordinates != 0 {
		l.HasCoordinates, l.AccuracyKM = true, uint16(flags>>16)
		l.Latitude = math.Float64frombits(uint64(word(locTexts+2)) | uint64(word(locTexts+3))<<32)
		l.Longitude = math.Float64frombits(uint64(word(locTexts+4)) | uint64(word(locTexts+5))<<32)
	}
	return l
}

// ASN returns what was kept of the announcing AS; never its route.
func (d *Data) ASN(_ netip.Addr, id uint32) ipwarden.ASN {
	a := ipwarden.ASN{Number: d.ASNumber(id)}
	if b := d.as(id); b != nil {
		a.Name, a.Domain, a.Kind, a.Registry = d.str(le.Uint32(b)), d.str(le.Uint32(b[4:])), d.str(le.Uint32(b[8:])), d.str(le.Uint32(b[12:]))
	}
	return a
}

// Company and Carrier return what was kept of them.
func (d *Data) Company(id uint32) (c ipwarden.Company) {
	if b := d.org(id); b != nil {
		c.Name, c.Domain, c.Kind = d.str(le.Uint32(b)), d.str(le.Uint32(b[4:])), d.str(le.Uint32(b[8:]))
	}
	return c
}

func (d *Data) Carrier(id uint32) (c ipwarden.Carrier) {
	if b := d.org(id); b != nil {
		c.Name, c.MCC, c.MNC = d.str(le.Uint32(b[12:])), d.str(le.Uint32(b[16:])), d.str(le.Uint32(b[20:]))
	}
	return c
}

// Security returns what was kept of the details behind the traits.
func (d *Data) Security(id uint32) (s ipwarden.Security) {
	b := d.sec(id)
	if b == nil {
		return s
	}
	text := func(i int) string { return d.str(le.Uint32(b[4*i:])) }
	s.VPN, s.Crawler = text(0), ipwarden.CrawlerInfo{Name: text(1), Purpose: text(2)}
	s.Hosting = ipwarden.HostingInfo{Name: text(3), Region: text(4), Service: text(5)}
	s.Bogon = ipwarden.BogonInfo{Name: text(6), RFC: text(7)}
	s.Listings = d.listings[le.Uint32(b[4*len(secFields):])]
	return s
}

// Date of the dataset that it was made of.
func (d *Data) Date() time.Time { return d.date }

// Answers is how many distinct answers there are, and Ranges how many ranges of
// addresses have one, of both families.
func (d *Data) Answers() int { return len(d.hot) }
func (d *Data) Ranges() int  { return int(d.n.Starts4 + d.n.Starts6 + d.n.Fine) }

// Evidence is not kept.
func (d *Data) Evidence(netip.Addr, uint32) []ipwarden.Evidence { return nil }

// Asserted returns whose word a single trait is.
func (d *Data) Asserted(id uint32, t ipwarden.Traits) (feed string, asOf time.Time) {
	b := d.sec(id)
	if b == nil || !d.Traits(id).Has(t) {
		return "", time.Time{}
	}
	n := uint32(le.Uint16(b[4*(len(secFields)+1)+2*(bits.TrailingZeros32(uint32(t))%14):]))
	if n == 0 {
		return "", time.Time{}
	}
	row := d.feeds[16*(n-1):]
	if nanos := int64(le.Uint64(row)); nanos != math.MinInt64 {
		asOf = time.Unix(0, nanos).UTC()
	}
	return d.str(le.Uint32(row[8:])), asOf
}

// set is a list of words; false when it is none.
func (d *Data) set(at uint32, words int) (b []byte, ok bool) {
	if at >= d.n.Sets {
		return nil, false
	}
	n := le.Uint32(d.sets[4*at:])
	if n > d.n.Sets-at-1 || int(n)%words != 0 {
		return nil, false
	}
	return d.sets[4*(at+1):][:4*n], true
}

func (d *Data) readListings(at uint32) bool {
	if _, ok := d.listings[at]; ok {
		return true
	}
	b, ok := d.set(at, 3)
	var all []ipwarden.Listing
	for ; ok && len(b) > 0; b = b[12:] {
		if !d.isText(le.Uint32(b)) || !d.isText(le.Uint32(b[4:])) {
			return false
		}
		l := ipwarden.Listing{Name: d.str(le.Uint32(b)), Type: d.str(le.Uint32(b[4:]))}
		if day := int32(le.Uint32(b[8:])); day != math.MinInt32 {
			l.Date = time.Unix(int64(day)*86400, 0).UTC()
		}
		all = append(all, l)
	}
	d.listings[at] = all
	return ok
}

func (d *Data) readLanguages(at uint32) bool {
	if _, ok := d.spoken[at]; ok {
		return true
	}
	b, ok := d.set(at, 1)
	var all []ipwarden.Language
	for ; ok && len(b) > 0; b = b[4:] {
		if !d.isText(le.Uint32(b)) {
			return false
		}
		all = append(all, ipwarden.Language{Code: d.str(le.Uint32(b))})
	}
	d.spoken[at] = all
	return ok
}
