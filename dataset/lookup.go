package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
	"runtime"

	"github.com/ipwarden/ipwarden"
)

// ErrInvalidAddr is returned for the zero netip.Addr.
var ErrInvalidAddr = errors.New("dataset: the zero netip.Addr is no address")

// Lookup returns what is known about addr, after [ipwarden.Canonical]. It does
// not allocate, never blocks, and ignores ctx. The only error is
// [ErrInvalidAddr].
func (d *Dataset) Lookup(_ context.Context, addr netip.Addr) (ipwarden.Record, error) {
	if addr.Is4() {
		b := addr.As4()
		return ipwarden.MakeRecord(addr, d, d.find4(binary.BigEndian.Uint32(b[:]))), nil
	}
	return d.lookup6(addr)
}

func (d *Dataset) lookup6(addr netip.Addr) (ipwarden.Record, error) {
	if !addr.IsValid() {
		return ipwarden.Record{}, ErrInvalidAddr
	}
	zone := addr.Zone() != ""
	c, wrapped := ipwarden.Canonical(addr)
	if c.Is4() {
		b := c.As4()
		return ipwarden.MakeRecord(c, d, d.find4(binary.BigEndian.Uint32(b[:]))).Asked(wrapped, zone), nil
	}
	b := c.As16()
	id := d.find6(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]))
	return ipwarden.MakeRecord(c, d, id).Asked(wrapped, zone), nil
}

// find4 returns the row of an IPv4 address: one load in the root, and at most
// two nodes; with the flat index one load, and at most one node.
func (d *Dataset) find4(u uint32) uint32 {
	if f := d.flat.Load(); f != nil {
		ref := f.table[u>>8]
		if ref >= refSmall {
			ref = follow(d.nodes, ref, byte(u))
		}
		runtime.KeepAlive(d)
		return ref
	}
	ref := le.Uint32(d.root4[(u>>16)*4:])
	if ref >= refSmall {
		if ref = follow(d.nodes, ref, byte(u>>8)); ref >= refSmall {
			ref = follow(d.nodes, ref, byte(u))
		}
	}
	runtime.KeepAlive(d)
	return ref
}

// find6 returns the row of an IPv6 address.
func (d *Dataset) find6(hi, lo uint64) uint32 {
	ref := le.Uint32(d.root6[(hi>>48)*4:])
	if ref < refSmall {
		return ref
	}
	ref = descend(d.nodes, ref, hi, 48)
	if ref >= refSmall {
		ref = descend(d.nodes, ref, lo, 64)
	}
	runtime.KeepAlive(d)
	return ref
}

// descend follows the low n bits of word; no node's digit reaches beyond them.
func descend(nodes []byte, ref uint32, word uint64, n int) uint32 {
	for ref >= refSmall && n > 0 {
		if ref < refBroad || ref >= refBitmap && ref < refWide {
			n -= 8
			ref = follow(nodes, ref, byte(word>>(n&63)))
		} else {
			n -= 16
			ref = followWide(nodes, ref, uint32(word>>(n&63))&0xffff)
		}
	}
	return ref
}

// follow takes one step through a small or bitmap node. Open has checked every
// reference.
func follow(nodes []byte, ref uint32, x byte) uint32 {
	n := nodes[uint64(ref&refValue)*4:]
	if ref < refBroad {
		k := beyond(le.Uint64(n), x)
		return le.Uint32(n[smallWords*4+4*k:])
	}
	w := uint(x >> 6)
	word := le.Uint64(n[4+8*w:])
	rank := int(le.Uint32(n)>>(8*w)&0xff) + bits.OnesCount64(word<<(63-x&63)) - 1
	return le.Uint32(n[bitmapWords*4+4*rank:])
}

// followWide takes one step of 16 bits through a broad or wide node.
func followWide(nodes []byte, ref uint32, x uint32) uint32 {
	n := nodes[uint64(ref&refValue)*4:]
	if ref < refBitmap {
		k := beyond16(le.Uint64(n), uint16(x))
		return le.Uint32(n[smallWords*4+4*k:])
	}
	e := n[(x>>6)*wideEntry:]
	rank := int(le.Uint32(e[8:])) + bits.OnesCount64(le.Uint64(e)<<(63-x&63)) - 1
	return le.Uint32(n[wideWords*4+4*rank:])
}

// batch is how many look-ups are under way at once: enough for the processor's
// outstanding cache misses, few enough for the first-level cache.
const batch = 64

// LookupBatch looks up addrs[i] into dst[i]; dst must be as long as addrs. It
// is faster per address than Lookup, because the memory reads of neighbouring
// addresses overlap. An invalid address gives the zero Record.
func (d *Dataset) LookupBatch(dst []ipwarden.Record, addrs []netip.Addr) {
	_ = dst[:len(addrs)]
	var keys, refs [batch]uint32
	for len(addrs) > 0 {
		n := min(batch, len(addrs))
		if !d.batch4(keys[:n], refs[:n], addrs[:n]) {
			for i, a := range addrs[:n] {
				dst[i], _ = d.Lookup(context.Background(), a)
			}
		} else {
			for i, a := range addrs[:n] {
				dst[i] = ipwarden.MakeRecord(a, d, refs[i])
			}
		}
		addrs, dst = addrs[n:], dst[n:]
	}
}

// batch4 finds the rows of IPv4 addresses, one level of the index after the
// other; false when one of them is not IPv4.
func (d *Dataset) batch4(keys, refs []uint32, addrs []netip.Addr) bool {
	keys, refs = keys[:len(addrs)], refs[:len(addrs)]
	for i, a := range addrs {
		if !a.Is4() {
			return false
		}
		b := a.As4()
		keys[i] = binary.BigEndian.Uint32(b[:])
	}
	if f := d.flat.Load(); f != nil {
		for i, k := range keys {
			refs[i] = f.table[k>>8]
		}
	} else {
		for i, k := range keys {
			refs[i] = le.Uint32(d.root4[(k>>16)*4:])
		}
		for i, k := range keys {
			if refs[i] >= refSmall {
				refs[i] = follow(d.nodes, refs[i], byte(k>>8))
			}
		}
	}
	for i, k := range keys {
		if refs[i] >= refSmall {
			refs[i] = follow(d.nodes, refs[i], byte(k))
		}
	}
	runtime.KeepAlive(d)
	return true
}
