package enrich

import (
	"bytes"
	"fmt"
	"io"
)

// Bounds of what is in memory.
const (
	maxRow    = 1 << 20  // bytes of a row; of a longer one the beginning is kept
	chunkSize = 64 << 10 // bytes of rows that go to a goroutine together
	shownRow  = 1 << 10  // bytes of a row that is too long
)

// A chunk is some whole rows, and what became of them.
type chunk struct {
	in      []byte
	line    int64 // number of its first line, from 1
	end     int64 // where it ends in the input
	lines   int64 // line ends in it
	long    int64 // not 0: in is the beginning of one row, which has so many bytes
	out     []byte
	rejects []byte
	count   Counts
	done    chan struct{}
}

// chunker cuts an input into chunks.
type chunker struct {
	r      io.Reader
	layout *Layout
	buf    []byte // read and not given yet
	err    error
	at     int64 // where buf begins
	line   int64
}

// next fills c, and reports whether there was something left.
func (k *chunker) next(c *chunk) (bool, error) {
	c.in, c.long = c.in[:0], 0
	for want := chunkSize; ; want += chunkSize {
		k.fill(want)
		if k.err != nil && k.err != io.EOF {
			return false, k.err
		}
		if len(k.buf) == 0 {
			return false, nil
		}
		if n := k.whole(); n > 0 {
			k.give(c, n)
			return true, nil
		}
		if len(k.buf) > maxRow {
			return true, k.skipLong(c)
		}
	}
}

// fill reads until there are want bytes, or the input ends.
func (k *chunker) fill(want int) {
	for k.err == nil && len(k.buf) < want {
		n := len(k.buf)
		if cap(k.buf) < want {
			k.buf = append(make([]byte, 0, want), k.buf...)
		}
		var m int
		m, k.err = k.r.Read(k.buf[n:want])
		if m < 0 || m > want-n {
			k.err = fmt.Errorf("a reader says that it read %d bytes of %d", m, want-n)
			return
		}
		k.buf = k.buf[:n+m]
	}
}

// whole is how many bytes of buf are whole rows, of at most maxRow bytes each.
func (k *chunker) whole() int {
	last := k.err == io.EOF
	if k.layout.Format != CSV || bytes.IndexByte(k.buf, '"') < 0 {
		n := bytes.LastIndexByte(k.buf, '\n') + 1
		if len(k.buf) > maxRow { // one of them may be too long
			n = 0
			for {
				i := bytes.IndexByte(k.buf[n:], '\n') + 1
				if i == 0 || i > maxRow {
					break
				}
				n += i
			}
		}
		if last && len(k.buf)-n <= maxRow {
			n = len(k.buf)
		}
		return n
	}
	n := 0
	for n < len(k.buf) {
		rec := csvRecord(k.buf[n:], k.layout.comma(), true, last)
		if rec.n == 0 || rec.n > maxRow {
			break
		}
		n += rec.n
	}
	return n
}

// give moves n bytes into c. The rest is moved to the front: it is less than a row.
func (k *chunker) give(c *chunk, n int) {
	c.in = append(c.in, k.buf[:n]...)
	k.buf = append(k.buf[:0], k.buf[n:]...)
	k.count(c, int64(n), int64(bytes.Count(c.in, []byte("\n"))))
}

func (k *chunker) count(c *chunk, n, lines int64) {
	c.line, c.lines = k.line, lines
	k.line += lines
	k.at += n
	c.end = k.at
}

// skipLong passes over a line that is too long, and keeps its beginning.
func (k *chunker) skipLong(c *chunk) error {
	c.in = append(c.in, k.buf[:shownRow]...)
	for {
		if i := bytes.IndexByte(k.buf, '\n'); i >= 0 {
			c.long += int64(i + 1)
			k.buf = append(k.buf[:0], k.buf[i+1:]...)
			k.count(c, c.long, 1)
			return nil
		}
		c.long += int64(len(k.buf))
		k.buf = k.buf[:0]
		if k.err == io.EOF {
			k.count(c, c.long, 0)
			return nil
		}
		if k.fill(chunkSize); k.err != nil && k.err != io.EOF {
			return k.err
		}
	}
}
