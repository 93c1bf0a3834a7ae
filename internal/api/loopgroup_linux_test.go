package api

import (
	"bufio"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// withoutDescriptors runs f while the process gets no more of them.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	limit := func(next *syscall.Rlimit) (was syscall.Rlimit) {
		// Not syscall.Setrlimit, which programs that are started would notice.
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(next)), uintptr(unsafe.Pointer(&was)), 0, 0); errno != 0 {
			t.Fatal(errno)
		}
		return was
	}
	was := limit(nil)
	limit(&syscall.Rlimit{Cur: 0, Max: was.Max})
	defer limit(&was)
	if fd, err := syscall.Dup(0); err == nil {
		_ = syscall.Close(fd)
		t.Fatal("there are descriptors")
	}
	f()
}

// Who leaves a group when the process has no descriptor left is answered all the same,
// and its patience ends as that of others does.
func TestLeavingGroupWithoutDescriptors(t *testing.T) {
	g, s, c := seated(t)
	if !g.begin(s) {
		t.Fatal("it is not watched")
	}
	l := s.conn
	l.next = stepLeave
	withoutDescriptors(t, func() { g.leave(s) })
	own, ok := l.patient.Conn.(*fileConn)
	if !ok {
		t.Fatalf("the connection is a %T", l.patient.Conn)
	}
	if got, want := own.RemoteAddr().String(), c.LocalAddr().String(); got != want {
		t.Errorf("the client is %s, want %s", got, want)
	}
	br := bufio.NewReader(c)
	for range 2 {
		if _, err := io.WriteString(c, "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if r := read(t, br); r.status != 200 {
			t.Fatalf("%+v", r)
		}
	}
	l.ending.Store(true) // and idle
	if err := l.patient.SetReadDeadline(l.patient.of.began); err != nil {
		t.Fatal(err)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	g.server.loops.Wait()
}

// Errors are those of package net: fasthttp asks for them.
func TestFileConnErrors(t *testing.T) {
	g, s, c := seated(t)
	if !g.begin(s) {
		t.Fatal("it is not watched")
	}
	s.conn.next = stepHandOver
	withoutDescriptors(t, func() { g.leave(s) })
	own, err := g.server.handed.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = own.SetReadDeadline(time.Unix(1, 0))
	var told net.Error
	if _, err := own.Read(make([]byte, 1)); !errors.As(err, &told) || !told.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
	_ = own.SetReadDeadline(time.Time{})
	if _, err := io.WriteString(own, "said"); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 4)
	if _, err := io.ReadFull(c, said); err != nil || string(said) != "said" {
		t.Errorf("%q %v", said, err)
	}
	_ = c.CloseWrite()
	if _, err := own.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
	own.Close()
	if _, err := own.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, net.ErrClosed)
	}
}

// Who sends a request byte by byte leaves the group; who sends each request with a part
// of the next does not.
func TestTricklingLeavesTheGroup(t *testing.T) {
	const raw = "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"
	g, s, c := seated(t)
	if !g.begin(s) {
		t.Fatal("it is not watched")
	}
	l := s.conn
	send := func(text string) (left bool) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		x := l.api.takeForLoop()
		defer l.api.give(x)
		now := l.api.now()
		// What is written to loopback is there.
		return l.read(uintptr(s.fd), x, &now, false)
	}
	br := bufio.NewReader(c)
	send(raw[:20])
	for range 2 * maxParts {
		if send(raw[20:] + raw[:20]) {
			t.Fatal("it leaves between requests")
		}
		if r := read(t, br); r.status != 200 {
			t.Fatalf("%+v", r)
		}
	}
	for i := 20; !send(raw[i : i+1]); i++ {
		if i > 20+maxParts {
			t.Fatal("it stays")
		}
		if n := len(l.unread); n != i+1 {
			t.Fatalf("%d bytes are unread, want %d", n, i+1)
		}
	}
	if l.next != stepLeave || len(l.unread) != 20+maxParts-1 {
		t.Fatalf("it leaves for %d with %d bytes unread", l.next, len(l.unread))
	}
	g.leave(s)
	if _, err := io.WriteString(c, raw[20+maxParts-1:]); err != nil {
		t.Fatal(err)
	}
	if r := read(t, br); r.status != 200 {
		t.Fatalf("%+v", r)
	}
	c.Close()
	g.server.loops.Wait()
}

// A server that ends answers one more request of a connection and ends it, such that
// the client has that answer whatever it had sent after the request.
func TestLoopLetsTheLastAnswerArrive(t *testing.T) {
	const raw = "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, a := range map[string]*API{"in a group": newAPI(t, nil), "alone": waitingAPI(t)} {
		t.Run(name, func(t *testing.T) {
			for _, requests := range []int{2, 500} { // within what is read at once, and beyond
				_, addr := looping(t, a)
				a.draining.Store(true)
				c, br := dial(t, addr)
				var all []byte
				for range requests {
					all = append(all, raw...)
				}
				if _, err := c.Write(all); err != nil {
					t.Fatal(err)
				}
				if r := read(t, br); r.status != 200 {
					t.Fatalf("%+v", r)
				}
				// It is not closed before the client has ended its half.
				if _, err := br.ReadByte(); err != io.EOF {
					t.Errorf("%d requests: after the answer %v, want the end", requests, err)
				}
				if _, err := io.WriteString(c, raw); err != nil {
					t.Errorf("%d requests: %v", requests, err)
				}
			}
		})
	}
}
