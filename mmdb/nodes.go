package mmdb

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
)

// A ref is what one side of a node holds: nothing (0), 1 + the number of a
// node, or a data offset with the top bit set.
type ref uint32

const isData ref = 1 << 31

// maxData bounds the data section, in bytes, by what a ref can say.
const maxData = 1 << 31

// node is one node of the search tree: what follows on a 0, and on a 1.
type node [2]ref

// nodes are shared by the trees of both families.
type nodes struct {
	all []node
}

// join returns a ref to a node of two sides, or to less than a node where that
// says the same: neighbours with one answer are one network.
func (n *nodes) join(left, right ref) ref {
	if left == right && (left == 0 || left&isData != 0) {
		return left
	}
	n.all = append(n.all, node{left, right})
	return ref(len(n.all))
}

// builder makes the tree of one family bottom-up from ascending, disjoint
// prefixes. Only the path to the last prefix is open; what lies left of it is
// finished. Addresses are aligned to the high end of 128 bits.
type builder struct {
	nodes *nodes
	left  [128]ref // finished left sides along the open path, by depth
	hi    uint64   // the open path
	lo    uint64
	depth int
	open  ref // what the path leads to
	begun bool
	next  netip.Addr // the first address not yet covered
}

var (
	errOrder = errors.New("prefixes must ascend and not overlap")
	errFull  = errors.New("the prefix comes after the last address of its family")
)

// accepts tells whether a prefix may come next.
func (b *builder) accepts(p netip.Prefix) error {
	switch {
	case !b.begun:
		return nil
	case !b.next.IsValid():
		return errFull
	case p.Addr().Less(b.next):
		return errOrder
	}
	return nil
}

// insert appends a prefix that is accepted.
func (b *builder) insert(p netip.Prefix, to ref) {
	hi, lo := aligned(p.Addr())
	from := 0
	if b.begun {
		// The paths part after c bits: the old one goes left, the new one right.
		c := common(b.hi, b.lo, hi, lo)
		for b.depth > c+1 {
			b.up()
		}
		b.left[c] = b.open
		from = c + 1
	}
	for d := from; d < p.Bits(); d++ {
		b.left[d] = 0
	}
	b.hi, b.lo, b.depth, b.open, b.begun = hi, lo, p.Bits(), to, true
	b.next = lastOf(p).Next()
}

// up closes the last step of the open path.
func (b *builder) up() {
	b.depth--
	if b.bit(b.depth) == 0 {
		b.open = b.nodes.join(b.open, 0)
	} else {
		b.open = b.nodes.join(b.left[b.depth], b.open)
	}
}

// root closes the whole path.
func (b *builder) root() ref {
	for b.depth > 0 {
		b.up()
	}
	return b.open
}

// bit returns the bit of the open path that leads from depth to depth+1.
func (b *builder) bit(depth int) uint64 {
	if depth < 64 {
		return b.hi >> (63 - depth) & 1
	}
	return b.lo >> (127 - depth) & 1
}

// common returns how many leading bits two addresses share.
func common(hi1, lo1, hi2, lo2 uint64) int {
	if x := hi1 ^ hi2; x != 0 {
		return bits.LeadingZeros64(x)
	}
	return 64 + bits.LeadingZeros64(lo1^lo2)
}

func aligned(a netip.Addr) (hi, lo uint64) {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:])) << 32, 0
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// graft puts a subtree at a prefix, in place of whatever was there, and returns
// the new root.
func (n *nodes) graft(root ref, at netip.Prefix, sub ref) ref {
	hi, lo := aligned(at.Addr())
	path := builder{hi: hi, lo: lo}
	return n.graftAt(root, &path, 0, at.Bits(), sub)
}

func (n *nodes) graftAt(r ref, path *builder, depth, end int, sub ref) ref {
	if depth == end {
		return sub
	}
	pair := node{r, r} // nothing, or data that is to be split
	if r != 0 && r&isData == 0 {
		pair = n.all[r-1]
	}
	bit := path.bit(depth)
	pair[bit] = n.graftAt(pair[bit], path, depth+1, end, sub)
	return n.join(pair[0], pair[1])
}
