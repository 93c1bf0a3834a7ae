package limit

import (
	"encoding/binary"
	"net/netip"
)

// A Key is the keyed hash of what is counted: 128 bits of SipHash-2-4 of a
// length-prefixed tuple. Its two halves are used as they are; they are as
// uniform as the seed is secret.
type Key [2]uint64

// A Hasher makes Keys with a secret seed. Nodes that share counts need the same
// seed. The zero value works, and hides nothing.
type Hasher struct {
	k0, k1 uint64
}

// NewHasher returns the Hasher of a seed: 16 bytes of a secure random source.
func NewHasher(seed [16]byte) Hasher {
	return Hasher{binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])}
}

// AppendPart appends one part of a tuple: its length, and it. Tuples of other
// parts are other bytes, whatever the parts hold; so ("a", "bc") is not
// ("ab", "c").
func AppendPart[T ~string | ~[]byte](dst []byte, part T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(part)))
	return append(dst, part...)
}

// A Salt stands for what is before an address in a tuple: the limit's name, and
// whatever else tells its keys from those of others. It is computed once.
type Salt uint64

// Salt returns the Salt of a tuple that AppendPart built.
func (h Hasher) Salt(tuple []byte) Salt {
	k := h.Sum(tuple)
	return Salt(k[0] ^ k[1])
}

// SumNetwork is the Key of a network by itself, from which [Key.Apart] and
// [Key.Beside] make those of the limits that count it: an address that many
// limits count is hashed once. p is masked, as [Networks] has it. No tuple of Sum
// meets it: they begin with a length, which is never written as these two bytes.
func (h Hasher) SumNetwork(p netip.Prefix) Key {
	tuple := [20]byte{0x80, 0x00}
	addr, bits := p.Addr(), byte(p.Bits())
	if addr.Is4() {
		tuple[2], tuple[3] = bits, 4
		a := addr.As4()
		copy(tuple[4:], a[:])
		return h.Sum(tuple[:8])
	}
	tuple[2], tuple[3] = bits, 6
	a := addr.As16()
	copy(tuple[4:], a[:])
	if bits <= 64 {
		return h.Sum(tuple[:12])
	}
	return h.Sum(tuple[:20])
}

// SumPrefix is the Key of a network in the space that a Salt stands for.
func (h Hasher) SumPrefix(salt Salt, p netip.Prefix) Key { return h.SumNetwork(p).Apart(salt) }

// Apart is the Key of the same network in another space, elsewhere in a table.
func (k Key) Apart(s Salt) Key { return Key{k[0] + uint64(s), k[1] ^ uint64(s)} }

// Beside is Apart for spaces of which one at a time is used for a network, such
// as the tiers of a policy: it leaves the place in a table as it is, so that
// [Memory.Touch] can be told of the place before it is known which space it is. A
// place has room for eight keys: more spaces than four beside each other would
// displace one another.
func (k Key) Beside(s Salt) Key { return Key{k[0], k[1] ^ uint64(s)} }
