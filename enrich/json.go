package enrich

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// member is what was found in a JSON object.
type member struct {
	value  []byte // of the path, when it is text
	reason Reason
	close  int  // where the object's closing brace stands
	empty  bool // it has no members, but for the one that is cut
	// from and to is a member of the name that is added, with the comma that goes
	// with it: an earlier run's; 0 and 0 when there is none.
	from, to int
}

// findMember finds a path in valid JSON. Of several members of one name the last
// counts, as most readers have it.
func findMember(b []byte, path []string, added string) member {
	m := member{reason: Missing}
	i := space(b, 0)
	if i == len(b) || b[i] != '{' {
		m.reason = NotJSON
		return m
	}
	m.empty = true
	i = space(b, i+1)
	for begin := i; b[i] != '}'; begin = i {
		nameEnd := skipString(b, i)
		name := b[i:nameEnd]
		i = space(b, space(b, nameEnd)+1) // past the colon
		end := skipValue(b, i)
		next := space(b, end)
		if len(path) > 0 && isName(name, path[0]) {
			m.value, m.reason = findValue(b[i:end], path[1:])
		}
		comma := b[next] == ','
		if comma {
			next = space(b, next+1)
		}
		if added != "" && isName(name, added) {
			m.from, m.to = begin, next
			if !comma { // the last: the comma before it goes with it
				j := begin - 1
				for j > 0 && isSpace(b[j]) {
					j--
				}
				if b[j] == ',' {
					m.from = j
				}
				m.to = end
			}
		} else {
			m.empty = false
		}
		i = next
	}
	m.close = i
	return m
}

// findValue follows the rest of a path.
func findValue(b []byte, path []string) ([]byte, Reason) {
	if len(path) == 0 {
		switch b[0] {
		case '"':
			return unquote(b)
		case 'n':
			return nil, Null
		}
		return nil, NotText
	}
	value, reason := []byte(nil), Missing
	switch b[0] {
	case '{':
		for i := space(b, 1); b[i] != '}'; {
			nameEnd := skipString(b, i)
			name := b[i:nameEnd]
			i = space(b, space(b, nameEnd)+1)
			end := skipValue(b, i)
			if isName(name, path[0]) {
				value, reason = findValue(b[i:end], path[1:])
			}
			if i = space(b, end); b[i] == ',' {
				i = space(b, i+1)
			}
		}
	case '[':
		want, err := strconv.Atoi(path[0])
		if err != nil {
			return nil, Missing
		}
		n := 0
		for i := space(b, 1); b[i] != ']'; n++ {
			end := skipValue(b, i)
			if n == want {
				return findValue(b[i:end], path[1:])
			}
			if i = space(b, end); b[i] == ',' {
				i = space(b, i+1)
			}
		}
	}
	return value, reason
}

func unquote(b []byte) ([]byte, Reason) {
	in := b[1 : len(b)-1]
	if bytes.IndexByte(in, '\\') >= 0 {
		var s string
		if json.Unmarshal(b, &s) != nil {
			return nil, NotText
		}
		in = []byte(s)
	}
	if len(in) == 0 {
		return nil, Missing
	}
	return in, ""
}

// isName reports whether a quoted name is want.
func isName(quoted []byte, want string) bool {
	in := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(in, '\\') < 0 {
		return string(in) == want
	}
	var s string
	return json.Unmarshal(quoted, &s) == nil && s == want
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func space(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// skipString returns where the string that begins at i ends.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns where the value that begins at i ends.
func skipValue(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		default:
			if depth == 0 {
				for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && !isSpace(b[i]) {
					i++
				}
				return i
			}
			i++
			continue
		}
		if depth == 0 {
			return i
		}
	}
}
