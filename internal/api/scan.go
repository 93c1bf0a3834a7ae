package api

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// An arrayScanner walks the items of a JSON array of strings without building
// anything: it is what bulk look-ups spend their time in. Items of other types
// are stepped over and reported as such; bytes that are no JSON end the walk.
type arrayScanner struct {
	src  []byte
	pos  int
	more bool // inside the array, before an item
	err  string
}

// element is one item of an array: the text of a string, or the source of
// another value.
type element struct {
	text   string // aliases the source unless the string has escapes
	isText bool
	dotted bool // it is an IPv4 address in canonical form, addr
	addr   uint32
}

const (
	maxDepth = 64 // of a value that is stepped over
	maxItem  = 256
)

// open reads up to the first item.
func (s *arrayScanner) open(src []byte) bool {
	*s = arrayScanner{src: src}
	s.space()
	if s.pos == len(src) {
		return s.fail("the body is empty")
	}
	if src[s.pos] != '[' {
		return s.fail("the body is not a JSON array")
	}
	s.pos++
	s.space()
	if s.pos < len(src) && src[s.pos] == ']' {
		s.pos++
		return s.end()
	}
	s.more = true
	return true
}

// fill reads items into dst, and returns how many; more is false when they were
// the last, or err is set.
func (s *arrayScanner) fill(dst []element) (n int, more bool) {
	for n < len(dst) && s.more {
		e, ok := s.dotted()
		if !ok {
			if e, ok = s.next(); !ok {
				break
			}
		}
		dst[n] = e
		n++
	}
	return n, s.more
}

// dotted returns the next item if it is an IPv4 address in canonical form and
// not the last; otherwise it reads nothing.
func (s *arrayScanner) dotted() (element, bool) {
	src, start := s.src, s.pos+1
	if s.pos < 3 || len(src) < s.pos+dottedRoom || src[s.pos] != '"' {
		return element{}, false
	}
	addr, n := readDotted((*[dottedRoom]byte)(src[s.pos-3:]))
	end := start + n
	if n == 0 || src[end+1] != ',' {
		return element{}, false
	}
	if s.pos = end + 2; s.pos < len(src) && src[s.pos] != '"' {
		s.space()
	}
	return element{text: alias(src[start:end]), isText: true, dotted: true, addr: addr}, true
}

// next returns the next item; false at the end of the array, or when err is set.
func (s *arrayScanner) next() (element, bool) {
	if !s.more {
		return element{}, false
	}
	e, ok := s.value()
	if !ok {
		s.more = false
		return e, false
	}
	s.space()
	switch {
	case s.pos == len(s.src):
		s.more = s.fail("the array is not closed")
		return e, false
	case s.src[s.pos] == ',':
		s.pos++
		s.space()
	case s.src[s.pos] == ']':
		s.pos++
		s.more = false
		if !s.end() {
			return e, false
		}
	default:
		s.more = s.fail("a comma or the end of the array was expected")
		return e, false
	}
	return e, true
}

// value reads one value.
func (s *arrayScanner) value() (element, bool) {
	if s.pos < len(s.src) && s.src[s.pos] == '"' {
		text, ok := s.text()
		return element{text: text, isText: true}, ok
	}
	start := s.pos
	if !s.skip(0) {
		return element{}, false
	}
	return element{text: alias(s.src[start:s.pos])}, true
}

// end checks that nothing follows the array.
func (s *arrayScanner) end() bool {
	s.space()
	if s.pos != len(s.src) {
		return s.fail("something follows the array")
	}
	return true
}

func (s *arrayScanner) fail(why string) bool {
	if s.err == "" {
		s.err = why + " (at byte " + strconv.Itoa(s.pos) + ")"
	}
	return false
}

func (s *arrayScanner) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// text reads a string, which starts at its quotation mark.
func (s *arrayScanner) text() (string, bool) {
	start := s.pos + 1
	for i := start; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '"':
			s.pos = i + 1
			return alias(s.src[start:i]), true
		case c == '\\':
			return s.escaped(start, i)
		case c < 0x20:
			s.pos = i
			return "", s.fail("a string has a control character in it")
		}
	}
	s.pos = len(s.src)
	return "", s.fail("a string is not closed")
}

// escaped reads a string from its first escape on.
func (s *arrayScanner) escaped(start, i int) (string, bool) {
	b := append([]byte(nil), s.src[start:i]...)
	for i < len(s.src) {
		c := s.src[i]
		switch {
		case c == '"':
			s.pos = i + 1
			return string(b), true
		case c < 0x20:
			s.pos = i
			return "", s.fail("a string has a control character in it")
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		if i+1 == len(s.src) {
			break
		}
		switch e := s.src[i+1]; e {
		case '"', '\\', '/':
			b = append(b, e)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := s.hex4(i + 2)
			if !ok {
				s.pos = i
				return "", s.fail("\\u needs four hexadecimal digits")
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+3 < len(s.src) && s.src[i+2] == '\\' && s.src[i+3] == 'u' {
					low, ok = s.hex4(i + 4)
				}
				if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
					r = pair
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			s.pos = i
			return "", s.fail("a string has an unknown escape")
		}
		i += 2
	}
	s.pos = len(s.src)
	return "", s.fail("a string is not closed")
}

func (s *arrayScanner) hex4(i int) (rune, bool) {
	if i+4 > len(s.src) {
		return 0, false
	}
	var r rune
	for _, c := range s.src[i : i+4] {
		if !isHex(c) {
			return 0, false
		}
		r = r<<4 | rune(unhex(c))
	}
	return r, true
}

// skip steps over a value of any type, checking its grammar (RFC 8259).
func (s *arrayScanner) skip(depth int) bool {
	if depth > maxDepth {
		return s.fail("values are nested too deeply")
	}
	if s.pos == len(s.src) {
		return s.fail("the array is not closed")
	}
	switch c := s.src[s.pos]; {
	case c == '"':
		_, ok := s.text()
		return ok
	case c == '{':
		return s.members('}', func() bool {
			if s.pos == len(s.src) || s.src[s.pos] != '"' {
				return s.fail("an object's name was expected")
			}
			if _, ok := s.text(); !ok {
				return false
			}
			s.space()
			if s.pos == len(s.src) || s.src[s.pos] != ':' {
				return s.fail("a colon was expected")
			}
			s.pos++
			s.space()
			return s.skip(depth + 1)
		})
	case c == '[':
		return s.members(']', func() bool { return s.skip(depth + 1) })
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if n := len(word); len(s.src)-s.pos >= n && string(s.src[s.pos:s.pos+n]) == word {
			s.pos += n
			return true
		}
	}
	return s.fail("a value was expected")
}

func (s *arrayScanner) members(closing byte, member func() bool) bool {
	s.pos++
	s.space()
	if s.pos < len(s.src) && s.src[s.pos] == closing {
		s.pos++
		return true
	}
	for {
		if !member() {
			return false
		}
		s.space()
		switch {
		case s.pos == len(s.src):
			return s.fail("a value is not closed")
		case s.src[s.pos] == closing:
			s.pos++
			return true
		case s.src[s.pos] != ',':
			return s.fail("a comma was expected")
		}
		s.pos++
		s.space()
	}
}

func (s *arrayScanner) number() bool {
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.src) && '0' <= s.src[s.pos] && s.src[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	at := func(set ...byte) bool {
		for _, c := range set {
			if s.pos < len(s.src) && s.src[s.pos] == c {
				s.pos++
				return true
			}
		}
		return false
	}
	at('-')
	if !at('0') && !digits() {
		return s.fail("a number has no digits")
	}
	if at('.') && !digits() {
		return s.fail("a number has no digits after its point")
	}
	if at('e', 'E') {
		at('+', '-')
		if !digits() {
			return s.fail("a number has no digits in its exponent")
		}
	}
	return true
}
