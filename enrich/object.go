package enrich

import (
	"encoding/json"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

// A Path leads to a member of a JSON object, for events that are read elsewhere than
// by Run: {"request", "client_ip"}. A number is an element of a list.
type Path []string

// ParsePath cuts a path at its dots; a dot that is part of a name has a backslash
// before it.
func ParsePath(s string) Path { return splitPath(s) }

// String is the path as ParsePath reads it.
func (p Path) String() string {
	var s []byte
	for i, part := range p {
		if i > 0 {
			s = append(s, '.')
		}
		for _, c := range []byte(part) {
			if c == '.' || c == '\\' {
				s = append(s, '\\')
			}
			s = append(s, c)
		}
	}
	return string(s)
}

// Find returns the text of a member of object, which must be valid JSON. What is no
// text has a reason: Missing, Null, NotText, or NotJSON for what is no object. The
// text may be a part of object.
func (p Path) Find(object []byte) ([]byte, Reason) {
	m := findMember(object, p, "")
	return m.value, m.reason
}

// Scalar is Find for a text, a number, or a truth as it is spelled; "" when the
// member is none of them.
func (p Path) Scalar(object []byte) string {
	at := space(object, 0)
	if len(p) == 0 || at == len(object) || object[at] != '{' {
		return ""
	}
	value := object[at:]
	for _, name := range p {
		if value = child(value, name); value == nil {
			return ""
		}
	}
	switch value[0] {
	case '{', '[', 'n':
		return ""
	case '"':
		text, _ := unquote(value)
		return string(text)
	}
	return string(value)
}

// child is a member of an object or an element of a list, nil for none.
func child(b []byte, name string) (found []byte) {
	if b[0] != '{' && b[0] != '[' {
		return nil
	}
	object, n := b[0] == '{', 0
	for i := space(b, 1); b[i] != '}' && b[i] != ']'; n++ {
		is := false
		if object {
			end := skipString(b, i)
			is = isName(b[i:end], name)
			i = space(b, space(b, end)+1)
		} else {
			is = name == strconv.Itoa(n)
		}
		end := skipValue(b, i)
		if is {
			found = b[i:end]
		}
		if i = space(b, end); b[i] == ',' {
			i = space(b, i+1)
		}
	}
	return found
}

// AppendWith appends object, which must be valid JSON, with a member added to it as
// Run adds one: one of that name which is there already is replaced. It is false
// for what is no object.
func AppendWith(dst, object []byte, name string, value []byte) ([]byte, bool) {
	m := findMember(object, nil, name)
	if m.reason == NotJSON {
		return dst, false
	}
	from := len(dst)
	dst = append(append(dst, object[:m.from]...), object[m.to:m.close]...)
	if !m.empty {
		for n := len(dst); n > from && isSpace(dst[n-1]); n-- {
			dst = dst[:n-1]
		}
		if dst[len(dst)-1] != ',' { // else the member that was cut was the last
			dst = append(dst, ',')
		}
	}
	dst = append(ipwarden.AppendString(dst, name), ':')
	dst = append(dst, value...)
	return append(dst, object[m.close:]...), true
}

// IsObject reports whether b is one valid JSON object.
func IsObject(b []byte) bool {
	i := space(b, 0)
	return i < len(b) && b[i] == '{' && json.Valid(b)
}
