package mmdb

import (
	"errors"
	"fmt"

	"github.com/oschwald/maxminddb-golang/v2"
)

// A tree of n nodes has at most n + 1 networks, and a few times as many when
// IPv4 is reached through aliases. maxShared bounds how many times; maxNetworks
// bounds the networks of any file. The largest databases sold have some ten
// million.
const (
	maxShared   = 16
	maxNetworks = 1 << 26
)

var (
	errTree = errors.New("the search tree is broken: it is deeper than an address is long, or has far more networks than nodes")
	errSize = errors.New("the file is shorter than its search tree")
)

// checkTree makes sure that a walk over the networks comes to an end. In a
// hostile file a few nodes that point at each other stand for 2^128 networks.
// raw is the whole file.
func checkTree(db *maxminddb.Reader, raw []byte) error {
	m := &db.Metadata
	if m.RecordSize != 24 && m.RecordSize != 28 && m.RecordSize != 32 {
		return fmt.Errorf("the records of the search tree have %d bits; 24, 28 and 32 exist", m.RecordSize)
	}
	if uint64(m.NodeCount) > uint64(len(raw)) || uint64(m.NodeCount)*uint64(m.RecordSize)/4 > uint64(len(raw)) {
		return errSize
	}
	t := tree{raw: raw, count: uint32(m.NodeCount), size: m.RecordSize}
	t.limit = uint32(min(maxShared*(uint64(m.NodeCount)+1), maxNetworks))
	t.leaves = make([]uint32, m.NodeCount)
	if t.networks(0, 0) > t.limit {
		return errTree
	}
	return nil
}

// tree counts networks.
type tree struct {
	raw    []byte
	count  uint32
	size   uint // bits of a record: 24, 28 or 32
	leaves []uint32
	limit  uint32 // of networks
}

// networks counts the networks below a node, up to just above the limit.
// What a node counted once is remembered, so shared nodes cost nothing; a loop
// ends at the depth of an address.
func (t *tree) networks(node uint32, depth int) uint32 {
	switch {
	case node >= t.count:
		return 1
	case t.leaves[node] != 0:
		return t.leaves[node]
	case depth == 128:
		return t.limit + 1
	}
	left, right := t.children(node)
	n := t.networks(left, depth+1)
	if n <= t.limit {
		n += t.networks(right, depth+1)
	}
	t.leaves[node] = min(n, t.limit+1)
	return t.leaves[node]
}

// children reads a node: two records of 24, 28 or 32 bits.
func (t *tree) children(node uint32) (left, right uint32) {
	w := t.size / 4
	b := t.raw[uint(node)*w : uint(node+1)*w]
	switch t.size {
	case 24:
		return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]), uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5])
	case 28:
		return uint32(b[3]>>4)<<24 | uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
			uint32(b[3]&0xf)<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
	default:
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]),
			uint32(b[4])<<24 | uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7])
	}
}
