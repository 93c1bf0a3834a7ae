package gate

import (
	"context"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
)

// Begin is [Gate.Decide] for who sees the request through: the outcome is told by
// [Gate.Settle] with the same d, and if there is none, d.Reset says so. Until then
// a limit that counts outcomes takes the request for one that will count. With
// Decide alone, a thousand log-ins sent at once would all be on their way to the
// application before the first has failed.
//
// What is on its way is known to this process alone.
func (g *Gate) Begin(ctx context.Context, req *ipwarden.Request, d *Decision) {
	g.run(ctx, req, d, &g.flights)
}

// flights counts what was let in and whose outcome is not known, by the keys of
// the limits that wait for it. It holds no more than there are requests under way.
type flights struct {
	parts [16]flightPart
}

type flightPart struct {
	mu    sync.Mutex // guards under
	under map[limit.Key]uint32
}

func (f *flights) part(k limit.Key) *flightPart { return &f.parts[k[0]%uint64(len(f.parts))] }

// enter counts a request and returns how many there are now.
func (f *flights) enter(k limit.Key) uint32 {
	p := f.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.under == nil {
		p.under = map[limit.Key]uint32{}
	}
	p.under[k]++
	return p.under[k]
}

func (f *flights) leave(k limit.Key) {
	p := f.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.under[k]--; p.under[k] == 0 {
		delete(p.under, k)
	}
}

// enter puts the request on its way, before the limits are asked: of many at once
// each sees those before it.
func (d *Decision) enter() {
	if d.flights == nil {
		return
	}
	for i := range d.pending {
		p := &d.pending[i]
		p.entered = d.flights.enter(p.request.Key)
	}
}

// land ends what enter began. It may be called more than once.
func (d *Decision) land() {
	for i := range d.pending {
		if p := &d.pending[i]; p.entered > 0 {
			d.flights.leave(p.request.Key)
			p.entered = 0
		}
	}
}

// crowd refuses where those on their way may use up what is left. How long that
// lasts is not known: a second is said. What other limits were charged stays.
func (d *Decision) crowd(key limit.Key, r *limit.Result) {
	if d.flights == nil || !r.Allowed {
		return
	}
	for i := range d.pending {
		p := &d.pending[i]
		if p.request.Key == key && p.entered > 1 && uint64(p.entered)*uint64(p.request.Cost) > uint64(r.Remaining) {
			r.Allowed, r.Remaining, r.RetryAfter = false, 0, time.Second
		}
	}
}
