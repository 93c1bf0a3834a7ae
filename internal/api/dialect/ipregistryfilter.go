package dialect

import (
	"errors"
	"strings"
)

// filter is what the parameter fields wants of an object: names with commas
// between them, their parts with dots (location.country.name), several of one
// object in brackets (location.country[code,name]), * for all, and a - before
// what is not wanted. Names that are nowhere want nothing.
type filter struct {
	all  bool // everything of it that is not left out
	out  bool // nothing of it
	some bool // it, or something below, is named as wanted
	kids []kid
}

type kid struct {
	name string
	*filter
}

// Bounds of a filter, which comes from outside.
const (
	maxFilter      = 2048
	maxFilterDepth = 8
	maxFilterNames = 256
)

var (
	errFilterLong  = errors.New("is too long")
	errFilterDeep  = errors.New("is too deep")
	errFilterEmpty = errors.New("has an empty name in it")
	errFilterOpen  = errors.New("has a bracket without its other half")
)

// parseFilter reads the parameter; of "" there is no filter.
func parseFilter(s string) (*filter, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxFilter {
		return nil, errFilterLong
	}
	p := filterParser{rest: s}
	f := new(filter)
	if err := p.list(f, 0); err != nil {
		return nil, err
	}
	if p.rest != "" {
		return nil, errFilterOpen
	}
	f.settle()
	return f, nil
}

type filterParser struct {
	rest  string
	names int
}

// list reads names with commas between them, up to the end or a bracket.
func (p *filterParser) list(f *filter, depth int) error {
	if depth > maxFilterDepth {
		return errFilterDeep
	}
	for {
		if err := p.path(f, depth); err != nil {
			return err
		}
		if p.rest == "" || p.rest[0] != ',' {
			return nil
		}
		p.rest = p.rest[1:]
	}
}

// path reads one name with what is below it.
func (p *filterParser) path(f *filter, depth int) error {
	p.rest = strings.TrimLeft(p.rest, " ")
	not := strings.HasPrefix(p.rest, "-")
	if not {
		p.rest = p.rest[1:]
	}
	for {
		if depth++; depth > maxFilterDepth {
			return errFilterDeep
		}
		end := strings.IndexAny(p.rest, ",.[]{}")
		if end < 0 {
			end = len(p.rest)
		}
		name := strings.TrimRight(p.rest[:end], " ")
		p.rest = p.rest[end:]
		if name == "" {
			return errFilterEmpty
		}
		if p.names++; p.names > maxFilterNames {
			return errFilterLong
		}
		if name == "*" || name == "**" {
			if f.all = !not; not {
				f.out = true
			}
			return p.after()
		}
		f = f.kid(name)
		switch {
		case p.rest == "" || p.rest[0] == ',' || p.rest[0] == ']' || p.rest[0] == '}':
			if not {
				f.out, f.all = true, false
			} else {
				f.all, f.out = true, false
			}
			return nil
		case p.rest[0] == '.':
			p.rest = p.rest[1:]
		default:
			closing := byte(']')
			if p.rest[0] == '{' {
				closing = '}'
			}
			p.rest = p.rest[1:]
			if err := p.list(f, depth); err != nil {
				return err
			}
			if p.rest == "" || p.rest[0] != closing {
				return errFilterOpen
			}
			p.rest = p.rest[1:]
			return p.after()
		}
	}
}

// after makes sure that a bracket or a star ends its path.
func (p *filterParser) after() error {
	if p.rest != "" && p.rest[0] != ',' && p.rest[0] != ']' && p.rest[0] != '}' {
		return errFilterOpen
	}
	return nil
}

func (f *filter) kid(name string) *filter {
	for _, k := range f.kids {
		if k.name == name {
			return k.filter
		}
	}
	k := new(filter)
	f.kids = append(f.kids, kid{name, k})
	return k
}

// settle makes a list of nothing but exceptions mean all the others, and what is
// wanted whole stand for what is below it.
func (f *filter) settle() (wanted bool) {
	wanted = f.all
	for _, k := range f.kids {
		wanted = k.settle() || wanted
	}
	f.some = wanted && !f.out
	f.all = f.all || !f.out && !wanted
	if f.all {
		f.cover()
	}
	return f.some
}

func (f *filter) cover() {
	for _, k := range f.kids {
		if !k.out {
			k.all = true
			k.cover()
		}
	}
}

// append appends of a JSON object, which is our own and so well written and
// without spaces, what the filter wants.
func (f *filter) append(dst, object []byte) []byte {
	if len(object) < 2 || object[0] != '{' {
		return append(dst, object...)
	}
	dst = append(dst, '{')
	first := true
	for rest := object[1:]; rest[0] == '"'; {
		n := valueLen(rest)
		key := rest[:n]
		rest = rest[n+1:]
		n = valueLen(rest)
		value := rest[:n]
		rest = rest[n:]
		if rest[0] == ',' {
			rest = rest[1:]
		}
		sub, want := f.of(string(key[1 : len(key)-1]))
		if !want {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, key...), ':')
		switch {
		case sub == nil:
			dst = append(dst, value...)
		case value[0] == '[':
			dst = sub.appendArray(dst, value)
		default:
			dst = sub.append(dst, value)
		}
	}
	return append(dst, '}')
}

func (f *filter) appendArray(dst, array []byte) []byte {
	dst = append(dst, '[')
	for rest := array[1:]; rest[0] != ']'; {
		n := valueLen(rest)
		dst = f.append(dst, rest[:n])
		if rest = rest[n:]; rest[0] == ',' {
			dst = append(dst, ',')
			rest = rest[1:]
		}
	}
	return append(dst, ']')
}

// of tells whether a key is wanted, and what of its value; nil for all.
func (f *filter) of(key string) (*filter, bool) {
	for _, k := range f.kids {
		if k.name != key {
			continue
		}
		switch {
		case k.out:
			return nil, false
		case k.some || f.all:
			return k.filter, true
		}
		return nil, false
	}
	return nil, f.all
}

// valueLen is the length of the JSON value at the beginning of b.
func valueLen(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			if quoted = !quoted; !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == ':'):
			return i
		}
	}
	return len(b)
}
