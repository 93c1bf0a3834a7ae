package gate

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
)

// Begin is [Gate.Decide] for who sees the request through: the outcome is told by
// [Gate.Settle] with the same d, and if there is none, d.Reset says so; of one that
// there may have been, [Gate.Lose]. Until then
// a limit that counts outcomes takes the request for one that will count. With
// Decide it does so until [Gate.Outcome] says what became of it, but no longer than
// the limit's Pending, because nobody may ever say.
func (g *Gate) Begin(ctx context.Context, req *ipwarden.Request, d *Decision) {
	g.run(ctx, req, d, true)
}

// flights counts what was let in and whose outcome is not known, by the keys of
// the limits that wait for it: a thousand log-ins sent at once would otherwise all
// be on their way to the application before the first has failed. What was begun
// is counted until it ends; what was only decided has a lease.
type flights struct {
	parts [16]flightPart
	// cut counts leases that had to go early, because there were too many.
	cut atomic.Uint64
}

type flightPart struct {
	mu     sync.Mutex // guards all below, and the leases
	under  map[limit.Key]uint32
	leases leases
}

// maxLeases bounds the leases of one part, some 200 bytes each with their keys. A
// key has no more than its limit admits, so who wants to push others out needs many
// addresses; those that would end first go first.
const maxLeases = 4096

func (f *flights) part(k limit.Key) *flightPart { return &f.parts[k[0]%uint64(len(f.parts))] }

// enter counts what was begun and returns how many there are now.
func (f *flights) enter(k limit.Key, now time.Time) uint32 {
	p := f.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	return p.add(k)
}

func (f *flights) leave(k limit.Key) {
	p := f.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(k)
}

// lend counts what was decided until it is given back, or the lease ends.
func (f *flights) lend(k limit.Key, now, ends time.Time) (*lease, uint32) {
	l := &lease{key: k, ends: ends}
	p := f.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	if len(p.leases) == maxLeases {
		f.cut.Add(1)
		p.end(p.leases[0])
	}
	p.leases.push(l)
	return l, p.add(k)
}

// count is how many there are now.
func (f *flights) count(k limit.Key, now time.Time) uint32 {
	p := f.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	return p.under[k]
}

// giveBack ends a lease; one that has ended is nothing.
func (f *flights) giveBack(l *lease) {
	p := f.part(l.key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.at >= 0 {
		p.end(l)
	}
}

// What follows is called with the lock held.

func (p *flightPart) add(k limit.Key) uint32 {
	if p.under == nil {
		p.under = map[limit.Key]uint32{}
	}
	p.under[k]++
	return p.under[k]
}

func (p *flightPart) remove(k limit.Key) {
	if p.under[k]--; p.under[k] == 0 {
		delete(p.under, k)
	}
}

func (p *flightPart) end(l *lease) {
	p.leases.remove(l)
	p.remove(l.key)
}

// expire ends the leases whose time is up. Each was put there by one decision, so
// this is no more work than the decisions were.
func (p *flightPart) expire(now time.Time) {
	for len(p.leases) > 0 && !now.Before(p.leases[0].ends) {
		p.end(p.leases[0])
	}
}

// enter puts the request on its way, before the limits are asked: of many at once
// each sees those before it.
func (g *Gate) enter(d *Decision) {
	for i := range d.pending {
		p := &d.pending[i]
		switch pending := p.limit.Holds(); {
		case pending <= 0 || p.limit.Shadow:
		case d.peek:
			p.entered = g.flights.count(p.request.Key, d.Time) + 1 // as if it were
		case d.begun:
			p.entered = g.flights.enter(p.request.Key, d.Time)
		default:
			p.lease, p.entered = g.flights.lend(p.request.Key, d.Time, d.Time.Add(pending))
		}
	}
}

// land ends what enter began. It may be called more than once.
func (d *Decision) land() {
	for i := range d.pending {
		switch p := &d.pending[i]; {
		case p.entered == 0:
		case p.lease != nil:
			d.flights.giveBack(p.lease)
			p.lease, p.entered = nil, 0
		default:
			d.flights.leave(p.request.Key)
			p.entered = 0
		}
	}
}

// Lose is [Gate.Settle] for who cannot tell what became of a request that may have
// reached the application, because the client went away first. Its places end when
// their time is up, as after Decide: nobody gets more attempts by not waiting for an
// answer.
func (g *Gate) Lose(d *Decision) {
	now := g.cfg.Now()
	for i := range d.pending {
		if p := &d.pending[i]; p.entered > 0 && p.lease == nil {
			d.flights.lend(p.request.Key, now, now.Add(p.limit.Holds())) // before it leaves: they are never fewer
			d.flights.leave(p.request.Key)
			p.entered = 0
		}
	}
}

// onTheirWay is how many there are with this one: on all nodes, where that is known.
func (p *pendingUse) onTheirWay() uint32 {
	if p.among > 0 {
		return p.among
	}
	return p.entered
}

// crowd refuses where those on their way may use up what is left. How long that
// lasts is not known: a second is said. What other limits were charged stays.
func (d *Decision) crowd(key limit.Key, r *limit.Result) {
	if !r.Allowed {
		return
	}
	for i := range d.pending {
		p := &d.pending[i]
		if on := p.onTheirWay(); p.request.Key == key && on > 1 && uint64(on)*uint64(p.request.Cost) > uint64(r.Remaining) {
			r.Allowed, r.Remaining, r.RetryAfter = false, 0, time.Second
			d.crowded = true
		}
	}
}
