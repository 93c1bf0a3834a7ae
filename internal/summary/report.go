package summary

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Report is what came of a Counter. Its JSON is the command's.
type Report struct {
	Title     string     `json:"title,omitempty"`
	Made      time.Time  `json:"made"`
	Dataset   string     `json:"dataset_date,omitempty"`
	Files     []string   `json:"files"`
	Where     string     `json:"where,omitempty"`
	Rows      Rows       `json:"rows"`
	All       Share      `json:"all"`
	IPv6      Share      `json:"ipv6"`
	Exact     bool       `json:"exact"`           // nothing is estimated
	Spread    float64    `json:"addresses_error"` // standard error of numbers of addresses, as a share of all of them
	Missed    Missed     `json:"may_be_more"`
	Found     Found      `json:"found"`
	Traits    []Trait    `json:"traits"`
	Kinds     []Kind     `json:"as_kinds"`
	Countries []Country  `json:"countries"`
	ASNs      []ASN      `json:"asns"`
	Providers []Provided `json:"providers"`
	Networks  []Network  `json:"networks"`
	Addresses []Address  `json:"addresses"`

	// All countries, for the map.
	allCountries []Country
}

// Rows say what was read.
type Rows struct {
	Read      int64 `json:"read"`
	Malformed int64 `json:"malformed"`
	// Left were left out by a condition.
	Left int64 `json:"left_out"`
}

// Missed is by how much the count of a network or an address may be too low.
type Missed struct {
	Network uint64 `json:"network"`
	Address uint64 `json:"address"`
}

// Found is how many there are of what a list shows the first of.
type Found struct {
	Countries int `json:"countries"`
	ASNs      int `json:"asns"`
	Providers int `json:"providers"`
}

// A Share is how often something came, and from how many addresses.
type Share struct {
	Requests     uint64  `json:"requests"`
	Share        float64 `json:"share"` // of all requests
	Addresses    uint64  `json:"addresses"`
	AddressShare float64 `json:"address_share"` // of all addresses
}

// The rows of the lists.
type (
	// A Trait is named without "is_".
	Trait struct {
		Name string `json:"name"`
		Share
	}
	// A Kind is that of autonomous systems.
	Kind struct {
		Name string `json:"name"`
		Share
	}
	// A Country has its code and its name.
	Country struct {
		Code string `json:"code"`
		Name string `json:"name,omitempty"`
		Share
	}
	// An ASN is an autonomous system.
	ASN struct {
		Number uint32 `json:"number"`
		Name   string `json:"name,omitempty"`
		Kind   string `json:"kind,omitempty"`
		Share
	}
	// Provided is what is of one provider.
	Provided struct {
		Provider
		Share
	}
	// A Who is what is known of an address, or of the first of a network.
	Who struct {
		Country string   `json:"country_code,omitempty"`
		ASN     uint32   `json:"asn,omitempty"`
		ASName  string   `json:"as_name,omitempty"`
		Traits  []string `json:"traits,omitempty"`
	}
	// A Network is a /24 or a /48.
	Network struct {
		Network  netip.Prefix `json:"network"`
		Requests uint64       `json:"requests"`
		Share    float64      `json:"share"`
		Who
	}
	// An Address is one that came often.
	Address struct {
		IP       netip.Addr `json:"ip"`
		Requests uint64     `json:"requests"`
		Share    float64    `json:"share"`
		Who
	}
)

// Report adds up what was counted; each list has at most top rows. lookup answers
// as the Records did that were counted.
func (c *Counter) Report(top int, lookup func(netip.Addr) ipwarden.Record) *Report {
	g := c.groups(lookup)
	r := &Report{
		Files: []string{}, Spread: c.distinct.spread(), Traits: []Trait{}, Kinds: []Kind{}, allCountries: []Country{}, ASNs: []ASN{}, Providers: []Provided{}, Networks: []Network{}, Addresses: []Address{},
	}
	of := func(n counts) Share {
		return Share{n.requests, ratio(n.requests, g.total.requests), n.addresses, ratio(n.addresses, g.total.addresses)}
	}
	r.All, r.IPv6 = of(g.total), of(g.v6)
	for _, f := range shown {
		if t := g.traits[f]; t != nil {
			r.Traits = append(r.Traits, Trait{f.String()[len("security.is_"):], of(t.counts)})
		}
	}
	sorted(r.Traits, func(t Trait) (Share, string) { return t.Share, t.Name })
	if g.nothing.requests > 0 {
		r.Traits = append(r.Traits, Trait{"none", of(g.nothing)})
	}
	for k, n := range g.kinds {
		r.Kinds = append(r.Kinds, Kind{k, of(n.counts)})
	}
	sorted(r.Kinds, func(k Kind) (Share, string) { return k.Share, k.Name })
	for cc, n := range g.countries {
		r.allCountries = append(r.allCountries, Country{cc, n.of.Location().Country, of(n.counts)})
	}
	sorted(r.allCountries, func(c Country) (Share, string) { return c.Share, c.Code })
	for n, a := range g.asns {
		as := a.of.ASN()
		r.ASNs = append(r.ASNs, ASN{n, as.Name, as.Kind, of(a.counts)})
	}
	sorted(r.ASNs, func(a ASN) (Share, string) { return a.Share, strconv.FormatUint(uint64(a.Number), 10) })
	for p, n := range g.providers {
		r.Providers = append(r.Providers, Provided{p, of(n.counts)})
	}
	sorted(r.Providers, func(p Provided) (Share, string) { return p.Share, p.Name + p.Kind })
	r.Found = Found{len(r.allCountries), len(r.ASNs), len(r.Providers)}
	r.Countries, r.ASNs, r.Providers = head(r.allCountries, top), head(r.ASNs, top), head(r.Providers, top)

	nets, missed := c.networks.top(top)
	r.Missed.Network = missed
	for _, t := range nets {
		p := prefixOf(t.key)
		who := whoIs(lookup(p.Addr()))
		who.Traits = nil // those of one address say little of a network
		r.Networks = append(r.Networks, Network{p, t.count, ratio(t.count, g.total.requests), who})
	}
	addrs, missed := c.talkers.top(top)
	r.Missed.Address = missed
	for _, t := range addrs {
		a := t.key.addr()
		r.Addresses = append(r.Addresses, Address{a, t.count, ratio(t.count, g.total.requests), whoIs(lookup(a))})
	}
	r.Exact = r.Spread == 0 && r.Missed == Missed{}
	return r
}

func whoIs(r ipwarden.Record) Who {
	as := r.ASN()
	return Who{r.CountryCode(), as.Number, as.Name, r.Traits().Names()}
}

func ratio(n, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// sorted puts the most requests first.
func sorted[T any](all []T, by func(T) (Share, string)) {
	slices.SortFunc(all, func(a, b T) int {
		x, nameX := by(a)
		y, nameY := by(b)
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), cmp.Compare(y.Addresses, x.Addresses), cmp.Compare(nameX, nameY))
	})
}

func head[T any](all []T, n int) []T { return slices.Clip(all[:min(n, len(all))]) }
