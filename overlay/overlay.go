package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"github.com/ipwarden/ipwarden"
)

// Config says what an operator knows better than any feed.
type Config struct {
	// Source is asked first. Required.
	Source ipwarden.Source
	// Entries are laid over its answers: those of an AS first, then those of
	// networks, the most specific last. Of two on the same network the later one
	// in the list is laid on top.
	Entries []Entry
	// Country gives what follows from a country code (names, currency, …), and AS
	// what is known of an AS; nil: an entry that changes one clears the rest.
	Country func(code string) (ipwarden.Location, bool)
	AS      func(number uint32) (ipwarden.ASN, bool)
	// Now decides what has expired; default time.Now.
	Now func() time.Time
}

// Entry is one network or autonomous system and the facts about it.
type Entry struct {
	Network netip.Prefix // or
	ASN     uint32
	Facts   []Fact
	Reason  string
	Owner   string
	Expires time.Time // the zero time: never
}

// Fact sets one field. Value is a string, a bool, a uint64 (or int64) or a
// float64, as the field's JSON is; a netip.Prefix for the route, codes in a
// []string or a []ipwarden.Language for the languages, and a []ipwarden.Listing
// for the listings.
type Fact struct {
	Field ipwarden.Field
	Value any
}

// Overlay lays an operator's facts over a Source. It is immutable and safe for
// concurrent use; to change the entries, make a new one and swap it in.
type Overlay struct {
	src   ipwarden.Source
	nets  bart.Table[[]*Entry]
	as    map[uint32][]*Entry
	empty bool
	cfg   Config
}

var _ ipwarden.LocalSource = (*Overlay)(nil)

// New checks the entries and prepares them; the error joins all mistakes.
func New(cfg Config) (*Overlay, error) {
	if cfg.Source == nil {
		return nil, errors.New("overlay: Source is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Entries = slices.Clone(cfg.Entries)
	o := &Overlay{src: cfg.Source, as: map[uint32][]*Entry{}, empty: len(cfg.Entries) == 0, cfg: cfg}
	var errs []error
	for i := range cfg.Entries {
		e := &cfg.Entries[i]
		if e.Network.IsValid() == (e.ASN != 0) {
			errs = append(errs, fmt.Errorf("overlay: entry %d: give either a network or an AS", i))
			continue
		}
		var f ipwarden.Full
		for _, fact := range e.Facts {
			if err := set(&f, fact); err != nil {
				errs = append(errs, fmt.Errorf("overlay: entry %d: %w", i, err))
			}
		}
		if e.ASN != 0 {
			o.as[e.ASN] = append(o.as[e.ASN], e)
			continue
		}
		p := e.Network.Masked()
		if p.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("overlay: entry %d: %s is IPv4 inside IPv6; give the IPv4 network", i, p))
			continue
		}
		have, _ := o.nets.Get(p)
		o.nets.Insert(p, append(have, e))
	}
	return o, errors.Join(errs...)
}

// Lookup asks the Source and lays the entries that apply over its answer.
func (o *Overlay) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	rec, err := o.src.Lookup(ctx, addr)
	if err != nil || o.empty {
		return rec, err
	}
	return o.lay(rec), nil
}

// Local is whether the Source below is.
func (o *Overlay) Local() bool { return ipwarden.IsLocal(o.src) }

// lay returns rec itself when no entry touches its network.
func (o *Overlay) lay(rec ipwarden.Record) ipwarden.Record {
	addr := rec.Addr()
	var apply []*Entry
	if len(o.as) > 0 {
		apply = append(apply, o.as[rec.ASNumber()]...)
	}
	if o.nets.Contains(addr) {
		host := netip.PrefixFrom(addr, addr.BitLen())
		at := len(apply)
		for _, es := range o.nets.Supernets(host) {
			apply = append(apply, es...)
		}
		slices.SortStableFunc(apply[at:], func(a, b *Entry) int { return cmp.Compare(a.Network.Bits(), b.Network.Bits()) })
	}
	if len(apply) > 0 {
		now := o.cfg.Now()
		apply = slices.DeleteFunc(apply, func(e *Entry) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) })
	}
	network := o.network(rec)
	if len(apply) == 0 && network == rec.Network() {
		return rec
	}
	l := &laid{overlay: o, under: rec, entries: apply, full: ipwarden.Full{
		Network: network, Traits: rec.Traits(), Location: rec.Location(), ASN: rec.ASN(),
		Company: rec.Company(), Carrier: rec.Carrier(), Security: rec.Security(), Date: rec.Date(),
	}}
	for _, e := range apply {
		o.apply(&l.full, e)
	}
	return ipwarden.MakeRecord(addr, ipwarden.NewStore(l, nil), 0).Asked(rec.Transition(), rec.Zone())
}

// network narrows the answer's network until no entry begins or ends inside.
func (o *Overlay) network(rec ipwarden.Record) netip.Prefix {
	p := rec.Network()
	if !p.IsValid() {
		return p
	}
	addr := rec.Addr()
	if lpm, _, ok := o.nets.LookupPrefixLPM(netip.PrefixFrom(addr, addr.BitLen())); ok && lpm.Bits() > p.Bits() {
		p = lpm
	}
	for p.Bits() < addr.BitLen() && o.splits(p) {
		p, _ = addr.Prefix(p.Bits() + 1)
	}
	return p
}

// splits reports whether an entry is on a part of p.
func (o *Overlay) splits(p netip.Prefix) bool {
	for sub := range o.nets.Subnets(p) {
		if sub.Bits() > p.Bits() {
			return true
		}
	}
	return false
}

// apply lays one entry over an answer.
func (o *Overlay) apply(f *ipwarden.Full, e *Entry) {
	for _, fact := range e.Facts { // what others follow from goes first
		switch cc, _ := fact.Value.(string); {
		case fact.Field == ipwarden.FieldCountryCode && cc != f.Location.CountryCode:
			f.Location = ipwarden.Location{CountryCode: cc}
			if o.cfg.Country != nil {
				if l, ok := o.cfg.Country(cc); ok {
					f.Location = l
				}
			}
		case fact.Field == ipwarden.FieldASNumber:
			if n, _ := whole(fact.Value); uint32(n) != f.ASN.Number {
				f.ASN = ipwarden.ASN{Number: uint32(n)}
				if o.cfg.AS != nil {
					if a, ok := o.cfg.AS(uint32(n)); ok {
						f.ASN = a
					}
				}
			}
		}
	}
	for _, fact := range e.Facts {
		_ = set(f, fact) // New tried each
	}
}

// laid is the Backing of an answer with entries laid over it.
type laid struct {
	overlay *Overlay
	under   ipwarden.Record
	entries []*Entry
	full    ipwarden.Full
}

var (
	_ ipwarden.Backing  = (*laid)(nil)
	_ ipwarden.Asserter = (*laid)(nil)
)

// Under and Lay let what merges other answers with the one below put the entries on
// top again.

// Under is the answer below.
func (l *laid) Under() ipwarden.Record { return l.under }

// Lay lays the entries that apply over another answer about the address.
func (l *laid) Lay(rec ipwarden.Record) ipwarden.Record { return l.overlay.lay(rec) }

func (l *laid) Network(netip.Addr, uint32) netip.Prefix { return l.full.Network }
func (l *laid) Traits(uint32) ipwarden.Traits           { return l.full.Traits }
func (l *laid) CountryCode(uint32) string               { return l.full.Location.CountryCode }
func (l *laid) ASNumber(uint32) uint32                  { return l.full.ASN.Number }
func (l *laid) Location(uint32) ipwarden.Location       { return l.full.Location }
func (l *laid) ASN(netip.Addr, uint32) ipwarden.ASN     { return l.full.ASN }
func (l *laid) Company(uint32) ipwarden.Company         { return l.full.Company }
func (l *laid) Carrier(uint32) ipwarden.Carrier         { return l.full.Carrier }
func (l *laid) Security(uint32) ipwarden.Security       { return l.full.Security }
func (l *laid) Date() time.Time                         { return l.full.Date }

// Asserted is the overlay, of no date, for a trait that an entry sets, and
// otherwise what is below. What an operator says does not grow stale: an entry
// expires instead.
func (l *laid) Asserted(_ uint32, t ipwarden.Traits) (feed string, asOf time.Time) {
	for _, e := range l.entries {
		for i := range e.Facts {
			if e.Facts[i].Field.Traits() == t {
				return Feed, time.Time{}
			}
		}
	}
	return l.under.Asserted(t)
}
