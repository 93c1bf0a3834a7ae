package api

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/socket"
)

// seated is a connection that was given to a group that nobody runs, and its client.
func seated(t *testing.T) (g *loopGroup, s *seat, client *net.TCPConn) {
	t.Helper()
	if !socket.Works {
		t.Skip("there is no loop here")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newAPI(t, nil).newFastServer(stillPatience(ln))
	p, err := socket.NewPoll()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.ln.Close()
		_ = p.Close()
		p.Serve(func([]socket.Event) {}) // which gives back what it has
	})
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	own, err := server.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	patient := own.(*boundedConn).Conn.(*patientConn)
	l := &loopConn{api: server.api, conn: own, patient: patient, ending: &server.ending}
	g = &loopGroup{server: server, poll: p}
	server.loops.Add(1)
	if !g.join(l, loopSocket(patient.Conn)) {
		t.Fatal("it does not join")
	}
	return g, l.seat, c.(*net.TCPConn)
}

// A server may end before its group has looked at who came last.
func TestGroupEndsWithWhoHasNotBegun(t *testing.T) {
	g, _, c := seated(t)
	g.end()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the server's end", err)
	}
	if n := g.size(); n != 0 {
		t.Errorf("%d seats are taken", n)
	}
}

// Who leaves the group after its client has gone is still who it was: a report may
// be sent without waiting for the answer.
func TestLeavingGroupKeepsTheClient(t *testing.T) {
	g, s, c := seated(t)
	if !g.begin(s) {
		t.Fatal("it is not watched")
	}
	want := c.LocalAddr().String()
	_ = c.SetLinger(0)
	c.Close()
	s.conn.next = stepHandOver
	g.leave(s)
	handed, err := g.server.handed.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer handed.Close()
	if a := handed.RemoteAddr(); a == nil || a.String() != want {
		t.Errorf("the client is %v, want %s", a, want)
	}
}

// Each request has its own time, also when the first bytes of it come with the end of
// the one before, all the time.
func TestLoopTimesEachRequest(t *testing.T) {
	const raw = "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"
	s, addr := looping(t, newAPI(t, nil))
	c, br := dial(t, addr)
	if _, err := io.WriteString(c, raw[:20]); err != nil {
		t.Fatal(err)
	}
	s.until(t, 1, reading)
	for range 4 {
		s.patient.second.Add(int64(readHeaderTimeout/time.Second) - 1)
		if _, err := io.WriteString(c, raw[20:]+raw[:20]); err != nil {
			t.Fatal(err)
		}
		if r := read(t, br); r.status != 200 {
			t.Fatalf("%+v", r)
		}
		s.untilRestarted(t)
		s.patient.look()
	}
}

// untilRestarted waits until what the connections do has just begun.
func (s *fastServer) untilRestarted(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); runtime.Gosched() {
		old := false
		s.patient.mu.Lock()
		for c := range s.patient.conns {
			_, lasted := c.since()
			old = old || lasted > 0
		}
		s.patient.mu.Unlock()
		if !old {
			return
		}
	}
	t.Fatal("a request has the time of the one before")
}
