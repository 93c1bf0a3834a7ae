package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

func popcount(w uint64) int { return bits.OnesCount64(w) }

// stringTable is the section of strings: a length and the bytes of each;
// references are offsets, and 0 is the empty string.
type stringTable struct {
	refs map[string]uint32
	blob []byte
}

func newStringTable() *stringTable {
	return &stringTable{refs: map[string]uint32{"": 0}, blob: []byte{0}}
}

func (t *stringTable) ref(s string) uint32 {
	ref, ok := t.refs[s]
	if !ok {
		ref = uint32(len(t.blob))
		t.refs[s] = ref
		t.blob = binary.AppendUvarint(t.blob, uint64(len(s)))
		t.blob = append(t.blob, s...)
	}
	return ref
}

// words is a small table of words that recur, referred to in one byte.
type words struct {
	ids  map[string]uint8
	list []string
}

func (w *words) id(s string) (uint8, error) {
	id, ok := w.ids[s]
	if !ok {
		if len(w.list) == 256 {
			return 0, fmt.Errorf("more than 255 kinds of networks and registries, at %q", s)
		}
		id = uint8(len(w.list))
		w.ids[s] = id
		w.list = append(w.list, s)
	}
	return id, nil
}

// sections of a file in the making, by kind.
type sections [numSections][]byte

// write lays out the file.
func write(w io.Writer, cfg *BuildConfig, m *merger, p4, p6 []entry) (*Report, error) {
	m.sortRows(p4, p6)
	var s sections
	var tree treeBuilder
	for _, f := range []struct {
		fam         family
		part        []entry
		root, reach int
	}{{ipv4, p4, secRoot4, secRootBits4}, {ipv6, p6, secRoot6, secRootBits6}} {
		root, reach, err := tree.family(f.fam, f.part)
		if err != nil {
			return nil, err
		}
		s[f.root], s[f.reach] = appendWords(nil, root), reach
	}
	s[secNodes] = appendWords(nil, tree.words)
	tree.words = nil
	strs := newStringTable()
	man := manifest{Licence: cfg.Licence, Attribution: cfg.Attribution, Inputs: len(m.ins), From: cfg.Tables.From}
	if err := m.writeTables(&s, &man, strs); err != nil {
		return nil, err
	}
	if err := m.writeEvidence(&s); err != nil {
		return nil, err
	}
	s[secStrings] = strs.blob
	rep := &Report{Ranges4: len(p4), Ranges6: len(p6), Rows: len(m.rows.values), Sections: map[string]int64{}}
	man.Counts = Counts{Ranges4: len(p4), Ranges6: len(p6), Answers: len(m.rows.values), ASNs: len(m.as.rows) - 1, Locations: len(m.locs.values) - 1}
	man.Counts.Coverage4 = m.coverage(ipv4, p4)
	man.Counts.Coverage6 = m.coverage(ipv6, p6)
	for _, a := range m.ins {
		in := a.in
		man.Feeds = append(man.Feeds, FeedInfo{
			Name: in.Spec.Name, Title: in.Spec.Title, URL: in.Spec.Homepage, Date: in.Date.UTC(), SHA256: in.SHA256,
			Licence: in.Spec.Licence, Attribution: in.Spec.Attribution, Rows: in.rows, Skipped: in.skipped,
		})
		man.Notes = append(man.Notes, feedNote{
			Traits: uint32(in.traits), Denies: uint32(in.denies), DeniesListings: in.DeniesListings,
			Listing: in.Listing, Name: in.Asserts.Name, Rank: slices.Index(m.order, a), Origins: in.Origins,
		})
		rep.Feeds = append(rep.Feeds, FeedReport{in.Spec.Name, in.rows, in.skipped, in.problems})
	}
	man.Feeds = append(man.Feeds, cfg.TableSources...)
	js, err := json.Marshal(&man)
	if err != nil {
		return nil, err
	}
	s[secManifest] = js
	sum, size, err := s.writeTo(w, cfg.Date.Unix())
	if err != nil {
		return nil, err
	}
	for kind, name := range sectionNames {
		rep.Sections[name] = int64(len(s[kind]))
	}
	rep.Size = size
	rep.Info = man.info(cfg.Date.UTC(), hex.EncodeToString(sum[:]), size)
	return rep, nil
}

var sectionNames = map[int]string{
	secManifest: "manifest", secStrings: "strings", secRoot4: "root IPv4", secRoot6: "root IPv6", secRootBits4: "reach IPv4",
	secRootBits6: "reach IPv6", secNodes: "nodes", secRows: "rows", secLocations: "locations", secAS: "autonomous systems", secASNumbers: "AS numbers", secASProfiles: "profiles", secHot: "hot words",
	secSecurity: "security", secListings: "listings", secOrgs: "organisations of rows", secOrgTable: "organisations",
	secEvidence: "evidence", secClaims: "claims", secDirectory: "directory",
}

// writeTo writes header, table and sections, and returns the checksum.
func (s *sections) writeTo(w io.Writer, date int64) (sum [32]byte, size int64, err error) {
	count := numSections - 1
	head := make([]byte, headerSize+count*sectionEntry)
	at := int64(len(head))
	for kind := 1; kind < numSections; kind++ {
		at = (at + sectionAlign - 1) &^ (sectionAlign - 1)
		e := head[headerSize+(kind-1)*sectionEntry:]
		le.PutUint32(e, uint32(kind))
		le.PutUint64(e[8:], uint64(at))
		le.PutUint64(e[16:], uint64(len(s[kind])))
		at += int64(len(s[kind]))
	}
	size = at
	if size > maxFileLength {
		return sum, 0, errTreeTooLarge
	}
	copy(head, magic)
	le.PutUint32(head[offVersion:], formatVersion)
	le.PutUint32(head[offSections:], uint32(count))
	le.PutUint64(head[offDate:], uint64(date))
	le.PutUint64(head[offLength:], uint64(size))
	h := sha256.New()
	h.Write(head[:offSum])
	h.Write(head[headerSize:])
	each := func(f func([]byte) error) error {
		at := int64(len(head))
		var pad [sectionAlign]byte
		for kind := 1; kind < numSections; kind++ {
			n := -at & (sectionAlign - 1)
			if err := f(pad[:n]); err != nil {
				return err
			}
			if err := f(s[kind]); err != nil {
				return err
			}
			at += n + int64(len(s[kind]))
		}
		return nil
	}
	_ = each(func(b []byte) error { h.Write(b); return nil })
	h.Sum(sum[:0])
	copy(head[offSum:], sum[:])
	if _, err := w.Write(head); err != nil {
		return sum, 0, err
	}
	return sum, size, each(func(b []byte) error {
		_, err := w.Write(b)
		return err
	})
}

func appendWords(dst []byte, ws []uint32) []byte {
	dst = slices.Grow(dst, 4*len(ws))
	for _, w := range ws {
		dst = le.AppendUint32(dst, w)
	}
	return dst
}

// profile is what many autonomous systems have in common.
type profile struct {
	domain                                     string
	kind, registry, byName, byKind, byRegistry uint8
}

// writeTables writes the rows and the tables they refer to.
func (m *merger) writeTables(s *sections, man *manifest, strs *stringTable) error {
	countries, err := man.countries(m)
	if err != nil {
		return err
	}
	zones := map[string]uint16{"": 0}
	man.Zones = []string{""}
	loc := make([]byte, 0, len(m.locs.values)*locSize)
	for _, l := range m.locs.values {
		z, ok := zones[l.timeZone]
		if !ok {
			z = uint16(len(man.Zones))
			zones[l.timeZone] = z
			man.Zones = append(man.Zones, l.timeZone)
		}
		loc = le.AppendUint16(loc, countries[placeOf(&l)])
		loc = le.AppendUint16(loc, z)
		for _, v := range []string{l.regionCode, l.region, l.city, l.postal} {
			loc = le.AppendUint32(loc, strs.ref(v))
		}
		loc = le.AppendUint32(loc, uint32(degrees(l.latitude)))
		loc = le.AppendUint32(loc, uint32(degrees(l.longitude)))
		loc = le.AppendUint16(loc, l.accuracy)
		flags := byte(0)
		if l.hasCoordinates {
			flags |= locHasCoordinates
		}
		if l.placed {
			flags |= locPlaced
		}
		loc = append(loc, l.byCountry, l.byCity, flags, 0, 0, 0)
	}
	s[secLocations] = loc
	profiles := newTable[profile]()
	ws := words{ids: map[string]uint8{"": 0}, list: []string{""}}
	as := make([]byte, 0, len(m.as.rows)*asSize)
	for _, a := range m.as.rows {
		kind, err := ws.id(a.kind)
		if err != nil {
			return err
		}
		registry, err := ws.id(a.registry)
		if err != nil {
			return err
		}
		s[secASNumbers] = le.AppendUint32(s[secASNumbers], a.number)
		as = le.AppendUint32(as, strs.ref(a.name))
		as = le.AppendUint32(as, profiles.id(profile{a.domain, kind, registry, a.byName, a.byKind, a.byRegistry}))
	}
	s[secAS] = as
	for _, p := range profiles.values {
		s[secASProfiles] = le.AppendUint32(s[secASProfiles], strs.ref(p.domain))
		s[secASProfiles] = append(s[secASProfiles], p.kind, p.registry, p.byName, p.byKind, p.byRegistry, 0, 0, 0)
	}
	man.Words = ws.list
	sec := make([]byte, 0, len(m.secs.values)*secSize)
	for _, v := range m.secs.values {
		for _, t := range []string{v.vpn, v.crawler, v.purpose, v.cloud, v.cloudRegion, v.cloudService, v.bogon, v.rfc} {
			sec = le.AppendUint32(sec, strs.ref(t))
		}
		sec = le.AppendUint32(sec, v.listings)
		sec = append(sec, v.byVPN, v.byCrawler, v.byCloud, v.byBogon)
	}
	s[secSecurity] = sec
	var sets []byte
	sets = le.AppendUint32(sets, uint32(len(m.listings.values)))
	end := 0
	for _, v := range m.listings.values {
		end += len(v)
		sets = le.AppendUint32(sets, uint32(end))
	}
	for _, v := range m.listings.values {
		sets = append(sets, v...)
	}
	s[secListings] = sets
	man.Listings = make([]string, len(m.ins))
	for i, a := range m.ins {
		man.Listings[i] = a.in.Spec.Homepage
	}
	rows := make([]byte, 0, len(m.rows.values)*rowSize)
	for _, r := range m.rows.values {
		if r.loc|r.sec > bits24 {
			return errors.New("more than 16 million distinct locations or sets of traits")
		}
		rows = append(rows, byte(r.loc), byte(r.loc>>8), byte(r.loc>>16), byte(r.sec), byte(r.sec>>8), byte(r.sec>>16), r.route, r.byOrigin)
		country := m.locs.values[r.loc].country
		if country != "" && !isCountryCode(country) {
			return fmt.Errorf("%q is no ISO 3166-1 code of two capital letters", country)
		}
		s[secHot] = le.AppendUint64(s[secHot], uint64(ipwarden.HotOf(m.as.number(r.as), country, m.secs.values[r.sec].traits)))
	}
	s[secRows] = rows
	if len(m.orgs.values) > 1 {
		for _, r := range m.rows.values {
			s[secOrgs] = le.AppendUint32(s[secOrgs], r.org)
		}
		for _, o := range m.orgs.values {
			for _, v := range []string{o.company, o.domain, o.kind, o.carrier, o.mcc, o.mnc} {
				s[secOrgTable] = le.AppendUint32(s[secOrgTable], strs.ref(v))
			}
		}
	}
	return nil
}

// Flags of a location.
const (
	locHasCoordinates = 1 << iota
	locPlaced         // by the gazetteer
)

func isCountryCode(s string) bool {
	return len(s) == 2 && 'A' <= s[0] && s[0] <= 'Z' && 'A' <= s[1] && s[1] <= 'Z'
}

// continentOnly marks the place of addresses of which only that is known.
const continentOnly = "~"

func placeOf(l *location) string {
	if l.continent != "" {
		return continentOnly + l.continent
	}
	return l.country
}

// degrees in millionths.
func degrees(d float64) int32 { return int32(math.Round(d * 1e6)) }

// countries fills the manifest's countries and numbers them from 1.
func (man *manifest) countries(m *merger) (map[string]uint16, error) {
	ids := map[string]uint16{}
	for _, l := range m.locs.values {
		ids[placeOf(&l)] = 0
	}
	delete(ids, "")
	codes := slices.Sorted(maps.Keys(ids))
	man.Countries = []country{{}}
	langs := map[string]int{}
	t := m.tables
	for _, cc := range codes {
		c, ok := t.Countries[cc]
		switch continent, only := strings.CutPrefix(cc, continentOnly); {
		case only:
			c = feed.Country{ContinentCode: continent, Continent: feed.ContinentName(continent)}
		case !ok:
			c = feed.Country{Code: cc}
		}
		cur := t.Currencies[c.Currency]
		out := country{
			Code: c.Code, Name: c.Name, ContinentCode: c.ContinentCode, Continent: c.Continent, EU: c.IsEU,
			Currency: c.Currency, CurrencyName: cur.Name, Symbol: cur.Symbol, Calling: c.CallingCode,
		}
		for _, l := range c.Languages {
			if len(t.Languages) > 0 && t.Languages[l].Name == "" {
				continue // a code that CLDR has no English name for tells nobody anything
			}
			same := func(n int) bool {
				return man.Languages[n].Native != "" && man.Languages[n].Native == t.Languages[l].Native
			}
			if slices.ContainsFunc(out.Languages, same) {
				continue // a language and its macro-language, such as nb and no
			}
			if _, ok := langs[l]; !ok {
				langs[l] = len(man.Languages)
				man.Languages = append(man.Languages, language{l, t.Languages[l].Name, t.Languages[l].Native})
			}
			out.Languages = append(out.Languages, langs[l])
		}
		ids[cc] = uint16(len(man.Countries))
		man.Countries = append(man.Countries, out)
	}
	return ids, nil
}

// coverage counts the addresses (IPv4) or networks of 48 bits (IPv6) about
// which a thing is known. A network counts once, however many of its addresses
// it is known of.
func (m *merger) coverage(fam family, part []entry) map[string]uint64 {
	out := map[string]uint64{}
	next := map[string]uint64{} // the first network that was not counted yet
	for i, e := range part {
		to := fam.last()
		if i+1 < len(part) {
			to = part[i+1].from.prev()
		}
		first, last := e.from.lo, to.lo
		if fam == ipv6 {
			first, last = e.from.hi>>16, to.hi>>16
		}
		add := func(what string) {
			if from := max(first, next[what]); from <= last {
				out[what] += last - from + 1
				next[what] = last + 1
			}
		}
		r := &m.rows.values[e.row]
		if l := &m.locs.values[r.loc]; l.country != "" {
			add("country")
			if l.city != "" {
				add("city")
			}
		}
		if r.as != 0 {
			add("asn")
		}
		for _, t := range m.secs.values[r.sec].traits.Names() {
			add(t)
		}
	}
	return out
}

func (man *manifest) info(date time.Time, hash string, size int64) Info {
	return Info{
		Date: date, Hash: hash, Size: size, Licence: man.Licence, Attribution: man.Attribution,
		Counts: man.Counts, Feeds: man.Feeds,
	}
}
