package dataset

import (
	"net/netip"
	"runtime"
	"time"

	"github.com/ipwarden/ipwarden"
)

// The methods of an [ipwarden.Backing]. ids come from the index, whose
// references Open has checked.

func (d *Dataset) row(id uint32) answerRow { return answerRow(d.rows[id*rowSize:]) }

// answerRow is a row of the table of answers.
type answerRow []byte

const bits24 = 1<<24 - 1

func (r answerRow) loc() uint32 { return le.Uint32(r) & bits24 }
func (r answerRow) sec() uint32 { return le.Uint32(r[3:]) & bits24 }
func (r answerRow) route() int  { return int(r[6]) }
func (r answerRow) by() int     { return int(r[7]) } // the origin's feed, plus one

// Answers is how many distinct answers there are, numbered from 0: nothing is
// known. Those of the most addresses come first.
func (d *Dataset) Answers() int { return len(d.rows) / rowSize }

// Traits returns the security traits of an answer.
func (d *Dataset) Traits(id uint32) ipwarden.Traits { return d.hot[id].Traits() }

// CountryCode returns the country of an answer.
func (d *Dataset) CountryCode(id uint32) string { return d.hot[id].CountryCode() }

// ASNumber returns the announcing AS of an answer.
func (d *Dataset) ASNumber(id uint32) uint32 { return d.hot[id].ASNumber() }

// Location returns where an answer's addresses are used.
func (d *Dataset) Location(id uint32) ipwarden.Location {
	b := d.locs[d.row(id).loc()*locSize:][:locSize]
	l := d.countries[le.Uint16(b)]
	z := &d.zones[le.Uint16(b[2:])]
	l.TimeZone = ipwarden.TimeZone{ID: z.id, Zone: z.load()}
	l.RegionCode, l.Region = d.str(le.Uint32(b[4:])), d.str(le.Uint32(b[8:]))
	l.City, l.Postal = d.str(le.Uint32(b[12:])), d.str(le.Uint32(b[16:]))
	if b[32]&locHasCoordinates != 0 {
		l.HasCoordinates = true
		l.Latitude = float64(int32(le.Uint32(b[20:]))) / 1e6
		l.Longitude = float64(int32(le.Uint32(b[24:]))) / 1e6
		l.AccuracyKM = le.Uint16(b[28:])
	}
	runtime.KeepAlive(d)
	return l
}

// ASN returns the announcing AS of an answer.
func (d *Dataset) ASN(addr netip.Addr, id uint32) ipwarden.ASN {
	number := d.ASNumber(id)
	if number == 0 {
		return ipwarden.ASN{}
	}
	a := ipwarden.ASN{Number: number}
	if i, ok := d.asIndex(number); ok {
		a = d.asAt(i)
	}
	if route := d.row(id).route(); route <= addr.BitLen() {
		a.Route, _ = addr.Prefix(route)
	}
	runtime.KeepAlive(d)
	return a
}

func (d *Dataset) asAt(i uint32) ipwarden.ASN {
	b, p := d.as[i*asSize:][:asSize], d.profile(i)
	return ipwarden.ASN{
		Number: d.numberAt(i), Name: d.str(le.Uint32(b)), Domain: d.str(le.Uint32(p)),
		Kind: d.manifest.Words[p[4]], Registry: d.manifest.Words[p[5]],
	}
}

// numberAt returns the number of the AS in a row. The numbers stand by
// themselves so that they fit into the second-level cache.
func (d *Dataset) numberAt(i uint32) uint32 { return le.Uint32(d.numbers[i*numberSize:]) }

// profile returns the row of what an AS has in common with others.
func (d *Dataset) profile(i uint32) []byte {
	return d.profiles[le.Uint32(d.as[i*asSize+4:])*profileSize:][:profileSize]
}

func (d *Dataset) org(id uint32) []byte {
	if len(d.orgs) == 0 {
		return nil
	}
	n := le.Uint32(d.orgs[id*4:])
	if n == 0 {
		return nil
	}
	return d.orgTable[n*orgSize:][:orgSize]
}

// Company returns who uses the addresses of an answer.
func (d *Dataset) Company(id uint32) (c ipwarden.Company) {
	if o := d.org(id); o != nil {
		c = ipwarden.Company{Name: d.str(le.Uint32(o)), Domain: d.str(le.Uint32(o[4:])), Kind: d.str(le.Uint32(o[8:]))}
	}
	runtime.KeepAlive(d)
	return c
}

// Carrier returns the mobile network of an answer.
func (d *Dataset) Carrier(id uint32) (c ipwarden.Carrier) {
	if o := d.org(id); o != nil {
		c = ipwarden.Carrier{Name: d.str(le.Uint32(o[12:])), MCC: d.str(le.Uint32(o[16:])), MNC: d.str(le.Uint32(o[20:]))}
	}
	runtime.KeepAlive(d)
	return c
}

// Security returns the details behind the traits of an answer.
func (d *Dataset) Security(id uint32) ipwarden.Security {
	sec := d.row(id).sec()
	if sec == 0 {
		return ipwarden.Security{}
	}
	b := d.secs[sec*secSize:][:secSize]
	s := ipwarden.Security{
		VPN:     d.str(le.Uint32(b)),
		Crawler: ipwarden.CrawlerInfo{Name: d.str(le.Uint32(b[4:])), Purpose: d.str(le.Uint32(b[8:]))},
		Hosting: ipwarden.HostingInfo{Name: d.str(le.Uint32(b[12:])), Region: d.str(le.Uint32(b[16:])), Service: d.str(le.Uint32(b[20:]))},
		Bogon:   ipwarden.BogonInfo{Name: d.str(le.Uint32(b[24:])), RFC: d.str(le.Uint32(b[28:]))},
	}
	s.Listings = d.listingSet(le.Uint32(b[32:]))
	runtime.KeepAlive(d)
	return s
}

// listingSet returns a set of blocklists, which is decoded once.
func (d *Dataset) listingSet(n uint32) []ipwarden.Listing {
	if n == 0 {
		return nil
	}
	if p := d.sets[n].Load(); p != nil {
		return *p
	}
	from := uint32(0)
	if n > 0 {
		from = le.Uint32(d.listings[4*n:])
	}
	body := d.listings[4+4*d.numSets():]
	set := body[from:le.Uint32(d.listings[4+4*n:])]
	var list []ipwarden.Listing
	for len(set) > 0 {
		l := ipwarden.Listing{Name: d.manifest.Feeds[set[0]].Name, URL: d.manifest.Listings[set[0]], Type: string(set[6 : 6+set[5]])}
		if day := le.Uint32(set[1:]); day != 0 {
			l.Date = time.Unix(int64(day)*86400, 0).UTC()
		}
		list = append(list, l)
		set = set[6+int(set[5]):]
	}
	d.sets[n].CompareAndSwap(nil, &list)
	return list
}
