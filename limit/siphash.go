package limit

import "math/bits"

// sip is SipHash-2-4 with an output of 128 bits (Aumasson and Bernstein,
// "SipHash: a fast short-input PRF", and its reference implementation, which
// defines the longer output).
type sip struct {
	v0, v1, v2, v3 uint64
}

func (h Hasher) start() sip {
	return sip{
		v0: h.k0 ^ 0x736f6d6570736575,
		v1: h.k1 ^ 0x646f72616e646f6d ^ 0xee, // 0xee: the output is of 128 bits
		v2: h.k0 ^ 0x6c7967656e657261,
		v3: h.k1 ^ 0x7465646279746573,
	}
}

func (s *sip) round() {
	s.v0 += s.v1
	s.v2 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v1
	s.v0 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

func (s *sip) block(m uint64) {
	s.v3 ^= m
	s.round()
	s.round()
	s.v0 ^= m
}

func (s *sip) end() (k Key) {
	s.v2 ^= 0xee
	for range 4 {
		s.round()
	}
	k[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3
	s.v1 ^= 0xdd
	for range 4 {
		s.round()
	}
	k[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3
	return k
}
