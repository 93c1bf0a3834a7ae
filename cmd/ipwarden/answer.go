package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/ipwarden/ipwarden"
)

// An answerWriter writes answers in one format.
type answerWriter interface {
	answer(query string, r ipwarden.Record) error
	// failure stands for a question without an answer, where the format has a
	// place for it; the message is on standard error in any case.
	failure(q *question) error
	end() error
}

func newAnswerWriter(format string, out *bufio.Writer, view *ipwarden.View, chosen bool, p palette) answerWriter {
	switch format {
	case "json":
		return &jsonLines{out: out, view: view}
	case "yaml":
		return &yamlDocuments{out: out, json: jsonLines{view: view}}
	case "csv":
		return newCSVRows(out, view)
	}
	if chosen {
		return newTextRows(out, view)
	}
	return &cards{out: out, view: view, palette: p}
}

// jsonLines writes one object a line, the query as it was asked first.
type jsonLines struct {
	out  *bufio.Writer
	view *ipwarden.View
	buf  []byte
}

func (w *jsonLines) object(query string, r ipwarden.Record) []byte {
	w.buf = ipwarden.AppendString(append(w.buf[:0], `{"query":`...), query)
	w.buf = w.view.AppendMembers(w.buf, r)
	return append(w.buf, '}')
}

func (w *jsonLines) failed(q *question) []byte {
	w.buf = ipwarden.AppendString(append(w.buf[:0], `{"query":`...), q.text)
	w.buf = ipwarden.AppendString(append(w.buf, `,"error":`...), q.err.Error())
	return append(w.buf, '}')
}

func (w *jsonLines) answer(query string, r ipwarden.Record) error {
	_, err := w.out.Write(append(w.object(query, r), '\n'))
	return err
}

func (w *jsonLines) failure(q *question) error {
	_, err := w.out.Write(append(w.failed(q), '\n'))
	return err
}

func (w *jsonLines) end() error { return nil }

// yamlDocuments writes the same objects as documents of one stream.
type yamlDocuments struct {
	out  *bufio.Writer
	json jsonLines
}

func (w *yamlDocuments) document(object []byte) error {
	text, err := yaml.JSONToYAML(object)
	if err != nil {
		return err
	}
	_, err = w.out.Write(append([]byte("---\n"), text...))
	return err
}

func (w *yamlDocuments) answer(query string, r ipwarden.Record) error {
	return w.document(w.json.object(query, r))
}

func (w *yamlDocuments) failure(q *question) error { return w.document(w.json.failed(q)) }
func (w *yamlDocuments) end() error                { return nil }

// csvRows writes a header of dotted paths and a row an answer.
type csvRows struct {
	csv    *csv.Writer
	view   *ipwarden.View
	fields []ipwarden.Field
	row    []string
	begun  bool
}

func newCSVRows(out *bufio.Writer, view *ipwarden.View) *csvRows {
	fields := slices.DeleteFunc(slices.Collect(view.Fields.All()), func(f ipwarden.Field) bool {
		return f == ipwarden.FieldQuery // the first column in any case
	})
	return &csvRows{csv: csv.NewWriter(out), view: view, fields: fields, row: make([]string, len(fields)+1)}
}

func (w *csvRows) header() error {
	if w.begun {
		return nil
	}
	w.begun = true
	w.row[0] = "query"
	for i, f := range w.fields {
		w.row[i+1] = f.String()
	}
	return w.csv.Write(w.row)
}

func (w *csvRows) answer(query string, r ipwarden.Record) error {
	if err := w.header(); err != nil {
		return err
	}
	w.row[0] = query
	for i, f := range w.fields {
		text, _ := w.view.AppendText(nil, r, f)
		w.row[i+1] = string(text)
	}
	// Not flushed: package csv writes into our buffer itself, as it is large
	// enough, and whoever asks decides when that is flushed.
	return w.csv.Write(w.row)
}

// failure keeps a row for every question, so that columns can be pasted.
func (w *csvRows) failure(q *question) error {
	if err := w.header(); err != nil {
		return err
	}
	clear(w.row)
	w.row[0] = q.text
	return w.csv.Write(w.row)
}

func (w *csvRows) end() error {
	err := w.header()
	w.csv.Flush()
	return errors.Join(err, w.csv.Error())
}

// textRows writes the chosen fields of an answer on one line, between tabs. What
// was asked comes first, unless the address is chosen, which says it as well.
type textRows struct {
	out       *bufio.Writer
	view      *ipwarden.View
	fields    []ipwarden.Field
	withQuery bool
	buf       []byte
}

func newTextRows(out *bufio.Writer, view *ipwarden.View) *textRows {
	w := &textRows{out: out, view: view, withQuery: !view.Fields.Has(ipwarden.FieldIP) || view.Fields.Has(ipwarden.FieldQuery)}
	for f := range view.Fields.All() {
		if f != ipwarden.FieldQuery { // it comes first
			w.fields = append(w.fields, f)
		}
	}
	return w
}

func (w *textRows) answer(query string, r ipwarden.Record) error {
	w.buf = w.buf[:0]
	if w.withQuery {
		w.buf = append(w.buf, printable(query)...)
	}
	for i, f := range w.fields {
		if w.withQuery || i > 0 {
			w.buf = append(w.buf, '\t')
		}
		text, ok := w.view.AppendText(nil, r, f)
		if !ok {
			text = []byte("-")
		}
		w.buf = append(w.buf, printable(string(text))...)
	}
	_, err := w.out.Write(append(w.buf, '\n'))
	return err
}

func (w *textRows) failure(*question) error { return nil }
func (w *textRows) end() error              { return nil }
