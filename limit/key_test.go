package limit

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// The vectors are those of the reference implementation (vectors.h,
// vectors_sip128): key 00…0f, input 00, 01, 02 …
func TestSipHash(t *testing.T) {
	var seed [16]byte
	for i := range seed {
		seed[i] = byte(i)
	}
	h := NewHasher(seed)
	in := make([]byte, 0, 64)
	for n, want := range map[int]string{
		0: "\xa3\x81\x7f\x04\xba\x25\xa8\xe6\x6d\xf6\x72\x14\xc7\x55\x02\x93",
		1: "\xda\x87\xc1\xd8\x6b\x99\xaf\x44\x34\x76\x59\x11\x9b\x22\xfc\x45",
	} {
		in = in[:0]
		for i := range n {
			in = append(in, byte(i))
		}
		k := h.Sum(in)
		got := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, k[0]), k[1])
		if string(got) != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

// Sum is the obvious SipHash of each length.
func TestSumIsTheObviousOne(t *testing.T) {
	h := NewHasher([16]byte{3, 1, 4, 1, 5, 9, 2, 6})
	tuple := make([]byte, 0, 300)
	for n := range 300 {
		if got, want := h.Sum(tuple), slowSip(h, tuple); got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
		tuple = append(tuple, byte(n*7+1))
	}
}

// slowSip follows the paper, a byte and a round at a time.
func slowSip(h Hasher, in []byte) (k Key) {
	v := [4]uint64{h.k0 ^ 0x736f6d6570736575, h.k1 ^ 0x646f72616e646f6d ^ 0xee, h.k0 ^ 0x6c7967656e657261, h.k1 ^ 0x7465646279746573}
	rotate := func(x uint64, n int) uint64 { return x<<n | x>>(64-n) }
	rounds := func(n int) {
		for range n {
			v[0] += v[1]
			v[1] = rotate(v[1], 13) ^ v[0]
			v[0] = rotate(v[0], 32)
			v[2] += v[3]
			v[3] = rotate(v[3], 16) ^ v[2]
			v[0] += v[3]
			v[3] = rotate(v[3], 21) ^ v[0]
			v[2] += v[1]
			v[1] = rotate(v[1], 17) ^ v[2]
			v[2] = rotate(v[2], 32)
		}
	}
	length := len(in)
	padded := append([]byte(nil), in...)
	for len(padded)%8 != 7 {
		padded = append(padded, 0)
	}
	padded = append(padded, byte(length))
	for i := 0; i < len(padded); i += 8 {
		m := uint64(0)
		for j := range 8 {
			m |= uint64(padded[i+j]) << (8 * j)
		}
		v[3] ^= m
		rounds(2)
		v[0] ^= m
	}
	v[2] ^= 0xee
	rounds(4)
	k[0] = v[0] ^ v[1] ^ v[2] ^ v[3]
	v[1] ^= 0xdd
	rounds(4)
	k[1] = v[0] ^ v[1] ^ v[2] ^ v[3]
	return k
}

// Tuples of other parts are other keys, whatever delimiters the parts hold.
func TestTuples(t *testing.T) {
	h := NewHasher([16]byte{7})
	seen := map[Key][]string{}
	for _, parts := range [][]string{
		{},
		{""},
		{"", ""},
		{"a", "bc"},
		{"ab", "c"},
		{"abc"},
		{"a|b"},
		{"a", "b"},
		{"a:b"},
		{"1.1.1.1", "x"},
		{"1.1.1.1x"},
		{"a\x01b"},
		{"a", "\x01b"},
		{"\x01a\x01b"},
		{string(make([]byte, 127))},
		{string(make([]byte, 128))},
	} {
		var tuple []byte
		for _, p := range parts {
			tuple = AppendPart(tuple, p)
		}
		k := h.Sum(tuple)
		if before, ok := seen[k]; ok {
			t.Errorf("%q and %q are one key", before, parts)
		}
		seen[k] = parts
		if k == (Hasher{}).Sum(tuple) {
			t.Errorf("%q: the seed makes no difference", parts)
		}
	}
}

func TestSumPrefix(t *testing.T) {
	h := NewHasher([16]byte{7})
	a, b := h.Salt(AppendPart(nil, "a")), h.Salt(AppendPart(nil, "b"))
	seen := map[Key]string{}
	for _, p := range []string{
		"0.0.0.0/32", "203.0.113.66/32", "203.0.113.67/32", "203.0.113.0/24", "::/64", "::/128", "2001:db8:1:2::/64", "2001:db8:1:3::/64",
		"2001:db8:1::/56", "2001:db8:1::/48", "2001:db8:1::1/128", "::cb00:7142/128", "2001:db8:1:2::/128",
	} {
		for _, salt := range []Salt{a, b} {
			k := h.SumPrefix(salt, netip.MustParsePrefix(p))
			if before, ok := seen[k]; ok {
				t.Errorf("%s and %s are one key", before, p)
			}
			seen[k] = p
		}
	}
}
