package spoa

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/socket"
)

const (
	// firstBuffer is enough for as many requests as HAProxy sends before it waits
	// for an answer, 20 unless it is told otherwise, so that one read takes them
	// all; a buffer grows up to the size agreed.
	firstBuffer = 32 << 10
	// flushAt is how much of answers is gathered before it is written.
	flushAt = 16 << 10
	// lastLook is how long an agent that stops waits for frames that are already
	// on their way to it.
	lastLook = 5 * time.Millisecond
)

// A conn is a connection of HAProxy. One goroutine reads it, and answers what it
// reads, one write for all frames that came together; frames that are slow to
// decide are handed to others ([conn.handOver]).
type conn struct {
	agent *Agent
	nc    net.Conn
	agree hello

	in       []byte // in[from:to] has come and is not yet read
	from, to int
	x        exchange
	// came is when the last bytes came, began when the first ones of the frame did
	// that is not yet whole. The deadlines of reading and writing are set when
	// they are due, not for each frame.
	came, began, readBy, writeBy time.Time
	last                         bool // the agent stops: what has come is read, no more

	parallel parallel

	mu  sync.Mutex
	out []byte // guarded by mu: answers that are not yet written
	err error  // guarded by mu: why writing failed
}

func newConn(a *Agent, nc net.Conn) *conn {
	return &conn{agent: a, nc: socket.Quick(nc), in: make([]byte, firstBuffer)}
}

// serve runs until the connection ends, which is not an error: HAProxy opens and
// closes them as it needs.
func (c *conn) serve(ctx context.Context) {
	defer c.parallel.wait()
	defer func() {
		if r := recover(); r != nil {
			c.agent.cfg.Log.Error("a decision panicked; its connection ends", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	err := c.greet()
	if err == nil && !c.agree.healthcheck {
		err = c.answer(ctx)
	}
	c.parallel.wait()
	if b := (*breach)(nil); errors.As(err, &b) {
		if b.status != statusNormal {
			c.agent.breaches.Add(1)
			c.agent.cfg.Log.Warn("HAProxy's connection ends", "peer", c.nc.RemoteAddr().String(), "why", b.text, "status", b.status)
		}
		c.mu.Lock()
		c.out = appendDisconnect(c.out, b.status, b.text)
		c.mu.Unlock()
	}
	_ = c.flush(time.Now()) // the connection ends either way
}

var (
	errAgain    = &breach{statusInvalid, "a HELLO on a connection that has one"}
	errStopping = &breach{statusNormal, "the agent stops"}
	errIdle     = &breach{statusNormal, "nothing came for too long"}
	errGoodbye  = &breach{statusNormal, "goodbye"}
)

// greet reads the HELLO and answers it (section 3.2.3).
func (c *conn) greet() error {
	c.came = time.Now()
	f, err := c.next(c.agent.cfg.MaxFrame, c.agent.cfg.Patience)
	if err != nil {
		return err
	}
	if f.kind != frameHello || f.flags&flagFin == 0 {
		return &breach{statusInvalid, "the first frame is no whole HELLO"}
	}
	if c.agree, err = parseHello(f.payload, c.agent.cfg.MaxFrame); err != nil {
		return err
	}
	c.mu.Lock()
	c.out = appendHello(c.out, c.agree)
	c.mu.Unlock()
	return c.flush(c.came)
}

// answer answers frames until the connection ends.
func (c *conn) answer(ctx context.Context) error {
	for {
		f, err := c.next(c.agree.maxFrame, c.agent.cfg.Idle)
		if err != nil {
			return err
		}
		switch f.kind {
		case frameNotify:
			if err := c.notify(ctx, &f); err != nil {
				return err
			}
		case frameDisconnect:
			return errGoodbye
		case frameHello:
			return errAgain
		}
		// Others may be skipped (section 3.2.2).
	}
}

// notify answers a frame here, unless decisions are slow just now.
func (c *conn) notify(ctx context.Context, f *frame) error {
	if c.agree.pipelining && c.parallel.slow.Load() {
		return c.handOver(ctx, f)
	}
	if err := c.x.parse(f.payload); err != nil {
		return err
	}
	c.agent.decide(ctx, &c.x)
	c.mu.Lock()
	c.put(f, &c.x)
	full, err := len(c.out) >= flushAt, c.err
	c.mu.Unlock()
	if c.from < c.to && !c.agent.cfg.Local {
		// More has come: how long does that wait for this?
		if time.Since(c.came) > slowDecision {
			c.parallel.quick.Store(0)
			c.parallel.slow.Store(true)
			full = true
		}
	}
	if full {
		err = c.flush(c.came)
	}
	return err
}

// put appends the answer to f. The caller holds mu.
func (c *conn) put(f *frame, x *exchange) {
	var dropped int
	if c.out, dropped = appendAck(c.out, f, x, c.agree.maxFrame); dropped > 0 {
		c.agent.dropped.Add(uint64(dropped))
	}
	c.agent.frames.Add(1)
}

func (a *Agent) decide(ctx context.Context, x *exchange) {
	if x.reported && a.cfg.Outcome != nil && x.decision != "" && x.status != 0 {
		a.cfg.Outcome(ctx, x.decision, x.status)
	}
	if x.asked {
		for i := range x.lines.Len() {
			if name, _ := x.lines.At(i); a.cfg.Removes(name) {
				x.strip = true
				break
			}
		}
		a.cfg.Decide(ctx, &x.request, &x.answer)
	}
}

// next returns the next frame, of at most limit bytes, and waits for its first
// byte as long as patience. What was answered is written before it waits. The
// frame holds until the next call.
func (c *conn) next(limit int, patience time.Duration) (frame, error) {
	for {
		f, n, err := nextFrame(c.in[c.from:c.to], limit)
		if err != nil || n > 0 {
			c.from += n
			c.began = c.came // the first bytes of the next frame, if they are there
			return f, err
		}
		if err := c.flush(c.came); err != nil {
			return f, err
		}
		if c.from < c.to {
			c.room(limit)
			err = c.readRest()
		} else {
			c.from, c.to = 0, 0
			err = c.readFirst(patience)
		}
		if err != nil {
			return f, err
		}
	}
}

// room makes place for the rest of a frame.
func (c *conn) room(limit int) {
	copy(c.in, c.in[c.from:c.to])
	c.from, c.to = 0, c.to-c.from
	if c.to == len(c.in) || c.to > firstBuffer/2 && len(c.in) < limit+lengthSize {
		in := make([]byte, min(2*len(c.in), 2*(limit+lengthSize)))
		copy(in, c.in[:c.to])
		c.in = in
	}
}

// readFirst waits for the first bytes of a frame. A deadline costs as much as a
// small frame, so that it is set rarely and may last half as long again.
func (c *conn) readFirst(patience time.Duration) error {
	switch by := c.came.Add(patience); {
	case c.last:
		return errStopping
	case c.agent.draining.Load():
		c.last = true
		if err := c.readUntil(time.Now().Add(lastLook)); err != nil {
			return err
		}
	case c.readBy.Before(by):
		if err := c.readUntil(by.Add(patience / 2)); err != nil {
			return err
		}
		if c.agent.draining.Load() { // wake may have been overruled
			return nil
		}
	}
	err := c.read()
	c.began = c.came
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	} else if c.agent.draining.Load() {
		return nil // comes back to have a last look, or to end
	}
	return errIdle
}

// readRest waits for more of a frame that has begun.
func (c *conn) readRest() error {
	by := c.began.Add(c.agent.cfg.Patience)
	if err := c.readUntil(by); err != nil {
		return err
	}
	err := c.read()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	} else if c.agent.draining.Load() && time.Now().Before(by) {
		return nil // woken, and the frame may still come
	}
	return &breach{statusTimeout, "the rest of a frame did not come"}
}

func (c *conn) readUntil(by time.Time) error {
	c.readBy = by
	return c.nc.SetReadDeadline(by)
}

func (c *conn) read() error {
	n, err := c.nc.Read(c.in[c.to:])
	if n > 0 {
		c.came = time.Now()
		c.to += n
		return nil
	} else if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// wake ends the waiting for a frame, so that the connection sees that the agent
// stops. It is called by another goroutine.
func (c *conn) wake() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

// flush writes what was answered. now may be when the last bytes came: the deadline
// is not exact.
func (c *conn) flush(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) == 0 || c.err != nil {
		return c.err
	}
	if c.writeBy.Sub(now) < c.agent.cfg.Patience {
		c.writeBy = now.Add(2 * c.agent.cfg.Patience)
		_ = c.nc.SetWriteDeadline(c.writeBy)
	}
	_, c.err = c.nc.Write(c.out)
	c.out = c.out[:0]
	return c.err
}
