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
	n := len(d.as) / asSize
	i := sort.Search(n, func(i int) bool { return d.numberAt(uint32(i)) >= number })
	return uint32(i), number != 0 && i < n && d.numberAt(uint32(i)) == number
}

// routes holds the announced prefixes by AS. It is collected from the answers
// when first asked for, in some 100 ms, and takes 24 bytes a prefix.
type routes struct{ list []route }

type route struct {
	from position
	as   uint32
	fam  family
	bits uint8
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
		list := d.routes().list
		at := sort.Search(len(list), func(n int) bool { return list[n].as >= i })
		for ; at < len(list) && list[at].as == i; at++ {
			r := &list[at]
			if !yield(netip.PrefixFrom(r.from.addr(r.fam), int(r.bits))) {
				return
			}
		}
	}
}

func (d *Dataset) collectRoutes() *routes {
	var list []route
	for _, fam := range []family{ipv4, ipv6} {
		for a := range d.runs(fam, position{}, fam.last()) {
			r := d.row(a.row)
			as, bits := r.as(), r.route()
			if as == 0 || bits > fam.bits() {
				continue
			}
			from := a.from.masked(fam, bits)
			if n := len(list); n == 0 || list[n-1] != (route{from, as, fam, uint8(bits)}) {
				list = append(list, route{from, as, fam, uint8(bits)})
			}
		}
	}
	slices.SortFunc(list, func(a, b route) int {
		return cmp.Or(cmp.Compare(a.as, b.as), cmp.Compare(a.fam, b.fam), a.from.compare(b.from), cmp.Compare(a.bits, b.bits))
	})
	return &routes{slices.Clip(slices.Compact(list))}
}
