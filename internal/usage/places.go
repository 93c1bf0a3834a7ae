package usage

import (
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/prefetch"
)

// places is where numbers stand by a hash of what they are of: an open-addressing table,
// at most three quarters full. The low bits of an entry are a number and one, 0 is free;
// the others are bits of the hash, so that nearly always what a number is of is looked at
// only when it is asked for. The zero value is empty.
type places struct {
	at   []uint32 // a power of two
	bits uint8    // of which
}

// full says whether n numbers are as many as there is room for.
func (p *places) full(n int) bool { return n >= len(p.at)/4*3 }

// grow makes room for twice as many, and forgets all.
func (p *places) grow() {
	n := max(64, 2*len(p.at))
	p.at, p.bits = make([]uint32, n), 0
	for 1<<p.bits < n {
		p.bits++
	}
}

// home is where the search for a hash begins.
func (p *places) home(h uint64) uint32 { return uint32(h) & uint32(len(p.at)-1) }

// fetch begins to fetch the place of a hash from memory.
func (p *places) fetch(h uint64) {
	if len(p.at) > 0 {
		prefetch.Line(unsafe.Pointer(&p.at[p.home(h)]))
	}
}

// guess is the number that is most likely that of a hash; what it is of is not looked at.
func (p *places) guess(h uint64) (number uint32, found bool) {
	if len(p.at) == 0 {
		return 0, false
	}
	_, number, found = p.seek(h, p.home(h))
	return number, found
}

// seek goes from a place to the next one with a number that may be of a hash, or to
// where there is none any more, which is where it would be put.
func (p *places) seek(h uint64, from uint32) (i, number uint32, found bool) {
	mask := uint32(len(p.at) - 1)
	for i = from & mask; ; i = (i + 1) & mask {
		e := p.at[i]
		if e == 0 {
			return i, 0, false
		}
		if (e^uint32(h>>32))>>p.bits == 0 {
			return i, e&mask - 1, true
		}
	}
}

// put puts a number into the place that seek returned.
func (p *places) put(i uint32, h uint64, number uint32) {
	p.at[i] = uint32(h>>32)>>p.bits<<p.bits | (number + 1)
}

// insert puts a number that is not there.
func (p *places) insert(h uint64, number uint32) {
	i := p.home(h)
	for p.at[i] != 0 {
		i = p.home(uint64(i) + 1)
	}
	p.put(i, h, number)
}
