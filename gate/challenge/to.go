package challenge

import "strings"

// maxTo bounds the place to return to, in bytes, both as it is and as a link has it: the
// link is in a header, and a proxy that has no room for it (nginx has 4 KiB for the
// answer to its question) has no answer, and may let the visitor in.
const maxTo = 2 << 10

// safeTo returns where to send a client that has proven itself: a path of this
// very site, "/" when what was asked for is none. Browsers take "//host",
// "/\host" and, because they drop tabs and line breaks, "/<tab>/host" for other
// sites (WHATWG URL, section 4.4); whoever makes the link must not choose one.
func safeTo(to, page string) string {
	if len(to) == 0 || len(to) > maxTo || to[0] != '/' {
		return "/"
	}
	if len(to) > 1 && to[1] == '/' {
		return "/"
	}
	for i := range len(to) {
		if c := to[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return "/"
		}
	}
	path, _, _ := strings.Cut(to, "?")
	if path == page { // it would come back here
		return "/"
	}
	return to
}

// appendPath appends a decoded path as a URL has it. An encoded slash that was
// left in it (policy.Paths.KeepEncodedSlashes) stays one.
func appendPath(dst []byte, path string) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		encoded := c == '%' && i+2 < len(path) && path[i+1] == '2' && path[i+2]|0x20 == 'f'
		if encoded || c == '/' || plain(c) || strings.IndexByte("!$&'()*+,;=:@", c) >= 0 {
			dst = append(dst, c)
			continue
		}
		dst = appendEscaped(dst, c)
	}
	return dst
}

// appendQuery appends text as the value of a parameter.
func appendQuery(dst []byte, text []byte) []byte {
	for _, c := range text {
		if plain(c) || c == '/' {
			dst = append(dst, c)
			continue
		}
		dst = appendEscaped(dst, c)
	}
	return dst
}

// appendRawQuery appends a query as it was sent; what no URL may hold is escaped.
func appendRawQuery(dst []byte, query string) []byte {
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			dst = appendEscaped(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// plain reports whether a character is unreserved (RFC 3986 section 2.3).
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}
