package spoa

import "errors"

var (
	errShort  = errors.New("a frame ends in the midst of a value")
	errVarint = errors.New("a number of more than 64 bits")
)

// appendVarint appends v in the encoding of HAProxy's peers protocol (section
// 3.1), which is not LEB128: the first byte has 4 bits, or is the whole number
// below 240.
func appendVarint(b []byte, v uint64) []byte {
	if v < 240 {
		return append(b, byte(v))
	}
	b = append(b, byte(v)|240)
	v = (v - 240) >> 4
	for v >= 128 {
		b = append(b, byte(v)|128)
		v = (v - 128) >> 7
	}
	return append(b, byte(v))
}

// varint reads a number and returns what follows it.
func varint(b []byte) (uint64, []byte, error) {
	if len(b) == 0 {
		return 0, nil, errShort
	}
	v := uint64(b[0])
	if v < 240 {
		return v, b[1:], nil
	}
	for i, shift := 1, 4; i < len(b); i, shift = i+1, shift+7 {
		if shift > 60 {
			return 0, nil, errVarint
		}
		c := b[i]
		v += uint64(c) << shift // HAProxy wraps around as well
		if c < 128 {
			return v, b[i+1:], nil
		}
	}
	return 0, nil, errShort
}

// bytesOf reads a length and that many bytes, which are part of b.
func bytesOf(b []byte) (text, rest []byte, err error) {
	n, rest, err := varint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(rest)) {
		return nil, nil, errShort
	}
	return rest[:n:n], rest[n:], nil
}

func appendString(b []byte, s string) []byte { return append(appendVarint(b, uint64(len(s))), s...) }
