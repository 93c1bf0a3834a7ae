package clientip

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// anAddr is a random address out of a few neighbourhoods, so that it hits.
func anAddr(r *rand.Rand) netip.Addr {
	var b [16]byte
	if r.IntN(2) == 0 {
		binary.BigEndian.PutUint32(b[:4], r.Uint32()&0x0f0000ff|r.Uint32N(4)<<14)
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	binary.BigEndian.PutUint64(b[:8], 0x2001_0db8<<32|uint64(r.IntN(8))<<29|uint64(r.IntN(4)))
	binary.BigEndian.PutUint64(b[8:], uint64(r.IntN(3))<<62|uint64(r.IntN(4)))
	return netip.AddrFrom16(b)
}

// TestSet compares the set with a loop over the prefixes.
func TestSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var s prefixSet
		var all []netip.Prefix
		for range r.IntN(40) {
			a := anAddr(r)
			p := netip.PrefixFrom(a, 1+r.IntN(a.BitLen()))
			all = append(all, p)
			if text := s.add(p); text != "" {
				t.Fatal(text)
			}
		}
		s.build()
		check := func(a netip.Addr) {
			want := false
			for _, p := range all {
				want = want || p.Contains(a)
			}
			if got := s.contains(a); got != want {
				t.Fatalf("%s in %v: %v", a, all, got)
			}
			if a.Is4() && s.contains(netip.AddrFrom16(a.As16())) != want {
				t.Fatalf("mapped %s in %v: %v", a, all, !want)
			}
			if !a.Is4() && s.contains(a.WithZone("eth0")) != want {
				t.Fatalf("%s with a zone in %v: %v", a, all, !want)
			}
		}
		for range 300 {
			check(anAddr(r))
		}
		for _, p := range all { // the edges
			first := p.Masked().Addr()
			check(first)
			if before := first.Prev(); before.IsValid() {
				check(before)
			}
			last := first.AsSlice()
			for i := p.Bits(); i < len(last)*8; i++ {
				last[i/8] |= 1 << (7 - i%8)
			}
			end, _ := netip.AddrFromSlice(last)
			check(end)
			if after := end.Next(); after.IsValid() {
				check(after)
			}
		}
	}
	if (&prefixSet{}).contains(netip.Addr{}) || (&prefixSet{}).contains(netip.MustParseAddr("::1")) {
		t.Error("the empty set has something")
	}
	var s prefixSet
	s.add(netip.MustParsePrefix("::/8"))
	s.build()
	if s.contains(netip.Addr{}) {
		t.Error("the invalid address is in a set")
	}
}
