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

// SumPrefix is the Key of a network: the fast way for keys that are an address,
// without building a tuple. Its first eight bytes are the Salt, which nobody
// outside can choose, so no tuple of Sum meets it. p is masked, as [Networks]
// has it.
func (h Hasher) SumPrefix(salt Salt, p netip.Prefix) Key {
	var tuple [26]byte // the salt, the address, the length, the family
	binary.LittleEndian.PutUint64(tuple[:], uint64(salt))
	addr, bits := p.Addr(), byte(p.Bits())
	if addr.Is4() {
		a := addr.As4()
		copy(tuple[8:], a[:])
		tuple[12], tuple[13] = bits, 4
		return h.Sum(tuple[:14])
	}
	a := addr.As16()
	if bits <= 64 {
		copy(tuple[8:], a[:8])
		tuple[16], tuple[17] = bits, 6
		return h.Sum(tuple[:18])
	}
	copy(tuple[8:], a[:])
	tuple[24], tuple[25] = bits, 6
	return h.Sum(tuple[:26])
}
