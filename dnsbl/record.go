package dnsbl

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// said is what the zones say of one address: the Backing of its Record. All
// addresses that no zone lists share one.
type said struct {
	list    *List
	results []result // one a zone; empty where no zone lists it
	traits  ipwarden.Traits
	rows    []ipwarden.Listing
	date    time.Time
}

var (
	_ ipwarden.Backing  = (*said)(nil)
	_ ipwarden.Asserter = (*said)(nil)
)

// store is what a Record of the results rests on. Those that do not count have
// nothing listed.
func (l *List) store(results []result) *ipwarden.Store {
	listed := false
	for i := range results {
		listed = listed || results[i].listed != 0
	}
	if !listed {
		return l.clean
	}
	s := &said{list: l, results: results}
	s.each(func(z *zone, r *result, c *Code, _ netip.Addr) {
		s.traits |= c.Traits
		at := time.Unix(0, r.at).UTC()
		if at.After(s.date) {
			s.date = at
		}
		if c.Type != "" {
			s.rows = append(s.rows, ipwarden.Listing{Name: z.listing(c), Type: c.Type, URL: z.URL, Date: at})
		}
	})
	return ipwarden.NewStore(s, []ipwarden.Hot{ipwarden.HotOf(0, "", s.traits)})
}

// says reports whether a store has anything to say.
func says(s *ipwarden.Store) bool {
	r := ipwarden.MakeRecord(netip.IPv4Unspecified(), s, 0)
	return r.Traits() != 0 || len(r.Security().Listings) > 0
}

func (z *zone) listing(c *Code) string {
	if c.Listing != "" {
		return c.Listing
	}
	return z.Listing
}

// each yields the codes that zones answered, in their order.
func (s *said) each(yield func(*zone, *result, *Code, netip.Addr)) {
	for i := range s.results {
		r, z := &s.results[i], s.list.zones[i]
		for w := r.listed; w != 0; w &= w - 1 {
			n := bits.TrailingZeros64(w)
			yield(z, r, &z.meanings[n], z.codes[n])
		}
	}
}

func (s *said) Network(addr netip.Addr, _ uint32) netip.Prefix {
	key := s.list.key(addr)
	if addr.Is4() {
		return netip.PrefixFrom(key, 32)
	}
	return netip.PrefixFrom(key, s.list.cfg.IPv6Bits)
}

func (s *said) Traits(uint32) ipwarden.Traits       { return s.traits }
func (s *said) CountryCode(uint32) string           { return "" }
func (s *said) ASNumber(uint32) uint32              { return 0 }
func (s *said) Location(uint32) ipwarden.Location   { return ipwarden.Location{} }
func (s *said) ASN(netip.Addr, uint32) ipwarden.ASN { return ipwarden.ASN{} }
func (s *said) Company(uint32) ipwarden.Company     { return ipwarden.Company{} }
func (s *said) Carrier(uint32) ipwarden.Carrier     { return ipwarden.Carrier{} }
func (s *said) Security(uint32) ipwarden.Security   { return ipwarden.Security{Listings: s.rows} }
func (s *said) Date() time.Time                     { return s.date }

// Asserted is the zone that said so last.
func (s *said) Asserted(_ uint32, t ipwarden.Traits) (feed string, asOf time.Time) {
	var last int64
	for i := range s.results {
		r, z := &s.results[i], s.list.zones[i]
		for w := r.listed; w != 0; w &= w - 1 {
			if z.meanings[bits.TrailingZeros64(w)].Traits.Has(t) && (feed == "" || r.at > last) {
				feed, last = z.Name, r.at
			}
		}
	}
	if feed != "" {
		asOf = time.Unix(0, last).UTC()
	}
	return feed, asOf
}

// Evidence is what each zone answered, by trait, and for the listings.
func (s *said) Evidence(addr netip.Addr, id uint32) []ipwarden.Evidence {
	match := s.Network(addr, id).String()
	claim := func(z *zone, r *result, code netip.Addr, value string) ipwarden.Claim {
		note := fmt.Sprintf("%s, TTL %v", code, time.Duration(r.ttl)*time.Second)
		if r.text != "" {
			note += ": " + r.text
		}
		return ipwarden.Claim{Feed: z.Name, Date: time.Unix(0, r.at).UTC(), Licence: z.Terms, Match: match, Value: value, Note: note}
	}
	var all []ipwarden.Evidence
	for t := ipwarden.Traits(1); t&ipwarden.AllTraits != 0; t <<= 1 {
		if s.traits.Has(t) {
			e := ipwarden.Evidence{Field: ipwarden.FieldOf(t), Value: "true"}
			s.each(func(z *zone, r *result, c *Code, code netip.Addr) {
				if c.Traits.Has(t) {
					e.By = append(e.By, claim(z, r, code, "true"))
				}
			})
			all = append(all, e)
		}
	}
	for _, union := range []ipwarden.Field{ipwarden.FieldIsAnonymous, ipwarden.FieldIsThreat} {
		if parts := union.Traits() & s.traits; parts != 0 {
			e := ipwarden.Evidence{Field: union, Value: "true"}
			s.each(func(z *zone, r *result, c *Code, code netip.Addr) {
				if c.Traits.Has(parts) {
					e.By = append(e.By, claim(z, r, code, "true"))
				}
			})
			all = append(all, e)
		}
	}
	if len(s.rows) > 0 {
		var names []string
		e := ipwarden.Evidence{Field: ipwarden.FieldListings}
		s.each(func(z *zone, r *result, c *Code, code netip.Addr) {
			if c.Type != "" {
				names = append(names, z.listing(c))
				e.By = append(e.By, claim(z, r, code, z.listing(c)))
			}
		})
		e.Value = strings.Join(names, ",")
		all = append(all, e)
	}
	return all
}
