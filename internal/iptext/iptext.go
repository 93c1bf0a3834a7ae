// Package iptext finds the addresses in text that anybody may have written: log
// lines, configurations, mail.
//
// An address is dotted-decimal IPv4 without leading zeros, or IPv6, as
// [github.com/ipwarden/ipwarden.ParseAddr] reads them, with or without a port,
// brackets or a zone, which are not part of what is found. It stands by itself:
// what is part of a longer word, number or name is none, such as the version
// 1.2.3.4.5, the host 1.2.3.4.example.org and C++'s std::abs. "::" alone counts
// in brackets only, and a single full stop or colon behind an address ends a
// sentence.
package iptext

import (
	"iter"
	"net/netip"
)

// A Match is one address and the bytes text[Start:End] that spell it. It is as
// written: mapped addresses stay mapped, and a zone is neither in it nor in
// the bytes.
type Match struct {
	Addr       netip.Addr
	Start, End int
}

// All yields the addresses in text from left to right.
func All(text []byte) iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for at := 0; ; {
			m, ok := Next(text, at)
			if !ok || !yield(m) {
				return
			}
			at = m.End
		}
	}
}

// Next finds the first address that begins at text[at] or behind it, where at
// is 0 or the End of the match before. It takes time in proportion to what it
// passes over, and memory only for IPv6.
func Next(text []byte, at int) (Match, bool) {
	i := at
	if at > 0 { // the rest of the run that the match before is in; it is not walked through twice
		m, end, ok := four(text, at)
		if ok {
			return m, true
		}
		i = end
	}
	for i < len(text) {
		if class[text[i]] == 0 {
			i++
			continue
		}
		start, dots, colons := i, 0, 0
		for ; i < len(text) && class[text[i]] != 0; i++ {
			switch class[text[i]] {
			case dot:
				dots++
			case colon:
				colons++
			}
		}
		if colons >= 2 {
			if m, ok := six(text, start, i); ok {
				return m, true
			}
		}
		if dots >= 3 {
			if m, _, ok := four(text, start); ok {
				return m, true
			}
		}
	}
	return Match{}, false
}

// Classes of bytes that addresses are made of.
const (
	hex = iota + 1
	dot
	colon
)

var class = [256]uint8{
	'0': hex, '1': hex, '2': hex, '3': hex, '4': hex, '5': hex, '6': hex, '7': hex, '8': hex, '9': hex,
	'a': hex, 'b': hex, 'c': hex, 'd': hex, 'e': hex, 'f': hex,
	'A': hex, 'B': hex, 'C': hex, 'D': hex, 'E': hex, 'F': hex,
	'.': dot, ':': colon,
}

// word reports whether text[i] is a letter or a digit; outside of text is none.
func word(text []byte, i int) bool {
	if i < 0 || i >= len(text) {
		return false
	}
	c := text[i]
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// longest is the longest spelling of an IPv6 address.
const longest = 45

// six reads the run text[from:to] as one IPv6 address.
func six(text []byte, from, to int) (Match, bool) {
	after := to
	if word(text, from-1) || text[from] == ':' && text[from+1] != ':' { // "src:2001:db8::1"
		for text[from] != ':' {
			from++
		}
		if from++; from == to || text[from] == ':' {
			return Match{}, false
		}
	}
	for to > from && text[to-1] == '.' {
		to--
	}
	if to-from >= 2 && text[to-1] == ':' && text[to-2] != ':' {
		to--
	}
	if n := to - from; n < 2 || n > longest || word(text, after) {
		return Match{}, false
	}
	if to-from == 2 && (from == 0 || text[from-1] != '[') {
		return Match{}, false
	}
	if !eight(text[from:to]) {
		return Match{}, false
	}
	a, err := netip.ParseAddr(string(text[from:to]))
	if err != nil || !a.Is6() {
		return Match{}, false
	}
	return Match{a, from, to}, true
}

// eight reports whether b can have eight groups: it spares times of day the
// parser's error, which costs more than all else.
func eight(b []byte) bool {
	colons, dots := 0, 0
	for i, c := range b {
		switch {
		case c == '.':
			dots++
		case c != ':':
		case i > 0 && b[i-1] == ':':
			return true
		default:
			colons++
		}
	}
	return colons == 7 || colons == 6 && dots == 3
}

// four reads the first IPv4 address between the colons of the run that begins
// at from, or says where the run ends.
func four(text []byte, from int) (m Match, end int, ok bool) {
	for start := from; ; start = end + 1 {
		end = start
		for end < len(text) && class[text[end]] != 0 && text[end] != ':' {
			end++
		}
		to := end
		for start < to && text[start] == '.' {
			start++
		}
		for to > start && text[to-1] == '.' {
			to--
		}
		if a, ok := Parse4(text[start:to]); ok && !wordBefore(text, start) && !word(text, end) {
			return Match{a, start, to}, end, true
		}
		if end == len(text) || text[end] != ':' {
			return Match{}, end, false
		}
	}
}

// wordBefore reports whether a word, or a name's label, ends where text[start]
// begins.
func wordBefore(text []byte, start int) bool {
	i := start - 1
	for i >= 0 && text[i] == '.' {
		i--
	}
	return word(text, i)
}

// Parse4 reads all of b as dotted-decimal IPv4 without leading zeros.
func Parse4(b []byte) (netip.Addr, bool) {
	if len(b) < 7 || len(b) > 15 {
		return netip.Addr{}, false
	}
	var a [4]byte
	part, v, digits := 0, 0, 0
	for _, c := range b {
		if c == '.' {
			if digits == 0 || part == 3 {
				return netip.Addr{}, false
			}
			a[part] = byte(v)
			part++
			v, digits = 0, 0
			continue
		}
		c -= '0'
		if c > 9 || digits > 0 && v == 0 {
			return netip.Addr{}, false
		}
		if v = v*10 + int(c); v > 255 {
			return netip.Addr{}, false
		}
		digits++
	}
	if digits == 0 || part != 3 {
		return netip.Addr{}, false
	}
	a[3] = byte(v)
	return netip.AddrFrom4(a), true
}
