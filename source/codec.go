package source

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
)

// codec writes an answer, or reads one: walk goes through the parts in one order
// for both, so that they cannot come apart. A change of the order, or of what is
// in it, needs another valueVersion.
type codec struct {
	reading bool
	b       []byte // written so far, or still to be read
	text    string // of all that is read: strings are parts of it
	bad     bool
}

// Bounds of what is read.
const (
	maxItems = 256 // languages, listings, claims
	maxPart  = 4 << 10
)

var errValue = errors.New("it is no value of this version, or damaged")

func (c *codec) fail() { c.bad, c.b, c.text = true, nil, "" }

func (c *codec) drop(n int) {
	c.b = c.b[n:]
	c.text = c.text[len(c.text)-len(c.b):]
}

func (c *codec) number(p *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *p)
		return
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		*p = 0
		return
	}
	c.drop(n)
	*p = v
}

func (c *codec) string(p *string) {
	n := uint64(len(*p))
	c.number(&n)
	if !c.reading {
		c.b = append(c.b, *p...)
		return
	}
	if n > maxPart || n > uint64(len(c.text)) {
		c.fail()
		*p = ""
		return
	}
	*p = c.text[:n]
	c.drop(int(n))
}

// count is the length of a list.
func (c *codec) count(have int) int {
	n := uint64(min(have, maxItems))
	c.number(&n)
	if n > maxItems || c.bad {
		c.fail()
		return 0
	}
	return int(n)
}

func (c *codec) bool(p *bool) {
	n := uint64(0)
	if *p {
		n = 1
	}
	c.number(&n)
	if n > 1 {
		c.fail()
	}
	*p = n == 1
}

func (c *codec) float(p *float64) {
	n := math.Float64bits(*p)
	c.number(&n)
	*p = math.Float64frombits(n)
	if c.reading && (math.IsNaN(*p) || math.Abs(*p) > 180) {
		c.fail()
		*p = 0
	}
}

// time has seconds, and knows the zero time.
func (c *codec) time(p *time.Time) {
	n := uint64(0)
	if !p.IsZero() && p.Unix() > 0 {
		n = uint64(p.Unix())
	}
	c.number(&n)
	if !c.reading {
		return
	}
	*p = time.Time{}
	if n > 0 && n < 1<<40 {
		*p = time.Unix(int64(n), 0).UTC()
	}
}

func (c *codec) prefix(p *netip.Prefix) {
	var text string
	if p.IsValid() && !c.reading {
		b, _ := p.MarshalBinary()
		text = string(b)
	}
	c.string(&text)
	if !c.reading {
		return
	}
	*p = netip.Prefix{}
	if text != "" && (p.UnmarshalBinary([]byte(text)) != nil || !p.IsValid() || p.Addr().Zone() != "" || *p != p.Masked()) {
		c.fail()
		*p = netip.Prefix{}
	}
}

// list walks the items of a slice.
func list[T any](c *codec, items *[]T, item func(*T)) {
	n := c.count(len(*items))
	if c.reading {
		*items = nil
		if n > len(c.b) { // each takes a byte at least
			c.fail()
			return
		}
		if n > 0 {
			*items = make([]T, n)
		}
	}
	for i := range n {
		item(&(*items)[i])
	}
}

// walk goes through an answer.
func (c *codec) walk(f *ipwarden.Full) {
	traits := uint64(f.Traits)
	c.prefix(&f.Network)
	c.number(&traits)
	f.Traits = ipwarden.Traits(traits) & ipwarden.AllTraits
	c.time(&f.Date)
	c.location(&f.Location)
	number := uint64(f.ASN.Number)
	c.number(&number)
	f.ASN.Number = uint32(number)
	c.prefix(&f.ASN.Route)
	for _, s := range []*string{
		&f.ASN.Name, &f.ASN.Domain, &f.ASN.Kind, &f.ASN.Registry, &f.Company.Name, &f.Company.Domain, &f.Company.Kind,
		&f.Carrier.Name, &f.Carrier.MCC, &f.Carrier.MNC, &f.Security.VPN, &f.Security.Crawler.Name, &f.Security.Crawler.Purpose,
		&f.Security.Hosting.Name, &f.Security.Hosting.Region, &f.Security.Hosting.Service,
	} {
		c.string(s)
	}
	list(c, &f.Security.Listings, func(l *ipwarden.Listing) {
		c.string(&l.Name)
		c.string(&l.Type)
		c.string(&l.URL)
		c.time(&l.Date)
	})
	c.evidence(&f.Evidence)
}

func (c *codec) location(l *ipwarden.Location) {
	for _, s := range []*string{
		&l.ContinentCode, &l.Continent, &l.CountryCode, &l.Country, &l.RegionCode, &l.Region, &l.City, &l.Postal,
		&l.TimeZone.ID, &l.Currency.Code, &l.Currency.Name, &l.Currency.Symbol, &l.CallingCode, &l.Flag,
	} {
		c.string(s)
	}
	c.bool(&l.IsEU)
	c.bool(&l.HasCoordinates)
	c.float(&l.Latitude)
	c.float(&l.Longitude)
	accuracy := uint64(l.AccuracyKM)
	c.number(&accuracy)
	l.AccuracyKM = uint16(min(accuracy, math.MaxUint16))
	list(c, &l.Languages, func(g *ipwarden.Language) {
		c.string(&g.Code)
		c.string(&g.Name)
		c.string(&g.Native)
	})
	if c.reading {
		l.TimeZone.Zone = zone(l.TimeZone.ID)
	}
}

// evidence goes by its distinct sayings: most fields of an answer have the same.
func (c *codec) evidence(all *[]ipwarden.Evidence) {
	type saying struct {
		feed, licence, match, note string
		date                       time.Time
	}
	var sayings []saying
	var numbers map[saying]uint64
	if !c.reading {
		numbers = map[saying]uint64{}
		for i := range *all {
			e := &(*all)[i]
			for _, claims := range [2][]ipwarden.Claim{e.By, e.Lost} {
				for _, cl := range claims {
					s := saying{cl.Feed, cl.Licence, cl.Match, cl.Note, cl.Date}
					if _, ok := numbers[s]; !ok && len(sayings) < maxItems {
						numbers[s] = uint64(len(sayings))
						sayings = append(sayings, s)
					}
				}
			}
		}
	}
	list(c, &sayings, func(s *saying) {
		c.string(&s.feed)
		c.string(&s.licence)
		c.string(&s.match)
		c.string(&s.note)
		c.time(&s.date)
	})
	claim := func(cl *ipwarden.Claim) {
		var n uint64
		if !c.reading {
			n = numbers[saying{cl.Feed, cl.Licence, cl.Match, cl.Note, cl.Date}]
		}
		c.number(&n)
		c.string(&cl.Value)
		if !c.reading {
			return
		}
		if n >= uint64(len(sayings)) {
			c.fail()
			return
		}
		s := &sayings[n]
		cl.Feed, cl.Licence, cl.Match, cl.Note, cl.Date = s.feed, s.licence, s.match, s.note, s.date
	}
	list(c, all, func(e *ipwarden.Evidence) {
		field := uint64(e.Field)
		c.number(&field)
		if ipwarden.Field(field).String() == "unknown" || field > math.MaxUint8 {
			c.fail()
			field = 0
		}
		e.Field = ipwarden.Field(field)
		c.string(&e.Value)
		list(c, &e.By, claim)
		list(c, &e.Lost, claim)
	})
}

// zones are the rules of time zones by their names; only names that exist are
// kept, of which there are some 600.
var zones sync.Map

func zone(id string) *time.Location {
	if id == "" || id == "Local" {
		return nil
	}
	if z, ok := zones.Load(id); ok {
		return z.(*time.Location)
	}
	z, err := time.LoadLocation(id)
	if err != nil {
		return nil
	}
	zones.Store(id, z)
	return z
}

// What is before an answer in a value.
//
//	version, 1 byte | tag of the provider, 8 | checksum of all else, 8 |
//	asked, fresh, stale, took | failed or not | answer
const (
	valueVersion = 1
	checksumAt   = 1 + tagSize
	valueHead    = checksumAt + checksumSize
)

// appendValue appends an answer as a [Store] keeps it; false when it is too long.
func (k *keyer) appendValue(dst []byte, provider string, a *answer) ([]byte, bool) {
	at := len(dst)
	dst = append(dst, valueVersion)
	tag := k.tag(provider)
	dst = append(dst, tag[:]...)
	dst = append(dst, make([]byte, checksumSize)...)
	c := codec{b: dst}
	c.times(a)
	c.walk(&a.full)
	dst = c.b
	if len(dst)-at > MaxValue {
		return dst[:at], false
	}
	sum := k.checksum(dst[at:])
	copy(dst[at+checksumAt:], sum[:])
	return dst, true
}

func (c *codec) times(a *answer) {
	for _, t := range []*int64{&a.asked, &a.fresh, &a.stale, &a.took} {
		n := uint64(*t)
		c.number(&n)
		*t = int64(n)
	}
	failed := a.err != nil
	c.bool(&failed)
	if failed && a.err == nil {
		a.err = errElsewhere
	}
}

// readValue reads what appendValue wrote for the same provider.
func (k *keyer) readValue(b []byte, provider string, now int64) (*answer, error) {
	if len(b) < valueHead || len(b) > MaxValue || b[0] != valueVersion {
		return nil, errValue
	}
	if [tagSize]byte(b[1:]) != k.tag(provider) || [checksumSize]byte(b[checksumAt:]) != k.checksum(b) {
		return nil, errValue
	}
	c := codec{reading: true, b: b[valueHead:]}
	c.text = string(c.b)
	a := &answer{}
	c.times(a)
	c.walk(&a.full)
	if c.bad || len(c.b) != 0 {
		return nil, errValue
	}
	// A clock that is ahead must not keep an answer for ever.
	const ahead, longest = int64(time.Minute), int64(31 * 24 * time.Hour)
	if a.asked > now+ahead || a.fresh < a.asked || a.stale < a.fresh || a.stale-a.asked > longest || a.took < 0 {
		return nil, errValue
	}
	a.full.Traits &^= ipwarden.Bogon
	a.full.Security.Bogon = ipwarden.BogonInfo{}
	a.seal()
	return a, nil
}
