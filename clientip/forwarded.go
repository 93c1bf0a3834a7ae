package clientip

import "net/netip"

// maxForwarded is the longest element of Forwarded that is looked at.
const maxForwarded = 512

// lastForwarded cuts the last element off a Forwarded header (RFC 7239 section
// 4), as [lastElement] does. It reads from the right: the right part was
// written by a proxy of ours, its quotes come in pairs, and so no quote that
// somebody left open further left can reach into it.
func lastForwarded(s string) (element, rest string, more bool) {
	end := max(0, len(s)-maxForwarded)
	quoted := false
	for i := len(s) - 1; i >= end; i-- {
		switch s[i] {
		case '"':
			// Inside of a quoted-string a quote may be escaped: an odd number of
			// backslashes stands before it.
			if !quoted || !escaped(s[end:i]) {
				quoted = !quoted
			}
		case ',':
			if !quoted {
				return trim(s[i+1:]), s[:i], true
			}
		}
	}
	if end > 0 {
		return "", "", false // too long
	}
	return trim(s), "", false
}

func escaped(before string) bool {
	n := 0
	for i := len(before) - 1; i >= 0 && before[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// parseForwarded reads the address of for= in one element. An obfuscated
// identifier ("_hidden"), "unknown", no for= at all, two of them, and whatever
// breaks the grammar are not ok.
func parseForwarded(s string) (addr netip.Addr, zone, ok bool) {
	var node string
	found := false
	for {
		s = trim(s)
		if s != "" && s[0] != ';' { // a pair may be empty (section 4)
			name, after := token(s)
			if name == "" || after == "" || after[0] != '=' {
				return addr, false, false
			}
			var value string
			if value, s, ok = pairValue(after[1:]); !ok {
				return addr, false, false
			}
			if isFor(name) {
				if found { // "MUST NOT occur more than once per field-value"
					return addr, false, false
				}
				node, found = value, true
			}
			s = trim(s)
		}
		if s == "" {
			break
		}
		if s[0] != ';' {
			return addr, false, false
		}
		s = s[1:]
	}
	return forwardedNode(node)
}

// isFor: parameter names are case-insensitive (section 4).
func isFor(name string) bool {
	return len(name) == 3 && name[0]|0x20 == 'f' && name[1]|0x20 == 'o' && name[2]|0x20 == 'r'
}

func token(s string) (name, after string) {
	n := 0
	for n < len(s) && tokenByte(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// pairValue reads a token or a quoted-string (RFC 9110 section 5.6.4). A value
// with an escape is given as it stands: no address has one.
func pairValue(s string) (value, after string, ok bool) {
	if s == "" || s[0] != '"' {
		value, after = token(s)
		return value, after, value != ""
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[1:i], s[i+1:], true
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
				return "", "", false
			}
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", "", false
		}
	}
	return "", "", false // left open
}

// forwardedNode reads a node (section 6): IPv6 has brackets always, and a port
// may be obfuscated.
func forwardedNode(s string) (addr netip.Addr, zone, ok bool) {
	if n := len(s); n > 0 && s[0] != '[' {
		four, m := parse4(s)
		return four, false, m > 0 && (m == n || isPort(s[m:]) || isHiddenPort(s[m:]))
	}
	for i := range len(s) {
		if s[i] == ']' && i+1 < len(s) && isHiddenPort(s[i+1:]) {
			s = s[:i+1]
			break
		}
	}
	return parseNode(s)
}

// isHiddenPort is obfport of section 6, after its colon.
func isHiddenPort(s string) bool {
	if len(s) < 3 || s[0] != ':' || s[1] != '_' {
		return false
	}
	for i := 2; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
