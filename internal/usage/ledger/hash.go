package ledger

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// hash is a number of a text: multiplications to 128 bits, folded, in the manner of
// wyhash, because hosts are short and this is some nanoseconds less than what is made
// for long texts. The last 16 bytes of a longer text may have been looked at before: so
// hosts of 17 to 32 bytes take one way, which the processor guesses.
func hash(s string, seed uint64) uint64 {
	b := unsafe.Slice(unsafe.StringData(s), len(s)) // reads only
	h := seed ^ 0xa0761d6478bd642f
	var x, y uint64
	switch n := len(b); {
	case n >= 16:
		for rest := b; len(rest) > 16; rest = rest[16:] {
			h = fold(binary.LittleEndian.Uint64(rest)^0xe7037ed1a0b428db, binary.LittleEndian.Uint64(rest[8:])^h)
		}
		x, y = binary.LittleEndian.Uint64(b[n-16:]), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 8:
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		x = uint64(b[0])<<16 | uint64(b[n/2])<<8 | uint64(b[n-1])
	}
	h = fold(x^0x8ebc6af09c88c6e3, y^h)
	return fold(h^seed, uint64(len(s))^0x589965cc75374cc3)
}

// fold multiplies.
func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
