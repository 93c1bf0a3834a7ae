package enrich

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/iptext"
)

// A row is one address and where it stands: mostly one a line.
type row struct {
	text   []byte // of the line, without its end
	line   int64
	addr   netip.Addr
	reason Reason
	object member // of JSON
	from   int    // of Text: where the address stands, and where the one before ended
	to     int
	more   bool // of Text: another address of the line follows
	plain  bool // there is nothing to answer: an empty line, a comment, a line without addresses
}

// rowsAtOnce are looked up together.
const rowsAtOnce = 256

// A worker answers the rows of chunks, one chunk at a time.
type worker struct {
	e       *Enricher
	s       *Stream
	layout  *Layout
	view    ipwarden.View
	known   ipwarden.Row // what is written at the moment
	fields  []ipwarden.Field
	where   func(ipwarden.Record) bool
	each    func(ipwarden.Record)
	quotes  bool
	comma   byte
	keys    [][]byte // of JSON that is made of columns
	rows    []row
	addrs   []netip.Addr
	records []ipwarden.Record
	failed  []bool
	parts   []pair
	// Of a line of Text: where it begins in the output, how much of it was written,
	// and whether an address of it was kept.
	begin, written int
	kept           bool
}

func (e *Enricher) newWorker(s *Stream, layout *Layout) *worker {
	w := &worker{e: e, s: s, layout: layout, quotes: layout.Format == CSV, comma: layout.comma()}
	w.view = ipwarden.View{Fields: e.cfg.Fields, Now: s.now, Scores: e.cfg.Scores, Kept: e.kept}
	for f := range e.cfg.Fields.All() {
		w.fields = append(w.fields, f)
	}
	if e.cfg.Where != nil {
		w.where = e.cfg.Where()
	}
	if e.cfg.Each != nil {
		w.each = e.cfg.Each()
	}
	for _, c := range columnNames(layout) {
		w.keys = append(w.keys, append(ipwarden.AppendString(nil, c), ':'))
	}
	w.records, w.failed = make([]ipwarden.Record, rowsAtOnce), make([]bool, rowsAtOnce)
	return w
}

// run answers a chunk.
func (w *worker) run(ctx context.Context, c *chunk) {
	c.out, c.rejects, c.count = c.out[:0], c.rejects[:0], Counts{}
	line := c.line
	if c.long > 0 {
		w.rows = append(w.rows[:0], row{text: bytes.ToValidUTF8(trimEnd(c.in), nil), line: line, reason: TooLong})
		w.flush(ctx, c)
		return
	}
	for b := c.in; len(b) > 0; {
		var n int
		n, line = w.line(b, line)
		b = b[n:]
		if len(w.rows) >= rowsAtOnce || len(b) == 0 {
			w.flush(ctx, c)
		}
	}
}

// line finds the rows of the first line of b, and returns how long it is and the
// number of the next.
func (w *worker) line(b []byte, line int64) (n int, next int64) {
	r := row{line: line}
	next = line + 1
	if w.quotes {
		rec := csvRecord(b, w.comma, true, true)
		n = rec.n
		r.text = b[:rec.end]
		if rec.bad {
			r.reason = BadQuotes
		} else if bytes.IndexByte(r.text, '\n') >= 0 {
			next = line + int64(bytes.Count(b[:n], []byte("\n")))
		}
	} else {
		if n = bytes.IndexByte(b, '\n') + 1; n == 0 {
			n = len(b)
		}
		r.text = trimEnd(b[:n])
	}
	if len(r.text) == 0 {
		r.plain = true
	} else if r.reason == "" {
		w.find(&r)
		if w.layout.Format == Text {
			return n, next
		}
	}
	w.rows = append(w.rows, r)
	return n, next
}

// broken reports whether the parts of a row cannot be told apart.
func (r *row) broken() bool {
	return r.reason == BadQuotes || r.reason == BadColumns || r.reason == TooLong
}

// find finds the address of a row.
func (w *worker) find(r *row) {
	switch w.layout.Format {
	case CSV, TSV:
		if width(r.text, w.comma, w.quotes) != w.layout.Width {
			r.reason = BadColumns
			return
		}
		f, _ := column(r.text, w.layout.Column, w.comma, w.quotes)
		r.addr, r.reason = parse(text(bytes.TrimSpace(f)))
	case JSON:
		if !json.Valid(r.text) {
			r.reason = NotJSON
			return
		}
		r.object = findMember(r.text, w.layout.Path, w.s.Member)
		if r.reason = r.object.reason; r.reason == "" {
			r.addr, r.reason = parse(text(r.object.value))
		}
	case List, Log, VHost:
		if r.text[0] == '#' {
			r.plain = true
			return
		}
		line := r.text
		if line[0] == ' ' || line[0] == '\t' {
			if line = bytes.TrimLeft(line, " \t"); len(line) == 0 {
				r.plain = true
				return
			}
		}
		if w.layout.Format == List {
			end := 0
			for end < len(line) && line[end] != ' ' && line[end] != '\t' && line[end] != ',' && line[end] != ';' {
				end++
			}
			r.addr, r.reason = parse(text(line[:end]))
			r.to = end
			return
		}
		client, _, _ := clientOf(w.layout.Format, line)
		r.addr, r.reason = parse(text(client))
	case HAProxy:
		from, to, ok := haproxyAddress(r.text)
		if r.reason = Missing; ok {
			r.addr, r.reason = parse(text(r.text[from:to]))
		}
	case Text:
		w.findAll(r)
	}
}

// findAll appends a row for each address of a line of Text.
func (w *worker) findAll(r *row) {
	before := len(w.rows)
	for i := 0; ; {
		m, ok := iptext.Next(r.text, i)
		if !ok {
			break
		}
		found := *r
		found.addr, found.from, found.to, found.more = m.Addr, m.Start, m.End, true
		w.rows = append(w.rows, found)
		i = m.End
	}
	if len(w.rows) == before {
		r.plain = true
		w.rows = append(w.rows, *r)
		return
	}
	w.rows[len(w.rows)-1].more = false
}

// flush looks the rows up and writes them.
func (w *worker) flush(ctx context.Context, c *chunk) {
	n := len(w.rows)
	w.addrs = w.addrs[:0]
	for i := range w.rows {
		w.addrs = append(w.addrs, w.rows[i].addr)
	}
	if len(w.records) < n {
		w.records, w.failed = make([]ipwarden.Record, n), make([]bool, n)
	}
	clear(w.failed[:n])
	w.e.lookup(ctx, w.records[:n], w.failed[:n], w.addrs)
	for i := range w.rows {
		r := &w.rows[i]
		if w.failed[i] {
			r.reason = Failed
		}
		w.one(c, r, w.records[i])
	}
	clear(w.rows)
	w.rows = w.rows[:0]
	clear(w.records[:n]) // they keep their dataset alive
}

// one counts and writes a row.
func (w *worker) one(c *chunk, r *row, rec ipwarden.Record) {
	if r.plain {
		if w.s.Output == Same && w.where == nil {
			c.out = append(append(c.out, r.text...), '\n')
		}
		return
	}
	if !r.more {
		c.count.Rows++
	}
	if r.reason != "" {
		c.count.Malformed++
		if w.s.Rejects != nil {
			c.rejects = w.reject(c.rejects, r, c.long)
			return
		}
		if w.where != nil {
			return
		}
	} else {
		c.count.Answered++
	}
	if w.layout.Format == Text && w.s.Output == Same {
		w.annotate(c, r, rec)
		return
	}
	if r.reason == "" {
		if w.where != nil && !w.where(rec) {
			return
		}
		if w.each != nil {
			w.each(rec)
		}
	}
	if w.s.Output == Nothing {
		return
	}
	c.count.Kept++
	c.out = append(w.write(c.out, r, rec), '\n')
}

// annotate writes a line of Text, in which what is known stands in brackets after
// each address that is kept.
func (w *worker) annotate(c *chunk, r *row, rec ipwarden.Record) {
	if w.written == 0 {
		w.begin, w.kept = len(c.out), false
	}
	if r.reason == "" && (w.where == nil || w.where(rec)) {
		if w.each != nil {
			w.each(rec)
		}
		w.kept = true
		c.count.Kept++
		c.out = append(c.out, r.text[w.written:r.to]...)
		c.out = append(c.out, " ["...)
		c.out = append(w.texts(c.out, rec, ' ', "-"), ']')
		w.written = r.to
	}
	if r.more {
		return
	}
	c.out = append(append(c.out, r.text[w.written:]...), '\n')
	if !w.kept && w.where != nil {
		c.out = c.out[:w.begin]
	}
	w.written = 0
}

// reject writes a row to the rejects.
func (w *worker) reject(dst []byte, r *row, long int64) []byte {
	dst = append(dst, '{')
	if w.s.Name != "" {
		dst = append(ipwarden.AppendString(append(dst, `"file":`...), w.s.Name), ',')
	}
	dst = appendInt(append(dst, `"line":`...), r.line)
	dst = ipwarden.AppendString(append(dst, `,"reason":`...), string(r.reason))
	if long > 0 {
		dst = appendInt(append(dst, `,"bytes":`...), long)
	}
	dst = ipwarden.AppendString(append(dst, `,"row":`...), text(r.text))
	return append(dst, "}\n"...)
}
