package limit

import (
	"encoding/binary"
	"math/bits"
)

// Sum is the Key of a tuple that AppendPart built, whose first part is the name
// of the limit. It is SipHash-2-4 with an output of 128 bits (Aumasson and
// Bernstein, "SipHash: a fast short-input PRF", and its reference
// implementation, which defines the longer output).
func (h Hasher) Sum(tuple []byte) (k Key) {
	v0 := h.k0 ^ 0x736f6d6570736575
	v1 := h.k1 ^ 0x646f72616e646f6d ^ 0xee // 0xee: the output is of 128 bits
	v2 := h.k0 ^ 0x6c7967656e657261
	v3 := h.k1 ^ 0x7465646279746573
	rest, ended := tuple, false
	for !ended {
		var m uint64
		if len(rest) >= 8 {
			m = binary.LittleEndian.Uint64(rest)
			rest = rest[8:]
		} else {
			if n := len(tuple); n >= 8 { // the last bytes are the end of the last eight
				m = binary.LittleEndian.Uint64(tuple[n-8:]) >> (8 * (8 - len(rest)))
			} else {
				for i, b := range rest {
					m |= uint64(b) << (8 * i)
				}
			}
			m |= uint64(len(tuple)) << 56
			ended = true
		}
		v3 ^= m
		for range 2 { // the round is written out: as a function it would live in memory
			v0 += v1
			v2 += v3
			v1 = bits.RotateLeft64(v1, 13) ^ v0
			v3 = bits.RotateLeft64(v3, 16) ^ v2
			v0 = bits.RotateLeft64(v0, 32)
			v2 += v1
			v0 += v3
			v1 = bits.RotateLeft64(v1, 17) ^ v2
			v3 = bits.RotateLeft64(v3, 21) ^ v0
			v2 = bits.RotateLeft64(v2, 32)
		}
		v0 ^= m
	}
	v2 ^= 0xee
	for i := range k {
		for range 4 {
			v0 += v1
			v2 += v3
			v1 = bits.RotateLeft64(v1, 13) ^ v0
			v3 = bits.RotateLeft64(v3, 16) ^ v2
			v0 = bits.RotateLeft64(v0, 32)
			v2 += v1
			v0 += v3
			v1 = bits.RotateLeft64(v1, 17) ^ v2
			v3 = bits.RotateLeft64(v3, 21) ^ v0
			v2 = bits.RotateLeft64(v2, 32)
		}
		k[i] = v0 ^ v1 ^ v2 ^ v3
		v1 ^= 0xdd
	}
	return k
}
