package api

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/ipwarden/ipwarden/internal/socket"
)

// fileConn is a socket that package net does not have, with the errors of package net.
type fileConn struct {
	file          *os.File
	local, remote net.Addr
}

func (c *fileConn) Read(b []byte) (int, error) {
	n, err := c.file.Read(b)
	return n, c.named("read", err)
}

func (c *fileConn) Write(b []byte) (int, error) {
	n, err := c.file.Write(b)
	return n, c.named("write", err)
}

// named is an error as package net tells it, so that those who ask whether it is a
// timeout, or the end, are told.
func (c *fileConn) named(op string, err error) error {
	var path *os.PathError
	if !errors.As(err, &path) { // nil and io.EOF too
		return err
	}
	cause := path.Err
	if errors.Is(cause, os.ErrClosed) {
		cause = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: c.remote.Network(), Source: c.local, Addr: c.remote, Err: cause}
}

// CloseWrite ends the half that writes.
func (c *fileConn) CloseWrite() error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(socket.EndWriting)
}

func (c *fileConn) Close() error                       { return c.file.Close() }
func (c *fileConn) LocalAddr() net.Addr                { return c.local }
func (c *fileConn) RemoteAddr() net.Addr               { return c.remote }
func (c *fileConn) SetDeadline(t time.Time) error      { return c.file.SetDeadline(t) }
func (c *fileConn) SetReadDeadline(t time.Time) error  { return c.file.SetReadDeadline(t) }
func (c *fileConn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }
