package ipwarden

import (
	"time"
	"unicode/utf8"
)

func appendEvidence(dst []byte, ev []Evidence, shown Fields) []byte {
	dst = append(dst, '{')
	first := true
	for i := range ev {
		e := &ev[i]
		if !shown.Has(e.Field) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = AppendString(dst, e.Field.String())
		dst = append(dst, `:{`...)
		if e.Value != "" {
			dst = AppendString(append(dst, `"value":`...), e.Value)
			dst = append(dst, ',')
		}
		if e.Contested() {
			dst = append(dst, `"contested":true,`...)
		}
		dst = append(dst, `"by":`...)
		dst = appendClaims(dst, e.By)
		if len(e.Lost) > 0 {
			dst = append(dst, `,"lost":`...)
			dst = appendClaims(dst, e.Lost)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendClaims(dst []byte, cs []Claim) []byte {
	dst = append(dst, '[')
	for i := range cs {
		c := &cs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(append(dst, `{"feed":`...), c.Feed)
		if !c.Date.IsZero() {
			dst = append(dst, `,"date":"`...)
			dst = c.Date.UTC().AppendFormat(dst, time.DateOnly)
			dst = append(dst, '"')
		}
		for _, kv := range [...][2]string{{`,"licence":`, c.Licence}, {`,"match":`, c.Match}, {`,"value":`, c.Value}, {`,"note":`, c.Note}} {
			if kv[1] != "" {
				dst = AppendString(append(dst, kv[0]...), kv[1])
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendString appends s as a JSON string (RFC 8259 section 7); bytes that are
// not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n != 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, `\ufffd`...)
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
