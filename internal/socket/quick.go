package socket

import (
	"io"
	"net"
	"syscall"
)

// Quick returns a connection that reads and writes c without telling the scheduler,
// or c itself where that cannot be. One goroutine at a time may read, and one may
// write; deadlines, and closing c meanwhile, are as with c.
func Quick(c net.Conn) net.Conn {
	s, ok := c.(syscall.Conn)
	if !Works || !ok {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	q := &quick{Conn: c, raw: raw}
	q.reader.ready, q.writer.ready = q.reader.read, q.writer.write
	return q
}

type quick struct {
	net.Conn
	raw            syscall.RawConn
	reader, writer half
}

// A half is a system call that waits for its socket. ready is one of its methods,
// made once, since each method value is an allocation.
type half struct {
	ready func(fd uintptr) (done bool)
	b     []byte // what is left
	n     int
	errno syscall.Errno
}

func (h *half) read(fd uintptr) (done bool) {
	for {
		h.n, h.errno = Receive(fd, h.b)
		if h.errno != syscall.EINTR {
			return h.errno != syscall.EAGAIN
		}
	}
}

func (h *half) write(fd uintptr) (done bool) {
	for len(h.b) > 0 {
		n, errno := Send(fd, h.b)
		switch errno {
		case 0:
			h.n, h.b = h.n+n, h.b[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			h.errno = errno
			return true
		}
	}
	return true
}

// Read reads what has come, and waits for it if nothing has.
func (c *quick) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	h := &c.reader
	h.b, h.n, h.errno = b, 0, 0
	err := c.raw.Read(h.ready)
	h.b = nil
	switch {
	case err != nil:
		return 0, err
	case h.errno != 0:
		return 0, c.failed("read", h.errno)
	case h.n == 0:
		return 0, io.EOF
	}
	return h.n, nil
}

// Write writes all of b.
func (c *quick) Write(b []byte) (int, error) {
	h := &c.writer
	h.b, h.n, h.errno = b, 0, 0
	err := c.raw.Write(h.ready)
	h.b = nil
	if err == nil && h.errno != 0 {
		err = c.failed("write", h.errno)
	}
	return h.n, err
}

func (c *quick) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errno}
}
