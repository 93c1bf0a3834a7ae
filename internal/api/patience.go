package api

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// patience is a listener that ends the connections of slow clients: whose
// request takes longer than readTimeout, whose reading of an answer longer than
// writeTimeout, or who send nothing for idleTimeout. It looks once a second.
//
// fasthttp would set three deadlines a request instead, which costs as much as
// the look-up, the JSON and the header lines together.
type patience struct {
	net.Listener
	second atomic.Int64 // since began; what the connections take for the time
	began  time.Time
	done   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	conns map[*patientConn]struct{} // guarded by mu
}

func newPatience(ln net.Listener) *patience {
	p := stillPatience(ln)
	go p.watch()
	return p
}

// stillPatience does not look by itself, and its time stands.
func stillPatience(ln net.Listener) *patience {
	return &patience{Listener: ln, began: time.Now(), done: make(chan struct{}), conns: map[*patientConn]struct{}{}}
}

// watch runs until the listener is closed and its connections have ended.
func (p *patience) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	done, closed := p.done, false
	for !closed || p.look() > 0 {
		select {
		case <-tick.C:
			p.second.Store(int64(time.Since(p.began) / time.Second))
			p.look()
		case <-done:
			closed, done = true, nil
		}
	}
}

// look ends what has lasted too long, and counts the connections.
func (p *patience) look() int {
	now := p.second.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.looped {
			c.remind(now)
		} else {
			c.judge(now)
		}
	}
	return len(p.conns)
}

// Accept waits for a connection.
func (p *patience) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	pc := &patientConn{Conn: c, of: p}
	pc.enter(fresh)
	p.mu.Lock()
	p.conns[pc] = struct{}{}
	p.mu.Unlock()
	return pc, nil
}

// Close ends the listener, not its connections.
func (p *patience) Close() error {
	p.once.Do(func() { close(p.done) })
	return p.Listener.Close()
}

// What a connection is doing.
const (
	fresh   = iota // nothing came yet
	idle           // waiting for the next request
	reading        // in a request
	writing        // in an answer
	ending         // was told to end

	stateBits = 3
	stateMask = 1<<stateBits - 1
)

type patientConn struct {
	net.Conn
	of     *patience
	state  atomic.Int64 // the second in which it was entered, and what it is
	looped bool         // guarded by of.mu: the fast loop has it
	woken  int64        // guarded by of.mu: the state in which the loop was woken last
}

func (c *patientConn) enter(state int64) { c.state.Store(c.of.second.Load()<<stateBits | state) }

// replace puts another connection in the place of the one that is there, and returns
// that.
func (c *patientConn) replace(by net.Conn) net.Conn {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	was := c.Conn
	c.Conn = by
	return was
}

// judge ends the connection if what it does has lasted too long. In the midst of
// a request its reading fails, so that the client is told; otherwise it is just
// closed: behind a proxy, what is said unasked would be taken for the answer to
// the next request.
func (c *patientConn) judge(now int64) {
	v := c.state.Load()
	lasted := time.Duration(now-v>>stateBits) * time.Second
	limits := [...]time.Duration{fresh: readTimeout, idle: idleTimeout, reading: readTimeout, writing: writeTimeout, ending: time.Second}
	if state := v & stateMask; lasted < limits[state] {
		return
	} else if state != reading {
		_ = c.Conn.Close() // its owner sees the error
	} else if c.state.CompareAndSwap(v, now<<stateBits|ending) {
		_ = c.Conn.SetReadDeadline(c.of.began)
	}
}

// Read notes when a request begins.
func (c *patientConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		if v := c.state.Load(); v&stateMask <= idle {
			c.state.CompareAndSwap(v, c.of.second.Load()<<stateBits|reading)
		}
	}
	return n, err
}

// Write notes when an answer begins and ends.
func (c *patientConn) Write(b []byte) (int, error) {
	c.enter(writing)
	n, err := c.Conn.Write(b)
	c.enter(idle)
	return n, err
}

// Close ends the connection.
func (c *patientConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends the half that writes, where the transport has halves.
func (c *patientConn) CloseWrite() error { return endWriting(c.Conn) }
