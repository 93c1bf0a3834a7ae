package api

import (
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/socket"
)

// A loopGroup serves many connections of the fast loop on one goroutine: those whose
// requests wait for nobody. The kernel tells it of all that have something to read at
// once, so that what waking up costs is shared, and it is not woken when a client
// has read an answer (see socket.Poll).
//
// Whatever takes longer leaves the group for good, with what was read of it: a
// client that does not take its answers or sends more than a buffer at once, and a
// request that is not quickRoute, get a goroutine of their own (loopConn.serve);
// what readHead does not know is fasthttp's.
type loopGroup struct {
	server *fastServer
	poll   *socket.Poll

	// Those of the goroutine.
	seats []*seat // by their numbers; nil is free
	free  []int32

	mu     sync.Mutex
	called []*seat // guarded by mu: who is to be looked at for other reasons than reading
	full   int     // guarded by mu: seats that are taken, or will be
}

// maxGroups bounds the groups; each processor has one.
const maxGroups = 64

// openGroups makes the groups, none where requests may have to wait, or where it
// cannot be done. They end with close.
func (s *fastServer) openGroups() {
	if !socket.Works || !s.api.waitsForNobody() {
		return
	}
	for range min(runtime.GOMAXPROCS(0), maxGroups) {
		p, err := socket.NewPoll()
		if err != nil {
			return // each connection has a goroutine
		}
		g := &loopGroup{server: s, poll: p}
		s.groups = append(s.groups, g)
		s.serving.Go(func() {
			p.Serve(g.serve)
			g.end()
		})
	}
}

// closeGroups ends the groups, once their connections have ended.
func (s *fastServer) closeGroups() {
	for _, g := range s.groups {
		_ = g.poll.Close()
	}
	s.serving.Wait()
}

// waitsForNobody reports whether what quickRoute names is answered from memory.
func (a *API) waitsForNobody() bool {
	d := a.cfg.Data()
	return d != nil && ipwarden.IsLocal(d) && (a.gate == nil || a.gate.Gate.Local())
}

// group is the one with the fewest connections, nil when there are none.
func (s *fastServer) group() (least *loopGroup) {
	n := 0
	for _, g := range s.groups {
		if k := g.size(); least == nil || k < n {
			least, n = g, k
		}
	}
	return least
}

func (g *loopGroup) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.full
}

// A seat is a connection in a group: what its patientConn has for a connection
// meanwhile. The goroutine of the group alone reads, writes and closes the socket;
// others ask it to.
type seat struct {
	group         *loopGroup
	conn          *loopConn
	local, remote net.Addr
	fd            int
	number        int32

	// Guarded by group.mu.
	called           bool // it is among group.called
	remind, ask, new bool // look at the time, end, begin
	gone             bool // from the group
}

// join takes a connection over from net, or says that it cannot.
func (g *loopGroup) join(c *loopConn, raw syscall.RawConn) bool {
	fd := -1
	if err := raw.Control(func(from uintptr) { fd, _ = socket.Duplicate(from) }); err != nil || fd < 0 {
		return false
	}
	p := c.patient
	s := &seat{group: g, conn: c, fd: fd, local: p.Conn.LocalAddr(), remote: p.Conn.RemoteAddr()}
	c.seat = s
	_ = p.replace(s).Close() // the socket lives on
	g.mu.Lock()
	g.full++
	g.mu.Unlock()
	g.call(s, &s.new)
	return true
}

// call has the goroutine look at a seat, and says why: why is one of its reasons.
func (g *loopGroup) call(s *seat, why *bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if *why = true; s.called || s.gone {
		return
	}
	s.called = true
	if g.called = append(g.called, s); len(g.called) == 1 {
		g.poll.Ring()
	}
}

// serve is told of what has come.
func (g *loopGroup) serve(events []socket.Event) {
	a := g.server.api
	x := a.takeForLoop()
	defer a.give(x)
	now := a.now()
	for _, e := range events {
		if e.ID == socket.Bell {
			g.answerCalls(x, &now)
			continue
		}
		if s := g.seats[e.ID]; s != nil && s.conn.read(uintptr(s.fd), x, &now, e.Ended) {
			g.leave(s)
		}
	}
}

// answerCalls looks at those who were called.
func (g *loopGroup) answerCalls(x *exchange, now *time.Time) {
	g.mu.Lock()
	called := g.called
	g.called = nil
	g.mu.Unlock()
	for _, s := range called {
		g.mu.Lock()
		remind, ask, begin := s.remind, s.ask, s.new
		s.called, s.remind, s.ask, s.new = false, false, false, false
		gone := s.gone
		g.mu.Unlock()
		c := s.conn
		switch {
		case gone:
		case begin && !g.begin(s), ask:
			c.next = stepEnd
			g.leave(s)
		case remind && !c.reminded():
			c.next = stepHandOver
			g.leave(s)
		case remind && c.read(uintptr(s.fd), x, now, true):
			g.leave(s)
		}
	}
}

// end ends the connections that are left when the server does not wait for them.
func (g *loopGroup) end() {
	g.mu.Lock()
	called := g.called
	g.called = nil
	g.mu.Unlock()
	for _, s := range append(called, g.seats...) {
		if s != nil && !s.gone { // which this goroutine alone changes
			s.conn.next = stepEnd
			g.leave(s)
		}
	}
}

// begin gives a seat its number and watches its socket.
func (g *loopGroup) begin(s *seat) bool {
	if n := len(g.free); n > 0 {
		s.number, g.free = g.free[n-1], g.free[:n-1]
		g.seats[s.number] = s
	} else {
		s.number = int32(len(g.seats))
		g.seats = append(g.seats, s)
	}
	return g.poll.Add(s.fd, s.number) == nil
}

// leave takes a connection out of the group and does what comes next.
func (g *loopGroup) leave(s *seat) {
	c := s.conn
	if int(s.number) < len(g.seats) && g.seats[s.number] == s { // it may not have begun
		g.seats[s.number] = nil
		g.free = append(g.free, s.number)
		_ = g.poll.Remove(s.fd) // it is watched, or could not be
	}
	g.mu.Lock()
	s.gone = true
	g.full--
	g.mu.Unlock()
	if c.next == stepEnd {
		_ = socket.Close(s.fd)
		_ = c.conn.Close() // whose socket is closed
		g.server.loops.Done()
		return
	}
	c.seat = nil
	own, raw := s.back()
	c.remote = s.remote
	c.patient.replace(own)
	g.mu.Lock()
	ask := s.ask
	g.mu.Unlock()
	if ask { // meanwhile
		_ = own.Close()
	}
	go func() {
		defer g.server.loops.Done()
		if c.next == stepHandOver {
			g.server.handed.give(c.handOver())
		} else if handed := c.serve(raw, c.next); handed != nil {
			g.server.handed.give(handed)
		}
	}()
}

// back makes a connection of the socket again. Package net takes a second descriptor for
// it; where there is none left, the one that there is has to do.
func (s *seat) back() (net.Conn, syscall.RawConn) {
	file := os.NewFile(uintptr(s.fd), "socket")
	if own, err := net.FileConn(file); err == nil {
		if raw := loopSocket(own); raw != nil {
			_ = file.Close()
			return own, raw
		}
		_ = own.Close()
	}
	raw, _ := file.SyscallConn() // it is open
	return &fileConn{file, s.local, s.remote}, raw
}

// Close has the group end the connection. It may be called more than once.
func (s *seat) Close() error { s.group.call(s, &s.ask); return nil }

// SetReadDeadline has the group look at the connection, when the deadline has
// passed: no other is set.
func (s *seat) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		s.group.call(s, &s.remind)
	}
	return nil
}

func (s *seat) LocalAddr() net.Addr              { return s.local }
func (s *seat) RemoteAddr() net.Addr             { return s.remote }
func (s *seat) SetDeadline(t time.Time) error    { return s.SetReadDeadline(t) }
func (s *seat) SetWriteDeadline(time.Time) error { return nil }
func (s *seat) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (s *seat) Write([]byte) (int, error)        { return 0, net.ErrClosed }

// quickRoute reports whether what is answered at a path is read from memory: what
// clients and proxies ask in masses.
func quickRoute(path string) bool {
	return strings.HasPrefix(path, gatePath) || strings.HasPrefix(path, lookupPath)
}
