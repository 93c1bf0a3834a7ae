package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine bounds one line of newline-delimited JSON, bytes. The longest address
// takes a third of it even when every character is escaped but a few.
const maxLine = 512

const exampleLines = `POST /v1/ip with Content-Type: application/x-ndjson and the body "8.8.8.8"`

// streamWriter is what a shell gives an answer that is written while the
// question still arrives.
type streamWriter struct {
	in    io.Reader
	out   io.Writer
	flush func() error
	// extend moves the deadlines of the connection: a stream may take as long as
	// it likes while it moves.
	extend func() error
}

// bulkLines answers newline-delimited JSON, line by line, without a cap and
// with constant memory.
func (x *exchange) bulkLines(o *options) *problem {
	if o.format != anyFormat {
		return badParameter("format does not apply to newline-delimited JSON, which is answered in kind.", exampleLines)
	}
	if _, p := x.choose(anyFormat, offerLines); p != nil {
		return p
	}
	x.ok(formatNDJSON)
	x.stream = func(w *streamWriter) error { return x.pump(w, o) }
	return nil
}

// pump reads lines and writes answers, in batches of what has already arrived:
// an interactive client gets each answer at once, a bulk one gets them in
// blocks.
func (x *exchange) pump(w *streamWriter, o *options) error {
	defer x.settleEnd()
	in := bufio.NewReaderSize(w.in, 32<<10)
	b, v := x.batchMemory(), x.view(o)
	text := make([]byte, 0, batchSize*maxLine) // of the lines of one batch
	index, n, most := 0, 0, x.batchBound()
	for {
		line, long, err := readLine(in)
		if len(line) > 0 {
			start := len(text)
			text = append(text, line...)
			b.queries[n], b.errs[n] = readItem(text[start:], long)
			n++
		}
		if n > 0 && (n == most || err != nil || !lineWaits(in)) {
			v.Now = x.clock()
			may, ended := x.admitSome(n)
			x.out = x.out[:0]
			if may > 0 {
				good := b.look(x, may)
				x.out = b.append(x.out, v, index, may, formatNDJSON)
				x.settleSome(good)
			}
			if ended != nil {
				x.out = x.appendEnd(x.out, index+may, ended)
			}
			if err := w.extend(); err != nil {
				return err
			}
			if _, err := w.out.Write(x.out); err != nil {
				return err
			}
			if ended != nil || !lineWaits(in) {
				if err := w.flush(); err != nil {
					return err
				}
			}
			if ended != nil {
				return nil
			}
			x.metricsBulk(n)
			index, n, text = index+n, 0, text[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lineWaits reports whether a whole line has already arrived.
func lineWaits(in *bufio.Reader) bool {
	arrived, err := in.Peek(in.Buffered())
	return err == nil && bytes.IndexByte(arrived, '\n') >= 0
}

// readLine returns the next line without its end and without space round it.
// Of a line that is too long it returns the beginning, and passes over the
// rest. It is empty for an empty line, which counts for nothing.
func readLine(in *bufio.Reader) (line []byte, long bool, err error) {
	line, err = in.ReadSlice('\n')
	if len(line) > maxLine {
		// ReadSlice stops at the size of its buffer, which is larger than a line.
		long = true
		line = bytes.Clone(line[:maxItem])
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return bytes.TrimSpace(line), long, err
}

// readItem reads one line as a JSON value.
func readItem(line []byte, long bool) (element, error) {
	if long {
		return element{text: alias(line)}, errLongItem
	}
	s := arrayScanner{src: line}
	e, ok := s.value()
	if ok {
		s.space()
	}
	if !ok || s.pos != len(line) {
		return element{text: alias(line)}, errBadLine
	}
	return e, nil
}
