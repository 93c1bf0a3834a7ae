package feed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The shared machinery of the parsers that read JSON: what rows.go is to text.
// A document is read piece by piece, never as a whole, so that a truncated one
// still gives what came before the cut:
//
//	return readDocument(r, "X list", func(d *document) error {
//		return d.object(func(key string) error {
//			if key != "prefixes" {
//				return d.skip()
//			}
//			return d.list(func() error {
//				var e struct{ Prefix loose }
//				if ok, err := d.entry(&e); !ok {
//					return err
//				}
//				return d.prefix(string(e.Prefix), Fact{})
//			})
//		})
//	})

// maxDepth bounds the nesting of what is skipped. No list nests deeper than
// six; encoding/json bounds what it decodes itself.
const maxDepth = 64

// document reads one JSON document.
type document struct {
	dec   *json.Decoder
	in    interner
	found bool // a list that the format is about was there
	n     int  // entries begun, so the number of the present one

	good, count int // facts and bad entries that were yielded
	fact        Fact
	yield       func(*Fact, error) bool
}

var (
	errStopped  = errors.New("the caller has had enough")
	errShape    = errors.New("the shape is wrong")
	errTooDeep  = fmt.Errorf("%w: it nests deeper than any list does", errShape)
	errNoObject = fmt.Errorf("%w: an object was expected", errShape)
	errNoList   = fmt.Errorf("%w: a list was expected", errShape)
	errTrailing = fmt.Errorf("%w: something follows the end of the document", errShape)
)

// readDocument runs parse over the document in r and yields what ends it early.
// format names what it should have been, for the error. parse sets d.found
// when it meets what makes a document one of the format.
func readDocument(r io.Reader, format string, parse func(*document) error) facts {
	return func(yield func(*Fact, error) bool) {
		br := bufio.NewReaderSize(r, 4096)
		head, _ := br.Peek(4096) // a failing reader fails again below
		if why := sniff(head); why != "" {
			yield(nil, &FileError{Why: why})
			return
		}
		if bytes.HasPrefix(head, bom) {
			_, _ = br.Discard(len(bom)) // it was peeked: it is there
		}
		d := &document{dec: json.NewDecoder(br), yield: yield}
		err := parse(d)
		if err == nil {
			if _, err = d.dec.Token(); err == nil {
				err = errTrailing
			} else if err == io.EOF {
				err = nil
			}
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		var syntax *json.SyntaxError
		switch {
		case errors.Is(err, errStopped):
		case errors.Is(err, io.ErrUnexpectedEOF) && d.n > 0:
			yield(nil, &FileError{Why: fmt.Sprintf("the document is cut off after entry %d", d.n)})
		case errors.Is(err, io.ErrUnexpectedEOF):
			yield(nil, &FileError{Why: "the document is cut off"})
		case errors.As(err, &syntax) && d.n > 0:
			yield(nil, &FileError{Why: fmt.Sprintf("the document is broken after entry %d", d.n), Cause: err})
		case errors.As(err, &syntax), errors.Is(err, errShape):
			yield(nil, &FileError{Why: "the file is no " + format, Cause: err})
		case err != nil:
			yield(nil, &FileError{Why: "reading stopped", Cause: err})
		case !d.found:
			yield(nil, &FileError{Why: "the file is no " + format + ": it lacks the list that makes it one"})
		case d.good == 0 && d.count > 0:
			yield(nil, &FileError{Why: "the file is no " + format + ": not one of its entries could be read"})
		}
	}
}

// object visits the keys of the object that comes next; visit reads the value.
func (d *document) object(visit func(key string) error) error {
	if err := d.open('{', errNoObject); err != nil {
		return err
	}
	for d.dec.More() {
		key, err := d.dec.Token()
		if err != nil {
			return err
		}
		if err := visit(key.(string)); err != nil { // the decoder admits only strings here
			return err
		}
	}
	_, err := d.dec.Token()
	return err
}

// list visits the elements of the list that comes next; visit reads one.
func (d *document) list(visit func() error) error {
	d.found = true
	if err := d.open('[', errNoList); err != nil {
		return err
	}
	for d.dec.More() {
		if err := visit(); err != nil {
			return err
		}
	}
	_, err := d.dec.Token()
	return err
}

func (d *document) open(want json.Delim, otherwise error) error {
	t, err := d.dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return otherwise
	}
	return nil
}

// skip passes over the value that comes next.
func (d *document) skip() error { return d.skipFrom(0) }

// skipFrom is skip when depth delimiters are open already.
func (d *document) skipFrom(depth int) error {
	for {
		t, err := d.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return errTooDeep
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// entry begins the next entry and decodes it into v, whose fields are best
// loose. An entry of another shape is a bad one; then ok is false. err ends
// the document.
func (d *document) entry(v any) (ok bool, err error) {
	d.n++
	err = d.dec.Decode(v)
	var shape *json.UnmarshalTypeError
	if errors.As(err, &shape) { // its bytes are read: the next entry can be
		why := "the entry is a JSON " + shape.Value
		if shape.Field != "" {
			why = fmt.Sprintf("%q is a JSON %s", shape.Field, shape.Value)
		}
		return false, d.bad("", why)
	}
	return err == nil, err
}

// text reads a string that is about the document itself; any other value is "".
func (d *document) text() (string, error) {
	t, err := d.dec.Token()
	if err != nil {
		return "", err
	}
	switch t := t.(type) {
	case string:
		return t, nil
	case json.Delim:
		return "", d.skipFrom(1)
	}
	return "", nil
}

// date reads a point in time about the document itself into meta; one in
// none of the layouts is left out.
func (d *document) date(meta *Meta, layouts ...string) error {
	s, err := d.text()
	if err == nil {
		if t, ok := parseTime(s, layouts...); ok {
			meta.Date = t
		}
	}
	return err
}

// prefix yields f about a prefix or an address.
func (d *document) prefix(s string, f Fact) error {
	p, _, why := parsePrefix(bytes.TrimSpace([]byte(s)))
	if why != "" {
		return d.bad(s, why)
	}
	d.fact = f
	d.fact.SetPrefix(p)
	return d.emit()
}

// emit yields d.fact.
func (d *document) emit() error {
	d.good++
	if !d.yield(&d.fact, nil) {
		return errStopped
	}
	return nil
}

// bad yields the present entry as a *RowError.
func (d *document) bad(row, why string) error {
	d.count++
	if !d.yield(nil, rowError(d.n, row, why)) {
		return errStopped
	}
	return nil
}

// name returns s fit to enter a fact.
func (d *document) name(s loose) string { return d.in.text([]byte(s)) }

// loose is a JSON string; any other value gives its own text, so that one odd
// value spoils its entry and not the list. null is "".
type loose string

// UnmarshalJSON never fails.
func (l *loose) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		*l = ""
	case len(b) < 2 || b[0] != '"':
		*l = loose(b)
	case bytes.IndexByte(b, '\\') < 0:
		*l = loose(b[1 : len(b)-1])
	default:
		var s string
		if json.Unmarshal(b, &s) != nil {
			s = string(b)
		}
		*l = loose(s)
	}
	return nil
}

// isoLayouts are the forms of RFC 3339 in which lists give their date, with
// and without a zone; without, they mean UTC. Fractions of a second are read
// in all of them.
var isoLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"}

// parseTime reads s in the first layout that fits, in UTC. A year that no list
// can be of is not read: it would outdate every other feed.
func parseTime(s string, layouts ...string) (time.Time, bool) {
	if len(s) > 64 {
		return time.Time{}, false
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC()
			return t, plausible(t)
		}
	}
	return time.Time{}, false
}

func plausible(t time.Time) bool { return 1990 <= t.Year() && t.Year() < 2100 }
