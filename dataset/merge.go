package dataset

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// entry of a partition: the answer from here to the next entry.
type entry struct {
	from position
	row  uint32
}

// active is one feed during the sweep: what it claims at the current position.
type active struct {
	in            *input
	loc, net, sec uint32 // in the merger's tables
	bits          int16
	checked       bool // counts only inside its operator's own networks
	toLoc, toNet  []uint32
	toSec         []uint32
}

// merger turns the layers of all feeds into one partition of the address
// space, with interned answers.
type merger struct {
	ins    []*active // by input
	order  []*active // by precedence: trust, date, name
	tables *feed.Tables
	claims *claimTables
	as     *asTable

	locs     *table[location]
	secs     *table[security]
	listings *table[string] // sets, encoded
	orgs     *table[org]
	rows     *table[row]

	locMemo, secMemo map[string]uint32
	zones            map[string]string // of countries that have only one
	key              []byte
}

// location is a row of the table of locations.
type location struct {
	continent                        string // where no country is known
	country                          string
	regionCode, region, city, postal string
	timeZone                         string
	hasCoordinates                   bool
	latitude, longitude              float64
	accuracy                         uint16
	byCountry, byCity                uint8 // the deciding feeds, plus one
	placed                           bool  // coordinates by the gazetteer
}

// security is a row of the table of details behind the traits.
type security struct {
	traits                             ipwarden.Traits
	vpn                                string
	crawler, purpose                   string
	cloud, cloudRegion, cloudService   string
	bogon, rfc                         string
	listings                           uint32
	byVPN, byCrawler, byCloud, byBogon uint8
}

// row is one distinct answer.
type row struct {
	loc, as, sec, org uint32
	byOrigin, route   uint8
}

// noRoute is the length of the route of a range that is no prefix.
const noRoute = 0xff

func newMerger(ins []*input, tables *feed.Tables) *merger {
	m := &merger{
		tables: tables, claims: newClaimTables(),
		locs: newTable[location](), secs: newTable[security](), listings: newTable[string](),
		orgs: newTable[org](), rows: newTable[row](),
		locMemo: map[string]uint32{}, secMemo: map[string]uint32{}, zones: map[string]string{},
	}
	for _, in := range ins {
		a := &active{in: in, checked: len(in.Origins) > 0}
		a.toLoc = join(m.claims.loc, in.claims.loc)
		orgs := join(m.claims.org, in.claims.org)
		for i := range in.claims.net.values {
			in.claims.net.values[i].Org = orgs[in.claims.net.values[i].Org]
		}
		a.toNet = join(m.claims.net, in.claims.net)
		a.toSec = join(m.claims.sec, in.claims.sec)
		in.claims = nil
		m.ins = append(m.ins, a)
	}
	m.order = slices.Clone(m.ins)
	slices.SortFunc(m.order, func(a, b *active) int { return precedence(a.in, b.in) })
	m.as = newASTable(m.order, m.claims.net)
	return m
}

// precedence orders feeds: the one to believe first.
func precedence(a, b *input) int {
	return cmp.Or(cmp.Compare(b.Trust, a.Trust), b.Date.Compare(a.Date), cmp.Compare(a.Spec.Name, b.Spec.Name))
}

// join interns the values of from in to and returns the numbers there.
func join[T comparable](to, from *table[T]) []uint32 {
	ids := make([]uint32, len(from.values))
	for i, v := range from.values {
		ids[i] = to.id(v)
	}
	return ids
}

// merge sweeps over the family's addresses, from one change to the next.
func (m *merger) merge(ctx context.Context, fam family) ([]entry, error) {
	var queue heap
	total := 0
	for _, a := range m.ins {
		a.loc, a.net, a.sec, a.bits = 0, 0, 0, -1
		l := &a.in.layer4
		if fam == ipv6 {
			l = &a.in.layer6
		}
		if len(l.chunks) > 0 {
			queue.push(cursor{l.chunks[0][0].from, l.chunks[0], l.chunks[1:], a})
			total += len(l.chunks) * stepsPerBlock
		}
	}
	out := make([]entry, 0, total/3+1)
	out = append(out, entry{}) // nobody knows anything before the first change
	var cur row
	for n := 0; len(queue) > 0; n++ {
		if n%65536 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pos := queue[0].at
		var loc, net, sec bool
		for len(queue) > 0 && queue[0].at == pos {
			c := &queue[0]
			s, a := &c.now[0], c.feed
			l, nt, sc := a.toLoc[s.loc], a.toNet[s.net], a.toSec[s.sec]
			loc = loc || l != a.loc
			net = net || nt != a.net || s.bits != a.bits && nt != 0
			sec = sec || sc != a.sec
			a.loc, a.net, a.sec, a.bits = l, nt, sc, s.bits
			if c.next() {
				queue.down(0)
			} else {
				queue.pop()
			}
		}
		origin := cur.as
		if net {
			m.network(&cur)
		}
		if loc || origin != cur.as {
			cur.loc = m.location(m.as.number(cur.as))
		}
		if sec || origin != cur.as {
			cur.sec = m.security(cur.as)
		}
		answer := cur
		if m.secs.values[cur.sec].traits.Has(ipwarden.Bogon) { // nobody's: no country, no network
			answer = row{sec: cur.sec}
		}
		id := m.rows.id(answer)
		if last := &out[len(out)-1]; last.from == pos {
			last.row = id
		} else if last.row != id {
			out = append(out, entry{pos, id})
		}
	}
	return slices.Clip(out), nil
}

// sortRows numbers the answers anew, those of the most addresses first: what
// most look-ups touch lies together. (64 IPv6 networks of 48 bits count as an
// address: in all that makes as much of IPv6 as of IPv4.)
func (m *merger) sortRows(parts ...[]entry) {
	weight := make([]uint64, len(m.rows.values))
	for i, part := range parts {
		fam := []family{ipv4, ipv6}[i]
		for j, e := range part {
			to := fam.last()
			if j+1 < len(part) {
				to = part[j+1].from.prev()
			}
			n := size(fam, e.from, to)
			if fam == ipv6 {
				n >>= 6
			}
			weight[e.row] += n
		}
	}
	order := make([]uint32, len(weight))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order[1:], func(a, b uint32) int { // 0 stays: nobody knows anything
		return cmp.Or(cmp.Compare(weight[b], weight[a]), cmp.Compare(a, b))
	})
	rows, place := make([]row, len(order)), make([]uint32, len(order))
	for to, from := range order {
		rows[to], place[from] = m.rows.values[from], uint32(to)
	}
	m.rows.values, m.rows.ids = rows, nil
	for _, part := range parts {
		for i := range part {
			part[i].row = place[part[i].row]
		}
	}
}

// network decides who announces and who uses the addresses.
func (m *merger) network(cur *row) {
	cur.as, cur.byOrigin, cur.route, cur.org = 0, 0, 0, 0
	var o org
	for _, a := range m.order {
		if a.net == 0 {
			continue
		}
		c := &m.claims.net.values[a.net]
		if cur.as == 0 && c.Origin != 0 {
			cur.as = m.as.index[c.Origin]
			cur.byOrigin = uint8(a.in.index + 1)
			if cur.route = noRoute; a.bits >= 0 {
				cur.route = uint8(a.bits)
			}
		}
		if c.Org == 0 {
			continue
		}
		said := &m.claims.org.values[c.Org]
		if o.company == "" && said.company != "" {
			o.company, o.domain, o.kind = said.company, said.domain, said.kind
		}
		if o.carrier == "" && said.carrier != "" {
			o.carrier, o.mcc, o.mnc = said.carrier, said.mcc, said.mnc
		}
	}
	if o != (org{}) {
		cur.org = m.orgs.id(o)
	}
}

// location decides where the addresses are used.
func (m *merger) location(origin uint32) uint32 {
	key := m.key[:0]
	for _, a := range m.order {
		if a.loc == 0 || a.checked && !slices.Contains(a.in.Origins, origin) {
			continue
		}
		key = append(key, byte(a.in.index))
		key = binary.LittleEndian.AppendUint32(key, a.loc)
	}
	m.key = key
	id, ok := m.locMemo[string(key)]
	if !ok {
		id = m.locs.id(m.decideLocation(key))
		m.locMemo[string(key)] = id
	}
	return id
}

// accuracyOfPlace is the radius given with a place's coordinates, when only the
// name of the place is known: it covers the built-up area of most cities.
const accuracyOfPlace = 20

func (m *merger) decideLocation(key []byte) (l location) {
	for ; len(key) > 0; key = key[5:] {
		c := &m.claims.loc.values[binary.LittleEndian.Uint32(key[1:])]
		by := key[0] + 1
		if l.country == "" && l.continent == "" && c.Continent != "" {
			l.continent, l.byCountry = c.Continent, by
		}
		// A feed that knows the continent alone still knows better than those it
		// goes before which countries it cannot be.
		if l.country == "" && c.Country != "" && (l.continent == "" || m.tables.Countries[c.Country].ContinentCode == l.continent) {
			l.continent, l.country, l.byCountry = "", c.Country, by
		}
		// What is more precise is taken from one feed, and only where that feed
		// agrees about the country.
		precise := c.City != "" || c.Region != "" || c.HasCoordinates || c.Postal != ""
		if l.byCity == 0 && precise && c.Country == l.country && l.country != "" {
			l.byCity = by
			l.regionCode = strings.TrimPrefix(c.Region, c.Country+"-")
			l.region, l.city, l.postal, l.timeZone = c.RegionName, c.City, c.Postal, c.TimeZone
			l.hasCoordinates, l.latitude, l.longitude, l.accuracy = c.HasCoordinates, c.Latitude, c.Longitude, c.AccuracyKM
		}
	}
	if l.regionCode != "" && l.region == "" {
		l.region = m.tables.Regions[l.country+"-"+l.regionCode]
	}
	if l.city != "" && !l.hasCoordinates {
		region := ""
		if l.regionCode != "" {
			region = l.country + "-" + l.regionCode
		}
		if city, ok := m.tables.Cities.Find(l.country, region, l.city); ok {
			l.hasCoordinates, l.placed = true, true
			l.latitude, l.longitude, l.accuracy = city.Latitude, city.Longitude, accuracyOfPlace
			if l.timeZone == "" {
				l.timeZone = city.TimeZone
			}
			if l.region == "" {
				l.region = city.Region
			}
		}
	}
	if l.timeZone == "" && l.country != "" {
		zone, ok := m.zones[l.country]
		if !ok {
			zone, _ = m.tables.ZoneOf(l.country)
			m.zones[l.country] = zone
		}
		l.timeZone = zone
	}
	return l
}

// security decides the traits and what is known beside them.
func (m *merger) security(as uint32) uint32 {
	key := m.key[:0]
	for _, a := range m.order {
		if a.sec == 0 {
			continue
		}
		key = append(key, byte(a.in.index))
		key = binary.LittleEndian.AppendUint32(key, a.sec)
	}
	n := len(key)
	key = binary.LittleEndian.AppendUint32(key, m.as.traits[as])
	m.key = key
	id, ok := m.secMemo[string(key)]
	if !ok {
		id = m.secs.id(m.decideSecurity(key[:n], m.as.traitSets.values[m.as.traits[as]]))
		m.secMemo[string(key)] = id
	}
	return id
}

// secFact is one feed's claim about security, of an address or of its AS.
type secFact struct {
	in *input
	secClaim
}

func (m *merger) decideSecurity(key []byte, asSet string) security {
	var facts []secFact
	for ; len(key) > 0; key = key[5:] {
		facts = append(facts, secFact{m.ins[key[0]].in, m.claims.sec.values[binary.LittleEndian.Uint32(key[1:])]})
	}
	for b := []byte(asSet); len(b) > 0; b = b[5:] {
		c := m.as.claims.values[binary.LittleEndian.Uint32(b[1:])]
		in := m.ins[b[0]].in
		facts = append(facts, secFact{in, secClaim{Traits: c.Traits, Name: in.Asserts.Name, Detail: c.Detail}})
	}
	denied, quiet := ipwarden.Traits(0), false
	for _, f := range facts {
		denied |= f.in.denies | f.Denied
		quiet = quiet || f.in.DeniesListings
	}
	var s security
	for _, f := range facts {
		s.traits |= f.Traits &^ denied
	}
	if s.traits.Has(ipwarden.Bogon) { // nothing else can be true of it
		s.traits, denied, quiet = ipwarden.Bogon, ipwarden.AllTraits&^ipwarden.Bogon, true
	}
	var set []byte
	for _, f := range facts {
		by := uint8(f.in.index + 1)
		t := f.Traits &^ denied
		if t.Has(ipwarden.VPN) && s.vpn == "" && f.Name != "" {
			s.vpn, s.byVPN = f.Name, by
		}
		if t.Has(ipwarden.Crawler) && s.crawler == "" && f.Name != "" {
			s.crawler, s.purpose, s.byCrawler = f.Name, f.Purpose, by
		}
		if t.Has(ipwarden.Hosting) && f.Name != "" {
			if s.cloud == "" {
				s.cloud, s.byCloud = f.Name, by
			}
			if s.cloud == f.Name && s.cloudRegion == "" {
				s.cloudRegion = f.CloudRegion
			}
			if s.cloud == f.Name && s.cloudService == "" {
				s.cloudService = f.CloudService
			}
		}
		if t.Has(ipwarden.Bogon) && s.bogon == "" {
			s.bogon, s.rfc, s.byBogon = f.Name, f.RFC, by
		}
		if f.in.Listing != "" && !quiet && (f.Traits == 0 || t != 0) {
			set = appendListing(set, f)
		}
	}
	s.listings = m.listings.id(string(set))
	return s
}

// appendListing encodes one membership: feed, day, type.
func appendListing(set []byte, f secFact) []byte {
	kind, day := f.Detail, f.Seen
	if kind == "" {
		kind = f.in.Listing
	}
	if day == 0 {
		day = dayOf(f.in.Date)
	}
	set = append(set, byte(f.in.index))
	set = binary.LittleEndian.AppendUint32(set, uint32(day))
	set = append(set, byte(len(kind)))
	return append(set, kind...)
}

func dayOf(t time.Time) int32 {
	if t.IsZero() {
		return 0
	}
	return int32(t.Unix() / 86400)
}
