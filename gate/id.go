package gate

import (
	"math/rand/v2"
	"time"
)

// An ID names a decision: 48 bits of the time in milliseconds and 80 random
// ones, as a ULID has them, so that IDs sort by time and nobody guesses
// another's. It is no secret all the same: a refused visitor is shown it.
type ID [16]byte

// newID makes an ID. The random bits come from the runtime's ChaCha8, one
// generator a thread.
func newID(now time.Time) (id ID) {
	ms := uint64(now.UnixMilli())
	a, b := rand.Uint64(), uint16(rand.Uint32())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6], id[7] = byte(b>>8), byte(b)
	for i := range 8 {
		id[8+i] = byte(a >> (56 - 8*i))
	}
	return id
}

// crockford is the alphabet of a ULID: no I, L, O and U, which are misread.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// idLength is the length of an ID as text.
const idLength = 26

// AppendTo appends the 26 characters of the ID.
func (id ID) AppendTo(dst []byte) []byte {
	// 128 bits are 25.6 characters of 5 bits: the first has 3.
	hi, lo := id.words()
	for i := range idLength {
		shift := 5 * (idLength - 1 - i)
		var v uint64
		switch {
		case shift >= 64:
			v = hi >> (shift - 64)
		case shift > 59:
			v = hi<<(64-shift) | lo>>shift
		default:
			v = lo >> shift
		}
		dst = append(dst, crockford[v&31])
	}
	return dst
}

// String returns the ID as text.
func (id ID) String() string { return string(id.AppendTo(make([]byte, 0, idLength))) }

func (id ID) words() (hi, lo uint64) {
	for i := range 8 {
		hi = hi<<8 | uint64(id[i])
		lo = lo<<8 | uint64(id[8+i])
	}
	return hi, lo
}

// ParseID reads an ID as AppendTo wrote it; letters may be small.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != idLength || s[0] > '7' {
		return id, false
	}
	var hi, lo uint64
	for i := range len(s) {
		v := crockfordValue(s[i])
		if v > 31 {
			return id, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	for i := range 8 {
		id[i], id[8+i] = byte(hi>>(56-8*i)), byte(lo>>(56-8*i))
	}
	return id, true
}

func crockfordValue(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	for i := range len(crockford) {
		if crockford[i] == c {
			return byte(i)
		}
	}
	return 0xFF
}
