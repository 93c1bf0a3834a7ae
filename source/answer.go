package source

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// TTL says for how long an answer is fresh. Of an answer with several kinds of
// facts the shortest counts. Times are shortened at random, by a tenth at most, so
// that what was asked together is not asked again together.
type TTL struct {
	// Threat is for attackers, abusers, scanners and listings; default 3h.
	Threat time.Duration
	// Anonymous is for VPNs, proxies, Tor and relays; default 6h.
	Anonymous time.Duration
	// Residential is for what has none of the others; default 24h.
	Residential time.Duration
	// Hosting is for data centres and clouds; default 72h.
	Hosting time.Duration
	// Negative is for an answer that knows nothing; default 15m.
	Negative time.Duration
	// Failed is how long a provider is not asked again about an address at which it
	// failed; default 10s.
	Failed time.Duration
}

func (t *TTL) defaults() {
	for _, d := range []struct {
		at  *time.Duration
		def time.Duration
	}{
		{&t.Threat, 3 * time.Hour},
		{&t.Anonymous, 6 * time.Hour},
		{&t.Residential, 24 * time.Hour},
		{&t.Hosting, 72 * time.Hour},
		{&t.Negative, 15 * time.Minute},
		{&t.Failed, 10 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.def
		}
	}
}

// of returns for how long an answer is fresh.
func (t *TTL) of(f *ipwarden.Full, empty bool) time.Duration {
	if empty {
		return t.Negative
	}
	var d time.Duration
	shortest := func(holds bool, ttl time.Duration) {
		if holds && (d == 0 || ttl < d) {
			d = ttl
		}
	}
	shortest(f.Traits.Has(ipwarden.Threat|ipwarden.Scanner) || len(f.Security.Listings) > 0, t.Threat)
	shortest(f.Traits.Has(ipwarden.Anonymous), t.Anonymous)
	shortest(f.Traits.Has(ipwarden.Hosting), t.Hosting)
	if d == 0 {
		d = t.Residential
	}
	return d
}

// answer is what a provider said of a network, and for how long it holds. It is
// the Backing of its Records.
type answer struct {
	full   ipwarden.Full
	store  *ipwarden.Store
	hot    [1]ipwarden.Hot
	serial uint64          // no two answers of a process have one
	denies ipwarden.Traits // those of which the provider says no, rather than nothing
	empty  bool            // it knows nothing
	err    error           // it failed; full is empty
	asked  int64           // when, in nanoseconds since 1970
	fresh  int64           // until when it is
	stale  int64           // until when it may be used while it is asked for again
	took   int64           // how long asking took
	retry  atomic.Int64    // not asked for again until then
}

var serials atomic.Uint64

// newAnswer keeps a provider's answer.
func newAnswer(full ipwarden.Full) *answer {
	a := &answer{full: full}
	a.seal()
	return a
}

// seal derives what follows from full, which stays as it is from then on.
func (a *answer) seal() {
	a.serial = serials.Add(1)
	for i := range a.full.Evidence {
		e := &a.full.Evidence[i]
		if t := e.Field.Traits(); t != 0 && e.Value == "false" {
			a.denies |= t &^ a.full.Traits
		}
	}
	a.empty = isEmpty(&a.full)
	a.hot[0] = ipwarden.HotOf(a.full.ASN.Number, a.full.Location.CountryCode, a.full.Traits).WithKind(a.full.ASN.Kind)
	a.store = ipwarden.NewStore(a, a.hot[:])
}

// isEmpty reports whether an answer knows nothing: a no to every trait is not
// nothing, but a reason to ask again soon.
func isEmpty(f *ipwarden.Full) bool {
	l := &f.Location
	return f.Traits == 0 && f.ASN.Number == 0 && f.Company.Name == "" && f.Carrier.Name == "" &&
		l.CountryCode == "" && l.ContinentCode == "" && l.City == "" && !l.HasCoordinates && len(f.Security.Listings) == 0
}

func (a *answer) record(addr netip.Addr) ipwarden.Record {
	return ipwarden.MakeRecord(addr, a.store, 0)
}

// weight is what an answer takes in memory, in bytes, roughly.
func (a *answer) weight() int64 {
	n := 1200
	f := &a.full
	for _, s := range []string{
		f.Location.Region, f.Location.City, f.ASN.Name, f.ASN.Domain, f.Company.Name, f.Company.Domain, f.Carrier.Name,
	} {
		n += len(s)
	}
	n += 96*len(f.Security.Listings) + 48*len(f.Location.Languages)
	for i := range f.Evidence {
		e := &f.Evidence[i]
		n += 80 + len(e.Value)
		for _, c := range slices.Concat(e.By, e.Lost) {
			n += 120 + len(c.Value) + len(c.Note)
		}
	}
	return int64(n)
}

func (a *answer) Network(netip.Addr, uint32) netip.Prefix         { return a.full.Network }
func (a *answer) Traits(uint32) ipwarden.Traits                   { return a.full.Traits }
func (a *answer) CountryCode(uint32) string                       { return a.full.Location.CountryCode }
func (a *answer) ASNumber(uint32) uint32                          { return a.full.ASN.Number }
func (a *answer) Location(uint32) ipwarden.Location               { return a.full.Location }
func (a *answer) ASN(netip.Addr, uint32) ipwarden.ASN             { return a.full.ASN }
func (a *answer) Company(uint32) ipwarden.Company                 { return a.full.Company }
func (a *answer) Carrier(uint32) ipwarden.Carrier                 { return a.full.Carrier }
func (a *answer) Security(uint32) ipwarden.Security               { return a.full.Security }
func (a *answer) Date() time.Time                                 { return a.full.Date }
func (a *answer) Evidence(netip.Addr, uint32) []ipwarden.Evidence { return a.full.Evidence }

// Asserted is the provider, as of when it was asked, where its own evidence does
// not say.
func (a *answer) Asserted(_ uint32, t ipwarden.Traits) (feed string, asOf time.Time) {
	for i := range a.full.Evidence {
		e := &a.full.Evidence[i]
		if e.Field.Traits() == t && len(e.By) > 0 {
			return e.By[0].Feed, e.By[0].Date
		}
	}
	return "", a.full.Date
}

var (
	_ ipwarden.Backing  = (*answer)(nil)
	_ ipwarden.Asserter = (*answer)(nil)
)
