package api

import (
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// CSV as of RFC 4180, with a header and LF or CRLF alike for its readers: CRLF.
// A column is a field, named by its dotted path; what is unknown is empty.

func appendCSVHeader(dst []byte, fields ipwarden.Fields) []byte {
	first := true
	for f := range fields.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.String()...)
	}
	return append(dst, '\r', '\n')
}

func appendCSVRecord(dst []byte, v *ipwarden.View, rec ipwarden.Record) []byte {
	first := true
	for f := range v.Fields.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendCSVField(dst, v, rec, f)
	}
	return append(dst, '\r', '\n')
}

// appendCSVField appends one value. The value is written first and quoted in
// place only when it must be.
func appendCSVField(dst []byte, v *ipwarden.View, rec ipwarden.Record, f ipwarden.Field) []byte {
	start := len(dst)
	dst, known := v.AppendText(dst, rec, f)
	if !known {
		return dst[:start]
	}
	if !mustQuote(dst[start:]) {
		return dst
	}
	return appendCSVText(dst[:start], string(dst[start:]))
}

func appendCSVText(dst []byte, s string) []byte {
	if !mustQuote([]byte(s)) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(s, `"`, `""`)...)
	return append(dst, '"')
}

func mustQuote(b []byte) bool {
	for _, c := range b {
		switch c {
		case ',', '"', '\r', '\n':
			return true
		}
	}
	return false
}

// In bulk, each row begins with the index and the query and ends with what was
// wrong with it. The query has a column of its own, so the field has none.

func bulkColumns(fields ipwarden.Fields) ipwarden.Fields {
	var s ipwarden.Fields
	for f := range fields.All() {
		if f != ipwarden.FieldQuery {
			s = s.With(f)
		}
	}
	return s
}

func appendBulkCSVHeader(dst []byte, fields ipwarden.Fields) []byte {
	dst = append(dst, "index,query,"...)
	for f := range bulkColumns(fields).All() {
		dst = append(append(dst, f.String()...), ',')
	}
	return append(dst, "error\r\n"...)
}

func appendBulkCSV(dst []byte, v *ipwarden.View, index int, query string, rec ipwarden.Record, err error) []byte {
	dst = append(strconv.AppendInt(dst, int64(index), 10), ',')
	dst = append(appendCSVText(dst, query), ',')
	for f := range bulkColumns(v.Fields).All() {
		if err == nil {
			dst = appendCSVField(dst, v, rec, f)
		}
		dst = append(dst, ',')
	}
	if err != nil {
		dst = appendCSVText(dst, quoted(query)+" "+err.Error())
	}
	return append(dst, '\r', '\n')
}
