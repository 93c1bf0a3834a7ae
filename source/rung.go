package source

import (
	"math/bits"
	"net/netip"
	"sync/atomic"
)

// The prefix lengths at which a Store is asked, the narrowest first: few, because
// each is a key. Nothing is kept for less than a /64 of IPv6, in which a household
// chooses its addresses; of a network wider than the last, the part that was asked
// about is kept.
var (
	rungs4 = [...]int{32, 28, 24, 20, 16}
	rungs6 = [...]int{64, 56, 48, 40, 32}
)

const numRungs = len(rungs4)

func rungs(a netip.Addr) *[numRungs]int {
	if a.Is4() {
		return &rungs4
	}
	return &rungs6
}

// top is the widest prefix round an address that is kept as one.
func top(a netip.Addr) netip.Prefix {
	p, _ := a.Prefix(rungs(a)[numRungs-1])
	return p
}

// host is the narrowest prefix round an address that is kept.
func host(a netip.Addr) netip.Prefix {
	p, _ := a.Prefix(rungs(a)[0])
	return p
}

// clip returns the part of an answer's network, round the address that was asked
// about, that is kept as one. An answer without a network is about the address,
// and so is one whose network does not hold it.
func clip(a netip.Addr, network netip.Prefix) netip.Prefix {
	if !network.IsValid() || !network.Contains(a) {
		return host(a)
	}
	r := rungs(a)
	p, _ := a.Prefix(min(max(network.Bits(), r[numRungs-1]), r[0]))
	return p
}

// rung is the length at which a Store has an answer of so many bits: the same, or
// the next longer one there is.
func rung(a netip.Addr, bits int) int {
	r := rungs(a)
	found := r[0]
	for _, b := range r {
		if b >= bits {
			found = b
		}
	}
	return found
}

// pieces yields the prefixes under which a Store has a kept network: itself, where
// its length is a rung, else all parts of it at the next rung.
func pieces(p netip.Prefix, yield func(netip.Prefix) bool) {
	bits := rung(p.Addr(), p.Bits())
	part := netip.PrefixFrom(p.Masked().Addr(), bits)
	for range 1 << (bits - p.Bits()) {
		if !yield(part) {
			return
		}
		part = netip.PrefixFrom(after(part), bits)
	}
}

// after is the first address behind a prefix.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		if host := p.Bits() - 8*i; host < 8 {
			b[i] |= 0xff >> max(host, 0)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Next()
}

// lengths is a set of prefix lengths, 1 to 64.
type lengths struct{ bits atomic.Uint64 }

func (l *lengths) add(n int) {
	bit := uint64(1) << (n - 1)
	if l.bits.Load()&bit == 0 {
		l.bits.Or(bit)
	}
}

// narrower yields the lengths in the set, the longest first.
func (l *lengths) narrower(yield func(int) bool) {
	for w := l.bits.Load(); w != 0; {
		n := 63 - bits.LeadingZeros64(w)
		if !yield(n + 1) {
			return
		}
		w &^= 1 << n
	}
}
