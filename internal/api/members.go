package api

import (
	"bytes"
	"encoding/json"
	"strings"
)

// repeatedMember returns the first name that an object of a JSON text has twice,
// in whatever capitals, "" for none. encoding/json takes the last of them and
// passes over capitals; others take the first (RFC 8259 section 4): what an
// application has put together from a visitor's words must not mean another
// request here than there. Names of an account are told apart by their capitals.
func repeatedMember(text []byte) string {
	type level struct {
		seen  map[string]bool // nil in an array
		exact bool
		name  string // of the member whose value comes next
		named bool
	}
	var levels []level
	dec := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := dec.Token()
		if err != nil {
			return "" // the end: what breaks the grammar was found before
		}
		var in *level
		if n := len(levels); n > 0 {
			in = &levels[n-1]
		}
		if s, ok := token.(string); ok && in != nil && in.seen != nil && !in.named {
			key := s
			if !in.exact {
				key = strings.ToLower(s)
			}
			if in.seen[key] {
				return s
			}
			in.seen[key], in.name, in.named = true, key, true
			continue
		}
		name := ""
		if in != nil {
			name, in.named = in.name, false
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{seen: map[string]bool{}, exact: name == "account"})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
	}
}
