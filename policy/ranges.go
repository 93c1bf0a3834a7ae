package policy

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// key is an address as two numbers; IPv4 has its own space.
type key struct{ hi, lo uint64 }

func keyOf(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) less(o key) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

func (k key) compare(o key) int {
	switch {
	case k.less(o):
		return -1
	case o.less(k):
		return 1
	}
	return 0
}

// next is the key after k; false after the last of all.
func (k key) next() (key, bool) {
	if k.lo++; k.lo == 0 {
		k.hi++
	}
	return k, k.hi != 0 || k.lo != 0
}

// last is the last address of a prefix.
func last(p netip.Prefix) key {
	k, host := keyOf(p.Masked().Addr()), p.Addr().BitLen()-p.Bits()
	switch {
	case host >= 128:
		return key{math.MaxUint64, math.MaxUint64}
	case host >= 64:
		return key{k.hi | (1<<(host-64) - 1), math.MaxUint64}
	}
	return key{k.hi, k.lo | (1<<host - 1)}
}

// ranges maps addresses of one family to the index of the longest prefix that
// holds them. It is a sorted list of where the answer changes.
type ranges struct {
	starts []key
	prefix []int32 // of each start; -1 for none
}

// newRanges sorts prefixes of one family and flattens those inside each other.
// parent gets, of each prefix, the next shorter one round it, or -1.
func newRanges(prefixes []netip.Prefix, parent []int32) ranges {
	order := make([]int32, len(prefixes))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := keyOf(prefixes[a].Addr()).compare(keyOf(prefixes[b].Addr())); c != 0 {
			return c
		}
		return prefixes[a].Bits() - prefixes[b].Bits()
	})
	var r ranges
	add := func(start key, i int32) {
		if n := len(r.starts); n > 0 && r.starts[n-1] == start {
			r.prefix[n-1] = i
			return
		}
		r.starts, r.prefix = append(r.starts, start), append(r.prefix, i)
	}
	var open []int32 // prefixes that hold the place, the longest last
	closeBefore := func(start key, all bool) {
		for len(open) > 0 {
			top := open[len(open)-1]
			end := last(prefixes[top])
			if !all && !end.less(start) {
				return
			}
			open = open[:len(open)-1]
			outer := int32(-1)
			if len(open) > 0 {
				outer = open[len(open)-1]
			}
			if after, ok := end.next(); ok {
				add(after, outer)
			}
		}
	}
	for _, i := range order {
		start := keyOf(prefixes[i].Addr())
		closeBefore(start, false)
		parent[i] = -1
		if len(open) > 0 {
			parent[i] = open[len(open)-1]
		}
		add(start, i)
		open = append(open, i)
	}
	closeBefore(key{}, true)
	return r
}

// find returns the index of the longest prefix round k, or -1.
func (r *ranges) find(k key) int32 {
	low, high := 0, len(r.starts) // starts before low are at most k
	for low < high {
		mid := int(uint(low+high) / 2)
		if s := &r.starts[mid]; s.hi < k.hi || s.hi == k.hi && s.lo <= k.lo {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return -1
	}
	return r.prefix[low-1]
}

// prefixes finds the longest prefix round an address of either family.
type prefixes struct {
	four, six ranges
	index4    []int32 // of prefix i of four in the whole list
	index6    []int32
	parent    []int32 // of each in the whole list
}

func (p *prefixes) empty() bool { return len(p.parent) == 0 }

func newPrefixes(all []netip.Prefix) prefixes {
	var p prefixes
	var four, six []netip.Prefix
	for i, n := range all {
		if n.Addr().Is4() {
			four, p.index4 = append(four, n), append(p.index4, int32(i))
		} else {
			six, p.index6 = append(six, n), append(p.index6, int32(i))
		}
	}
	p.parent = make([]int32, len(all))
	outer := make([]int32, max(len(four), len(six)))
	p.four = newRanges(four, outer)
	p.keepParents(p.index4, outer)
	p.six = newRanges(six, outer)
	p.keepParents(p.index6, outer)
	return p
}

func (p *prefixes) keepParents(index, outer []int32) {
	for i, whole := range index {
		p.parent[whole] = -1
		if outer[i] >= 0 {
			p.parent[whole] = index[outer[i]]
		}
	}
}

// find returns the index of the longest prefix round addr, or -1.
func (p *prefixes) find(addr netip.Addr) int32 {
	r, index := &p.six, p.index6
	if addr.Is4() {
		r, index = &p.four, p.index4
	}
	if len(r.starts) == 0 || !addr.IsValid() {
		return -1
	}
	if i := r.find(keyOf(addr)); i >= 0 {
		return index[i]
	}
	return -1
}
