package socket

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// polled is a Poll whose events come over a channel.
func polled(t *testing.T) (*Poll, <-chan Event) {
	t.Helper()
	p, err := NewPoll()
	if err != nil {
		t.Fatal(err)
	}
	events, ended := make(chan Event, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		p.Serve(func(some []Event) {
			for _, e := range some {
				events <- e
			}
		})
	}()
	t.Cleanup(func() {
		_ = p.Close()
		<-ended
		p.Ring() // which nobody hears
	})
	return p, events
}

func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event")
		return Event{}
	}
}

// fdOf is the descriptor of a connection that stays open.
func fdOf(t *testing.T, c net.Conn) (fd int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestPoll(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		p, events := polled(t)
		a, b := pair(t, network)
		if err := p.Add(fdOf(t, b), 7); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := io.WriteString(a, "ab"); err != nil {
				t.Fatal(err)
			}
			if e := next(t, events); e != (Event{ID: 7}) {
				t.Errorf("%+v when something came", e)
			}
			if _, err := io.ReadFull(b, make([]byte, 2)); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if e := next(t, events); e != (Event{ID: 7, Ended: true}) {
			t.Errorf("%+v when the other side has ended", e)
		}
		if err := p.Remove(fdOf(t, b)); err != nil {
			t.Error(err)
		}
	})
}

// That the other side has read what was written is no event: on a Unix socket it
// would come with each answer.
func TestPollDoesNotTellOfRoomToWrite(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		p, events := polled(t)
		a, b := pair(t, network)
		if err := p.Add(fdOf(t, b), 7); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := io.WriteString(b, "ab"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(a, make([]byte, 2)); err != nil {
				t.Fatal(err)
			}
		}
		p.Ring() // which would come after
		if e := next(t, events); e.ID != Bell {
			t.Errorf("%+v, though nothing came", e)
		}
	})
}

// Each ring is heard after what was done before it, and several may be one.
func TestRing(t *testing.T) {
	if !Works {
		t.Skip("not on this system")
	}
	p, events := polled(t)
	for range 1000 {
		p.Ring()
		if e := next(t, events); e.ID != Bell {
			t.Fatalf("%+v", e)
		}
	}
}

func TestDuplicate(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		a, b := pair(t, network)
		fd, err := Duplicate(uintptr(fdOf(t, b)))
		if err != nil {
			t.Fatal(err)
		}
		defer Close(fd)
		b.Close()
		if n, errno := Send(uintptr(fd), []byte("ab")); n != 2 || errno != 0 {
			t.Fatal(n, errno)
		}
		if _, err := io.ReadFull(a, make([]byte, 2)); err != nil {
			t.Error(err)
		}
	})
}
