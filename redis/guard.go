package redis

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"
)

// A guard stands between the client and a connection. The client takes what it
// reads for what a Redis server says: it allocates what an answer announces, and
// panics at an answer to nothing. A guard ends the connection instead.
type guard struct {
	net.Conn
	in, out    framing
	asked      atomic.Int64 // commands written
	subscribed atomic.Bool  // messages may come that answer nothing
}

func (g *guard) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if n > 0 {
		if e := g.in.feed(b[:n]); e != nil {
			return 0, g.end(e)
		}
		if g.in.messages > g.asked.Load() && !g.subscribed.Load() {
			return 0, g.end(errUnasked)
		}
	}
	return n, err
}

func (g *guard) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("SUBSCRIBE")) {
		g.subscribed.Store(true)
	}
	if err := g.out.feed(b); err != nil {
		return 0, g.end(err)
	}
	g.asked.Store(g.out.messages)
	return g.Conn.Write(b)
}

func (g *guard) end(err error) error {
	_ = g.Conn.Close()
	return err
}

// What is wrong with a stream. Bounds are far above what the commands used here
// are answered with.
var (
	errUnasked = errors.New("redis: an answer that nobody asked for; is this a Redis server?")
	errFraming = errors.New("redis: what came is not the protocol of Redis")
	errTooMuch = errors.New("redis: an answer is larger than any that is expected")
)

const (
	maxBytes    = 4 << 20 // of a message
	maxElements = 1 << 16 // of an array
	maxDepth    = 8
	maxDigits   = 12
)

// framing follows RESP2 and RESP3 (the Redis serialization protocol
// specification) as far as to know where messages end.
type framing struct {
	messages int64 // complete ones, but for pushes

	kind   byte // of the value whose first line is being read; 0 between values
	number int64
	digits int
	minus  bool
	ending bool  // a carriage return was read
	skip   int64 // bytes of a string that are still to come, with its line end
	size   int64 // of this message so far
	push   bool  // this message is one
	stack  [maxDepth]struct {
		left      int64
		attribute bool // an attribute is before a value, and none itself
	}
	depth int
}

// feed takes the next bytes of a stream.
func (f *framing) feed(b []byte) error {
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, int64(len(b)))
			f.skip -= n
			b = b[n:]
			if f.skip == 0 {
				f.complete()
			}
			continue
		}
		c := b[0]
		b = b[1:]
		if f.size++; f.size > maxBytes {
			return errTooMuch
		}
		if f.kind == 0 {
			if err := f.begin(c); err != nil {
				return err
			}
			continue
		}
		if f.ending {
			if c != '\n' {
				return errFraming
			}
			if err := f.line(); err != nil {
				return err
			}
			continue
		}
		if c == '\r' {
			f.ending = true
			continue
		}
		if f.counted() {
			if err := f.digit(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *framing) begin(kind byte) error {
	if bytes.IndexByte([]byte("+-:_#,($!=*~>%|"), kind) < 0 {
		return errFraming
	}
	f.kind, f.number, f.digits, f.minus, f.ending = kind, 0, 0, false, false
	if kind == '>' && f.depth == 0 {
		f.push = true
	}
	return nil
}

// counted reports whether the line being read is a length.
func (f *framing) counted() bool { return bytes.IndexByte([]byte("$!=*~>%|"), f.kind) >= 0 }

func (f *framing) digit(c byte) error {
	switch {
	case c == '-' && f.digits == 0 && !f.minus:
		f.minus = true
	case c >= '0' && c <= '9' && f.digits < maxDigits:
		f.number = f.number*10 + int64(c-'0')
		f.digits++
	default:
		return errFraming
	}
	return nil
}

// line ends the first line of a value.
func (f *framing) line() error {
	kind := f.kind
	f.kind = 0
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		f.complete()
		return nil
	}
	if f.digits == 0 || f.minus && f.number != 1 {
		return errFraming
	}
	if f.minus { // null, of RESP2
		if kind != '$' && kind != '*' {
			return errFraming
		}
		f.complete()
		return nil
	}
	if kind == '$' || kind == '!' || kind == '=' {
		if f.size += f.number + 2; f.size > maxBytes {
			return errTooMuch
		}
		f.skip = f.number + 2
		return nil
	}
	if kind == '%' || kind == '|' {
		f.number *= 2
	}
	if f.number > maxElements || f.depth == maxDepth {
		return errTooMuch
	}
	f.stack[f.depth].left, f.stack[f.depth].attribute = f.number, kind == '|'
	f.depth++
	if f.number == 0 {
		f.close()
	}
	return nil
}

// complete ends a value, and the arrays that it was the last of.
func (f *framing) complete() {
	for f.depth > 0 {
		top := &f.stack[f.depth-1]
		if top.left--; top.left > 0 {
			return
		}
		f.depth--
		if top.attribute {
			return // the value is still to come
		}
	}
	f.message()
}

// close ends an array without elements.
func (f *framing) close() {
	f.depth--
	if !f.stack[f.depth].attribute {
		f.complete()
	}
}

func (f *framing) message() {
	if !f.push {
		f.messages++
	}
	f.push, f.size = false, 0
}
