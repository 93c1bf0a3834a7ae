package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden"
)

// entries is what the operator has decided about addresses, networks and
// countries: the lists that have an action.
type entries struct {
	networks prefixes
	of       [][]*List // of each distinct prefix, the strictest first
	asns     map[uint32][]*List
	country  [26 * 26][]*List
	any      bool
}

// strictness orders actions: of two about the same thing the stricter applies.
func strictness(v ipwarden.Verdict) int {
	switch v {
	case ipwarden.Block:
		return 5
	case ipwarden.Challenge:
		return 4
	case ipwarden.StepUp:
		return 3
	case ipwarden.Throttle:
		return 2
	case ipwarden.Flag:
		return 1
	}
	return 0
}

func newEntries(lists []List) *entries {
	e := &entries{asns: map[uint32][]*List{}}
	index := map[netip.Prefix]int{}
	var all []netip.Prefix
	network := func(p netip.Prefix, l *List) {
		at, ok := index[p]
		if !ok {
			at = len(all)
			index[p] = at
			all, e.of = append(all, p), append(e.of, nil)
		}
		e.of[at] = append(e.of[at], l)
	}
	land := func(code string, l *List) {
		if n := countryNumber(code); n >= 0 {
			e.country[n] = append(e.country[n], l)
		}
	}
	for i := range lists {
		l := &lists[i]
		if l.Action == ipwarden.NoVerdict {
			continue
		}
		e.any = true
		for _, p := range l.Prefixes {
			network(p, l)
		}
		for _, n := range l.ASNs {
			e.asns[n] = append(e.asns[n], l)
		}
		for _, c := range l.Countries {
			land(c, l)
		}
		type end struct {
			at   time.Time
			line int
		}
		ends := map[end]*List{}
		for i := range l.Timed {
			t := &l.Timed[i]
			part := ends[end{t.Expires, t.Line}]
			if part == nil {
				part = l.ending(t)
				ends[end{t.Expires, t.Line}] = part
			}
			switch {
			case t.Prefix.IsValid():
				network(t.Prefix, part)
			case t.ASN != 0:
				e.asns[t.ASN] = append(e.asns[t.ASN], part)
			default:
				land(t.Country, part)
			}
		}
	}
	e.networks = newPrefixes(all)
	stricter := func(a, b *List) int { return cmp.Compare(strictness(b.Action), strictness(a.Action)) }
	for _, ls := range e.of {
		slices.SortStableFunc(ls, stricter)
	}
	for _, ls := range e.asns {
		slices.SortStableFunc(ls, stricter)
	}
	for _, ls := range e.country {
		slices.SortStableFunc(ls, stricter)
	}
	return e
}

// address returns the entry of the longest prefix round addr that holds now.
func (e *entries) address(addr netip.Addr, now time.Time) *List {
	for i := e.networks.find(addr); i >= 0; i = e.networks.parent[i] {
		if l := current(e.of[i], now); l != nil {
			return l
		}
	}
	return nil
}

// network returns the entry of the AS that holds now.
func (e *entries) network(asn uint32, now time.Time) *List {
	if len(e.asns) == 0 || asn == 0 {
		return nil
	}
	return current(e.asns[asn], now)
}

// land returns the entry of the country that holds now.
func (e *entries) land(code string, now time.Time) *List {
	if n := countryNumber(code); n >= 0 {
		return current(e.country[n], now)
	}
	return nil
}

// current is the first list that has not expired.
func current(ls []*List, now time.Time) *List {
	for _, l := range ls {
		if l.Expires.IsZero() || now.Before(l.Expires) {
			return l
		}
	}
	return nil
}
