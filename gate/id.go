package gate

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// An ID names a decision: 48 bits of the time in milliseconds and 80 others, as a
// ULID has them, so that IDs sort by time. Of the others 60 are random, so that
// nobody guesses another's, and the last 20 say, hidden, where the gate remembers
// it. It is no secret all the same: a refused visitor is shown it.
type ID [16]byte

// placeBits is how many bits of an ID say where the decision is.
const placeBits = 20

// newID makes an ID, whose last bits are still free, and a number that is uniform
// over all its values. The 60 random bits come from the runtime's ChaCha8, one
// generator a thread. The number is made of them: it decides of which part of the
// requests this one is, and nobody knows it before.
//
// It is made in words: an ID that is written in two and copied in one keeps the
// processor waiting.
func newID(now time.Time) (hi, lo uint64, sample uint32) {
	r := rand.Uint64()
	return uint64(now.UnixMilli())<<16 | r&0xffff, r >> 16 << placeBits, uint32(r * 0x9e3779b97f4a7c15 >> 32)
}

// put is the other way round of words.
func (id *ID) put(hi, lo uint64) {
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
}

// crockford is the alphabet of a ULID: no I, L, O and U, which are misread.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// idLength is the length of an ID as text.
const idLength = 26

// AppendTo appends the 26 characters of the ID.
func (id ID) AppendTo(dst []byte) []byte {
	// 128 bits are 25.6 characters of 5 bits: the first has 3.
	hi, lo := id.words()
	var text [idLength]byte
	for i := idLength - 1; i >= 0; i-- {
		text[i] = crockford[lo&31]
		lo, hi = lo>>5|hi<<59, hi>>5
	}
	return append(dst, text[:]...)
}

// String returns the ID as text.
func (id ID) String() string { return string(id.AppendTo(make([]byte, 0, idLength))) }

func (id ID) words() (hi, lo uint64) {
	return binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
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
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
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
