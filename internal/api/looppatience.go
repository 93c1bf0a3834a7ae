package api

import "time"

// loopLimits says how long a connection in the fast loop may do what it does.
var loopLimits = [...]time.Duration{fresh: readTimeout, idle: idleTimeout, reading: readHeaderTimeout, writing: writeTimeout, ending: 0}

// remind wakes the loop of a connection, by a deadline that has passed, when it
// has done too long what it does, and once after it has become idle. What follows
// is the loop's to decide: it alone knows whether a request has just come.
func (c *patientConn) remind(now int64) {
	v := c.state.Load()
	state, lasted := v&stateMask, time.Duration(now-v>>stateBits)*time.Second
	switch {
	case lasted >= loopLimits[state]:
		if state == writing {
			_ = c.Conn.Close() // its owner sees the error
			return
		}
	case state != idle || lasted < time.Second || c.woken == v:
		return
	}
	c.woken = v
	_ = c.Conn.SetReadDeadline(c.of.began)
}

// hurry wakes the loops of the connections that wait for a request, and counts
// those that are in a loop. A connection is given some time for its first request.
func (p *patience) hurry() (looped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if !c.looped {
			continue
		}
		looped++
		if state, lasted := c.since(); state == idle || state == fresh && lasted >= readHeaderTimeout {
			_ = c.Conn.SetReadDeadline(p.began)
		}
	}
	return looped
}

// cut closes the connections that are in a loop.
func (p *patience) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.looped {
			_ = c.Conn.Close() // its owner sees the error
		}
	}
}

// enterLoop and leaveLoop say whose the connection is.
func (c *patientConn) enterLoop() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.looped = true
}

// leaveLoop is called in the midst of a request. If that has taken too long,
// reading on fails at once.
func (c *patientConn) leaveLoop() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.looped = false
	state, lasted := c.since()
	if state == reading && lasted >= readHeaderTimeout {
		c.enter(ending)
		_ = c.Conn.SetReadDeadline(c.of.began)
		return
	}
	c.doing(reading)
	_ = c.Conn.SetReadDeadline(time.Time{})
}

// since returns what the connection is doing and for how long it has.
func (c *patientConn) since() (state int64, lasted time.Duration) {
	v := c.state.Load()
	return v & stateMask, time.Duration(c.of.second.Load()-v>>stateBits) * time.Second
}

// doing notes what the connection does in the loop. A request has begun when the
// first of its bytes came.
func (c *patientConn) doing(state int64) {
	v := c.state.Load()
	if state == reading && v&stateMask == reading {
		return
	}
	if now := c.of.second.Load()<<stateBits | state; v != now {
		c.state.Store(now)
	}
}
