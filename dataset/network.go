package dataset

import (
	"iter"
	"math/bits"
	"net/netip"
	"runtime"

	"github.com/ipwarden/ipwarden"
)

// Network returns the largest prefix round addr whose addresses have the same
// answer.
func (d *Dataset) Network(addr netip.Addr, _ uint32) netip.Prefix {
	if !addr.IsValid() {
		return netip.Prefix{}
	}
	_, n, _, _ := d.leaf(familyOf(addr), positionOf(addr))
	p, _ := addr.Prefix(n)
	runtime.KeepAlive(d)
	return p
}

// leaf returns the row of a position, the length of the largest prefix round
// it with that row, and the first and last position of the run it was found in.
func (d *Dataset) leaf(fam family, p position) (row uint32, length int, from, to position) {
	h := p.lo >> 16
	root, reach := d.root4, d.reach4
	if fam == ipv6 {
		h, root, reach = p.hi>>48, d.root6, d.reach6
	}
	ref := le.Uint32(root[h*4:])
	shift := fam.bits() - 16
	if ref < refSmall {
		n := int(reach[h])
		return ref, n, p.masked(fam, n), p.endOf(fam, n)
	}
	for {
		stride := 8
		if k := ref & refKind; k == refWide || k == refBroad {
			stride = 16
		}
		shift -= stride
		x := digit(p, shift, stride)
		child, lo, hi := runOf(d.nodes, ref, x)
		if child >= refSmall {
			ref = child
			continue
		}
		n := 0 // of the block's bits, how many the prefix leaves open
		for n < stride && x>>(n+1)<<(n+1) >= lo && x>>(n+1)<<(n+1)|(1<<(n+1)-1) <= hi {
			n++
		}
		base := p.masked(fam, fam.bits()-shift-stride)
		from = base.withDigit(shift, lo)
		to = base.withDigit(shift, hi).endOf(fam, fam.bits()-shift)
		return child, fam.bits() - shift - n, from, to
	}
}

// withDigit sets the bits above shift, which are clear.
func (p position) withDigit(shift int, x uint32) position {
	d := position{lo: uint64(x)}.shiftLeft(shift)
	return position{p.hi | d.hi, p.lo | d.lo}
}

// runOf returns the reference for x in a node, and the first and last value
// that has it.
func runOf(nodes []byte, ref, x uint32) (child, lo, hi uint32) {
	n := nodes[uint64(ref&refValue)*4:]
	switch ref & refKind {
	case refSmall:
		starts := le.Uint64(n)
		lo, hi = 0, 255
		for i := range smallStarts {
			s := uint32(starts >> (8 * i) & 0xff)
			if s != 0 && s <= x {
				lo = s
			}
			if s > x {
				hi = s - 1
				break
			}
		}
		k := beyond(starts, byte(x))
		return le.Uint32(n[smallWords*4+4*k:]), lo, hi
	case refBroad:
		starts := le.Uint64(n)
		lo, hi = 0, 1<<16-1
		for i := range broadStarts {
			s := uint32(starts >> (16 * i) & 0xffff)
			if s != 0 && s <= x {
				lo = s
			}
			if s > x {
				hi = s - 1
				break
			}
		}
		return followWide(nodes, ref, x), lo, hi
	case refBitmap:
		lo, hi = around(x, 4, func(w uint32) uint64 { return le.Uint64(n[4+8*w:]) })
		return follow(nodes, ref, byte(x)), lo, hi
	}
	lo, hi = around(x, 1024, func(w uint32) uint64 { return le.Uint64(n[w*wideEntry:]) })
	return followWide(nodes, ref, x), lo, hi
}

// around returns the last set bit at or before x and the bit before the next.
func around(x, words uint32, word func(uint32) uint64) (lo, hi uint32) {
	for w := x / 64; ; w-- {
		b := word(w)
		if w == x/64 {
			b &= 1<<(x%64) | (1<<(x%64) - 1)
		}
		if b != 0 {
			lo = w*64 + 63 - uint32(bits.LeadingZeros64(b))
			break
		}
	}
	for w := x / 64; w < words; w++ {
		b := word(w)
		if w == x/64 {
			b &^= 1<<(x%64) | (1<<(x%64) - 1)
		}
		if b != 0 {
			return lo, w*64 + uint32(bits.TrailingZeros64(b)) - 1
		}
	}
	return lo, words*64 - 1
}

// answer is a run of addresses with one answer.
type answer struct {
	from, to position
	row      uint32
}

// runs yields the runs of one answer that touch from..to, each as large as it
// is, in order.
func (d *Dataset) runs(fam family, from, to position) iter.Seq[answer] {
	return func(yield func(answer) bool) {
		defer runtime.KeepAlive(d)
		row, _, begin, end := d.leaf(fam, from)
		cur := answer{begin, end, row}
		for cur.to.compare(to) < 0 {
			row, _, begin, end := d.leaf(fam, cur.to.next())
			if row == cur.row {
				cur.to = end
				continue
			}
			if !yield(cur) {
				return
			}
			cur = answer{begin, end, row}
		}
		yield(cur)
	}
}

// Networks yields the networks inside a prefix whose addresses have one answer
// each, in the order of addresses: together they are the prefix. within is
// masked; an invalid one yields nothing.
func (d *Dataset) Networks(within netip.Prefix) iter.Seq2[netip.Prefix, ipwarden.Record] {
	return func(yield func(netip.Prefix, ipwarden.Record) bool) {
		if !within.IsValid() {
			return
		}
		fam := familyOf(within.Addr())
		first := positionOf(within.Masked().Addr())
		last := first.endOf(fam, within.Bits())
		for a := range d.runs(fam, first, last) {
			if a.from.less(first) {
				a.from = first
			}
			if last.less(a.to) {
				a.to = last
			}
			for {
				n := largestPrefix(fam, a.from, a.to)
				addr := a.from.addr(fam)
				if !yield(netip.PrefixFrom(addr, n), ipwarden.MakeRecord(addr, d.store, a.row)) {
					return
				}
				end := a.from.endOf(fam, n)
				if end == a.to {
					break
				}
				a.from = end.next()
			}
		}
	}
}
