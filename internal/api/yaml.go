package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// A node is a JSON value with its members in order; encoding/json's maps would
// lose it.
type node struct {
	kind    byte   // '{' '[' '"' or '0' for numbers, booleans and null
	text    string // of a scalar
	members []member
}

type member struct {
	name string // of an object's member
	node
}

// parseNode reads a document that this package wrote.
func parseNode(doc []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	return decodeNode(d)
}

func decodeNode(d *json.Decoder) (node, error) {
	t, err := d.Token()
	if err != nil {
		return node{}, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := node{kind: byte(t)}
		for d.More() {
			var m member
			if t == '{' {
				name, err := d.Token()
				if err != nil {
					return node{}, err
				}
				m.name, _ = name.(string)
			}
			if m.node, err = decodeNode(d); err != nil {
				return node{}, err
			}
			n.members = append(n.members, m)
		}
		_, err := d.Token()
		return n, err
	case string:
		return node{kind: '"', text: t}, nil
	case nil:
		return node{kind: '0', text: "null"}, nil
	default:
		return node{kind: '0', text: fmt.Sprint(t)}, nil
	}
}

// appendYAML appends a JSON document of ours as YAML 1.2 in block style.
func appendYAML(dst, doc []byte) []byte {
	n, err := parseNode(doc)
	if err != nil {
		return append(append(dst, doc...), '\n') // JSON is YAML
	}
	return yamlBlock(dst, n, 0, true)
}

// yamlBlock appends a value; inline says that its first line has its indent.
func yamlBlock(dst []byte, n node, indent int, inline bool) []byte {
	if n.kind != '{' && n.kind != '[' {
		return append(yamlScalar(dst, n), '\n')
	}
	for i, m := range n.members {
		if i > 0 || !inline {
			dst = yamlIndent(dst, indent)
		}
		if n.kind == '[' {
			dst = append(dst, '-', ' ')
		} else {
			dst = append(yamlText(dst, m.name), ':')
		}
		switch {
		case m.kind != '{' && m.kind != '[':
			if n.kind == '{' {
				dst = append(dst, ' ')
			}
			dst = append(yamlScalar(dst, m.node), '\n')
		case len(m.members) == 0:
			if n.kind == '{' {
				dst = append(dst, ' ')
			}
			dst = append(append(dst, m.kind, m.kind+2), '\n') // {} and []
		case n.kind == '[':
			dst = yamlBlock(dst, m.node, indent+1, true) // on the line of the dash
		default:
			dst = yamlBlock(append(dst, '\n'), m.node, indent+1, false)
		}
	}
	return dst
}

func yamlIndent(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, ' ', ' ')
	}
	return dst
}

func yamlScalar(dst []byte, n node) []byte {
	if n.kind == '"' {
		return yamlText(dst, n.text)
	}
	return append(dst, n.text...)
}

// yamlText appends a string, plain when no YAML reader can take it for anything
// else (1.1 readers take "NO" for false and 12:30 for a number), else in double
// quotes, where YAML's escapes include those of JSON.
func yamlText(dst []byte, s string) []byte {
	if plainYAML(s) {
		return append(dst, s...)
	}
	return ipwarden.AppendString(dst, s)
}

func plainYAML(s string) bool {
	if s == "" || len(s) > 200 || !isLetter(s[0]) || s[len(s)-1] == ' ' || s[len(s)-1] == ':' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c), '0' <= c && c <= '9', c == '_', c == '-', c == '.', c == '/', c == '(', c == ')', c == '+':
		case c == ' ' && s[i+1] != '#':
		default:
			return false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf":
		return false
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
