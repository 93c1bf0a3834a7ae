package clientip

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// maxElement is the longest element that is looked at, white space included:
// longer than any address with brackets, zone and port.
const maxElement = 192

// maxZone is as in [ipwarden.ParseAddr].
const maxZone = 64

// lastElement cuts the last element off a list: rest is what is left of its
// comma, and more whether there was one. Of white space SP and HTAB alone are
// trimmed (RFC 9110 section 5.6.3). The element is "" when it is too long.
func lastElement(s string) (element, rest string, more bool) {
	from := max(0, len(s)-maxElement-1)
	i := strings.LastIndexByte(s[from:], ',')
	if i < 0 {
		if from > 0 {
			return "", "", false
		}
		return trim(s), "", false
	}
	return trim(s[from+i+1:]), s[:from+i], true
}

func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// parseNode reads one element: an IPv4 address in four plain decimal parts with
// or without a port, or an IPv6 address, which has brackets if it has a port.
// A zone is dropped, and reported. The address is not yet canonical. It is
// strict, and does not allocate whatever arrives; nor does it keep anything of
// s, as a netip.Addr with a zone would.
func parseNode(s string) (addr netip.Addr, zone, ok bool) {
	if s == "" {
		return addr, false, false
	}
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 || s[end+1:] != "" && !isPort(s[end+1:]) {
			return addr, false, false
		}
		return parse6(s[1:end])
	}
	if addr, n := parse4(s); n > 0 && (n == len(s) || isPort(s[n:])) {
		return addr, false, true
	}
	return parse6(s)
}

// isPort reports whether s is a colon and a port number.
func isPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	n := 0
	for i := 1; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return false
		}
		n = n*10 + int(c)
	}
	return n <= 65535
}

// withoutPort cuts off the port of "203.0.113.66:443" and of an IPv6 address
// without brackets, "2001:db8::7:443", which must have one: without it, the last
// group would be taken for it, so this is for senders that always give one.
func withoutPort(s string) (string, bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || !isPort(s[i:]) {
		return "", false
	}
	return s[:i], true
}

// parse4 reads dotted-decimal IPv4 at the beginning of s, without leading zeros
// (as RFC 3986 section 3.2.2 has it), and returns how many bytes it took; 0
// when there is none.
func parse4(s string) (addr netip.Addr, n int) {
	var u uint32
	for part := range 4 {
		if part > 0 {
			if n >= len(s) || s[n] != '.' {
				return addr, 0
			}
			n++
		}
		if n >= len(s) {
			return addr, 0
		}
		v := uint32(s[n] - '0')
		if v > 9 {
			return addr, 0
		}
		if n++; n < len(s) && s[n]-'0' <= 9 { // a second digit, unless the first is 0
			if v == 0 {
				return addr, 0
			}
			v = v*10 + uint32(s[n]-'0')
			if n++; n < len(s) && s[n]-'0' <= 9 {
				v = v*10 + uint32(s[n]-'0')
				n++
			}
			if v > 255 {
				return addr, 0
			}
		}
		u = u<<8 | v
	}
	if n < len(s) && s[n]-'0' <= 9 {
		return addr, 0
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], u)
	return netip.AddrFrom4(b), n
}

// parse6 reads all of s as IPv6 (RFC 4291 section 2.2), with an optional zone.
func parse6(s string) (addr netip.Addr, zone, ok bool) {
	if i := strings.IndexByte(s, '%'); i >= 0 {
		if !isZone(s[i+1:]) {
			return addr, false, false
		}
		s, zone = s[:i], true
	}
	if len(s) < 2 || len(s) > 45 {
		return addr, false, false
	}
	var b [16]byte
	at, gap := 0, -1 // bytes written, and where "::" stands
	if s[0] == ':' {
		if s[1] != ':' {
			return addr, false, false
		}
		gap, s = 0, s[2:]
	}
	for s != "" {
		v, n := uint(0), 0
		for ; n < len(s) && n < 4; n++ {
			d := hexDigit(s[n])
			if d > 15 {
				break
			}
			v = v<<4 | uint(d)
		}
		if n == 0 || at == 16 {
			return addr, false, false
		}
		if n < len(s) && s[n] == '.' { // the last 32 bits in dotted decimal
			four, m := parse4(s)
			if m != len(s) || at > 12 || gap < 0 && at != 12 {
				return addr, false, false
			}
			f := four.As4()
			copy(b[at:], f[:])
			at += 4
			break
		}
		b[at], b[at+1] = byte(v>>8), byte(v)
		at += 2
		if s = s[n:]; s == "" {
			break
		}
		switch {
		case s[0] != ':' || len(s) == 1:
			return addr, false, false
		case s[1] != ':':
			s = s[1:]
		case gap >= 0:
			return addr, false, false // a second "::"
		default:
			gap, s = at, s[2:]
		}
	}
	if gap < 0 && at != 16 || gap >= 0 && at == 16 {
		return addr, false, false // "::" stands for one group at least
	}
	if gap >= 0 {
		n := copy(b[16-(at-gap):], b[gap:at])
		clear(b[gap : 16-n])
	}
	return netip.AddrFrom16(b), zone, true
}

// isZone is as in [ipwarden.ParseAddr].
func isZone(s string) bool {
	if s == "" || len(s) > maxZone {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// Parse reads one address in the forms of an element: an IPv4 address in four
// plain decimal parts with or without a port, or an IPv6 address, which has
// brackets if it has a port, and may have a zone. The zone is dropped, and zone
// says so; the address is not yet canonical (see [ipwarden.Canonical]). It is for
// addresses that stand alone, in a log or an event; those of a request are found
// by an [Extractor]. It does not allocate, and keeps nothing of s.
func Parse(s string) (addr netip.Addr, zone, ok bool) { return parseNode(s) }
