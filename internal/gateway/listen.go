package gateway

import (
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxConns is the default bound of connections. Each may hold some 20 KiB; the
// next one waits in the kernel's queue.
const maxConns = 16_384

// bounded is a listener with at most so many connections open, whose clients
// take what is written to them in time.
type bounded struct {
	net.Listener
	slots  chan struct{}
	stall  time.Duration
	open   prometheus.Gauge
	closed chan struct{}
	once   sync.Once
}

func newBounded(ln net.Listener, n int, stall time.Duration, open prometheus.Gauge) *bounded {
	return &bounded{Listener: ln, slots: make(chan struct{}, n), stall: stall, open: open, closed: make(chan struct{})}
}

// Accept waits for a free slot, then for a connection.
func (l *bounded) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.open.Inc()
	return &boundedConn{Conn: c, stall: l.stall, free: sync.OnceFunc(func() {
		l.open.Dec()
		<-l.slots
	})}, nil
}

// Close ends the listener, and an Accept that waits.
func (l *bounded) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	stall time.Duration
	free  func()
}

// Write fails when the client takes nothing for too long. A whole answer may
// take as long as it takes, so the server has no deadline for it.
func (c *boundedConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close ends the connection and frees its slot.
func (c *boundedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// CloseWrite ends the half that writes, where the transport has halves.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
