package source

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
)

// part is one provider's answer in a merged one.
type part struct {
	*answer
	name string
	rank int
}

// merged is the Backing of an answer that several have a part in. What depends on
// the address is asked of the parts.
type merged struct {
	under     ipwarden.Backing // the dataset's; nil for nothing
	underID   uint32
	underRank int
	full      ipwarden.Full // without network, evidence, date
	underAS   bool          // the AS is the dataset's
	parts     []part
	network   netip.Prefix // the narrowest of the parts'
	rules     *ruleTable
	store     *ipwarden.Store
	hot       [1]ipwarden.Hot
}

var (
	_ ipwarden.Backing  = (*merged)(nil)
	_ ipwarden.Asserter = (*merged)(nil)
)

// mergeRoom is what merging needs beside the answer; it is used again.
type mergeRoom struct {
	under ipwarden.Full
	all   []said
}

var mergeRooms = sync.Pool{New: func() any { return new(mergeRoom) }}

// newMerged merges the answer of a dataset with those of providers.
func newMerged(rules *ruleTable, rec ipwarden.Record, underRank int, parts []part) *merged {
	m := &merged{parts: parts, rules: rules, underRank: underRank}
	m.under, m.underID = rec.Answer()
	room := mergeRooms.Get().(*mergeRoom)
	under := &room.under
	under.Network, under.Traits, under.Location, under.ASN = rec.Network(), rec.Traits(), rec.Location(), rec.ASN()
	under.Company, under.Carrier, under.Security, under.Date = rec.Company(), rec.Carrier(), rec.Security(), rec.Date()
	all := append(room.all[:0], said{name: DatasetName, rank: underRank, date: under.Date.UnixNano(), bits: under.Network.Bits(), full: under})
	for i := range parts {
		p := &parts[i]
		all = append(all, said{name: p.name, rank: p.rank, date: p.asked, bits: p.full.Network.Bits(), denies: p.denies, full: &p.full})
		if m.network.Bits() < p.full.Network.Bits() {
			m.network = p.full.Network
		}
	}
	if under.Date.IsZero() {
		all[0].date = 0
	}
	merge(rules, all, &m.full)
	m.full.Traits |= under.Traits & ipwarden.Bogon
	m.full.Security.Bogon = under.Security.Bogon
	m.full.Date = under.Date
	m.underAS = m.full.ASN.Number == under.ASN.Number && m.full.ASN.Route == under.ASN.Route
	clear(all) // it keeps nobody's answer alive
	*room = mergeRoom{all: all[:0]}
	mergeRooms.Put(room)
	m.hot[0] = ipwarden.HotOf(m.full.ASN.Number, m.full.Location.CountryCode, m.full.Traits).WithKind(m.full.ASN.Kind)
	m.store = ipwarden.NewStore(m, m.hot[:])
	return m
}

// over is the Record of the address that rec is about.
func (m *merged) over(rec ipwarden.Record) ipwarden.Record {
	return ipwarden.MakeRecord(rec.Addr(), m.store, 0).Asked(rec.Transition(), rec.Zone())
}

func (m *merged) Network(addr netip.Addr, _ uint32) netip.Prefix {
	if m.under == nil {
		return m.network
	}
	if p := m.under.Network(addr, m.underID); p.Bits() > m.network.Bits() {
		return p
	}
	return m.network
}

func (m *merged) ASN(addr netip.Addr, _ uint32) ipwarden.ASN {
	a := m.full.ASN
	if m.underAS && m.under != nil {
		a.Route = m.under.ASN(addr, m.underID).Route
	}
	return a
}

func (m *merged) Traits(uint32) ipwarden.Traits     { return m.full.Traits }
func (m *merged) CountryCode(uint32) string         { return m.full.Location.CountryCode }
func (m *merged) ASNumber(uint32) uint32            { return m.full.ASN.Number }
func (m *merged) Location(uint32) ipwarden.Location { return m.full.Location }
func (m *merged) Company(uint32) ipwarden.Company   { return m.full.Company }
func (m *merged) Carrier(uint32) ipwarden.Carrier   { return m.full.Carrier }
func (m *merged) Security(uint32) ipwarden.Security { return m.full.Security }
func (m *merged) Date() time.Time                   { return m.full.Date }

// Asserted is the freshest of those who say that an address has a trait.
func (m *merged) Asserted(_ uint32, t ipwarden.Traits) (feed string, asOf time.Time) {
	if m.under != nil && m.under.Traits(m.underID).Has(t) {
		if a, ok := m.under.(ipwarden.Asserter); ok {
			feed, asOf = a.Asserted(m.underID, t)
		} else {
			asOf = m.under.Date()
		}
	}
	for i := range m.parts {
		p := &m.parts[i]
		if !p.full.Traits.Has(t) {
			continue
		}
		if f, at := p.answer.Asserted(0, t); feed == "" || at.After(asOf) {
			if f == "" {
				f = p.name
			}
			feed, asOf = f, at
		}
	}
	return feed, asOf
}

// Evidence has, of each field, who says what it is, and who says otherwise.
func (m *merged) Evidence(addr netip.Addr, _ uint32) []ipwarden.Evidence {
	said := map[ipwarden.Field]*ipwarden.Evidence{}
	rec := ipwarden.MakeRecord(addr, m.store, 0)
	at := func(f ipwarden.Field) *ipwarden.Evidence {
		if said[f] == nil {
			said[f] = &ipwarden.Evidence{Field: f, Value: text(rec, f)}
		}
		return said[f]
	}
	var under []ipwarden.Evidence
	if m.under != nil {
		under = m.under.Evidence(addr, m.underID)
	}
	add := func(all []ipwarden.Evidence) {
		for i := range all {
			if !all[i].Field.Explained() {
				continue
			}
			e := at(all[i].Field)
			for _, c := range all[i].By {
				if m.agrees(e, &c) {
					e.By = append(e.By, c)
					continue
				}
				c.Note = join(c.Note, m.lostBy(e.Field))
				e.Lost = append(e.Lost, c)
			}
			e.Lost = append(e.Lost, all[i].Lost...)
		}
	}
	// In the order of their rank, so that the deciding word of the usual rule is first.
	placed := false
	for i := range m.parts {
		p := &m.parts[i]
		if !placed && m.underRank < p.rank {
			add(under)
			placed = true
		}
		add(p.evidence(addr))
	}
	if !placed {
		add(under)
	}
	var out []ipwarden.Evidence
	for f := range ipwarden.AllFields() {
		if e := said[f]; e != nil && len(e.By)+len(e.Lost) > 0 {
			out = append(out, *e)
		}
	}
	return out
}

// agrees reports whether a claim is for the value that counts. Listings of all
// sources are together in the answer.
func (m *merged) agrees(e *ipwarden.Evidence, c *ipwarden.Claim) bool {
	return c.Value == e.Value || e.Field == ipwarden.FieldListings
}

func (m *merged) lostBy(f ipwarden.Field) string {
	switch m.rules[f] {
	case Newest:
		return "another is newer"
	case Majority:
		return "more say otherwise"
	case Specific:
		return "another speaks of a smaller network"
	case Any:
		return "another says so"
	}
	return "another goes first"
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// evidence is a provider's own, or for one that gives none its word for each field.
func (p *part) evidence(addr netip.Addr) []ipwarden.Evidence {
	if len(p.full.Evidence) > 0 {
		return p.full.Evidence
	}
	var out []ipwarden.Evidence
	rec := p.record(addr)
	asked := time.Unix(0, p.asked).UTC()
	for f := range ipwarden.AllFields() {
		v := text(rec, f)
		if v == "" || !f.Explained() || f.Traits() != 0 && v != "true" {
			continue
		}
		out = append(out, ipwarden.Evidence{Field: f, Value: v, By: []ipwarden.Claim{
			{Feed: p.name, Date: asked, Match: fmt.Sprint(p.full.Network), Value: v},
		}})
	}
	return out
}

func text(r ipwarden.Record, f ipwarden.Field) string {
	var v ipwarden.View
	b, _ := v.AppendText(nil, r, f)
	return string(b)
}
