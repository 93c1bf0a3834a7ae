// Package proxyproto accepts connections whose first bytes say who is behind
// the proxy that made them: the PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt). It wraps
// github.com/pires/go-proxyproto, which believes such a header from anybody.
//
// The call most people want:
//
//	l, err := proxyproto.New(listener, proxyproto.Config{Allowed: proxies})
//
// RemoteAddr of its connections is the client of the header. Header lines of
// HTTP come after that: what the PROXY header says is the peer, to which
// package clientip then applies its own trust.
//
// It refuses a header from a peer that is not allowed, and the lack of one from
// a peer that is: section 2 of the protocol forbids guessing.
package proxyproto

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	pires "github.com/pires/go-proxyproto"

	"github.com/ipwarden/ipwarden/clientip"
)

// A Config says whose PROXY header counts.
type Config struct {
	// Allowed are the proxies that send one. Required, but with TrustPeer.
	Allowed []netip.Prefix
	// TrustPeer: whoever reaches the listener is a proxy, as on a Unix socket.
	TrustPeer bool
	// Optional takes connections of allowed proxies without a header too, as
	// their own: for the time of a change-over. Default: they are refused.
	Optional bool
	// Timeout for the header to arrive; default 5 s. A connection that is not
	// from a proxy is held for so long at most before its bytes are passed on.
	Timeout time.Duration
	// Refused, when not nil, is told of each connection that is refused, from
	// the connection's goroutine. peer is the transport's.
	Refused func(peer net.Addr, why error)
}

// Listener is a net.Listener. It reads no header before somebody reads from a
// connection or asks for its address, so that Accept never waits for one.
type Listener struct {
	pires.Listener
	refused func(net.Addr, error)
}

var _ net.Listener = (*Listener)(nil)

// New wraps l; the error joins all mistakes. Closing the Listener closes l.
func New(l net.Listener, cfg Config) (*Listener, error) {
	var errs []error
	trust, err := clientip.New(clientip.Config{Trusted: cfg.Allowed, TrustPeer: cfg.TrustPeer})
	if err != nil {
		errs = append(errs, fmt.Errorf("proxyproto: Allowed: %w", err))
	}
	if len(cfg.Allowed) == 0 && !cfg.TrustPeer {
		errs = append(errs, errors.New("proxyproto: Allowed is empty, so that no header would ever count; name the proxies (10.0.0.0/8), or set TrustPeer on a Unix socket"))
	}
	if cfg.Timeout < 0 {
		errs = append(errs, fmt.Errorf("proxyproto: Timeout is %v; give a positive one, or 0 for 5s", cfg.Timeout))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	allowed := pires.REQUIRE
	if cfg.Optional {
		allowed = pires.USE
	}
	return &Listener{
		Listener: pires.Listener{
			Listener: l,
			ConnPolicy: func(c pires.ConnPolicyOptions) (pires.Policy, error) {
				if trust.Trusts(addrOf(c.Upstream)) {
					return allowed, nil
				}
				return pires.REJECT, nil
			},
			ValidateHeader:    validate,
			ReadHeaderTimeout: cfg.Timeout,
		},
		refused: cfg.Refused,
	}, nil
}

// validate refuses what cannot be a client of HTTP. LOCAL, and UNKNOWN of version 1,
// keep the proxy's own address (sections 2.1 and 2.2). An unspecified family of
// version 2 that is not LOCAL does not come so far: the library refuses it, as
// section 2.2 lets a receiver do.
func validate(h *pires.Header) error {
	switch {
	case h.Command.IsLocal(), h.TransportProtocol.IsUnspec():
		return nil
	case h.TransportProtocol == pires.TCPv4, h.TransportProtocol == pires.TCPv6:
		return nil
	}
	return errors.New("proxyproto: the header is not about a TCP connection")
}

// addrOf is invalid for a Unix socket.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr()
	}
	return netip.Addr{}
}

// Accept waits for a connection, not for its header.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if p, ok := c.(*pires.Conn); ok {
		return &Conn{Conn: p, refused: l.refused}, nil
	}
	return c, nil
}

// A Conn is a connection of a Listener. RemoteAddr is the client's.
type Conn struct {
	*pires.Conn
	refused func(net.Addr, error)
	first   sync.Once
}

var _ net.Conn = (*Conn)(nil)

// Peer returns the transport's other end: the proxy, when there was a header.
func (c *Conn) Peer() net.Addr { return c.Raw().RemoteAddr() }

// CloseWrite ends the half that writes, where the transport has halves: a server that
// ends a connection whose client still sends says its last words so, and they are
// not lost to a reset.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Raw().(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Read reads what comes after the header. A connection that is refused is
// closed at once, and fails with the reason.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.first.Do(func() {
		var network net.Error
		if n > 0 || err == nil || errors.Is(err, io.EOF) || errors.As(err, &network) {
			return // it ended by itself
		}
		_ = c.Close()
		if c.refused != nil {
			c.refused(c.Peer(), err)
		}
	})
	return n, err
}
