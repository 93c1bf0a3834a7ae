package clientip

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strconv"
)

// prefixSet answers whether an address is in any of some prefixes: ranges in
// order, which do not touch. It looks at the bits as they came, a zone and the
// IPv4-mapped form aside: an IPv4 address inside of a NAT64, 6to4 or Teredo one
// is chosen by whoever sends from it, and makes nobody a proxy.
type prefixSet struct {
	four []range4
	six  []range6
	// first[b] is where in four the ranges begin that can have an address whose
	// first byte is b.
	first [257]uint32
}

type range4 struct{ from, to uint32 }

type range6 struct{ from, to pair }

// pair is an IPv6 address.
type pair struct{ hi, lo uint64 }

func (p pair) less(q pair) bool { return p.hi < q.hi || p.hi == q.hi && p.lo < q.lo }

func pairOf(a netip.Addr) pair {
	b := a.As16()
	return pair{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func fourOf(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// add adds a prefix, before build; the text says what is wrong with it.
func (s *prefixSet) add(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return `has an invalid prefix; an example: netip.MustParsePrefix("10.0.0.0/8")`
	case p.Addr().Is4In6() && p.Bits() >= 96:
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	case p.Addr().Is4In6():
		return strconv.Quote(p.String()) + " begins at an IPv4-mapped address and goes beyond them; an example: 10.0.0.0/8"
	}
	if p = p.Masked(); p.Addr().Is4() {
		from := fourOf(p.Addr())
		s.four = append(s.four, range4{from, from | uint32(uint64(math.MaxUint32)>>p.Bits())})
		return ""
	}
	from := pairOf(p.Addr())
	to := from
	if n := p.Bits(); n < 64 {
		to.hi, to.lo = from.hi|math.MaxUint64>>n, math.MaxUint64
	} else {
		to.lo |= math.MaxUint64 >> (n - 64)
	}
	s.six = append(s.six, range6{from, to})
	return ""
}

// build puts the ranges in order and joins them. It returns the name of the
// family that they cover as a whole, or "".
func (s *prefixSet) build() (covered string) {
	slices.SortFunc(s.four, func(a, b range4) int { return cmp.Compare(a.from, b.from) })
	four := s.four[:0]
	for _, r := range s.four {
		if n := len(four); n > 0 && uint64(r.from) <= uint64(four[n-1].to)+1 {
			four[n-1].to = max(four[n-1].to, r.to)
			continue
		}
		four = append(four, r)
	}
	s.four = slices.Clip(four)
	slices.SortFunc(s.six, func(a, b range6) int {
		return cmp.Or(cmp.Compare(a.from.hi, b.from.hi), cmp.Compare(a.from.lo, b.from.lo))
	})
	six := s.six[:0]
	for _, r := range s.six {
		if n := len(six); n > 0 && !six[n-1].to.next().less(r.from) {
			if six[n-1].to.less(r.to) {
				six[n-1].to = r.to
			}
			continue
		}
		six = append(six, r)
	}
	s.six = slices.Clip(six)
	i := 0
	for b := range uint32(256) {
		for i < len(s.four) && s.four[i].to>>24 < b {
			i++
		}
		s.first[b] = uint32(i)
	}
	s.first[256] = uint32(len(s.four))
	// Of IPv6 all that is ever routed is 2000::/3 (RFC 4291 section 2.4).
	for _, r := range s.six {
		if r.from.hi <= 0x2000<<48 && r.to.hi >= math.MaxUint64>>2 {
			covered = "IPv6"
		}
	}
	if len(s.four) == 1 && s.four[0] == (range4{0, math.MaxUint32}) {
		covered = "IPv4"
	}
	return covered
}

// next is the address after p; the last one stays.
func (p pair) next() pair {
	if p.lo++; p.lo == 0 {
		if p.hi++; p.hi == 0 {
			return pair{math.MaxUint64, math.MaxUint64}
		}
	}
	return p
}

// contains reports whether a is in the set; the invalid address never is.
func (s *prefixSet) contains(a netip.Addr) bool {
	switch {
	case a.Is4() || a.Is4In6():
		if len(s.four) == 0 {
			return false
		}
		return s.contains4(fourOf(a))
	case len(s.six) == 0 || !a.IsValid():
		return false
	}
	p := pairOf(a)
	i, j := 0, len(s.six)
	for i < j { // the first range that ends at p or after it
		if m := int(uint(i+j) / 2); s.six[m].to.less(p) {
			i = m + 1
		} else {
			j = m
		}
	}
	return i < len(s.six) && !p.less(s.six[i].from)
}

func (s *prefixSet) contains4(u uint32) bool {
	i, j := s.first[u>>24], min(s.first[u>>24+1]+1, uint32(len(s.four)))
	for i < j { // the first range that ends at u or after it
		if m := (i + j) / 2; s.four[m].to < u {
			i = m + 1
		} else {
			j = m
		}
	}
	return i < uint32(len(s.four)) && s.four[i].from <= u
}
