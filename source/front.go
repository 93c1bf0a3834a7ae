package source

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/ipwarden/ipwarden"
)

// front remembers the merged answers of addresses, so that most questions need
// neither the providers' memories nor another merge. It is a table of fixed size in
// which an address has one place: who comes later takes it.
type front struct {
	under ipwarden.Backing // what the answers were merged with; one dataset
	seed  [2]uint64        // so that nobody can choose addresses of one place
	addrs []atomic.Pointer[frontEntry]
	// The merges themselves, by what they are made of: the addresses of a network
	// share one.
	merges []atomic.Pointer[mergeEntry]
}

type frontEntry struct {
	hi, lo uint64
	id     uint32 // of the dataset's answer
	until  int64
	merged *merged
}

type mergeEntry struct {
	id      uint32
	bits    int    // of the dataset's network
	serials uint64 // of the parts, in one word
	merged  *merged
}

const (
	frontPlaces = 1 << 16 // of 64 bytes each where there is an address, and 8 else
	mergePlaces = 1 << 13 // of some 1.5 KiB each
)

func newFront(under ipwarden.Backing) *front {
	f := &front{
		under: under, addrs: make([]atomic.Pointer[frontEntry], frontPlaces), merges: make([]atomic.Pointer[mergeEntry], mergePlaces),
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	f.seed = [2]uint64{binary.LittleEndian.Uint64(b[:8]) | 1, binary.LittleEndian.Uint64(b[8:]) | 1}
	return f
}

// place of two words, evenly.
func (f *front) place(a, b uint64, places int) uint64 {
	hi, lo := bits.Mul64(a^f.seed[0], 0x9E3779B97F4A7C15^f.seed[1])
	hi2, lo2 := bits.Mul64(b^f.seed[1]^hi, lo^f.seed[0])
	return (hi2 ^ lo2) & uint64(places-1)
}

// get returns the merged answer of an address; false when it is not known or not
// fresh, and nil when no provider has a part in it.
func (f *front) get(hi, lo uint64, id uint32, now int64) (*merged, bool) {
	e := f.addrs[f.place(hi, lo, frontPlaces)].Load()
	if e == nil || e.lo != lo || e.hi != hi || e.id != id || now >= e.until {
		return nil, false
	}
	return e.merged, true
}

func (f *front) put(hi, lo uint64, id uint32, until int64, m *merged) {
	f.addrs[f.place(hi, lo, frontPlaces)].Store(&frontEntry{hi, lo, id, until, m})
}

// merge returns the merge of a dataset's answer with parts, made before or now.
func (f *front) merge(id uint32, bits int, parts []part, make func() *merged) *merged {
	sum := uint64(id)<<8 | uint64(uint8(bits))
	var serials uint64
	for i := range parts {
		serials = serials*0x9E3779B97F4A7C15 + parts[i].serial
	}
	at := &f.merges[f.place(sum, serials, mergePlaces)]
	if e := at.Load(); e != nil && e.serials == serials && e.id == id && e.bits == bits && sameParts(e.merged.parts, parts) {
		return e.merged
	}
	m := make()
	at.Store(&mergeEntry{id, bits, serials, m})
	return m
}

func sameParts(a, b []part) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].answer != b[i].answer {
			return false
		}
	}
	return true
}
