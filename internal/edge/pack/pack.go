// Package pack writes a policy as bytes, and reads them: what the edge needs of it,
// without YAML, CEL or reflection. It links nothing but what the policy itself does,
// because the engine in WebAssembly reads with it.
//
//	b, err := pack.Encode(&program)
//	program, err := pack.Decode(b)
//
// A program has a magic number, a version, a checksum against damage, and then numbers
// (as in encoding/binary's uvarint), texts with their lengths, and expressions from the
// top down. It refuses bytes of another version, that are damaged, that are more than
// [MaxSize], or that ask for more memory than their own size is worth.
package pack

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// MaxSize bounds a program, in bytes.
const MaxSize = 16 << 20

// Version is of the format; a program of another is refused.
const Version = 1

const magic = "IPWP"

// headSize is the magic number, the version and the checksum.
const headSize = len(magic) + 1 + 4

// A Program is what the engine decides by.
type Program struct {
	Policy policy.Config // without Foreign and Scores, which are functions
	Risk   risk.Config
	// Crawlers that user agents may claim to be; of several the first counts.
	Crawlers []Crawler
	// Together are tokens of which two in one user agent claim nothing.
	Together []string
	// Told says what of an address is whole in the dataset, so that it may be told.
	Told Told
}

// A Crawler is what tells a claim, and what the edge can make of it.
type Crawler struct {
	Name    string
	Purpose string
	Tokens  []string // in lower case
	State   policy.Crawler
}

// Told is a set of what the application and the client may be told of an address.
type Told uint8

// What may be told.
const (
	TellCountry Told = 1 << iota
	TellASN
	TellTraits
	TellRisk
)

// The mistakes that bytes can have.
var (
	errMagic   = errors.New("pack: this is no program of 'ipwarden edge build'")
	errVersion = errors.New("pack: the program is of another version; build it with the ipwarden that the engine is from")
	errSum     = errors.New("pack: the program is damaged: its checksum does not fit")
	errDamaged = errors.New("pack: the program is damaged: it ends early, or has a number that cannot be")
	errSize    = errors.New("pack: the program is larger than 16 MiB")
	errForeign = errors.New("pack: a condition of the policy runs on CEL, which the edge does not have")
)

var table = crc32.MakeTable(crc32.Castagnoli)

// Encode writes a program. One with a condition that runs elsewhere is an error.
func Encode(p *Program) ([]byte, error) {
	w := &writer{b: make([]byte, headSize, 4<<10)}
	w.program(p)
	switch {
	case w.foreign:
		return nil, errForeign
	case len(w.b) > MaxSize:
		return nil, errSize
	}
	copy(w.b, magic)
	w.b[len(magic)] = Version
	binary.LittleEndian.PutUint32(w.b[len(magic)+1:], crc32.Checksum(w.b[headSize:], table))
	return w.b, nil
}

// Decode reads a program. It keeps nothing of b. What comes back is no policy yet:
// policy.New says what is wrong with one that no Encode has written.
func Decode(b []byte) (*Program, error) {
	switch {
	case len(b) > MaxSize:
		return nil, errSize
	case len(b) < headSize || string(b[:len(magic)]) != magic:
		return nil, errMagic
	case b[len(magic)] != Version:
		return nil, errVersion
	case binary.LittleEndian.Uint32(b[len(magic)+1:]) != crc32.Checksum(b[headSize:], table):
		return nil, errSum
	}
	r := &reader{b: b[headSize:]}
	p := r.program()
	if r.bad || len(r.b) != 0 {
		return nil, errDamaged
	}
	return p, nil
}
