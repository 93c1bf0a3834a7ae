package ipwarden

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// A Record is what is known about one address. It is a small handle (32 bytes)
// into immutable backing: copying it is cheap, its methods read on demand and
// do not allocate unless they say so, and it stays valid after the dataset it
// came from was replaced. It is safe for concurrent use. The zero Record knows
// nothing.
//
// It has four words, because Go keeps no struct of more in registers: a look-up
// would otherwise wait for the Record to come back from memory.
type Record struct {
	hi, lo uint64 // the address; of IPv4 lo alone
	store  *Store
	// The number of the answer in the low 32 bits, then the transition in 8, and
	// a bit each for the zone, IPv4 and IPv6.
	meta uint64
}

const (
	zoneBit = 1 << 40
	fourBit = 1 << 41
	sixBit  = 1 << 42
)

func (r Record) id() uint32 { return uint32(r.meta) }

// Backing is the immutable store behind Records: a dataset, or an owned answer
// ([NewRecord]). id is the number the backing gave [MakeRecord]. All methods
// are safe for concurrent use, and strings and slices they return are shared
// and must not be changed.
type Backing interface {
	// Network returns the largest prefix round addr with the same answer.
	Network(addr netip.Addr, id uint32) netip.Prefix
	// Hot accessors, for policies and limits.
	Traits(id uint32) Traits
	CountryCode(id uint32) string
	ASNumber(id uint32) uint32
	// Groups of the JSON.
	Location(id uint32) Location
	ASN(addr netip.Addr, id uint32) ASN
	Company(id uint32) Company
	Carrier(id uint32) Carrier
	Security(id uint32) Security
	// Date of the data.
	Date() time.Time
	// Evidence allocates, and may take a millisecond.
	Evidence(addr netip.Addr, id uint32) []Evidence
}

// MakeRecord makes the Record of a canonical address, which must have been
// through [Canonical]; for implementers of a [Source]. s may be nil: then nothing
// is known.
func MakeRecord(addr netip.Addr, s *Store, id uint32) Record {
	switch {
	case addr.Is4():
		b := addr.As4()
		return s.Record4(binary.BigEndian.Uint32(b[:]), id)
	case addr.IsValid():
		hi, lo := halves(addr)
		return s.Record6(hi, lo, id)
	}
	return Record{store: s, meta: uint64(id)}
}

// Asked notes how the address was wrapped in the question.
func (r Record) Asked(t Transition, zone bool) Record {
	r.meta = r.meta&(1<<32-1|fourBit|sixBit) | uint64(t)<<32
	if zone {
		r.meta |= zoneBit
	}
	return r
}

// Answer names the content: two Records of one Backing and number differ in
// nothing but the address, its network and its announced route. For those who
// convert many Records and want to convert each content once. The Backing of
// the zero Record is nil.
func (r Record) Answer() (data Backing, id uint32) {
	if r.store == nil {
		return nil, 0
	}
	return r.store.backing, r.id()
}

// Addr returns the canonical address: without zone, taken out of transition forms.
func (r Record) Addr() netip.Addr {
	switch {
	case r.meta&fourBit != 0:
		return v4(uint32(r.lo))
	case r.meta&sixBit != 0:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], r.hi)
		binary.BigEndian.PutUint64(b[8:], r.lo)
		return netip.AddrFrom16(b)
	}
	return netip.Addr{}
}

// Transition says which wrapping the question had.
func (r Record) Transition() Transition { return Transition(r.meta >> 32) }

// Zone reports whether the question carried a zone, which was dropped.
func (r Record) Zone() bool { return r.meta&zoneBit != 0 }

// Network returns the largest prefix round the address whose addresses all
// have the same answer. It is invalid when the Record knows nothing.
func (r Record) Network() netip.Prefix {
	if r.store == nil {
		return netip.Prefix{}
	}
	return r.store.backing.Network(r.Addr(), r.id())
}

// Traits returns the security traits.
func (r Record) Traits() Traits { return r.Hot().Traits() }

// CountryCode returns the ISO 3166-1 alpha-2 code, or "" when unknown.
func (r Record) CountryCode() string { return r.Hot().CountryCode() }

// ASNumber returns the number of the autonomous system that announces the
// address, or 0 when unknown.
func (r Record) ASNumber() uint32 { return r.Hot().ASNumber() }

// Location returns where the address is used.
func (r Record) Location() Location {
	if r.store == nil {
		return Location{}
	}
	return r.store.backing.Location(r.id())
}

// ASN returns the network that announces the address.
func (r Record) ASN() ASN {
	if r.store == nil {
		return ASN{}
	}
	return r.store.backing.ASN(r.Addr(), r.id())
}

// Company returns the organisation that uses the address.
func (r Record) Company() Company {
	if r.store == nil {
		return Company{}
	}
	return r.store.backing.Company(r.id())
}

// Carrier returns the mobile carrier.
func (r Record) Carrier() Carrier {
	if r.store == nil {
		return Carrier{}
	}
	return r.store.backing.Carrier(r.id())
}

// Security returns the details behind the traits.
func (r Record) Security() Security {
	if r.store == nil {
		return Security{}
	}
	return r.store.backing.Security(r.id())
}

// Date returns the date of the data, the zero time when there is none.
func (r Record) Date() time.Time {
	if r.store == nil {
		return time.Time{}
	}
	return r.store.backing.Date()
}

// Evidence returns who says what about each known field: the answer that won,
// and those that lost. It allocates.
func (r Record) Evidence() []Evidence {
	if r.store == nil {
		return nil
	}
	return r.store.backing.Evidence(r.Addr(), r.id())
}

// Full returns an owned copy of everything, for programs that want plain
// structs. It allocates.
func (r Record) Full() Full {
	return Full{
		Network: r.Network(), Traits: r.Traits(), Location: r.Location(), ASN: r.ASN(),
		Company: r.Company(), Carrier: r.Carrier(), Security: r.Security(),
		Date: r.Date(), Evidence: r.Evidence(),
	}
}
