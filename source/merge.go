package source

import (
	"strings"

	"github.com/ipwarden/ipwarden"
)

// said is what one source says of an address.
type said struct {
	name   string
	rank   int
	date   int64 // of the data, or when it was asked
	bits   int   // of the network that it speaks of
	denies ipwarden.Traits
	full   *ipwarden.Full
}

// merge lays what several say together into out, which is empty, field by field. all
// are in no special order. What follows from something else is taken only from those who agree about
// that: the city from those who name the same country.
func merge(rules *ruleTable, all []said, out *ipwarden.Full) {
	m := merger{rules: rules, all: all, out: out}
	m.location()
	m.asn()
	m.company()
	m.carrier()
	m.security()
}

type merger struct {
	rules *ruleTable
	all   []said
	out   *ipwarden.Full
}

// before reports whether a's word goes before b's by a rule that knows nothing of
// the values.
func (r Rule) before(a, b *said) bool {
	switch {
	case r == Newest && a.date != b.date:
		return a.date > b.date
	case r == Specific && a.bits != b.bits:
		return a.bits > b.bits
	}
	return a.rank < b.rank
}

// text decides one field among those who agree, and returns whose word it was.
func (m *merger) text(f ipwarden.Field, agree func(*ipwarden.Full) bool) *said {
	rule := m.rules[f]
	var best *said
	bestVotes := 0
	for i := range m.all {
		s := &m.all[i]
		v := s.full.Text(f)
		if *v == "" || agree != nil && !agree(s.full) {
			continue
		}
		votes := 0
		if rule == Majority {
			for j := range m.all {
				o := &m.all[j]
				if strings.EqualFold(*o.full.Text(f), *v) && (agree == nil || agree(o.full)) {
					votes++
				}
			}
		}
		if best == nil || votes > bestVotes || votes == bestVotes && rule.before(s, best) {
			best, bestVotes = s, votes
		}
	}
	if best != nil {
		*m.out.Text(f) = *best.full.Text(f)
	}
	return best
}

// of decides something that is no text, among those who have it.
func (m *merger) of(f ipwarden.Field, has func(*ipwarden.Full) bool) *said {
	rule := m.rules[f]
	var best *said
	for i := range m.all {
		if s := &m.all[i]; has(s.full) && (best == nil || rule.before(s, best)) {
			best = s
		}
	}
	return best
}

func (m *merger) location() {
	l := &m.out.Location
	country := m.text(ipwarden.FieldCountryCode, nil)
	inCountry := func(f *ipwarden.Full) bool {
		return country == nil || f.Location.CountryCode == l.CountryCode
	}
	for _, f := range [...]ipwarden.Field{
		ipwarden.FieldContinentCode, ipwarden.FieldContinent, ipwarden.FieldCountry, ipwarden.FieldCurrencyCode,
		ipwarden.FieldCallingCode, ipwarden.FieldFlag,
	} {
		m.text(f, inCountry)
	}
	inCurrency := func(f *ipwarden.Full) bool { return f.Location.Currency.Code == l.Currency.Code }
	m.text(ipwarden.FieldCurrencyName, inCurrency)
	m.text(ipwarden.FieldCurrencySymbol, inCurrency)
	for i := range m.all {
		s := m.all[i].full
		l.IsEU = l.IsEU || s.Location.IsEU && inCountry(s)
	}
	if s := m.of(ipwarden.FieldLanguages, func(f *ipwarden.Full) bool { return len(f.Location.Languages) > 0 && inCountry(f) }); s != nil {
		l.Languages = s.full.Location.Languages
	}
	// The region by its code where one is known, else by its name.
	if m.text(ipwarden.FieldRegionCode, inCountry) == nil {
		m.text(ipwarden.FieldRegion, inCountry)
	} else {
		m.text(ipwarden.FieldRegion, func(f *ipwarden.Full) bool { return inCountry(f) && f.Location.RegionCode == l.RegionCode })
	}
	inRegion := func(f *ipwarden.Full) bool {
		r := &f.Location
		return inCountry(f) && (r.RegionCode == "" || l.RegionCode == "" || r.RegionCode == l.RegionCode) &&
			(r.RegionCode != "" && l.RegionCode != "" || r.Region == "" || l.Region == "" || strings.EqualFold(r.Region, l.Region))
	}
	m.text(ipwarden.FieldCity, inRegion)
	inCity := func(f *ipwarden.Full) bool {
		return inRegion(f) && (f.Location.City == "" || strings.EqualFold(f.Location.City, l.City))
	}
	m.text(ipwarden.FieldPostal, inCity)
	if s := m.of(ipwarden.FieldLatitude, func(f *ipwarden.Full) bool { return f.Location.HasCoordinates && inCity(f) }); s != nil {
		at := &s.full.Location
		l.HasCoordinates, l.Latitude, l.Longitude, l.AccuracyKM = true, at.Latitude, at.Longitude, at.AccuracyKM
	}
	if s := m.text(ipwarden.FieldTimeZoneID, inCountry); s != nil {
		l.TimeZone = s.full.Location.TimeZone
	}
}

func (m *merger) asn() {
	a := &m.out.ASN
	number := m.number()
	if number == nil {
		return
	}
	a.Number = number.full.ASN.Number
	same := func(f *ipwarden.Full) bool { return f.ASN.Number == a.Number }
	for _, f := range [...]ipwarden.Field{ipwarden.FieldASName, ipwarden.FieldASDomain, ipwarden.FieldASKind, ipwarden.FieldASRegistry} {
		m.text(f, same)
	}
	if s := m.of(ipwarden.FieldASRoute, func(f *ipwarden.Full) bool { return f.ASN.Route.IsValid() && same(f) }); s != nil {
		a.Route = s.full.ASN.Route
	}
}

func (m *merger) number() *said {
	rule := m.rules[ipwarden.FieldASNumber]
	var best *said
	bestVotes := 0
	for i := range m.all {
		s := &m.all[i]
		n := s.full.ASN.Number
		if n == 0 {
			continue
		}
		votes := 0
		if rule == Majority {
			for j := range m.all {
				if m.all[j].full.ASN.Number == n {
					votes++
				}
			}
		}
		if best == nil || votes > bestVotes || votes == bestVotes && rule.before(s, best) {
			best, bestVotes = s, votes
		}
	}
	return best
}

func (m *merger) company() {
	if m.text(ipwarden.FieldCompanyName, nil) == nil {
		m.text(ipwarden.FieldCompanyDomain, nil)
		m.text(ipwarden.FieldCompanyKind, nil)
		return
	}
	same := func(f *ipwarden.Full) bool {
		return f.Company.Name == "" || strings.EqualFold(f.Company.Name, m.out.Company.Name)
	}
	m.text(ipwarden.FieldCompanyDomain, same)
	m.text(ipwarden.FieldCompanyKind, same)
}

func (m *merger) carrier() {
	m.text(ipwarden.FieldCarrierName, nil)
	same := func(f *ipwarden.Full) bool {
		return f.Carrier.Name == "" || strings.EqualFold(f.Carrier.Name, m.out.Carrier.Name)
	}
	m.text(ipwarden.FieldCarrierMCC, same)
	m.text(ipwarden.FieldCarrierMNC, same)
}

// maxListings bounds those of all sources together.
const maxListings = 64

func (m *merger) security() {
	out := &m.out.Security
	for t := ipwarden.Traits(1); t <= ipwarden.AllTraits; t <<= 1 {
		if t != ipwarden.Bogon && m.trait(t) {
			m.out.Traits |= t
		}
	}
	for _, d := range [...]struct {
		of     ipwarden.Traits
		fields []ipwarden.Field
	}{
		{ipwarden.VPN, []ipwarden.Field{ipwarden.FieldVPNName}},
		{ipwarden.Crawler, []ipwarden.Field{ipwarden.FieldCrawlerName, ipwarden.FieldCrawlerPurpose}},
		{ipwarden.Hosting, []ipwarden.Field{ipwarden.FieldHostingName, ipwarden.FieldHostingRegion, ipwarden.FieldHostingService}},
	} {
		if !m.out.Traits.Has(d.of) {
			continue
		}
		says := func(f *ipwarden.Full) bool { return f.Traits.Has(d.of) }
		m.text(d.fields[0], says)
		same := func(f *ipwarden.Full) bool {
			return says(f) && strings.EqualFold(*f.Text(d.fields[0]), *m.out.Text(d.fields[0]))
		}
		for _, f := range d.fields[1:] {
			m.text(f, same)
		}
	}
	var seen map[ipwarden.Listing]bool
	for i := range m.all {
		for _, l := range m.all[i].full.Security.Listings {
			key := ipwarden.Listing{Name: l.Name, Type: l.Type}
			if !seen[key] && len(out.Listings) < maxListings {
				if seen == nil {
					seen = map[ipwarden.Listing]bool{}
				}
				seen[key] = true
				out.Listings = append(out.Listings, l)
			}
		}
	}
}

// trait decides whether an address has a trait, among those who say yes or no.
func (m *merger) trait(t ipwarden.Traits) bool {
	rule := m.rules[ipwarden.FieldOf(t)]
	var best *said
	yes, no := 0, 0
	for i := range m.all {
		s := &m.all[i]
		switch {
		case s.full.Traits.Has(t):
			yes++
		case s.denies.Has(t):
			no++
		default:
			continue
		}
		if best == nil || rule.before(s, best) {
			best = s
		}
	}
	switch {
	case best == nil:
		return false
	case rule == Any:
		return yes > 0
	case rule == Majority && yes != no:
		return yes > no
	}
	return best.full.Traits.Has(t)
}
