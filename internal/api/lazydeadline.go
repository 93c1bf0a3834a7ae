package api

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lazyDeadlines is a listener whose connections note the deadlines that are set
// on them, and look at the clock once a second: a deadline takes effect up to a
// second late. net/http sets five for each request and moves all but the last
// before they are reached; each costs a timer of the runtime, and together they
// cost as much as the look-up, the JSON and the header lines.
//
// A deadline that has passed takes effect at once. That is how net/http calls
// back the read by which it watches for the client's end while a handler runs;
// most often that read has not even begun, and then it need not go to the kernel.
//
// A connection without a deadline for reading is idle, so that net/http need not
// read the clock to say so, and ends after idleTimeout.
type lazyDeadlines struct {
	net.Listener
	began time.Time
	now   atomic.Int64 // nanoseconds since 1970, at most a second ago
	done  chan struct{}
	once  sync.Once

	mu    sync.Mutex
	conns map[*lazyConn]struct{} // guarded by mu
}

func newLazyDeadlines(ln net.Listener) *lazyDeadlines {
	l := &lazyDeadlines{Listener: ln, began: time.Now(), done: make(chan struct{}), conns: map[*lazyConn]struct{}{}}
	l.now.Store(l.began.UnixNano())
	go l.watch()
	return l
}

// watch runs until the listener is closed and its connections have ended.
func (l *lazyDeadlines) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	done, closed := l.done, false
	for !closed || l.look(time.Now()) > 0 {
		select {
		case now := <-tick.C:
			l.look(now)
		case <-done:
			closed, done = true, nil
		}
	}
}

// look sets the deadlines that have passed, and counts the connections.
func (l *lazyDeadlines) look(now time.Time) int {
	l.now.Store(now.UnixNano())
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.look(now)
	}
	return len(l.conns)
}

// Accept waits for a connection.
func (l *lazyDeadlines) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	lc := &lazyConn{Conn: c, of: l}
	l.mu.Lock()
	l.conns[lc] = struct{}{}
	l.mu.Unlock()
	return lc, nil
}

// Close ends the listener, not its connections.
func (l *lazyDeadlines) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// A lazyConn may be read by one goroutine at a time, as net/http does.
type lazyConn struct {
	net.Conn
	of      *lazyDeadlines
	inRead  atomic.Bool
	overdue atomic.Bool // for reading

	readBy, writeBy atomic.Int64 // nanoseconds since 1970; 0: no deadline

	mu       sync.Mutex
	readSet  atomic.Bool // written under mu: Conn has a deadline, which has passed
	writeSet atomic.Bool // the same
}

// look sets the deadlines that have passed. One that is moved in the same moment
// may still take effect: it had passed.
func (c *lazyConn) look(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by := c.readBy.Load(); by != 0 && by < now.UnixNano() && !c.readSet.Load() {
		c.overdue.Store(true)
		c.readSet.Store(true)
		_ = c.Conn.SetReadDeadline(c.of.began) // it fails when the connection has ended
	}
	if by := c.writeBy.Load(); by != 0 && by < now.UnixNano() && !c.writeSet.Load() {
		c.writeSet.Store(true)
		_ = c.Conn.SetWriteDeadline(c.of.began)
	}
}

// Read reads, unless the deadline has passed. Either it sees that here, or
// SetReadDeadline sees that a read is under way and ends it.
func (c *lazyConn) Read(b []byte) (int, error) {
	c.inRead.Store(true)
	if c.overdue.Load() {
		c.inRead.Store(false)
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Read(b)
	c.inRead.Store(false)
	return n, err
}

// SetReadDeadline notes the deadline.
func (c *lazyConn) SetReadDeadline(t time.Time) error {
	by, passed := c.note(t)
	if by == 0 {
		by = c.of.now.Load() + int64(idleTimeout)
	}
	c.readBy.Store(by)
	c.overdue.Store(passed)
	if passed == c.readSet.Load() || passed && !c.inRead.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readSet.Store(passed)
	return c.Conn.SetReadDeadline(c.now(passed))
}

// SetWriteDeadline notes the deadline.
func (c *lazyConn) SetWriteDeadline(t time.Time) error {
	by, passed := c.note(t)
	c.writeBy.Store(by)
	if passed == c.writeSet.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeSet.Store(passed)
	return c.Conn.SetWriteDeadline(c.now(passed))
}

// SetDeadline notes both.
func (c *lazyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// note returns a deadline as a number, and whether it has passed for certain.
func (c *lazyConn) note(t time.Time) (by int64, passed bool) {
	if t.IsZero() {
		return 0, false
	}
	return t.UnixNano(), t.Before(c.of.began)
}

// now returns the deadline for Conn: one that has passed, or none.
func (c *lazyConn) now(passed bool) time.Time {
	if passed {
		return c.of.began
	}
	return time.Time{}
}

// Close ends the connection.
func (c *lazyConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends the half that writes, where the transport has halves.
func (c *lazyConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
