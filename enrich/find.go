package enrich

import "net/netip"

// nextAddress finds the first address in b from i on: the longest run of
// characters that addresses have, in which brackets, a port and the punctuation
// of a sentence are left out.
func nextAddress(b []byte, i int) (addr netip.Addr, from, to int, ok bool) {
	for i < len(b) {
		if !addressByte(b[i]) {
			i++
			continue
		}
		from = i
		marks := 0
		for i < len(b) && addressByte(b[i]) {
			if b[i] == '.' || b[i] == ':' {
				marks++
			}
			i++
		}
		if marks < 2 || i-from > maxAddress || from > 0 && wordByte(b[from-1]) || i < len(b) && wordByte(b[i]) {
			continue
		}
		to = i
		for to > from && (b[to-1] == '.' || b[to-1] == ':') && !(to-from >= 3 && b[to-1] == ':' && b[to-2] == ':') {
			to--
		}
		if a, reason := parse(text(b[from:to])); reason == "" {
			if a.Is4() { // without the port
				for j := from; j < to; j++ {
					if b[j] == ':' {
						return a, from, j, true
					}
				}
			}
			return a, from, to, true
		}
	}
	return addr, 0, 0, false
}

const maxAddress = 64

func addressByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' || c == '.' || c == ':'
}

// wordByte reports whether an address beside it would be a part of a word.
func wordByte(c byte) bool {
	return 'g' <= c && c <= 'z' || 'G' <= c && c <= 'Z' || c == '_' || c >= 0x80
}
