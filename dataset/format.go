package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// The file, all numbers little-endian:
//
//	header   magic, version, number of sections, date, length, SHA-256
//	table    kind, offset and length of each section
//	sections
//
// The SHA-256 covers everything but itself.
const (
	magic         = "IPWARDEN"
	formatVersion = 1

	headerSize    = 64
	offVersion    = 8
	offSections   = 12
	offDate       = 16
	offLength     = 24
	offSum        = 32
	sectionEntry  = 24
	sectionAlign  = 8
	maxSections   = 64
	maxFileLength = 1 << 32 // sections are found by 64-bit offsets, nodes by 29 bits of 4-byte words
)

// The sections.
const (
	secManifest   = 1 + iota // JSON
	secStrings               // length-prefixed strings
	secRoot4                 // 65536 references: the first 16 bits of an IPv4 address
	secRoot6                 // 65536 references: the first 16 bits of an IPv6 address
	secRootBits4             // 65536 bytes: prefix length of answers that reach beyond one /16
	secRootBits6             //
	secNodes                 // the inner nodes of both trees
	secRows                  // an answer: location, AS, security
	secLocations             //
	secAS                    // autonomous systems, by number
	secASNumbers             // their numbers, ascending
	secASProfiles            // what many of them have in common
	secHot                   // the AS, the country and the traits of each answer: what look-ups read most
	secSecurity
	secListings  // sets of blocklists
	secOrgs      // company and carrier of each row; may be empty
	secOrgTable  //
	secEvidence  // what every feed said; compressed blocks
	secClaims    // the values of the evidence; compressed blocks
	secDirectory // where the blocks are
	numSections  = iota + 1
)

// A reference is 32 bits: a kind and 29 bits of value.
//
//	leaf    the number of a row
//	small   word offset of a node with at most nine answers, an 8-bit stride
//	broad   the same with at most five answers and a 16-bit stride
//	bitmap  word offset of a node with a bit for each start, an 8-bit stride
//	wide    the same with a 16-bit stride
const (
	refLeaf   = 0 << 29
	refSmall  = 1 << 29
	refBroad  = 2 << 29
	refBitmap = 3 << 29
	refWide   = 4 << 29
	refKind   = 7 << 29
	refValue  = 1<<29 - 1
)

// A small node: eight starts, one a byte, unused ones 0 and last; the answer
// from 0 on has no start. Then the answers, the last one first, so that the
// index of an answer is the number of starts beyond the byte. A broad node is
// the same with four starts of 16 bits.
const (
	smallStarts = 8
	broadStarts = 4
	smallWords  = 2
)

// A bitmap node: four counts, one a byte, of the bits in the words before; 256
// bits, of which the first is set; the answers, one for each bit.
const bitmapWords = 1 + 8

// A wide node: 1024 times 64 bits and a count of the bits before; the answers.
const (
	wideEntry = 12
	wideWords = 1024 * wideEntry / 4
)

// Sizes of the rows of tables.
const (
	rowSize     = 8  // location 3, security 3, length of the route 1, the origin's feed 1
	locSize     = 36 // country 2, zone 2, region code 4, region 4, city 4, postal 4, latitude 4, longitude 4, radius 2, feeds 1+1, flags 1, 3 unused
	hotSize     = 8  // see ipwarden.Hot
	asSize      = 8  // name 4, profile 4; the numbers stand by themselves
	numberSize  = 4
	profileSize = 12 // domain 4, kind 1, registry 1, feeds of name, kind and registry 1+1+1, 3 unused
	secSize     = 40 // VPN 4, crawler 4, purpose 4, cloud 4, region 4, service 4, bogon 4, RFC 4, listings 4, feeds 1+1+1+1
	orgSize     = 24 // company 4, domain 4, kind 4, carrier 4, MCC 4, MNC 4
	dirSize     = 40 // kind 1, family 1, feed 1, 1 unused, length 4, offset 8, first 16, unpacked 4, 4 unused
)

var le = binary.LittleEndian

// beyond returns how many of the eight bytes of starts are greater than x: the
// comparison of eight bytes at once (Warren, Hacker's Delight, section 2-18).
func beyond(starts uint64, x byte) int {
	const h = 0x8080808080808080
	y := uint64(x) * 0x0101010101010101
	// t has the high bit of each byte where y >= starts, but for those bits.
	t := (y | h) - (starts &^ h)
	return 8 - bits.OnesCount64(((y&^starts)|(^(y^starts)&t))&h)
}

// beyond16 is the same for the four 16-bit words of starts.
func beyond16(starts uint64, x uint16) int {
	const h = 0x8000800080008000
	y := uint64(x) * 0x0001000100010001
	t := (y | h) - (starts &^ h)
	return 4 - bits.OnesCount64(((y&^starts)|(^(y^starts)&t))&h)
}

// ErrCorrupt is wrapped by every error about a file that is not a sound dataset.
var ErrCorrupt = errors.New("not a sound dataset")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
