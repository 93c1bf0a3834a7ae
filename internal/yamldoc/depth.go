package yamldoc

import "github.com/goccy/go-yaml/token"

// maxIndent bounds nesting by indentation, in columns.
const maxIndent = 1000

// tooDeep returns the token at which a file nests deeper than anybody writes, or
// nil. The parser recurses, and takes time that grows with the square of the
// depth: brackets, and dashes, keys, tags and anchors one after another in one
// line.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, line, inLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
			if t.Position.Column > maxIndent && t.Type != token.CommentType {
				return t
			}
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets = max(brackets-1, 0)
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			inLine++
		case token.MappingValueType:
			if brackets == 0 {
				inLine++
			}
		}
		if brackets > maxDepth || inLine > maxDepth {
			return t
		}
	}
	return nil
}
