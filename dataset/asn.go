package dataset

import (
	"cmp"
	"iter"
	"net/netip"
	"runtime"
	"slices"
	"sort"

	"github.com/ipwarden/ipwarden"
)

// AS returns what is known of an autonomous system; false when nothing is.
func (d *Dataset) AS(number uint32) (ipwarden.ASN, bool) {
	i, ok := d.asIndex(number)
	if !ok {
		return ipwarden.ASN{}, false
	}
	a := d.asAt(i)
	runtime.KeepAlive(d)
	return a, true
}

func (d *Dataset) asIndex(number uint32) (uint32, bool) {
	// sort.Search by hand: every answer of a vendor's format asks for this.
	n := uint32(len(d.as) / asSize)
	from, to := uint32(0), n
	for from < to {
		if mid := (from + to) / 2; d.numberAt(mid) < number {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return from, number != 0 && from < n && d.numberAt(from) == number
}

// routes holds the announced prefixes, by AS. It is collected from the answers
// when first asked for, in some 100 ms, and takes 8 bytes an IPv4 prefix and 24
// an IPv6 one.
type routes struct {
	four []uint64 // AS row 24, address 32, length 8: in the order they are sorted by
	six  []route6
}

type route6 struct {
	as   uint32
	bits uint8
	from position
}

func packRoute4(as uint32, from position, bits int) uint64 {
	return uint64(as)<<40 | from.lo<<8 | uint64(bits)
}

// ASPrefixes yields the prefixes that an autonomous system announces, IPv4
// first, in the order of addresses. The first call on a Dataset collects those
// of all.
func (d *Dataset) ASPrefixes(number uint32) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		i, ok := d.asIndex(number)
		if !ok {
			return
		}
		r := d.routes()
		at, _ := slices.BinarySearch(r.four, uint64(i)<<40)
		for _, v := range r.four[at:] {
			if uint32(v>>40) != i {
				break
			}
			if !yield(netip.PrefixFrom(position{lo: v >> 8 & (1<<32 - 1)}.addr(ipv4), int(v&0xff))) {
				return
			}
		}
		at = sort.Search(len(r.six), func(n int) bool { return r.six[n].as >= i })
		for _, v := range r.six[at:] {
			if v.as != i || !yield(netip.PrefixFrom(v.from.addr(ipv6), int(v.bits))) {
				return
			}
		}
	}
}

// announced yields the route of each run of answers, with repeats. index has
// the AS row of each answer.
func (d *Dataset) announced(fam family, index []uint32, yield func(as uint32, from position, bits int)) {
	for a := range d.runs(fam, position{}, fam.last()) {
		if as, bits := index[a.row], d.row(a.row).route(); as != 0 && bits <= fam.bits() {
			yield(as, a.from.masked(fam, bits), bits)
		}
	}
}

func (d *Dataset) collectRoutes() *routes {
	var r routes
	index := make([]uint32, d.Answers())
	for id := range index {
		if i, ok := d.asIndex(d.ASNumber(uint32(id))); ok {
			index[id] = i
		}
	}
	// Counted first: slices that grow would leave twice their size behind.
	var n4, n6 int
	var last position
	d.announced(ipv4, index, func(uint32, position, int) { n4++ })
	d.announced(ipv6, index, func(_ uint32, from position, _ int) {
		if from != last {
			n6++
		}
		last = from
	})
	r.four, r.six = make([]uint64, 0, n4), make([]route6, 0, n6)
	d.announced(ipv4, index, func(as uint32, from position, bits int) {
		v := packRoute4(as, from, bits)
		if n := len(r.four); n == 0 || r.four[n-1] != v {
			r.four = append(r.four, v)
		}
	})
	d.announced(ipv6, index, func(as uint32, from position, bits int) {
		v := route6{as, uint8(bits), from}
		if n := len(r.six); n == 0 || r.six[n-1] != v {
			r.six = append(r.six, v)
		}
	})
	slices.Sort(r.four)
	slices.SortFunc(r.six, func(a, b route6) int {
		return cmp.Or(cmp.Compare(a.as, b.as), a.from.compare(b.from), cmp.Compare(a.bits, b.bits))
	})
	r.four, r.six = slices.Compact(r.four), slices.Compact(r.six)
	return &r
}
