package enrich

import (
	"bytes"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// columnNames are the names of what stands in a row of a layout.
func columnNames(l *Layout) []string {
	switch l.Format {
	case CSV, TSV:
		return l.Columns
	case Log:
		return logColumns
	case VHost:
		return vhostColumns
	case HAProxy:
		return haproxyColumns
	case List:
		return []string{"query"}
	}
	return []string{"line", "query"}
}

// header is the first line of the output, "" when it has none.
func (w *worker) header(dst []byte) []byte {
	same := w.s.Output == Same && (w.layout.Format == CSV || w.layout.Format == TSV)
	if !same && w.s.Output != AsCSV {
		return dst
	}
	comma, quotes := byte(','), true
	if same {
		comma, quotes = w.comma, w.quotes
	}
	columns := columnNames(w.layout)
	if len(columns) == 0 {
		return dst // the input has none either
	}
	add := func(name string) {
		from := len(dst)
		dst = appendField(append(dst, name...), from, comma, quotes)
		dst = append(dst, comma)
	}
	for _, c := range columns {
		add(c)
	}
	for _, f := range w.fields {
		add(f.String())
	}
	if w.marks() {
		add("error")
	}
	dst[len(dst)-1] = '\n'
	return dst
}

// marks reports whether the output has a column for what is wrong with a row.
func (w *worker) marks() bool { return w.s.Rejects == nil && w.where == nil }

// write writes a row without its line end.
func (w *worker) write(dst []byte, r *row, rec ipwarden.Record) []byte {
	switch w.s.Output {
	case AsJSON:
		return w.asJSON(dst, r, rec)
	case AsCSV:
		return w.asCSV(dst, r, rec)
	}
	switch w.layout.Format {
	case JSON:
		return w.asJSON(dst, r, rec)
	case CSV, TSV:
		if r.broken() { // as text, its commas would be columns
			from := len(dst)
			dst = appendField(append(dst, r.text...), from, w.comma, w.quotes)
			for range w.layout.Width - 1 {
				dst = append(dst, w.comma)
			}
		} else {
			dst = append(dst, r.text...)
		}
		return w.cells(dst, r, rec, w.comma, w.quotes)
	case List:
		dst = append(append(dst, r.text...), '\t')
		if r.reason != "" {
			return append(append(dst, "error:"...), r.reason...)
		}
		return w.texts(dst, rec, '\t', "-")
	}
	dst = append(dst, r.text...)
	if r.reason != "" {
		return append(append(append(dst, ` "error:`...), r.reason...), '"')
	}
	w.known.Read(&w.view, rec)
	for _, f := range w.fields {
		from := len(dst) + 2
		var known bool
		if dst, known = w.known.AppendText(append(dst, ` "`...), f); !known {
			dst = append(dst, '-')
		}
		for i, c := range dst[from:] {
			if c == '"' || c == '\\' || c < ' ' {
				dst[from+i] = '\''
			}
		}
		dst = append(dst, '"')
	}
	return dst
}

// texts appends the fields between separators.
func (w *worker) texts(dst []byte, rec ipwarden.Record, sep byte, none string) []byte {
	w.known.Read(&w.view, rec)
	for i, f := range w.fields {
		if i > 0 {
			dst = append(dst, sep)
		}
		from := len(dst)
		var known bool
		if dst, known = w.known.AppendText(dst, f); !known {
			dst = append(dst, none...)
		} else if sep == '\t' {
			dst = appendField(dst, from, sep, false)
		}
	}
	return dst
}

// cells appends the fields as columns, each with a comma before it, and what is
// wrong with the row where that has a column.
func (w *worker) cells(dst []byte, r *row, rec ipwarden.Record, comma byte, quotes bool) []byte {
	if r.reason == "" {
		w.known.Read(&w.view, rec)
	}
	for _, f := range w.fields {
		dst = append(dst, comma)
		if r.reason == "" {
			from := len(dst)
			dst, _ = w.known.AppendText(dst, f)
			dst = w.field(dst, from, comma, quotes)
		}
	}
	if w.marks() {
		dst = append(append(dst, comma), r.reason...)
	}
	return dst
}

// field makes a field of CSV or TSV of what was appended.
func (w *worker) field(dst []byte, from int, comma byte, quotes bool) []byte {
	if w.s.EscapeFormulas {
		dst = escapeFormula(dst, from)
	}
	return appendField(dst, from, comma, quotes)
}

// asCSV writes a row of another format as CSV.
func (w *worker) asCSV(dst []byte, r *row, rec ipwarden.Record) []byte {
	cell := func(v []byte) {
		from := len(dst)
		dst = w.field(append(dst, v...), from, ',', true)
	}
	switch w.layout.Format {
	case List:
		cell(w.query(r))
	case JSON, Text:
		dst = append(appendInt(dst, r.line), ',')
		cell(w.query(r))
	case CSV, TSV:
		if r.broken() {
			cell(r.text)
			for range w.layout.Width - 1 {
				dst = append(dst, ',')
			}
			break
		}
		for i := 0; i >= 0; {
			if i > 0 {
				dst = append(dst, ',')
			}
			var f []byte
			f, i = nextField(r.text, i, w.comma, w.quotes)
			cell(f)
		}
	default:
		w.parts = logParts(w.parts[:0], w.layout.Format, r.text)
		n := 0
		for _, p := range w.parts {
			if n++; n > 1 {
				dst = append(dst, ',')
			}
			cell(p.value)
		}
		for n++; n <= len(columnNames(w.layout)); n++ {
			dst = append(dst, ',')
		}
	}
	return w.cells(dst, r, rec, ',', true)
}

// query is the address as it stands in the row.
func (w *worker) query(r *row) []byte {
	switch w.layout.Format {
	case JSON:
		return r.object.value
	case Text:
		return r.text[r.from:r.to]
	}
	return bytes.TrimSpace(r.text)
}

// asJSON writes a row as an object.
func (w *worker) asJSON(dst []byte, r *row, rec ipwarden.Record) []byte {
	switch w.layout.Format {
	case JSON:
		if r.reason == NotJSON || r.reason == TooLong {
			dst = ipwarden.AppendString(append(dst, `{"row":`...), text(r.text))
			return append(w.member(append(dst, ','), r, rec), '}')
		}
		m := &r.object
		if m.to > m.from { // of an earlier run
			dst = append(append(dst, r.text[:m.from]...), r.text[m.to:m.close]...)
		} else {
			dst = append(dst, r.text[:m.close]...)
		}
		if !m.empty {
			for n := len(dst); isSpace(dst[n-1]); n-- {
				dst = dst[:n-1]
			}
			dst = append(dst, ',')
			if dst[len(dst)-2] == ',' { // the cut member was the last
				dst = dst[:len(dst)-1]
			}
		}
		return append(w.member(dst, r, rec), r.text[m.close:]...)
	case List, Text:
		dst = append(dst, '{')
		if w.layout.Format == Text {
			dst = append(appendInt(append(dst, `"line":`...), r.line), ',')
		}
		dst = ipwarden.AppendString(append(dst, `"query":`...), text(w.query(r)))
		if r.reason != "" {
			dst = ipwarden.AppendString(append(dst, `,"error":`...), string(r.reason))
		} else {
			dst = w.view.AppendMembers(dst, rec)
		}
		return append(dst, '}')
	}
	dst = append(dst, '{')
	switch {
	case r.broken():
		dst = append(ipwarden.AppendString(append(dst, `"row":`...), text(r.text)), ',')
	case w.layout.Format == CSV || w.layout.Format == TSV:
		n := 0
		for i := 0; i >= 0; n++ {
			var f []byte
			f, i = nextField(r.text, i, w.comma, w.quotes)
			if n < len(w.keys) {
				dst = append(dst, w.keys[n]...)
			} else { // no name is given
				dst = append(appendInt(append(dst, '"'), int64(n+1)), `":`...)
			}
			dst = append(ipwarden.AppendString(dst, text(f)), ',')
		}
	default:
		w.parts = logParts(w.parts[:0], w.layout.Format, r.text)
		for i, p := range w.parts {
			if p.value == nil {
				continue
			}
			dst = append(dst, w.keys[i]...)
			if p.number && isNumber(p.value) {
				dst = append(dst, p.value...)
			} else {
				dst = ipwarden.AppendString(dst, text(p.value))
			}
			dst = append(dst, ',')
		}
		if r.reason != "" {
			dst = append(ipwarden.AppendString(append(dst, `"row":`...), text(r.text)), ',')
		}
	}
	return append(w.member(dst, r, rec), '}')
}

// member appends what is added to an object.
func (w *worker) member(dst []byte, r *row, rec ipwarden.Record) []byte {
	dst = append(ipwarden.AppendString(dst, w.s.Member), ':')
	if r.reason != "" {
		return append(ipwarden.AppendString(append(dst, `{"error":`...), string(r.reason)), '}')
	}
	return w.view.AppendJSON(dst, rec)
}
