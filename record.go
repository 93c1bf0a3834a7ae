package ipwarden

import (
	"net/netip"
	"time"
)

// A Record is what is known about one address. It is a small handle (48 bytes)
// into immutable backing: copying it is cheap, its methods read on demand and
// do not allocate unless they say so, and it stays valid after the dataset it
// came from was replaced. It is safe for concurrent use. The zero Record knows
// nothing.
type Record struct {
	addr netip.Addr
	data Backing
	// id in the low 32 bits, then the transition in 8 and the zone in one: in one
	// word, so that a Record and an error are returned in registers.
	meta uint64
}

const zoneBit = 1 << 40

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

// MakeRecord makes the Record of a canonical address; for implementers of a
// [Source]. addr must have been through [Canonical].
func MakeRecord(addr netip.Addr, data Backing, id uint32) Record {
	return Record{addr: addr, data: data, meta: uint64(id)}
}

// Asked notes how the address was wrapped in the question.
func (r Record) Asked(t Transition, zone bool) Record {
	r.meta = uint64(r.id()) | uint64(t)<<32
	if zone {
		r.meta |= zoneBit
	}
	return r
}

// Answer names the content: two Records of one Backing and number differ in
// nothing but the address, its network and its announced route. For those who
// convert many Records and want to convert each content once. The Backing of
// the zero Record is nil.
func (r Record) Answer() (data Backing, id uint32) { return r.data, r.id() }

// Addr returns the canonical address: without zone, taken out of transition forms.
func (r Record) Addr() netip.Addr { return r.addr }

// Transition says which wrapping the question had.
func (r Record) Transition() Transition { return Transition(r.meta >> 32) }

// Zone reports whether the question carried a zone, which was dropped.
func (r Record) Zone() bool { return r.meta&zoneBit != 0 }

// Network returns the largest prefix round the address whose addresses all
// have the same answer. It is invalid when the Record knows nothing.
func (r Record) Network() netip.Prefix {
	if r.data == nil {
		return netip.Prefix{}
	}
	return r.data.Network(r.addr, r.id())
}

// Traits returns the security traits.
func (r Record) Traits() Traits {
	if r.data == nil {
		return 0
	}
	return r.data.Traits(r.id())
}

// CountryCode returns the ISO 3166-1 alpha-2 code, or "" when unknown.
func (r Record) CountryCode() string {
	if r.data == nil {
		return ""
	}
	return r.data.CountryCode(r.id())
}

// ASNumber returns the number of the autonomous system that announces the
// address, or 0 when unknown.
func (r Record) ASNumber() uint32 {
	if r.data == nil {
		return 0
	}
	return r.data.ASNumber(r.id())
}

// Location returns where the address is used.
func (r Record) Location() Location {
	if r.data == nil {
		return Location{}
	}
	return r.data.Location(r.id())
}

// ASN returns the network that announces the address.
func (r Record) ASN() ASN {
	if r.data == nil {
		return ASN{}
	}
	return r.data.ASN(r.addr, r.id())
}

// Company returns the organisation that uses the address.
func (r Record) Company() Company {
	if r.data == nil {
		return Company{}
	}
	return r.data.Company(r.id())
}

// Carrier returns the mobile carrier.
func (r Record) Carrier() Carrier {
	if r.data == nil {
		return Carrier{}
	}
	return r.data.Carrier(r.id())
}

// Security returns the details behind the traits.
func (r Record) Security() Security {
	if r.data == nil {
		return Security{}
	}
	return r.data.Security(r.id())
}

// Date returns the date of the data, the zero time when there is none.
func (r Record) Date() time.Time {
	if r.data == nil {
		return time.Time{}
	}
	return r.data.Date()
}

// Evidence returns who says what about each known field: the answer that won,
// and those that lost. It allocates.
func (r Record) Evidence() []Evidence {
	if r.data == nil {
		return nil
	}
	return r.data.Evidence(r.addr, r.id())
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
