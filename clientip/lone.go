package clientip

import (
	"math/bits"
	"net/netip"
)

// lone4 reads a list that is one IPv4 address and nothing else, as most are. What it
// does not read is left to who reads lists.
func lone4(f form, s string) (addr netip.Addr, ok bool) {
	if f != list || len(s) > len("255.255.255.255") {
		return addr, false
	}
	if len(s) < 8 {
		addr, n := parse4(s)
		return addr, n > 0 && n == len(s)
	}
	return words4(s)
}

// words4 is parse4 of a text of 8 to 15 bytes that is the address alone. It goes by
// words: how many digits a part has is anybody's guess, and a processor that guesses
// wrong three times in an address loses more time than all else here takes.
func words4(s string) (addr netip.Addr, ok bool) {
	n := len(s)
	dots := dotsOf(word(s)) | dotsOf(word(s[n-8:]))<<(n-8)
	one := bits.TrailingZeros32(dots)
	dots &= dots - 1
	two := bits.TrailingZeros32(dots)
	dots &= dots - 1
	three := bits.TrailingZeros32(dots)
	// Sizes of the parts: three dots that are there, and one to three bytes between.
	a, b, c, d := uint(one), uint(two-one-1), uint(three-two-1), uint(n-three-1)
	if dots&(dots-1) != 0 || a-1 > 2 || b-1 > 2 || c-1 > 2 || d-1 > 2 {
		return addr, false
	}
	v0, bad0 := part4(half(s), a)
	v1, bad1 := part4(half(s[one+1:]), b)
	v2, bad2 := part4(half(s[three-4:])>>((4-c)*8&31), c)
	v3, bad3 := part4(half(s[n-4:])>>((4-d)*8&31), d)
	return netip.AddrFrom4([4]byte{byte(v0), byte(v1), byte(v2), byte(v3)}), bad0|bad1|bad2|bad3 == 0
}

// dotsOf has a bit for each byte of w that is a dot.
func dotsOf(w uint64) uint32 {
	const each, ones = 0x7f7f7f7f7f7f7f7f, 0x0101010101010101
	x := w ^ '.'*ones
	x = ^(x&each + each | x | each) >> 7 // 1 in each byte that was 0
	return uint32(x * 0x0102040810204080 >> 56)
}

// part4 reads a part of an address: the lowest bytes of w, 1 to 3 of them. bad is 0
// when they are digits, no zero in front (RFC 3986 section 3.2.2), and at most 255.
func part4(w uint32, size uint) (v, bad uint32) {
	shift := (4 - size) * 8 & 31
	w = w<<shift - 0x30303030<<shift // what is below the digits is 0
	v = w>>24 + w>>16&0xff*10 + w>>8&0xff*100
	bad = (w + 0x76767676 | w) & 0x80808080
	zero := w >> shift & 0xff
	bad |= (zero - 1) >> 31 & uint32(size>>1)
	return v, bad | v&^0xff
}

// half is four bytes of s, which has them, the first lowest.
func half(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// word is eight bytes of s, which has them, the first lowest.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
