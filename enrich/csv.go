package enrich

import "bytes"

// record is one row of CSV in a buffer.
type record struct {
	n   int  // bytes, its line end included; 0: the buffer ends before it does
	end int  // bytes without it
	bad bool // its quotes do not match: it is the first line alone
}

// csvRecord finds the first row of b (RFC 4180): a quote opens at the beginning of
// a field, and closes before a comma or a line end. A row that does not keep to
// that is its first line, so that one stray quote costs one row. last says that
// nothing comes after b.
func csvRecord(b []byte, comma byte, quotes, last bool) record {
	nl := bytes.IndexByte(b, '\n')
	line := b
	if nl >= 0 {
		line = b[:nl+1]
	}
	whole := func(bad bool) record {
		if nl < 0 && !last {
			return record{}
		}
		return record{len(line), len(trimEnd(line)), bad}
	}
	if !quotes || bytes.IndexByte(line, '"') < 0 {
		return whole(false)
	}
	for i := 0; ; {
		if i < len(b) && b[i] == '"' {
			for i++; ; i += 2 {
				q := bytes.IndexByte(b[i:], '"')
				if q < 0 {
					if last || len(b) > maxRow {
						return whole(true)
					}
					return record{}
				}
				if i += q; i+1 >= len(b) || b[i+1] != '"' {
					break
				}
			}
			i++ // past the closing quote
			if i == len(b) {
				if last {
					return record{i, i, false}
				}
				return record{}
			}
			if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
			if b[i] != comma && b[i] != '\n' {
				if b[i] == '\r' && i+1 == len(b) && !last {
					return record{}
				}
				return whole(true)
			}
		} else {
			c := bytes.IndexByte(b[i:], comma)
			n := bytes.IndexByte(b[i:], '\n')
			switch {
			case n >= 0 && (c < 0 || n < c):
				i += n
			case c >= 0:
				i += c
			case last:
				return record{len(b), len(trimEnd(b)), false}
			default:
				return record{}
			}
		}
		if b[i] == '\n' {
			return record{i + 1, len(trimEnd(b[:i+1])), false}
		}
		i++
	}
}

// trimEnd takes a line end away.
func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}

// nextField returns the field that begins at i, without quotes round it, and
// where the next one begins; -1 after the last.
func nextField(row []byte, i int, comma byte, quotes bool) (field []byte, next int) {
	if quotes && i < len(row) && row[i] == '"' {
		j := i + 1
		doubled := false
		for {
			q := bytes.IndexByte(row[j:], '"')
			if q < 0 {
				j = len(row)
				break
			}
			if j += q; j+1 < len(row) && row[j+1] == '"' {
				doubled = true
				j += 2
				continue
			}
			break
		}
		field = row[i+1 : j]
		if doubled {
			field = bytes.ReplaceAll(field, []byte(`""`), []byte(`"`))
		}
		if j+1 < len(row) && row[j+1] == comma {
			return field, j + 2
		}
		return field, -1
	}
	if c := bytes.IndexByte(row[i:], comma); c >= 0 {
		return row[i : i+c], i + c + 1
	}
	return row[i:], -1
}

func splitFields(dst [][]byte, row []byte, comma byte, quotes bool) [][]byte {
	for i := 0; i >= 0; {
		var f []byte
		f, i = nextField(row, i, comma, quotes)
		dst = append(dst, f)
	}
	return dst
}

// width counts the fields of a row.
func width(row []byte, comma byte, quotes bool) int {
	if !quotes || bytes.IndexByte(row, '"') < 0 {
		return bytes.Count(row, []byte{comma}) + 1
	}
	n := 0
	for i := 0; i >= 0; n++ {
		_, i = nextField(row, i, comma, quotes)
	}
	return n
}

// column returns field n of a row.
func column(row []byte, n int, comma byte, quotes bool) (field []byte, ok bool) {
	for i := 0; i >= 0; n-- {
		field, i = nextField(row, i, comma, quotes)
		if n == 0 {
			return field, true
		}
	}
	return nil, false
}

// appendField appends a value from from on as a field of CSV or TSV: what was
// appended is put in quotes where it needs them. TSV has no quotes: tabs and line
// ends become spaces.
func appendField(dst []byte, from int, comma byte, quotes bool) []byte {
	v := dst[from:]
	if !quotes {
		for i, c := range v {
			if c == comma || c == '\n' || c == '\r' {
				v[i] = ' '
			}
		}
		return dst
	}
	special := false
	extra := 0
	for _, c := range v {
		switch c {
		case '"':
			special = true
			extra++
		case comma, '\n', '\r':
			special = true
		}
	}
	if !special {
		return dst
	}
	n := len(dst)
	dst = append(dst, make([]byte, extra+2)...)
	to := len(dst) - 1
	dst[to] = '"'
	for i := n - 1; i >= from; i-- {
		to--
		dst[to] = dst[i]
		if dst[i] == '"' {
			to--
			dst[to] = '"'
		}
	}
	dst[from] = '"'
	return dst
}

// escapeFormula puts an apostrophe before what was appended from from on, when a
// spreadsheet would take it for a formula (OWASP, CSV Injection). Numbers stay.
func escapeFormula(dst []byte, from int) []byte {
	v := dst[from:]
	if len(v) == 0 {
		return dst
	}
	switch v[0] {
	case '=', '@', '\t', '\r', '\n':
	case '+', '-':
		number := len(v) > 1
		for _, c := range v[1:] {
			number = number && (c == '.' || c >= '0' && c <= '9')
		}
		if number {
			return dst
		}
	default:
		return dst
	}
	dst = append(dst, 0)
	copy(dst[from+1:], dst[from:])
	dst[from] = '\''
	return dst
}
