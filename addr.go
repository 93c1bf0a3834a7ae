package ipwarden

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Transition says which wrapping a canonical address was taken out of.
type Transition uint8

const (
	NotWrapped Transition = iota
	Mapped                // ::ffff:0:0/96, RFC 4291 section 2.5.5.2
	NAT64                 // 64:ff9b::/96, RFC 6052 section 2.1
	SixToFour             // 2002::/16, RFC 3056 section 2
	Teredo                // 2001::/32, RFC 4380 section 4
)

// String returns the word of the JSON: "mapped", "nat64", "6to4", "teredo", or "".
func (t Transition) String() string {
	switch t {
	case Mapped:
		return "mapped"
	case NAT64:
		return "nat64"
	case SixToFour:
		return "6to4"
	case Teredo:
		return "teredo"
	}
	return ""
}

// Canonical reduces an address to its bits: the zone is dropped, and an IPv4
// address wrapped in IPv6 is taken out, so that every spelling of one address
// is one key. It costs a few nanoseconds and does not allocate. The invalid
// address stays invalid.
func Canonical(a netip.Addr) (netip.Addr, Transition) {
	if a.Is4() || !a.IsValid() {
		return a, NotWrapped
	}
	hi, lo := halves(a)
	switch {
	case hi == 0 && lo>>32 == 0xffff:
		return v4(uint32(lo)), Mapped
	case hi == 0x0064ff9b_00000000 && lo>>32 == 0:
		return v4(uint32(lo)), NAT64
	case hi>>48 == 0x2002:
		return v4(uint32(hi >> 16)), SixToFour
	case hi>>32 == 0x2001_0000:
		return v4(^uint32(lo)), Teredo // the client's address, its bits inverted
	}
	if a.Zone() != "" {
		return a.WithZone(""), NotWrapped
	}
	return a, NotWrapped
}

// halves returns the bits of an IPv6 address. The compiler moves what As16 returns
// in one piece of 16 bytes, though it was stored in two of 8, and no processor
// forwards that from its store buffer: each look-up would wait until all before it
// are done with their memory. A slice is read where it was stored, and does not
// escape.
func halves(a netip.Addr) (hi, lo uint64) {
	b := a.AsSlice()
	if len(b) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
}

func v4(u uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], u)
	return netip.AddrFrom4(b)
}

// maxAddrText is the longest text ParseAddr reads: the longest IPv6 form (45
// bytes) and a zone of a generous interface name.
const maxAddrText = 45 + 1 + 64

// Errors of ParseAddr. They say what was wrong, in the words of a sentence
// that begins with the text that was asked for.
var (
	ErrAddrEmpty    = errors.New("is empty")
	ErrAddrTooLong  = errors.New("is longer than any address")
	ErrAddrPort     = errors.New("carries a port or brackets, give the address alone")
	ErrAddrZone     = errors.New("has a zone with other characters than letters, digits, '.', '-' and '_'")
	ErrAddrNotPlain = errors.New("is not an IPv4 address in four plain decimal parts or an IPv6 address")
)

// ParseAddr reads one literal address as a person or a client spells it:
// dotted-decimal IPv4 without leading zeros, or IPv6 with an optional zone. It
// resolves no names and reads no ports, no brackets, no octal, hexadecimal,
// shortened or integer IPv4. The result is not yet canonical; see [Canonical].
func ParseAddr(s string) (netip.Addr, error) {
	switch {
	case s == "":
		return netip.Addr{}, ErrAddrEmpty
	case len(s) > maxAddrText:
		return netip.Addr{}, ErrAddrTooLong
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		if _, err := netip.ParseAddrPort(s); err == nil || s[0] == '[' {
			return netip.Addr{}, ErrAddrPort
		}
		return netip.Addr{}, ErrAddrNotPlain
	}
	for _, c := range []byte(a.Zone()) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_') {
			return netip.Addr{}, ErrAddrZone
		}
	}
	return a, nil
}
