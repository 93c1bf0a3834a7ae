package door

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// Peers says who may connect to a door.
type Peers struct {
	// Allowed lists the proxies. Whoever reaches a door is believed about who
	// is asking, so nobody else may. A Unix socket is guarded by its file's
	// mode instead. Default: this machine, 127.0.0.0/8 and ::1.
	Allowed []netip.Prefix
	// MaxConns bounds the open connections; the next one waits in the kernel's
	// queue. Default: 1024.
	MaxConns int
}

// Check reports every mistake of p.
func (p Peers) Check() error {
	var errs []error
	for _, n := range p.Allowed {
		switch {
		case !n.IsValid():
			errs = append(errs, errors.New("a network of Allowed is none; give one such as 10.0.0.0/8"))
		case n.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("%s in Allowed matches nothing; write its IPv4 form, such as 10.0.0.0/8", n))
		case n.Bits() == 0:
			errs = append(errs, fmt.Errorf("%s in Allowed is everybody; name the proxies, such as 10.0.0.5/32", n))
		}
	}
	if p.MaxConns < 0 {
		errs = append(errs, fmt.Errorf("MaxConns is %d; give 1 or more, or 0 for 1024", p.MaxConns))
	}
	return errors.Join(errs...)
}

// A Listener accepts allowed peers alone, and so many at a time. Its connections
// are for one goroutine to close, as often as it likes.
type Listener struct {
	net.Listener
	allowed []netip.Prefix
	slots   chan struct{}
	closed  chan struct{}
	once    sync.Once
	refused atomic.Uint64
}

// Listen guards ln. It fails with every mistake of p.
func Listen(ln net.Listener, p Peers) (*Listener, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.MaxConns == 0 {
		p.MaxConns = 1024
	}
	if p.Allowed == nil {
		p.Allowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	l := &Listener{Listener: ln, slots: make(chan struct{}, p.MaxConns), closed: make(chan struct{})}
	for _, n := range p.Allowed {
		l.allowed = append(l.allowed, n.Masked())
	}
	return l, nil
}

// Refused counts the connections that were closed because of where they came
// from.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// Accept waits for a free slot, then for an allowed peer.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		if !l.allows(c.RemoteAddr()) {
			l.refused.Add(1)
			_ = c.Close() // nothing was promised to it
			continue
		}
		return &conn{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
	}
}

func (l *Listener) allows(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return true // a Unix socket: its mode says who may
	}
	// Not ipwarden.Canonical: 2002:7f00:1::1 is a host on the Internet, whatever
	// address it wraps.
	addr := t.AddrPort().Addr().Unmap().WithZone("")
	for _, n := range l.allowed {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// Close ends the listener, and an Accept that waits.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type conn struct {
	net.Conn
	free func()
}

// SyscallConn is of syscall.Conn, for connections that are one.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Close ends the connection and frees its slot.
func (c *conn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
