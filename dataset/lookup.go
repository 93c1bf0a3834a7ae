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

// Local is true: a dataset is mapped into memory.
func (d *Dataset) Local() bool { return true }

// Lookup returns what is known about addr, after [ipwarden.Canonical]. It does
// not allocate, never blocks, and ignores ctx. The only error is
// [ErrInvalidAddr].
func (d *Dataset) Lookup(_ context.Context, addr netip.Addr) (ipwarden.Record, error) {
	if !addr.Is4() {
		return d.lookup6(addr)
	}
	b := addr.As4()
	u := binary.BigEndian.Uint32(b[:])
	if f := d.flat.Load(); f != nil { // the commonest case without a call
		if ref := f.at(u); ref < refSmall {
			r := d.store.Record4(u, ref)
			runtime.KeepAlive(d)
			return r, nil
		}
	}
	return d.store.Record4(u, d.find4(u)), nil
}

func (d *Dataset) lookup6(addr netip.Addr) (ipwarden.Record, error) {
	if !addr.IsValid() {
		return ipwarden.Record{}, ErrInvalidAddr
	}
	hi, lo := halves(addr)
	zone := addr.Zone() != ""
	if !plain6(hi) {
		if c, wrapped := ipwarden.Canonical(addr); wrapped != ipwarden.NotWrapped {
			b := c.As4()
			u := binary.BigEndian.Uint32(b[:])
			return d.store.Record4(u, d.find4(u)).Asked(wrapped, zone), nil
		}
	}
	r := d.store.Record6(hi, lo, d.find6(hi, lo))
	if zone {
		r = r.Asked(ipwarden.NotWrapped, zone)
	}
	return r, nil
}

// halves returns the bits of an IPv6 address. The compiler moves what As16 returns
// in one piece of 16 bytes, though it was stored in two of 8, and no processor
// forwards that from its store buffer: each look-up would wait until all before it
// are done with their memory. A slice is read where it was stored, and does not
// escape.
func halves(addr netip.Addr) (hi, lo uint64) {
	b := addr.AsSlice()
	if len(b) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
}

// plain6 reports whether an address is of 2000::/3 and neither 6to4 nor Teredo,
// so that it wraps no IPv4 address.
func plain6(hi uint64) bool { return hi>>61 == 1 && hi>>48 != 0x2002 && hi>>32 != 0x2001_0000 }

// find4 returns the row of an IPv4 address: one load in the root, and at most
// two nodes; with the flat index two loads, and at most one node.
func (d *Dataset) find4(u uint32) uint32 {
	var ref uint32
	shift := uint(16)
	if f := d.flat.Load(); f != nil {
		ref, shift = f.at(u), 8
	} else {
		ref = le.Uint32(d.root4[(u>>16)*4:])
	}
	for ref >= refSmall {
		shift -= 8
		n := d.nodes[uint64(ref&refValue)*4:]
		x := byte(u >> (shift & 31))
		if ref < refBroad {
			ref = le.Uint32(n[smallWords*4+4*beyond(le.Uint64(n), x):])
			continue
		}
		w := uint(x >> 6)
		word := le.Uint64(n[4+8*w:])
		rank := int(le.Uint32(n)>>(8*w)&0xff) + bits.OnesCount64(word<<(63-x&63)) - 1
		ref = le.Uint32(n[bitmapWords*4+4*rank:])
	}
	runtime.KeepAlive(d)
	return ref
}

// find6 returns the row of an IPv6 address. No node's digit reaches from one
// half of the address into the other.
func (d *Dataset) find6(hi, lo uint64) uint32 {
	nodes := d.nodes
	ref := le.Uint32(d.root6[(hi>>48)*4:])
	word, left := hi, uint(48)
	for ref >= refSmall {
		if left == 0 {
			word, left = lo, 64
		}
		n := nodes[uint64(ref&refValue)*4:]
		if ref < refBitmap { // a list of starts, of 8 or 16 bits
			starts := le.Uint64(n)
			var k int
			if ref < refBroad {
				left -= 8
				k = beyond(starts, byte(word>>(left&63)))
			} else {
				left -= 16
				k = beyond16(starts, uint16(word>>(left&63)))
			}
			ref = le.Uint32(n[smallWords*4+4*k:])
			continue
		}
		if ref < refWide {
			left -= 8
			ref = follow(nodes, ref, byte(word>>(left&63)))
		} else {
			left -= 16
			ref = followWide(nodes, ref, uint32(word>>(left&63))&0xffff)
		}
	}
	runtime.KeepAlive(d)
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
	for len(addrs) > 0 {
		n := min(batch, len(addrs))
		if f := d.flat.Load(); f == nil || !d.batchFlat(f, dst[:n], addrs[:n]) {
			d.batchLevels(dst[:n], addrs[:n])
		}
		addrs, dst = addrs[n:], dst[n:]
	}
	runtime.KeepAlive(d)
}

// batchFlat looks up IPv4 addresses in the flat index; false when one of them is
// not IPv4. Few need more than one load, and the processor overlaps the loads of
// neighbours by itself where so little lies between them.
func (d *Dataset) batchFlat(f *flat, dst []ipwarden.Record, addrs []netip.Addr) bool {
	dst = dst[:len(addrs)]
	store := d.store
	for i, a := range addrs {
		if !a.Is4() {
			return false
		}
		octets := a.As4()
		u := binary.BigEndian.Uint32(octets[:])
		ref := f.table[u>>8]
		if ref >= refSmall {
			ref = follow(d.nodes, ref, byte(u))
		}
		dst[i] = store.Record4(u, ref)
	}
	return true
}

// batchLevels looks up at most 64 addresses, all of them on one level of the
// index before any goes to the next.
func (d *Dataset) batchLevels(dst []ipwarden.Record, addrs []netip.Addr) {
	var b batchOf
	if b.four(d, dst, addrs) || b.six(d, dst, addrs) {
		return
	}
	for i, a := range addrs {
		dst[i], _ = d.Lookup(context.Background(), a)
	}
}

// batchOf is the memory of one batch.
type batchOf struct {
	refs   [batch]uint32
	hi, lo [batch]uint64 // of IPv4 lo alone
	left   [batch]uint8  // bits of the half that are not used yet
	active [batch]uint8  // those that are not at an answer yet
}

// four looks up IPv4 addresses in the compact index; false when one of them is
// not IPv4.
func (b *batchOf) four(d *Dataset, dst []ipwarden.Record, addrs []netip.Addr) bool {
	for i, a := range addrs {
		if !a.Is4() {
			return false
		}
		octets := a.As4()
		u := binary.BigEndian.Uint32(octets[:])
		i &= batch - 1
		b.lo[i], b.refs[i] = uint64(u), le.Uint32(d.root4[(u>>16)*4:])
	}
	keys, refs := b.lo[:len(addrs)], b.refs[:len(addrs)]
	for i, k := range keys {
		if refs[i] >= refSmall {
			refs[i] = follow(d.nodes, refs[i], byte(k>>8))
		}
	}
	for i, k := range keys {
		ref := refs[i]
		if ref >= refSmall {
			ref = follow(d.nodes, ref, byte(k))
		}
		dst[i] = d.store.Record4(uint32(k), ref)
	}
	return true
}

// six does the same for IPv6 addresses; false when one of them is not a plain
// address of 2000::/3: the forms that wrap IPv4 go one by one.
func (b *batchOf) six(d *Dataset, dst []ipwarden.Record, addrs []netip.Addr) bool {
	active := 0
	for i, a := range addrs {
		hi, lo := halves(a)
		if !plain6(hi) || a.Zone() != "" {
			return false
		}
		i &= batch - 1
		b.hi[i], b.lo[i], b.left[i] = hi, lo, 48
		dst[i] = d.store.Record6(b.hi[i], b.lo[i], 0)
		if b.refs[i] = le.Uint32(d.root6[(hi>>48)*4:]); b.refs[i] >= refSmall {
			b.active[active&(batch-1)] = uint8(i)
			active++
		}
	}
	for active > 0 {
		still := 0
		for _, i := range b.active[:active] {
			i &= batch - 1
			if b.left[i] == 0 { // on to the lower half
				b.hi[i], b.left[i] = b.lo[i], 64
			}
			ref := b.refs[i]
			if ref < refBroad || ref >= refBitmap && ref < refWide {
				b.left[i] -= 8
				ref = follow(d.nodes, ref, byte(b.hi[i]>>(b.left[i]&63)))
			} else {
				b.left[i] -= 16
				ref = followWide(d.nodes, ref, uint32(b.hi[i]>>(b.left[i]&63))&0xffff)
			}
			if b.refs[i] = ref; ref >= refSmall {
				b.active[still&(batch-1)] = i
				still++
			}
		}
		active = still
	}
	for i := range addrs {
		dst[i] = dst[i].WithAnswer(b.refs[i&(batch-1)])
	}
	return true
}
