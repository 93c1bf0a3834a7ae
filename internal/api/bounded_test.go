package api

import (
	"errors"
	"net"
	"testing"
)

func TestBoundedListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newBounded(ln, 2)
	accepted := make(chan net.Conn)
	failed := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				failed <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		dial(t, ln.Addr())
	}
	first, second := <-accepted, <-accepted
	if len(l.slots) != 2 {
		t.Errorf("%d slots are taken, want 2", len(l.slots))
	}
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted")
	default:
	}
	first.Close()
	first.Close() // frees its slot once
	third := <-accepted
	if err := l.Close(); err != nil { // while Accept waits for a slot
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	second.Close()
	third.Close()
	if len(l.slots) != 0 {
		t.Errorf("%d slots are taken at the end", len(l.slots))
	}
}
