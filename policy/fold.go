package policy

import (
	"unicode"
	"unicode/utf8"
)

// appendFolded appends a part of a key without regard to case: "Ann" and "ANN"
// are one account.
func appendFolded(dst []byte, s string) []byte {
	at := len(dst)
	dst = append(dst, 0, 0)
	for _, r := range s {
		if len(dst)-at-2 > maxKeyPart-4 {
			break
		}
		// First up: ſ and s, ς and σ, the Kelvin sign and k meet there.
		dst = appendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
	}
	return setLength(dst, at)
}

func appendRune(dst []byte, r rune) []byte { return utf8.AppendRune(dst, r) }
