package enrich

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A Stream is one file to answer about. The zero Stream finds everything out from
// its first rows.
type Stream struct {
	Name   string // of the file, for rejects and for what its ending says
	Format Format
	// Column is the address's: the name of a column or its number, from 1, or the
	// path of a member of JSON ("request.client_ip"). Default: what is usual.
	Column string
	Output Output
	// Member is what is added to JSON objects; default "ipwarden". One that is
	// there already is replaced.
	Member string
	// EscapeFormulas puts an apostrophe before the fields of CSV and TSV that a
	// spreadsheet would take for formulas: of those that are added, and with AsCSV of
	// all. Rows that stay as they were are not changed.
	EscapeFormulas bool
	// Rejects takes malformed rows, an object a line: file, line, reason and row.
	// Without it they stay where they are and are marked, or are left out when
	// there is a Where.
	Rejects io.Writer
	// After is where to begin: the input is read from there on, and no header is
	// written. Nil is at the beginning.
	After *Position
	// NoHeader is for a file after another: its columns must be those of Columns.
	NoHeader bool
	Columns  []string
	// Progress is called whenever output was written, from one goroutine at a time.
	// Its error ends the run.
	Progress func(Position) error

	now time.Time
}

// Counts say what became of the rows.
type Counts struct {
	Rows      int64 `json:"rows"`      // lines that are not empty and no comment
	Answered  int64 `json:"answered"`  // addresses
	Kept      int64 `json:"kept"`      // written, malformed ones included
	Malformed int64 `json:"malformed"` // without an address
}

func (c *Counts) add(o Counts) {
	c.Rows += o.Rows
	c.Answered += o.Answered
	c.Kept += o.Kept
	c.Malformed += o.Malformed
}

// A Position is how far a run is. Everything before In was answered, and what came
// of it is what has been written; it can be kept, to go on from there.
type Position struct {
	In      int64  `json:"in"` // bytes of the input, decompressed
	Line    int64  `json:"line"`
	Out     int64  `json:"out"`     // bytes written since the beginning
	Rejects int64  `json:"rejects"` // bytes of rejects
	Counts  Counts `json:"counts"`
	Layout  Layout `json:"layout"`
}

// Run answers the rows of in, and writes them to out in their order.
func (e *Enricher) Run(ctx context.Context, in io.Reader, out io.Writer, s Stream) (Position, error) {
	if s.Member == "" {
		s.Member = "ipwarden"
	}
	s.now = e.cfg.Now()
	pos := Position{Line: 1}
	k := &chunker{r: in, layout: &pos.Layout, line: 1}
	if s.After != nil {
		pos = *s.After
		k.at, k.line = pos.In, pos.Line
	} else {
		skipped, err := k.begin(&s, &pos.Layout)
		if err != nil {
			return pos, err
		}
		pos.In, pos.Line = int64(skipped), k.line
	}
	if !slices.Contains([]Output{Same, AsJSON, AsCSV, Nothing}, s.Output) {
		return pos, fmt.Errorf("enrich: there is no output %q", s.Output)
	}
	if s.NoHeader && !slices.Equal(s.Columns, pos.Layout.Columns) {
		return pos, fmt.Errorf("its columns are not those of the file before; answer about it by itself")
	}
	if s.After == nil && !s.NoHeader {
		h := e.newWorker(&s, &pos.Layout).header(nil)
		if _, err := out.Write(h); err != nil {
			return pos, err
		}
		pos.Out = int64(len(h))
	}
	return e.pump(ctx, k, out, &s, pos)
}

// begin reads the first rows, and passes over what is no row.
func (k *chunker) begin(s *Stream, l *Layout) (skipped int, err error) {
	k.fill(chunkSize)
	if k.err != nil && !errors.Is(k.err, io.EOF) {
		return 0, k.err
	}
	bom := len(k.buf) - len(bytes.TrimPrefix(k.buf, []byte("\xef\xbb\xbf")))
	if len(k.buf) == bom {
		l.Format = List
		return 0, nil // nothing is there
	}
	if *l, err = detect(k.buf, s); err != nil {
		return 0, err
	}
	skipped = bom
	if len(l.Columns) > 0 {
		skipped += csvRecord(k.buf[bom:], l.comma(), l.Format == CSV, true).n
	}
	k.line += int64(bytes.Count(k.buf[:skipped], []byte("\n")))
	k.at = int64(skipped)
	k.buf = append(k.buf[:0], k.buf[skipped:]...)
	return skipped, nil
}

// pump lets chunks go round: read, answered by several goroutines, written in
// their order, and filled again.
func (e *Enricher) pump(ctx context.Context, k *chunker, out io.Writer, s *Stream, pos Position) (Position, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := runtime.GOMAXPROCS(0)
	free := make(chan *chunk, 3*n)
	work, order := make(chan *chunk, cap(free)), make(chan *chunk, cap(free))
	for range cap(free) {
		free <- &chunk{done: make(chan struct{}, 1)}
	}
	layout := pos.Layout
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			w := e.newWorker(s, &layout)
			for c := range work {
				w.run(ctx, c)
				c.done <- struct{}{}
			}
		})
	}
	var readErr error
	workers.Go(func() {
		defer close(order)
		defer close(work)
		for {
			var c *chunk
			select {
			case c = <-free:
			case <-ctx.Done():
				readErr = ctx.Err()
				return
			}
			ok, err := k.next(c)
			if err != nil {
				readErr = err
				return
			}
			if !ok {
				return
			}
			work <- c
			order <- c
		}
	})
	var err error
	for c := range order {
		<-c.done
		if err == nil {
			if err = s.put(c, out, &pos); err != nil {
				cancel() // and let those under way end
			}
		}
		if cap(c.out) > maxKeptOut {
			c.out = nil
		}
		free <- c
	}
	workers.Wait()
	return pos, errors.Join(err, ignore(readErr, err))
}

// maxKeptOut is how much memory of output a chunk keeps for the next.
const maxKeptOut = 4 << 20

// ignore leaves out a cancellation that only followed from another error.
func ignore(err, cause error) error {
	if cause != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// put writes what came of a chunk.
func (s *Stream) put(c *chunk, out io.Writer, pos *Position) error {
	if _, err := out.Write(c.out); err != nil {
		return err
	}
	if len(c.rejects) > 0 {
		if _, err := s.Rejects.Write(c.rejects); err != nil {
			return err
		}
	}
	pos.In, pos.Line = c.end, c.line+c.lines
	pos.Out += int64(len(c.out))
	pos.Rejects += int64(len(c.rejects))
	pos.Counts.add(c.count)
	if s.Progress == nil {
		return nil
	}
	return s.Progress(*pos)
}
