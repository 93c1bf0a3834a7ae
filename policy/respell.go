package policy

import "strings"

// Respell writes a path as it should go on to the upstream, so that what was
// judged is what is served: dot segments are followed, slashes merged, and
// percent-encoding is as RFC 3986 section 6.2.2 wants it, undone where it says
// nothing and in capitals elsewhere. Capitals and parameters stay, because to
// drop them is the upstream's own doing (FoldCase, StripParameters).
//
// Normalize reads the result as it reads raw, and what it refuses is refused. A
// path that needs nothing is returned as it is, without an allocation.
func (p Paths) Respell(raw string) (string, error) {
	if _, err := p.Normalize(raw); err != nil {
		return "", err
	}
	switch {
	case raw == "":
		return "/", nil
	case raw == "*" || p.spelled(raw):
		return raw, nil
	}
	out := make([]byte, 0, len(raw)+len(raw)/4)
	var starts []int // of the segments in out
	for rest, more := raw[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch {
		case segment == "." || segment == "..":
			if segment == ".." { // Normalize has refused a way above the root
				out, starts = out[:starts[len(starts)-1]], starts[:len(starts)-1]
			}
			if !more {
				out = append(out, '/')
			}
		case p.name(segment) == "" && !p.KeepSlashes && (more || len(out) > 0 && out[len(out)-1] == '/'):
		default:
			starts = append(starts, len(out))
			out = appendSegment(append(out, '/'), segment)
		}
	}
	if len(out) == 0 {
		return "/", nil
	}
	return string(out), nil
}

// spelled reports whether Respell would change nothing in a path that Normalize
// takes.
func (p Paths) spelled(raw string) bool {
	slash := false
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == ';' && slash && p.StripParameters:
			return false
		case c == '/':
			if slash && !p.KeepSlashes || strings.HasPrefix(raw[i+1:], ".") && dotSegment(raw[i+1:]) {
				return false
			}
			slash = true
		case !pchar(c):
			return false
		default:
			slash = false
		}
	}
	return true
}

// appendSegment appends a segment in the one spelling it has.
func appendSegment(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c, encoded := s[i], false
		if c == '%' { // Normalize has seen that two digits follow
			c, encoded = byte(unhex(s[i+1])<<4|unhex(s[i+2])), true
			i += 2
		}
		// What is reserved means one thing as it is and may mean another encoded
		// (RFC 3986 section 2.2), so it stays as it was sent.
		if unreserved(c) || !encoded && pchar(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', digits[c>>4], digits[c&15])
	}
	return dst
}

// unreserved is of RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// pchar is what a segment may have unencoded (RFC 3986 section 3.3).
func pchar(c byte) bool { return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@", c) >= 0 }
