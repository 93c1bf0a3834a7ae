package policy

import (
	"net/netip"
	"time"
)

// timedSet is the part of a Set whose entries end by themselves.
type timedSet struct {
	networks  prefixes
	until     []time.Time // of each prefix, the latest that it was given
	asns      map[uint32]time.Time
	countries map[string]time.Time
}

func newTimedSet(entries []Timed) *timedSet {
	if len(entries) == 0 {
		return nil
	}
	s := &timedSet{asns: map[uint32]time.Time{}, countries: map[string]time.Time{}}
	index := map[netip.Prefix]int{}
	var all []netip.Prefix
	for i := range entries {
		t := &entries[i]
		switch {
		case t.Prefix.IsValid():
			at, ok := index[t.Prefix]
			if !ok {
				at = len(all)
				index[t.Prefix] = at
				all, s.until = append(all, t.Prefix), append(s.until, t.Expires)
			}
			s.until[at] = later(s.until[at], t.Expires)
		case t.ASN != 0:
			s.asns[t.ASN] = later(s.asns[t.ASN], t.Expires)
		default:
			s.countries[t.Country] = later(s.countries[t.Country], t.Expires)
		}
	}
	s.networks = newPrefixes(all)
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// holds reports whether an entry for the address, its AS or its country has not
// ended: of prefixes inside each other any of them.
func (s *timedSet) holds(in *Input) bool {
	for i := s.networks.find(in.addr); i >= 0; i = s.networks.parent[i] {
		if in.Now.Before(s.until[i]) {
			return true
		}
	}
	return in.Now.Before(s.asns[in.asn]) || in.Now.Before(s.countries[in.country])
}

// check says what is wrong with the entry; "" for nothing.
func (t *Timed) check() string {
	kinds := 0
	for _, there := range [...]bool{t.Prefix != netip.Prefix{}, t.ASN != 0, t.Country != ""} {
		if there {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return "an entry with an end has one of a prefix, an AS and a country"
	case t.Expires.IsZero():
		return "an entry with an end needs one; without, it belongs to the others"
	case t.Prefix.IsValid() && (t.Prefix != t.Prefix.Masked() || t.Prefix.Addr().Is4In6()), t.Prefix != netip.Prefix{} && !t.Prefix.IsValid():
		return "the prefix " + t.Prefix.String() + " is not in canonical form, such as 203.0.113.0/24"
	case t.Country != "" && countryNumber(t.Country) < 0:
		return "the country " + t.Country + " is no code of two capital letters, such as SE"
	}
	return ""
}

// ending is the list as it is for its entries of one end: the same, until then.
func (l *List) ending(t *Timed) *List {
	part := *l
	part.Prefixes, part.ASNs, part.Countries, part.Timed = nil, nil, nil, nil
	if part.Expires.IsZero() || t.Expires.Before(part.Expires) {
		part.Expires = t.Expires
	}
	if t.Line != 0 {
		part.Line = t.Line
	}
	return &part
}
