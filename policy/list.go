package policy

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A List is a named set that conditions ask: ip in lists.NAME. With an action
// it is also what the operator has decided about its addresses, networks and
// countries, whatever anything else says.
type List struct {
	Name string
	// What it holds. Prefixes are masked and in canonical form.
	Prefixes  []netip.Prefix
	ASNs      []uint32
	Countries []string // ISO 3166-1 alpha-2
	Crawlers  []string // names, as security.crawler.name has them
	Values    []string // any text: hosts, keys
	Timed     []Timed  // entries with an end of their own
	// Action, when given, makes the list an operator's entries. They go first: the
	// longest prefix, at equal length the stricter action; then ASNs; then
	// countries.
	Action ipwarden.Verdict
	// Limit is the number of a limit plus one, 0 for none. An allow without it
	// lifts every limit.
	Limit    int
	Response string // name of a response; "" is the action's own
	Tags     []string
	Expires  time.Time // the zero time is never
	Line     int       // in the file, 0 when unknown
}

// Timed is an entry of a List that ends by itself, before the list does: a ban for
// an hour. It has one of Prefix, ASN and Country.
type Timed struct {
	Prefix  netip.Prefix
	ASN     uint32
	Country string
	Expires time.Time
	Reason  string // for people; "" when nobody gave one
	Line    int    // in the file, 0 when unknown
}

// Set is a List ready to be asked. It is immutable.
type Set struct {
	networks  prefixes
	asns      map[uint32]struct{}
	countries countrySet
	texts     map[string]struct{} // crawlers and values
	crawlers  map[string]struct{}
	expires   time.Time
	timed     *timedSet // nil when no entry has an end of its own
	nets      marks     // of all its networks
}

func newSet(l *List) *Set {
	s := &Set{networks: newPrefixes(l.Prefixes), countries: countriesOf(l.Countries), expires: l.Expires}
	if len(l.ASNs) > 0 {
		s.asns = map[uint32]struct{}{}
		for _, n := range l.ASNs {
			s.asns[n] = struct{}{}
		}
	}
	s.crawlers = textSet(l.Crawlers)
	s.texts = textSet(slices.Concat(l.Crawlers, l.Values, l.Countries))
	s.timed = newTimedSet(l.Timed)
	s.nets = netMarks(l.Prefixes)
	for i := range l.Timed {
		if p := l.Timed[i].Prefix; p.IsValid() {
			s.nets = s.nets.union(netMarks([]netip.Prefix{p}))
		}
	}
	return s
}

func textSet(words []string) map[string]struct{} {
	if len(words) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(words))
	for _, w := range words {
		m[w] = struct{}{}
	}
	return m
}

func (s *Set) expired(now time.Time) bool { return !s.expires.IsZero() && !now.Before(s.expires) }

// Holds reports whether the list holds the address of in, its AS, its country
// or its crawler. A list that has expired is empty.
func (s *Set) Holds(in *Input) bool {
	if s.expired(in.Now) {
		return false
	}
	if !s.networks.empty() && s.networks.find(in.addr) >= 0 || s.countries.has(in.country) || s.timed != nil && s.timed.holds(in) {
		return true
	}
	if s.asns != nil {
		if _, ok := s.asns[in.asn]; ok {
			return true
		}
	}
	if s.crawlers == nil {
		return false
	}
	ok := false
	if in.traits.Has(ipwarden.Crawler) {
		_, ok = s.crawlers[in.rec.Security().Crawler.Name]
	}
	if !ok && in.Crawler == Verified { // perhaps by its name
		_, ok = s.crawlers[in.CrawlerName]
	}
	return ok
}

// HoldsNumber reports whether the list holds an AS.
func (s *Set) HoldsNumber(in *Input, n int64) bool {
	if s.expired(in.Now) || n < 0 || n >= 1<<32 {
		return false
	}
	_, ok := s.asns[uint32(n)]
	return ok || s.timed != nil && in.Now.Before(s.timed.asns[uint32(n)])
}

// HoldsText reports whether the list holds a country, a crawler or a value.
func (s *Set) HoldsText(in *Input, text string) bool {
	if s.expired(in.Now) {
		return false
	}
	_, ok := s.texts[text]
	return ok || s.timed != nil && in.Now.Before(s.timed.countries[text])
}

// countrySet has a bit for each code of two capital letters.
type countrySet [11]uint64

func countriesOf(codes []string) (s countrySet) {
	for _, c := range codes {
		if n := countryNumber(c); n >= 0 {
			s[n/64] |= 1 << (n % 64)
		}
	}
	return s
}

// has reports whether the code is in the set; no other text ever is.
func (s *countrySet) has(code string) bool {
	n := countryNumber(code)
	return n >= 0 && s[n/64]&(1<<(n%64)) != 0
}

func countryNumber(code string) int {
	if len(code) != 2 {
		return -1
	}
	a, b := int(code[0])-'A', int(code[1])-'A'
	if uint(a) > 25 || uint(b) > 25 {
		return -1
	}
	return a*26 + b
}

// check says everything that is wrong with the list.
func (l *List) check(limits int) (errs []error) {
	bad := func(what string) { errs = append(errs, errors.New("list "+l.Name+": "+what)) }
	for _, p := range l.Prefixes {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			bad("the prefix " + p.String() + " is not in canonical form, such as 203.0.113.0/24")
		}
	}
	for i := range l.Timed {
		if what := l.Timed[i].check(); what != "" {
			bad(what)
		}
	}
	for _, c := range l.Countries {
		if countryNumber(c) < 0 {
			bad("the country " + c + " is no code of two capital letters, such as SE")
		}
	}
	if l.Limit < 0 || l.Limit > limits {
		bad("its limit is none of the program's")
	}
	if l.Action == ipwarden.NoVerdict && (l.Limit != 0 || l.Response != "" || len(l.Tags) > 0) {
		bad("a limit, a response and tags need an action, such as allow")
	}
	if l.Action == ipwarden.Throttle && l.Limit == 0 {
		return errs // refused with 429 at once
	}
	return errs
}
