package dialect

import (
	"math"
	"net/netip"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

// Answers are written by hand, a member after the other: key is the whole of a
// member's beginning, comma and colon included (`,"city":`).

// text appends a string member.
func text(dst []byte, key, s string) []byte { return ipwarden.AppendString(append(dst, key...), s) }

// known appends a string member, or nothing when nothing is known.
func known(dst []byte, key, s string) []byte {
	if s == "" {
		return dst
	}
	return text(dst, key, s)
}

// nullable appends a string member that is null when nothing is known.
func nullable(dst []byte, key, s string) []byte {
	if s == "" {
		return append(append(dst, key...), "null"...)
	}
	return text(dst, key, s)
}

// truth appends a boolean member.
func truth(dst []byte, key string, b bool) []byte {
	return strconv.AppendBool(append(dst, key...), b)
}

// number appends a whole number.
func number(dst []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(dst, key...), n, 10)
}

// degrees appends a coordinate.
func degrees(dst []byte, key string, d float64) []byte {
	return appendDegrees(append(dst, key...), d)
}

func appendDegrees(dst []byte, d float64) []byte {
	if math.IsNaN(d) || math.IsInf(d, 0) {
		d = 0 // JSON has no word for it
	}
	return strconv.AppendFloat(dst, d, 'f', -1, 64)
}

// address appends an address member.
func address(dst []byte, key string, a netip.Addr) []byte {
	dst = append(append(dst, key...), '"')
	return append(a.AppendTo(dst), '"')
}

// network appends a prefix as a string, "" when it is none.
func network(dst []byte, key string, p netip.Prefix) []byte {
	dst = append(append(dst, key...), '"')
	if p.IsValid() {
		dst = p.AppendTo(dst)
	}
	return append(dst, '"')
}

// asNumber appends "AS15169" without quotes.
func asNumber(dst []byte, n uint32) []byte {
	return strconv.AppendUint(append(dst, "AS"...), uint64(n), 10)
}

// asMember appends a member "AS15169".
func asMember(dst []byte, key string, n uint32) []byte {
	dst = append(append(dst, key...), '"')
	return append(asNumber(dst, n), '"')
}

// closeObject makes an object of the members appended since start, the first of
// which has a comma too much.
func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, '{', '}')
	}
	dst[start] = '{'
	return append(dst, '}')
}

func itoa(n int) string { return strconv.Itoa(n) }
