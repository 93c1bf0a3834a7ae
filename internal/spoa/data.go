package spoa

import (
	"fmt"
	"net/netip"
	"unsafe"
)

// The types of typed data (section 3.1), in the low four bits of its first byte.
const (
	typeNull   = 0
	typeBool   = 1 // the value is a flag
	typeInt32  = 2
	typeUint32 = 3
	typeInt64  = 4
	typeUint64 = 5
	typeIPv4   = 6
	typeIPv6   = 7
	typeString = 8
	typeBinary = 9

	typeMask = 0x0f
	flagTrue = 0x10
)

// A datum is one typed value. Its bytes are part of the frame.
type datum struct {
	kind byte
	num  uint64 // of numbers; 1 for true
	raw  []byte // of addresses, strings and binaries
}

// parseDatum reads a value and returns what follows it.
func parseDatum(b []byte) (d datum, rest []byte, err error) {
	rest, err = d.parse(b)
	return d, rest, err
}

// parse is parseDatum into d: more than nine words are not returned in registers.
func (d *datum) parse(b []byte) (rest []byte, err error) {
	*d = datum{}
	if len(b) == 0 {
		return nil, errShort
	}
	first := b[0]
	d.kind, rest = first&typeMask, b[1:]
	n := 0
	switch d.kind {
	case typeString, typeBinary:
		d.raw, rest, err = bytesOf(rest)
		return rest, err
	case typeNull:
		return rest, nil
	case typeBool:
		if first&flagTrue != 0 {
			d.num = 1
		}
		return rest, nil
	case typeInt32, typeUint32, typeInt64, typeUint64:
		d.num, rest, err = varint(rest)
		return rest, err
	case typeIPv4:
		n = 4
	case typeIPv6:
		n = 16
	default:
		return nil, fmt.Errorf("a value of type %d, which SPOP 2.0 does not have", d.kind)
	}
	if len(rest) < n {
		return nil, errShort
	}
	d.raw = rest[:n:n]
	return rest[n:], nil
}

// text is a string, or a binary; "" for anything else. It is part of the frame,
// and so holds until the frame is answered.
func (d datum) text() string {
	if d.kind != typeString && d.kind != typeBinary {
		return ""
	}
	return alias(d.raw)
}

// addr is an address; the invalid one for anything else, as on a Unix socket.
func (d datum) addr() netip.Addr {
	switch d.kind {
	case typeIPv4:
		return netip.AddrFrom4([4]byte(d.raw))
	case typeIPv6:
		return netip.AddrFrom16([16]byte(d.raw))
	}
	return netip.Addr{}
}

func (d datum) true() bool { return d.kind == typeBool && d.num == 1 }

// number is a number; ok is false for anything else.
func (d datum) number() (n uint64, ok bool) {
	return d.num, d.kind >= typeInt32 && d.kind <= typeUint64
}

// alias is b as a string, without a copy: b must not change while it is in use.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
