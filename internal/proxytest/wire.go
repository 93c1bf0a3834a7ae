package proxytest

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Wire is a proxy for TCP that can be made to misbehave, and counts.
type Wire struct {
	Addr string // where it listens
	t    *testing.T

	tls       *tls.Config // nil for none
	to        atomic.Pointer[string]
	delay     atomic.Int64
	junk      atomic.Pointer[string]
	connected atomic.Int64
	sent      atomic.Int64
	running   sync.WaitGroup

	mu    sync.Mutex // guards what is below
	ln    net.Listener
	conns map[net.Conn]bool
}

// NewWire starts a wire to an address. It ends with the test.
func NewWire(t *testing.T, to string) *Wire {
	t.Helper()
	return NewTLSWire(t, to, nil)
}

// NewTLSWire is [NewWire] that takes TLS off.
func NewTLSWire(t *testing.T, to string, cfg *tls.Config) *Wire {
	t.Helper()
	w := &Wire{t: t, Addr: FreeAddr(t), tls: cfg, conns: map[net.Conn]bool{}}
	w.SetTo(to)
	w.Accept()
	t.Cleanup(func() {
		w.Refuse()
		w.running.Wait()
	})
	return w
}

// SetTo leads connections from now on to another address; those that there are stay.
func (w *Wire) SetTo(to string) { w.to.Store(&to) }

// SetDelay makes each answer come so much later.
func (w *Wire) SetDelay(d time.Duration) { w.delay.Store(int64(d)) }

// SetJunk gives each answer by this text; nil ends that.
func (w *Wire) SetJunk(text *string) { w.junk.Store(text) }

// Connections counts those that were accepted so far.
func (w *Wire) Connections() int64 { return w.connected.Load() }

// Sent counts what clients wrote so far: about one a batch of commands.
func (w *Wire) Sent() int64 { return w.sent.Load() }

// Refuse closes the listener and all connections: who connects is refused.
func (w *Wire) Refuse() {
	w.mu.Lock()
	if w.ln != nil {
		w.ln.Close()
		w.ln = nil
	}
	w.mu.Unlock()
	w.Cut()
}

// Accept listens, after Refuse again and at the same address.
func (w *Wire) Accept() {
	w.t.Helper()
	ln, err := net.Listen("tcp", w.Addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.ln = ln
	w.mu.Unlock()
	w.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w.connected.Add(1)
			if w.tls != nil {
				c = tls.Server(c, w.tls)
			}
			w.running.Go(func() { w.serve(c) })
		}
	})
}

// Cut closes all connections.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
}

// keep takes note of a connection, to cut it. It is false when there is nobody
// listening any more.
func (w *Wire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ln == nil {
		return false
	}
	w.conns[c] = true
	return true
}

func (w *Wire) forget(c net.Conn) {
	c.Close()
	w.mu.Lock()
	delete(w.conns, c)
	w.mu.Unlock()
}

func (w *Wire) serve(c net.Conn) {
	defer w.forget(c)
	s, err := net.Dial("tcp", *w.to.Load())
	if err != nil {
		return
	}
	defer w.forget(s)
	if !w.keep(c) || !w.keep(s) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, err := c.Read(b)
			if n > 0 {
				w.sent.Add(1)
				_, err = s.Write(b[:n])
			}
			if err != nil {
				break
			}
		}
		s.Close()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := s.Read(b)
		if err != nil {
			break
		}
		if d := time.Duration(w.delay.Load()); d > 0 {
			time.Sleep(d) // it is what this proxy is for
		}
		answer := b[:n]
		if junk := w.junk.Load(); junk != nil {
			answer = []byte(*junk)
		}
		if _, err := c.Write(answer); err != nil {
			break
		}
	}
	c.Close()
	<-done
}
