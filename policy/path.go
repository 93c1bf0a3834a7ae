package policy

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// Paths says how the upstream reads a path, so that a policy reads the same.
// The zero Paths is nginx's reading.
type Paths struct {
	// KeepSlashes: several slashes stay several. Otherwise they are one.
	KeepSlashes bool
	// StripParameters: what follows a semicolon in a segment is dropped, as servlet
	// containers do. Otherwise it is part of the name.
	StripParameters bool
	// KeepEncodedSlashes: "%2F" is part of a name, and stays as it is written.
	// Otherwise it is refused.
	KeepEncodedSlashes bool
	// FoldCase: the upstream does not tell A from a; paths are read in lower case.
	FoldCase bool
}

// ErrAmbiguousPath is wrapped by the errors of Normalize.
var ErrAmbiguousPath = errors.New("the path can be read in two ways")

// A PathError says what can be read in two ways.
type PathError struct{ What string }

// Error says what and why it is refused.
func (e *PathError) Error() string { return ErrAmbiguousPath.Error() + ": it has " + e.What }

// Unwrap returns ErrAmbiguousPath.
func (e *PathError) Unwrap() error { return ErrAmbiguousPath }

// maxPath bounds a path, in bytes.
const maxPath = 8 << 10

// Normalize reads the path of a request target as the upstream will: percent-
// encoding is undone once, dot segments are followed, slashes are merged. What
// different servers read differently (an encoded slash, dot or backslash, a
// number sign, a percent sign that is encoded twice, bytes that are not UTF-8, a
// way above the root) is a *PathError. A path that needs nothing is returned as it is,
// without an allocation.
func (p Paths) Normalize(raw string) (string, error) {
	switch {
	case raw == "":
		return "/", nil
	case raw == "*": // of OPTIONS (RFC 9112 section 3.2.4)
		return raw, nil
	case raw[0] != '/':
		return "", &PathError{"no slash at its beginning"}
	case len(raw) > maxPath:
		return "", &PathError{"more than 8192 bytes"}
	}
	if p.plain(raw) {
		return raw, nil
	}
	var out []byte
	rest := raw[1:]
	var starts []int // of the segments in out
	for {
		segment, after, more := strings.Cut(rest, "/")
		decoded, err := p.segment(segment)
		if err != nil {
			return "", err
		}
		switch name := p.name(segment); {
		case segment == "." || segment == "..":
			if segment == ".." {
				if len(starts) == 0 {
					return "", &PathError{"a way above its root"}
				}
				out, starts = out[:starts[len(starts)-1]], starts[:len(starts)-1]
			}
			if !more { // "/a/." is "/a/" (RFC 3986 section 5.2.4)
				out = append(out, '/')
			}
		case name == "" && more && !p.KeepSlashes:
		case name == "" && !more && !p.KeepSlashes && len(out) > 0 && out[len(out)-1] == '/':
		default:
			starts = append(starts, len(out))
			out = append(append(out, '/'), decoded...)
		}
		if !more {
			break
		}
		rest = after
	}
	if len(out) == 0 {
		return "/", nil
	}
	return string(out), nil
}

// Plain reports whether a path is read as it is written, whoever reads it: it is what
// Normalize makes of it.
func (p Paths) Plain(raw string) bool {
	return raw != "" && raw[0] == '/' && len(raw) <= maxPath && p.plain(raw)
}

// plain reports whether a path is already what Normalize makes of it. It begins
// with a slash.
func (p Paths) plain(raw string) bool {
	for i := range len(raw) {
		switch inPath[raw[i]] {
		case plainByte:
		case slashByte:
			if i > 0 && raw[i-1] == '/' {
				return false
			}
		case dotByte:
			if raw[i-1] == '/' && dotSegment(raw[i:]) {
				return false
			}
		case capitalByte:
			if p.FoldCase {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// What the bytes of a path are; all others need a closer look.
const (
	otherByte = iota
	plainByte
	slashByte
	dotByte
	capitalByte
)

var inPath = func() (kinds [256]uint8) {
	for c := '!'; c < 0x7f; c++ {
		kinds[c] = plainByte
		if 'A' <= c && c <= 'Z' {
			kinds[c] = capitalByte
		}
	}
	for _, c := range `%\;#?` {
		kinds[c] = otherByte
	}
	kinds['/'], kinds['.'] = slashByte, dotByte
	return kinds
}()

// dotSegment reports whether s begins with a segment of one or two dots.
func dotSegment(s string) bool {
	s = strings.TrimPrefix(s[1:], ".")
	return s == "" || s[0] == '/'
}

// segment undoes the percent-encoding of one segment.
func (p Paths) segment(s string) (string, error) {
	if i := strings.IndexByte(s, ';'); i >= 0 {
		// Servlet containers take "..;x" for "..", others for a name.
		if name := s[:i]; name == "." || name == ".." || p.StripParameters && !plainParameter(s[i:]) {
			return "", &PathError{"a dot segment with a parameter, or a parameter that needs encoding"}
		}
		if p.StripParameters {
			s = s[:i]
		}
	}
	var out []byte
	encodedDot, kept := false, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		// Neither is in a path (RFC 3986 section 3.3): nginx and Node end it there,
		// others take it for a part of the name.
		if c == '#' || c == '?' {
			return "", &PathError{"a number sign or a question mark in it"}
		}
		if c == '%' {
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "", &PathError{"a percent sign that encodes nothing"}
			}
			c = byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
			switch c {
			case '/':
				if !p.KeepEncodedSlashes {
					return "", &PathError{"an encoded slash"}
				}
				out, kept = append(out, "%2F"...), kept+1
				continue
			case '.':
				encodedDot = true
			case ';':
				if p.StripParameters {
					return "", &PathError{"an encoded semicolon"}
				}
			}
		}
		switch {
		case c == '\\':
			return "", &PathError{"a backslash"}
		case c < ' ' || c == 0x7f:
			return "", &PathError{"a control character"}
		}
		if p.FoldCase && 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		out = append(out, c)
	}
	// Also with a parameter: "%2e%2e;x" is ".." to servlet containers, and "..%3Bx"
	// to what decodes first.
	name, _, parameter := bytes.Cut(out, []byte(";"))
	if (encodedDot || parameter) && (string(name) == "." || string(name) == "..") {
		return "", &PathError{"an encoded dot segment"}
	}
	if encodings(out) > kept {
		return "", &PathError{"an encoding inside an encoding"}
	}
	if !utf8.Valid(out) {
		return "", &PathError{"bytes that are not UTF-8"}
	}
	return string(out), nil
}

// name is a segment without what the upstream drops before it merges slashes.
func (p Paths) name(segment string) string {
	if p.StripParameters {
		segment, _, _ = strings.Cut(segment, ";")
	}
	return segment
}

// plainParameter reports whether a parameter has nothing that could be encoded.
func plainParameter(s string) bool {
	for i := range len(s) {
		if !pchar(s[i]) {
			return false
		}
	}
	return true
}

// encodings counts what still looks like percent-encoding.
func encodings(b []byte) (n int) {
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' && unhex(b[i+1]) >= 0 && unhex(b[i+2]) >= 0 {
			n++
		}
	}
	return n
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
