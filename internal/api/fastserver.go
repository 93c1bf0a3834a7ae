package api

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ipwarden/ipwarden/internal/socket"
)

// fastServer serves the fast listener: the loop (loopConn) takes the
// connections, and fasthttp those that the loop hands over. Where there is no
// loop, fasthttp takes all.
type fastServer struct {
	api      *API
	patient  *patience
	ln       net.Listener   // bounded and patient
	accepted chan struct{}  // closed when no more connections come
	loops    sync.WaitGroup // of the connections
	rest     *fasthttp.Server
	handed   *handedOver
	ending   atomic.Bool
	groups   []*loopGroup   // none where each connection has a goroutine
	serving  sync.WaitGroup // of the groups
}

func (a *API) newFastServer(p *patience) *fastServer {
	s := &fastServer{api: a, patient: p, ln: newBounded(p, maxConnections), accepted: make(chan struct{}), rest: a.fasthttpServer()}
	s.handed = &handedOver{conns: make(chan net.Conn), closed: make(chan struct{}), addr: p.Addr()}
	return s
}

// serve accepts until the listener is closed, which is no error. It is called
// once; shutdown is called in any case.
func (s *fastServer) serve() error {
	defer close(s.accepted)
	s.openGroups()
	go func() { _ = s.rest.Serve(s.handed) }() // until shutdown; its listener does not fail
	for wait := time.Duration(0); ; {
		c, err := s.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil && !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ECONNABORTED):
			return err
		case err != nil: // it may pass; net/http waits in the same way
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			time.Sleep(wait)
			continue
		}
		wait = 0
		s.start(c)
	}
}

// start serves one connection on a goroutine of its own, which ends with it.
func (s *fastServer) start(c net.Conn) {
	patient := c.(*boundedConn).Conn.(*patientConn)
	raw := loopSocket(patient.Conn)
	if raw != nil {
		patient.enterLoop()
	}
	s.loops.Add(1)
	if raw == nil {
		go func() {
			defer s.loops.Done()
			s.handed.give(c)
		}()
		return
	}
	l := &loopConn{api: s.api, conn: c, patient: patient, ending: &s.ending}
	l.peer, l.local = peerOf(c.RemoteAddr())
	if g := s.group(); g != nil && g.join(l, raw) {
		return
	}
	go func() {
		defer s.loops.Done()
		if c := l.serve(raw, stepLeave); c != nil {
			s.handed.give(c)
		}
	}()
}

// loopSocket returns the socket of a connection that the loop can serve, else nil.
func loopSocket(c net.Conn) syscall.RawConn {
	if !socket.Works {
		return nil
	}
	switch c := c.(type) {
	case *net.TCPConn:
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	case *net.UnixConn:
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// shutdown ends the listener, waits for the requests that were accepted, and
// ends idle connections. Each loop looks once more for a request before it ends,
// so that none is lost that has come already.
func (s *fastServer) shutdown(ctx context.Context) error {
	s.ending.Store(true)
	err := s.ln.Close()
	<-s.accepted
	defer s.closeGroups()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.patient.hurry() > 0 {
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
			s.patient.cut()
		}
		return errors.Join(ctx.Err(), s.rest.ShutdownWithContext(ctx), s.handed.Close())
	}
	s.loops.Wait()                                                             // for those that hand over
	return errors.Join(err, s.rest.ShutdownWithContext(ctx), s.handed.Close()) // which is open if fasthttp had not begun
}

// handedOver is the listener that fasthttp accepts from.
type handedOver struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func (l *handedOver) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		_ = c.Close() // the server has ended
	}
}

// Accept waits for a connection.
func (l *handedOver) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return &restConn{Conn: c}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *handedOver) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *handedOver) Addr() net.Addr { return l.addr }

// restConn is a connection that fasthttp serves.
type restConn struct {
	net.Conn
	lingers atomic.Bool // it was told that it is refused, before all of it was read
}

// Close ends the connection, and that of one who may still be sending only when it has
// had time to read why (see loopConn.linger). A proxy that reads no answer has none: it
// may let its visitor pass.
func (c *restConn) Close() error {
	if c.lingers.Swap(false) && endWriting(c.Conn) == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	return c.Conn.Close()
}

// resumedConn is a connection of which something was read already.
type resumedConn struct {
	net.Conn
	before []byte
	remote net.Addr // nil is that of Conn
}

// RemoteAddr is the client, also when that has gone: who asked decides what it may.
func (c *resumedConn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// CloseWrite ends the half that writes.
func (c *resumedConn) CloseWrite() error { return endWriting(c.Conn) }

// Read returns what was read before, then what comes.
func (c *resumedConn) Read(b []byte) (int, error) {
	if len(c.before) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.before)
	if c.before = c.before[n:]; len(c.before) == 0 {
		c.before = nil
	}
	return n, nil
}
