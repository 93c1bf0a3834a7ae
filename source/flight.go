package source

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A flight is one look-up that is on its way, for all who wait for it.
type flight struct {
	of     netip.Prefix // who asks about one of these waits for this flight
	addr   netip.Addr   // the address that is asked about
	began  time.Time
	landed chan struct{}
	// After landed:
	answer *answer
	err    error // who asks next would not fare better
}

// presume guesses the network that an answer will have, so that first questions
// about one network wait for one another. hint is the dataset's.
func (c *Cached) presume(addr netip.Addr, hint netip.Prefix) netip.Prefix {
	if c.cfg.ByAddress {
		return host(addr)
	}
	r := rungs(addr)
	if n := int(c.learned[family(addr)].Load()); n != 0 {
		p, _ := addr.Prefix(n)
		return p
	}
	if hint.IsValid() && hint.Contains(addr) {
		return clip(addr, hint)
	}
	p, _ := addr.Prefix(r[2])
	return p
}

// learn notes how long an answer's prefix is: the widest of late. A guess too wide
// makes somebody wait once more, one too narrow costs a call.
func (c *Cached) learn(p netip.Prefix) {
	l := &c.learned[family(p.Addr())]
	switch was := l.Load(); {
	case was == 0 || int(was) > p.Bits():
		l.Store(int32(p.Bits()))
	case int(was) < p.Bits():
		l.CompareAndSwap(was, was+1)
	}
}

// fly asks about an address, or joins whoever does; nil when too many are on
// their way.
func (c *Cached) fly(addr netip.Addr, hint netip.Prefix) *flight {
	return c.join(addr, c.presume(addr, hint))
}

func (c *Cached) join(addr netip.Addr, of netip.Prefix) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[of]; f != nil {
		c.stats.joined.Add(1)
		return f
	}
	if c.running >= c.cfg.Flights || c.ctx.Err() != nil {
		c.stats.dropped.Add(1)
		return nil
	}
	f := &flight{of: of, addr: addr, began: time.Now(), landed: make(chan struct{})}
	c.flights[of] = f
	c.running++
	if c.cfg.Store != nil {
		c.gather(f)
	} else {
		go c.run(f, 0)
	}
	return f
}

// from returns what a flight that has landed brought for an address; where it
// brought nothing, another flight, for the address itself, or the error when the
// next who asks would not fare better.
func (c *Cached) from(f *flight, addr netip.Addr) (*answer, *flight, error) {
	if a := f.answer; a != nil && (a.err != nil || a.full.Network.Contains(addr)) {
		return a, nil, nil
	}
	if a := c.mem.get(addr, c.cfg.Now().UnixNano()); a != nil {
		return a, nil, nil
	}
	switch {
	case f.err != nil:
		return nil, nil, f.err
	case f.of == host(addr):
		return nil, nil, ErrPending
	}
	if next := c.join(addr, host(addr)); next != nil {
		return nil, next, nil
	}
	return nil, nil, ErrBusy
}

// land ends a flight, once.
func (c *Cached) land(f *flight, a *answer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[f.of] != f {
		return
	}
	delete(c.flights, f.of)
	f.answer, f.err = a, err
	close(f.landed)
}

// run is the goroutine of a flight that found nothing in the Store, where it was
// looked for at a length, or at all (0).
func (c *Cached) run(f *flight, looked int) {
	defer func() {
		c.mu.Lock()
		c.running--
		c.mu.Unlock()
	}()
	// A Source or a Store that does not mind its context holds up this goroutine, and
	// nobody else.
	left := max(c.cfg.Timeout-time.Since(f.began), 0)
	late := time.AfterFunc(left, func() {
		c.land(f, nil, fmt.Errorf("source: %s took longer than %v", c.cfg.Name, c.cfg.Timeout))
	})
	defer late.Stop()
	ctx, cancel := context.WithTimeout(c.ctx, left)
	defer cancel()
	if looked != 0 {
		if a := c.fetchElse(ctx, f, looked); a != nil {
			c.land(f, c.keep(f, a), nil)
			return
		}
	}
	a, claimed := c.elsewhere(ctx, f)
	if a != nil {
		c.land(f, c.keep(f, a), nil)
		return
	}
	a = c.ask(ctx, f)
	c.land(f, c.keep(f, a), nil)
	c.share(f, claimed, a)
}

// keep puts an answer into memory. A failure does not take the place of an answer
// that may still be used: that is asked for again later.
func (c *Cached) keep(f *flight, a *answer) *answer {
	if a.err != nil {
		if old := c.mem.get(f.addr, c.cfg.Now().UnixNano()); old != nil && old.err == nil {
			old.retry.Store(a.fresh)
			return old
		}
	} else if !a.empty {
		c.learn(a.full.Network)
	}
	c.mem.put(a)
	return a
}

// ask asks the Source. What it says, or that it failed, is an answer.
func (c *Cached) ask(ctx context.Context, f *flight) *answer {
	c.stats.asked.Add(1)
	start := c.cfg.Now()
	rec, err := c.cfg.Source.Lookup(ctx, f.addr)
	end := c.cfg.Now()
	if err != nil {
		c.stats.failed.Add(1)
		return c.failure(f.addr, err, end)
	}
	full := rec.Full()
	// Nobody outside says what is nobody's.
	full.Traits &^= ipwarden.Bogon
	full.Security.Bogon = ipwarden.BogonInfo{}
	if c.cfg.ByAddress {
		full.Network = netip.Prefix{}
	}
	full.Network = clip(f.addr, full.Network)
	if full.Date.IsZero() {
		full.Date = end
	}
	a := newAnswer(full)
	ttl := c.cfg.TTL.of(&a.full, a.empty)
	ttl -= time.Duration(rand.Int64N(int64(ttl)/10 + 1))
	a.asked, a.took = end.UnixNano(), max(int64(end.Sub(start)), 0)
	a.fresh = a.asked + int64(ttl)
	a.stale = a.fresh
	if !a.empty {
		a.stale += int64(c.cfg.Stale)
	}
	return a
}

// failure is the answer of a Source that had none. Where nobody was asked at all
// it holds shorter.
func (c *Cached) failure(addr netip.Addr, err error, now time.Time) *answer {
	ttl := c.cfg.TTL.Failed
	if nobodyWasAsked(err) {
		ttl /= 10
	}
	a := newAnswer(ipwarden.Full{Network: host(addr)})
	a.err, a.asked = err, now.UnixNano()
	a.fresh = a.asked + int64(ttl)
	a.stale = a.fresh
	return a
}
