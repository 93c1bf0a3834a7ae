// Package compact is the dataset as the edge has it: of the full one only what a
// policy reads, in as few ranges as that leaves.
//
//	needs := compact.NeedsOf(program.Config())
//	b, err := compact.Encode(ds, needs)           // where it is built
//	d, err := compact.Open(b)                     // in the engine
//	rec := d.Lookup(addr)
//
// A file is a head, tables of texts and answers, and for each family the addresses
// from which on an answer holds, in order: a look-up is one binary search and does not
// allocate. Reading links nothing but the root package. Open checks the whole file,
// and refuses what is damaged, so that nothing after it can fail.
package compact

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// MaxSize bounds a file, in bytes: an isolate has 128 MB for all that it does.
const MaxSize = 64 << 20

// Version is of the format; a file of another is refused.
const Version = 1

const magic = "IPWE"

// The head: magic number, version, how wide references to answers are, two bytes of
// nothing, the checksum of all behind it, and after that the date and the counts.
const (
	atWidth    = 5
	atSum      = 8
	atDate     = 12
	atCounts   = 20
	numCounts  = 11
	headSize   = atCounts + 4*numCounts
	maxAnswers = 1 << 24
)

// counts are the sizes of the sections, in rows, in the order of the file. 64-bit
// sections come first, so that nothing is in between.
type counts struct {
	Hot     uint32 // 8 bytes an answer
	Feeds   uint32 // 16: the date, the name, nothing
	Starts6 uint32 // 8: the first half of an address
	Fine    uint32 // 16 and a reference: addresses inside of one /64
	Starts4 uint32 // 4
	Rows    uint32 // 16: of each answer its place, its AS, its organisation, its security
	Locs    uint32 // 84
	Details uint32 // 4: what rows of the other kinds are made of
	Sets    uint32 // 4: lists of languages and of listings, and where each begins
	Texts   uint32 // 4: where each begins, and the end of the last
	Bytes   uint32 // of the texts
}

func (c *counts) all() [numCounts]*uint32 {
	return [...]*uint32{&c.Hot, &c.Feeds, &c.Starts6, &c.Fine, &c.Starts4, &c.Rows, &c.Locs, &c.Details, &c.Sets, &c.Texts, &c.Bytes}
}

// Numbers in a row of a location.
const (
	locTexts = 14 // continent code, continent, …: see locFields
	locWords = locTexts + 7
)

// Words of the other rows.
const (
	asWords  = 4            // name, domain, kind, registry
	orgWords = 6            // company's name, domain and kind; carrier's name, MCC and MNC
	secWords = 8 + 1 + 14/2 // names, the listings, and for each trait which feed asserts it
	noFeed   = uint16(1<<16 - 1)
)

// fine in the answers of IPv6 says that the /64 has answers of its own.
const fine = 1<<24 - 1

var le = binary.LittleEndian

var table = crc32.MakeTable(crc32.Castagnoli)

var (
	errMagic   = errors.New("compact: this is no dataset of 'ipwarden edge build'")
	errVersion = errors.New("compact: the dataset is of another version; build it with the ipwarden that the engine is from")
	errSum     = errors.New("compact: the dataset is damaged: its checksum does not fit")
	errDamaged = errors.New("compact: the dataset is damaged: a size or a reference in it cannot be")
	errSize    = errors.New("compact: the dataset is larger than 64 MiB")
)
