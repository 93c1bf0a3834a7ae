package api

import (
	"net"
	"sync"
)

// maxConnections bounds the open connections of one listener. Each may hold
// about 20 KiB; the next one waits in the kernel's queue until one ends, which
// an idle one does after idleTimeout.
const maxConnections = 16_384

// bounded is a listener with at most so many connections open.
type bounded struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newBounded(ln net.Listener, n int) *bounded {
	return &bounded{Listener: ln, slots: make(chan struct{}, n), closed: make(chan struct{})}
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
	return &boundedConn{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close ends the listener, and an Accept that waits.
func (l *bounded) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	free func()
}

// Close ends the connection and frees its slot.
func (c *boundedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// CloseWrite ends the half that writes, where the transport has halves.
func (c *boundedConn) CloseWrite() error { return endWriting(c.Conn) }

// endWriting ends the half of a connection that writes, where it has halves.
func endWriting(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
