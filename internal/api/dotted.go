package api

import (
	"encoding/binary"
	"math/bits"
)

// dottedRoom is how many bytes readDotted looks at.
const dottedRoom = 20

// readDotted reads a JSON string that is an IPv4 address in canonical form, the
// commonest item of a bulk request, without a branch that depends on the digits.
// src begins three bytes before the string's quotation mark. length is that of
// the text; 0 says that it is something else, or perhaps is, and has to be read
// the long way.
func readDotted(src *[dottedRoom]byte) (addr uint32, length int) {
	// Digits have bit 4 set; neither the dot nor the quotation mark has.
	const bit4 = 0x1010101010101010
	lo := ^binary.LittleEndian.Uint64(src[4:]) & bit4 >> 4
	hi := ^binary.LittleEndian.Uint64(src[12:]) & bit4 >> 4
	// One bit a byte, gathered by multiplication.
	const gather = 0x0102040810204080
	marks := lo*gather>>56 | hi*gather>>56<<8 | 1<<16
	p1 := bits.TrailingZeros64(marks)
	marks &= marks - 1
	p2 := bits.TrailingZeros64(marks)
	marks &= marks - 1
	p3 := bits.TrailingZeros64(marks)
	marks &= marks - 1
	end := bits.TrailingZeros64(marks)
	if end > 15 {
		return 0, 0
	}
	a, bad := octet(src, p1, p1)
	b, bad2 := octet(src, p2, p2-p1-1)
	c, bad3 := octet(src, p3, p3-p2-1)
	d, bad4 := octet(src, end, end-p3-1)
	bad |= bad2 | bad3 | bad4
	bad |= uint32((src[4+p1&15] ^ '.') | (src[4+p2&15] ^ '.') | (src[4+p3&15] ^ '.') | (src[4+end&15] ^ '"'))
	if bad != 0 {
		return 0, 0
	}
	return a<<24 | b<<16 | c<<8 | d, end
}

// octet reads the n digits that end before text byte end; bad is not 0 when they
// are no number of 0 to 255, or have a zero before them.
func octet(src *[dottedRoom]byte, end, n int) (v, bad uint32) {
	w := binary.LittleEndian.Uint32(src[end&15:]) ^ 0x30303030 // the last digit highest
	w &= ^uint32(0) << ((32 - 8*uint(n)) & 31)                 // what is before them is 0 then
	bad = (w | (w + 0x76767676)) & 0x80808080                  // more than 9 each
	v = w>>24 + 10*(w>>16&0xff) + 100*(w>>8&0xff)
	r := &octets[n&15]
	above := int32(v) - r.least
	return v, bad | uint32((above|(r.span-above))>>31)
}

// octets are the least number of so many digits, and how many are above it; -1
// where there is none.
var octets = [16]struct{ least, span int32 }{
	0: {0, -1}, 1: {0, 9}, 2: {10, 89}, 3: {100, 155}, 4: {0, -1}, 5: {0, -1}, 6: {0, -1}, 7: {0, -1},
	8: {0, -1}, 9: {0, -1}, 10: {0, -1}, 11: {0, -1}, 12: {0, -1}, 13: {0, -1}, 14: {0, -1}, 15: {0, -1},
}
