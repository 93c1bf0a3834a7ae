// Package summary counts who is in a file: countries, networks, traits, providers and
// the addresses that come most often, in memory that does not grow with the file.
package summary

import (
	"maps"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ipwarden/ipwarden"
)

// A Counter takes Records, from several goroutines. What has few values is counted
// exactly. Addresses and networks are counted exactly while there are fewer than
// a quarter of a million; beyond that their number is an estimate with a stated error, and
// the count of a frequent one may be too low by a stated number.
type Counter struct {
	lanes    []*lane
	next     atomic.Uint32
	talkers  talkers // addresses
	networks talkers // /24 and /48
	distinct distinct
}

// A lane is what one goroutine counts; others seldom get in its way.
type lane struct {
	mu        sync.Mutex // guards all below
	hot       map[ipwarden.Hot]*counted
	providers map[Provider]uint64
	v6        uint64
	_         [64]byte
}

// counted is how often a combination of AS, country and traits came, and a Record
// that has it.
type counted struct {
	n  uint64
	of ipwarden.Record
}

// A Provider is who runs what an address belongs to.
type Provider struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // hosting, vpn, crawler, carrier
}

// NewCounter returns one that has counted nothing.
func NewCounter() *Counter { return newCounter(perShard) }

func newCounter(most int) *Counter {
	c := &Counter{}
	c.talkers.most, c.networks.most, c.distinct.most = most, most, most
	for range runtime.GOMAXPROCS(0) {
		c.lanes = append(c.lanes, &lane{hot: map[ipwarden.Hot]*counted{}, providers: map[Provider]uint64{}})
	}
	return c
}

// Each makes what takes the Records of one goroutine.
func (c *Counter) Each() func(ipwarden.Record) {
	l := c.lanes[int(c.next.Add(1))%len(c.lanes)]
	return func(r ipwarden.Record) { c.add(l, r) }
}

func (c *Counter) add(l *lane, r ipwarden.Record) {
	addr := r.Addr()
	if !addr.IsValid() {
		return
	}
	k := keyOf(addr)
	h := hashOf(k)
	c.talkers.add(k, h)
	c.distinct.add(k, h)
	k = networkOf(k, addr.Is6())
	c.networks.add(k, hashOf(k))
	hot := r.Hot()
	var names [4]Provider
	providers := appendProviders(names[:0], hot.Traits(), r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if addr.Is6() {
		l.v6++
	}
	if h := l.hot[hot]; h != nil {
		h.n++
	} else {
		l.hot[hot] = &counted{1, r}
	}
	for _, p := range providers {
		l.providers[p]++
	}
}

// networkOf is the /24 of an IPv4 address and the /48 of an IPv6 one.
func networkOf(k key, six bool) key {
	if six {
		return key{hi: k.hi &^ 0xffff}
	}
	return key{hi: k.hi, lo: k.lo &^ 0xff}
}

func prefixOf(k key) netip.Prefix {
	a := k.addr()
	if a.Is4() {
		return netip.PrefixFrom(a, 24)
	}
	return netip.PrefixFrom(a, 48)
}

// named are the traits beside which a name may stand.
const named = ipwarden.VPN | ipwarden.Hosting | ipwarden.Crawler | ipwarden.Relay | ipwarden.Mobile

func appendProviders(dst []Provider, t ipwarden.Traits, r ipwarden.Record) []Provider {
	if !t.Has(named) {
		return dst
	}
	s := r.Security()
	if s.Hosting.Name != "" {
		dst = append(dst, Provider{s.Hosting.Name, "hosting"})
	}
	if s.VPN != "" {
		dst = append(dst, Provider{s.VPN, "vpn"})
	}
	if s.Crawler.Name != "" {
		dst = append(dst, Provider{s.Crawler.Name, "crawler"})
	}
	if t.Has(ipwarden.Mobile) {
		if c := r.Carrier(); c.Name != "" {
			dst = append(dst, Provider{c.Name, "carrier"})
		}
	}
	return dst
}

// groups are requests and addresses by what they have in common.
type groups struct {
	total, v6          counts
	countries          map[string]*group
	asns               map[uint32]*group
	kinds              map[string]*group
	traits             map[ipwarden.Field]*group
	providers          map[Provider]*group
	nothing, ofCountry counts // without any trait; with a country
}

type counts struct{ requests, addresses uint64 }

type group struct {
	counts
	of ipwarden.Record
}

func (c *counts) add(n counts) { c.requests += n.requests; c.addresses += n.addresses }

func in[K comparable](m map[K]*group, k K, n counts, r ipwarden.Record) {
	g := m[k]
	if g == nil {
		g = &group{of: r}
		m[k] = g
	}
	g.add(n)
}

// shown are the traits of a summary, and the two unions.
var shown = []ipwarden.Field{
	ipwarden.FieldIsHosting, ipwarden.FieldIsAnonymous, ipwarden.FieldIsVPN, ipwarden.FieldIsProxy, ipwarden.FieldIsResidentialProxy,
	ipwarden.FieldIsTor, ipwarden.FieldIsRelay, ipwarden.FieldIsThreat, ipwarden.FieldIsAttacker, ipwarden.FieldIsAbuser, ipwarden.FieldIsScanner,
	ipwarden.FieldIsCrawler, ipwarden.FieldIsMobile, ipwarden.FieldIsSatellite, ipwarden.FieldIsAnycast, ipwarden.FieldIsBogon,
}

// add counts n of what r is.
func (g *groups) add(r ipwarden.Record, n counts) {
	hot := r.Hot()
	g.total.add(n)
	if cc := hot.CountryCode(); cc != "" {
		in(g.countries, cc, n, r)
		g.ofCountry.add(n)
	}
	if as := hot.ASNumber(); as != 0 {
		in(g.asns, as, n, r)
	}
	if k := r.ASKind(); k != "" {
		in(g.kinds, k, n, r)
	}
	traits := hot.Traits()
	if traits == 0 {
		g.nothing.add(n)
	}
	for _, f := range shown {
		if traits.Has(f.Traits()) {
			in(g.traits, f, n, r)
		}
	}
}

// groups adds up what the lanes have, and looks the distinct addresses up.
func (c *Counter) groups(lookup func(netip.Addr) ipwarden.Record) *groups {
	g := &groups{
		countries: map[string]*group{}, asns: map[uint32]*group{}, kinds: map[string]*group{}, traits: map[ipwarden.Field]*group{},
		providers: map[Provider]*group{},
	}
	for _, l := range c.lanes {
		l.mu.Lock()
		hot, providers := maps.Clone(l.hot), maps.Clone(l.providers)
		g.v6.requests += l.v6
		l.mu.Unlock()
		for _, h := range hot {
			g.add(h.of, counts{requests: h.n})
		}
		for p, n := range providers {
			in(g.providers, p, counts{requests: n}, ipwarden.Record{})
		}
	}
	var names [4]Provider
	for k, stands := range c.distinct.all() {
		r := lookup(k.addr())
		n := counts{addresses: stands}
		g.add(r, n)
		if k.addr().Is6() {
			g.v6.add(n)
		}
		for _, p := range appendProviders(names[:0], r.Traits(), r) {
			in(g.providers, p, n, r)
		}
	}
	return g
}
