package api

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// lazyPair returns the two ends of a connection, the second with lazy deadlines
// that are looked at by hand.
func lazyPair(t *testing.T) (net.Conn, *lazyConn) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	l := &lazyDeadlines{began: time.Now(), conns: map[*lazyConn]struct{}{}}
	l.now.Store(l.began.UnixNano())
	c := &lazyConn{Conn: server, of: l}
	l.conns[c] = struct{}{}
	return client, c
}

// What net/http does: a read that watches for the end is called back, and the
// connection goes on. Whichever comes first, the read ends.
func TestLazyReadIsCalledBack(t *testing.T) {
	client, c := lazyPair(t)
	past := time.Unix(1, 0)
	for range 2000 {
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		if err := c.SetReadDeadline(past); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if err := <-ended; !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("called back: %v", err)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(client, "a") }()
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("afterwards: %d bytes, %v", n, err)
		}
	}
}

// A deadline takes effect when it has passed and somebody looks, for one who is
// waiting and for one who comes later, and not once another was set.
func TestLazyDeadlines(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(c *lazyConn, t time.Time) error
		do   func(c *lazyConn) (int, error)
	}{
		{"reading", (*lazyConn).SetReadDeadline, func(c *lazyConn) (int, error) { return c.Read(make([]byte, 1)) }},
		{"writing", (*lazyConn).SetWriteDeadline, func(c *lazyConn) (int, error) { return c.Write([]byte("a")) }},
		{"reading, by both", (*lazyConn).SetDeadline, func(c *lazyConn) (int, error) { return c.Read(make([]byte, 1)) }},
		{"writing, by both", (*lazyConn).SetDeadline, func(c *lazyConn) (int, error) { return c.Write([]byte("a")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, c := lazyPair(t)
			now := time.Now()
			if err := tt.set(c, now.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			c.of.look(now.Add(59 * time.Second))
			go func() { _, _ = client.Read(make([]byte, 1)) }()
			go func() { _, _ = client.Write([]byte("a")) }()
			if n, err := tt.do(c); n != 1 || err != nil {
				t.Fatalf("in time: %d, %v", n, err)
			}
			ended := make(chan error)
			go func() {
				_, err := tt.do(c)
				ended <- err
			}()
			c.of.look(now.Add(61 * time.Second))
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("one who waited: %v", err)
			}
			if _, err := tt.do(c); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("one who came later: %v", err)
			}
			if err := tt.set(c, now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = client.Read(make([]byte, 1)) }()
			go func() { _, _ = client.Write([]byte("a")) }()
			if n, err := tt.do(c); n != 1 || err != nil {
				t.Errorf("with another deadline: %d, %v", n, err)
			}
		})
	}
}

// A connection that is told to wait for ever, which is how net/http says that it
// is idle, ends after the time for that.
func TestLazyIdle(t *testing.T) {
	_, c := lazyPair(t)
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	c.of.look(c.of.began.Add(idleTimeout - time.Second))
	if c.overdue.Load() {
		t.Error("cut off before its time")
	}
	c.of.look(c.of.began.Add(idleTimeout + time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after its time: %v", err)
	}
}
