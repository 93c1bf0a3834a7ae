package yamldoc

import (
	"strings"

	"github.com/goccy/go-yaml/token"
)

// plainColons makes one text of what the lexer takes for a key and a value: in a
// list in brackets, inside of braces, it ends a plain text at any colon, as in
// {networks: [2001:db8::1]}. In YAML a colon ends one only with white space, a
// bracket or a comma behind it (1.2.2, section 7.3.3).
func plainColons(tokens token.Tokens) token.Tokens {
	var open []token.Type
	kept := tokens[:0]
	for i := 0; i < len(tokens); i++ {
		kept = append(kept, tokens[i])
		switch t := tokens[i].Type; t {
		case token.MappingStartType, token.SequenceStartType:
			open = append(open, t)
			continue
		case token.MappingEndType, token.SequenceEndType:
			open = open[:max(len(open)-1, 0)]
			continue
		}
		if len(open) == 0 || open[len(open)-1] != token.SequenceStartType {
			continue
		}
		end, colons := i, 0
		for ; end < len(tokens) && isPlain(tokens[end]) && (end == i || adjacent(tokens[end-1], tokens[end])); end++ {
			if tokens[end].Type == token.MappingValueType {
				colons++
			}
		}
		if colons == 0 || tokens[end-1].Type == token.MappingValueType {
			continue // a key with its value behind a space, if anything
		}
		one := joined(tokens[i:end])
		kept[len(kept)-1] = one
		i = end - 1
	}
	return kept
}

// joined is one text of several tokens.
func joined(tokens token.Tokens) *token.Token {
	var value, origin strings.Builder
	for _, t := range tokens {
		value.WriteString(t.Value)
		origin.WriteString(t.Origin)
	}
	first, last := tokens[0], tokens[len(tokens)-1]
	one := token.String(value.String(), origin.String(), first.Position)
	if one.Prev = first.Prev; one.Prev != nil {
		one.Prev.Next = one
	}
	if one.Next = last.Next; one.Next != nil {
		one.Next.Prev = one
	}
	return one
}

// isPlain: it may be a part of a text that is not quoted.
func isPlain(t *token.Token) bool {
	return t.Indicator == token.NotIndicator || t.Type == token.MappingValueType
}

// adjacent: there is nothing between them.
func adjacent(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line && a.Position.Column+len([]rune(a.Value)) == b.Position.Column
}
