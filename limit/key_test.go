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
