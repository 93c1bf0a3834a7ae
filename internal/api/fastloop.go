package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ipwarden/ipwarden/internal/socket"
)

// A loopConn is a connection in the fast loop. One goroutine serves it, inside
// of one syscall.RawConn.Read: each time the kernel says that something came, it
// reads once, answers all whole requests with one write, and lets the runtime's
// poller park it. What a request costs is these two system calls and the core.
//
// The loop answers what readHead knows. The first thing that it does not know
// hands the connection, with the bytes that were read, to fasthttp for good.
type loopConn struct {
	api     *API
	conn    net.Conn // with its bounds: what fasthttp gets, and what is closed
	patient *patientConn
	ending  *atomic.Bool // the server stops

	peer     netip.Addr
	local    bool   // over a Unix socket
	served   int    // requests, counted as far as probes
	unread   []byte // what came and was not answered yet
	again    bool   // unread may be more than a part of a request
	parts    int    // how often a part came of the request that is unread
	unsent   []byte // what the socket did not take
	closing  bool   // when unsent is out
	lastCall bool   // the connection ends unless something is there now
	next     loopStep

	seat   *seat    // in a group, while it is there
	remote net.Addr // of who was in one: the socket does not tell any more once the client has gone
}

// loopStep is what is to be done once the loop has let go of the socket.
type loopStep uint8

const (
	stepEnd      loopStep = iota // the connection has ended
	stepSend                     // wait until unsent is out, and go on
	stepHandOver                 // fasthttp goes on with unread
	stepLeave                    // the loop goes on by itself, outside of the group
	stepLinger                   // the last answer is out, and requests after it will have none
)

// loopBuffers belong to an exchange, so that a connection that waits has none.
type loopBuffers struct {
	in  [4 << 10]byte
	out []byte
}

const (
	// flushAt bounds the answers that are collected for one write, bytes.
	flushAt = 32 << 10

	// probes is after how many requests of a connection the loop looks at once
	// whether more came, or the end. Later it waits for the next word of the
	// kernel, which does not come if the client's end came together with the
	// request (epoll(7): one edge for both); then remind finds it, a second later.
	// Who sends one request and the end at once should not have to wait for that.
	probes = 2

	// maxParts is in how many parts a request may come to a group: who sends it byte by
	// byte takes the time of those who share the group.
	maxParts = 16

	// lingerTime and lingerBytes bound what is read after the last answer. Caddy and
	// other servers in Go take a megabyte of header, and ask about all of it.
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// serve answers until the connection has ended, or is another's: then it
// returns the connection for fasthttp. first is what is to be done before.
func (c *loopConn) serve(raw syscall.RawConn, first loopStep) (handed net.Conn) {
	for {
		var err error
		if first == stepLeave {
			err = raw.Read(c.ready)
		}
		first = stepLeave
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !c.reminded() {
				return c.handOver()
			}
		case err != nil || c.next == stepEnd:
			_ = c.conn.Close() // the client has gone, or was told
			return nil
		case c.next == stepHandOver:
			return c.handOver()
		case c.next == stepLinger:
			c.linger(raw)
			return nil
		default:
			_, err := c.conn.Write(c.unsent)
			if c.unsent = nil; err != nil {
				_ = c.conn.Close()
				return nil
			}
			if c.closing {
				c.linger(raw)
				return nil
			}
		}
	}
}

// linger ends a connection whose client may send, or has sent, more than is answered. A
// socket that is closed with something to read, or gets more, tells the other side to
// forget what it has not read yet (RFC 9112 section 9.6): the last answer, perhaps. So
// only our half is ended until the client has ended its own, for as long as is bearable.
func (c *loopConn) linger(raw syscall.RawConn) {
	c.unread = nil
	c.patient.enter(writing)           // nobody hurries it
	_ = raw.Control(socket.EndWriting) // or it is closed
	if c.patient.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.patient.Conn, lingerBytes) // whoever sends more is cut off
	}
	_ = c.conn.Close()
}

// ready is called when there may be something to read. It returns false to wait
// for more.
func (c *loopConn) ready(fd uintptr) bool {
	now := c.api.now()
	x := c.api.takeForLoop()
	defer c.api.give(x)
	return c.read(fd, x, &now, c.served < probes)
}

// takeForLoop returns an exchange with its buffers.
func (a *API) takeForLoop() *exchange {
	x := a.exchanges.Get().(*exchange)
	if x.loop == nil {
		x.loop = new(loopBuffers)
	}
	return x
}

// read reads and answers what has come. With probe it looks at once whether more
// came, or the end. It returns false to wait for more. now goes on with each answer.
func (c *loopConn) read(fd uintptr, x *exchange, now *time.Time, probe bool) bool {
	if c.again && c.answer(fd, x, now, copy(x.loop.in[:], c.unread)) {
		return true
	}
	for {
		n := copy(x.loop.in[:], c.unread)
		came, errno := socket.Receive(fd, x.loop.in[n:])
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			c.next = stepEnd
			return c.lastCall && n == 0
		case errno != 0:
			c.next = stepEnd
			return true
		case came == 0:
			if c.next = stepEnd; n > 0 {
				c.next = stepHandOver // which says what is wrong with half a request
			}
			return true
		}
		n += came
		if c.answer(fd, x, now, n) {
			return true
		}
		switch {
		case c.seat != nil && (n == len(x.loop.in) || c.parts >= maxParts): // others wait
			c.next = stepLeave
			return true
		case n < len(x.loop.in) && !probe && len(c.unread) == 0:
			return false
		}
	}
}

// answer answers the requests in the first n bytes that came, and keeps what is
// left as unread. It returns true when the loop has to let go of the socket.
func (c *loopConn) answer(fd uintptr, x *exchange, now *time.Time, n int) (letGo bool) {
	b := x.loop
	in := b.in[:n]
	for {
		out, found := b.out[:0], headPart
		for len(in) > 0 && len(out) < flushAt && !c.closing {
			var took int
			if took, found = x.readHead(in); found == headWhole && c.seat != nil && !quickRoute(x.path) {
				found = headSlow
			}
			if found != headWhole {
				x.request = request{}
				break
			}
			in = in[took:]
			out = c.answerOne(x, out, now)
		}
		if cap(out) <= keepBuffer {
			b.out = out
		}
		sent, errno := sendAll(fd, out)
		c.keep(in, len(out) > 0)
		switch {
		case errno == syscall.EAGAIN:
			c.unsent, c.again, c.next = append([]byte(nil), out[sent:]...), len(in) > 0, stepSend
			return true
		case errno != 0:
			c.next = stepEnd
			return true
		case c.closing:
			if c.next = stepEnd; len(in) > 0 || c.api.draining.Load() && moreToRead(fd, b.in[:]) {
				c.next = stepLinger
			}
			return true
		case found == headOdd, found == headPart && len(in) == len(b.in):
			c.next = stepHandOver
			return true
		case found == headSlow:
			c.next, c.again = stepLeave, true
			return true
		case len(in) == 0 || found == headPart:
			return false
		}
	}
}

// moreToRead reports whether something came after what was answered. It takes it: nobody
// will answer it.
func moreToRead(fd uintptr, b []byte) bool {
	for {
		n, errno := socket.Receive(fd, b)
		if errno != syscall.EINTR {
			return errno == 0 && n > 0
		}
	}
}

func sendAll(fd uintptr, out []byte) (sent int, errno syscall.Errno) {
	for sent < len(out) {
		n, errno := socket.Send(fd, out[sent:])
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return sent, errno
		}
		sent += n
	}
	return sent, 0
}

// keep keeps what is left of the input, and says what the connection is doing. What
// is left behind answers is of a request that has just begun.
func (c *loopConn) keep(in []byte, answered bool) {
	c.unread, c.again = nil, false
	if len(in) == 0 {
		c.parts = 0
		c.patient.doing(idle)
		return
	}
	if c.parts++; answered {
		c.parts = 1
	}
	if c.unread = append(c.unread, in...); answered {
		c.patient.enter(reading)
		return
	}
	c.patient.doing(reading)
}

// answerOne answers the request that the exchange has read, appends the answer
// to out, and empties the exchange for the next.
func (c *loopConn) answerOne(x *exchange, out []byte, now *time.Time) []byte {
	a := c.api
	x.begin(*now)
	x.fast = true
	x.ctx = background
	x.peer, x.local = c.peer, c.local
	x.serve()
	c.closing = x.closing || a.draining.Load()
	out = x.appendAnswer(out, a.dateAt(*now), c.closing)
	took := time.Since(*now)
	a.metrics.observe(listenerFast, x, took)
	*now = now.Add(took)
	x.reset()
	c.served++
	c.lastCall = false
	return out
}

// reminded is called after patience has woken the loop. It returns false when
// the request has taken too long.
func (c *loopConn) reminded() bool {
	state, lasted := c.patient.since()
	if state == reading && lasted >= readHeaderTimeout {
		return false
	}
	c.lastCall = lasted >= loopLimits[state] || c.ending.Load() && (state == idle || lasted >= readHeaderTimeout)
	return c.patient.SetReadDeadline(time.Time{}) == nil
}

// handOver makes the connection fasthttp's, which reads first what was read here.
func (c *loopConn) handOver() net.Conn {
	c.patient.leaveLoop()
	return &resumedConn{Conn: c.conn, before: c.unread, remote: c.remote}
}

var background = context.Background()
