package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// maxDepth bounds how deep an answer nests. Those of vendors have at most six
// levels; the decoder recurses.
const maxDepth = 32

// node is a part of a JSON answer; the zero node is what is not there. Its
// methods take what is of another type than expected for not there: one odd
// member does not spoil an answer.
type node struct{ v any }

var errDepth = errors.New("it nests deeper than any answer does")

// parse reads one JSON value.
func parse(body []byte) (node, error) {
	if depth(body) > maxDepth {
		return node{}, errDepth
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return node{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return node{}, errors.New("there is more behind the JSON value")
	}
	return node{v}, nil
}

// depth is how deep the brackets of a text nest outside of strings.
func depth(body []byte) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// at follows members, and items of arrays by their number.
func (n node) at(names ...string) node {
	for _, name := range names {
		switch v := n.v.(type) {
		case map[string]any:
			n = node{v[name]}
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return node{}
			}
			n = node{v[i]}
		default:
			return node{}
		}
	}
	return n
}

// get is at for a dotted path.
func (n node) get(path string) node { return n.at(strings.Split(path, ".")...) }

// first is the first of some dotted paths that has something.
func (n node) first(paths ...string) node {
	for _, p := range paths {
		if m := n.get(p); m.v != nil && m.v != "" {
			return m
		}
	}
	return node{}
}

func (n node) object() bool { _, ok := n.v.(map[string]any); return ok }

// text is a string, or a number as it was written.
func (n node) text() string {
	switch v := n.v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// truth is a boolean, however it was written.
func (n node) truth() (on, ok bool) {
	switch strings.ToLower(n.text()) {
	case "true", "yes", "1":
		return true, true
	case "false", "no", "0":
		return false, true
	}
	return false, false
}

func (n node) isTrue() bool { on, _ := n.truth(); return on }

// number is a number, or a text of one.
func (n node) number() (float64, bool) {
	if _, isBool := n.v.(bool); isBool {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.text(), 64)
	return f, err == nil
}

func (n node) list() []node {
	items, _ := n.v.([]any)
	out := make([]node, len(items))
	for i, v := range items {
		out[i] = node{v}
	}
	return out
}
