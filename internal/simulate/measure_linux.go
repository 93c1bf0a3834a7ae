package simulate

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// between is how long one who looks whether something is known waits before he looks
// again: what is measured is up to so much too long.
const between = 8 * time.Millisecond

// propagation makes a call in one region after the other, and looks when the tables of
// all others have it.
func (w *world) propagation(p *customer) ([]time.Duration, error) {
	key := p.keys[0]
	var late []time.Duration
	var mu sync.Mutex // guards late
	for n := range w.c.Probes {
		from := w.regions[n%len(w.regions)]
		left := p.limit - int64(n)
		if err := w.standAt(key, left); err != nil {
			return nil, err
		}
		var all sync.WaitGroup
		errs := make([]error, len(w.regions))
		// All look before it begins.
		var looking sync.WaitGroup
		var begun atomic.Int64 // nanoseconds since base
		base := time.Now()
		for _, r := range w.regions {
			if r == from {
				continue
			}
			looking.Add(1)
			all.Go(func() {
				c := r.caller()
				defer c.close()
				once := sync.OnceFunc(looking.Done)
				defer once()
				errs[r.i] = w.until("a call in "+from.name+" is known in "+r.name, func() bool {
					a, err := c.get(key, pathBad)
					known := time.Since(base)
					once()
					if err != nil || a.left >= left || a.left < 0 {
						w.wait(between - 5*time.Millisecond)
						return false
					}
					mu.Lock()
					defer mu.Unlock()
					late = append(late, known-time.Duration(begun.Load())-w.c.RTT(from.i, r.i)/2)
					return true
				})
			})
		}
		looking.Wait()
		c := from.caller()
		if _, err := c.get(key, pathBad); err != nil { // the connection is there
			return nil, err
		}
		begun.Store(int64(time.Since(base)))
		a, err := c.get(key, pathGood)
		c.close()
		if err == nil && a.status != 200 {
			err = fmt.Errorf("simulate: a call in %s was answered with %d", from.name, a.status)
		}
		all.Wait()
		for _, e := range append(errs, err) {
			if e != nil {
				return nil, e
			}
		}
	}
	slices.Sort(late)
	return late, nil
}

// standAt waits until so much is left of a key in all regions.
func (w *world) standAt(key string, left int64) error {
	for _, r := range w.regions {
		c := r.caller()
		defer c.close()
		var a answer
		if err := w.until("a customer stands in "+r.name+" where he does elsewhere", func() bool {
			var err error
			a, err = c.get(key, pathBad)
			return err == nil && a.left == left
		}); err != nil {
			return fmt.Errorf("%w: %d are left, not %d", err, a.left, left)
		}
	}
	return nil
}

// revocation ends keys, and looks when all regions refuse them. The time is from when
// the command that does it has ended: until then nobody was told that it is done.
func (w *world) revocation(p *customer) ([]time.Duration, error) {
	var took []time.Duration
	var mu sync.Mutex // guards took
	for n, key := range p.keys {
		if err := w.known(key); err != nil {
			return nil, err
		}
		var all sync.WaitGroup
		errs := make([]error, len(w.regions))
		at := make([]time.Time, len(w.regions))
		for _, r := range w.regions {
			all.Go(func() {
				c := r.caller()
				defer c.close()
				errs[r.i] = w.until("a revoked key is refused in "+r.name, func() bool {
					a, err := c.get(key, pathBad)
					if at[r.i] = time.Now(); err == nil && a.status == 401 {
						return true
					}
					w.wait(between - 5*time.Millisecond)
					return false
				})
			})
		}
		_, err := w.tool("key", "revoke", p.ids[n], "--json")
		done := time.Now()
		all.Wait()
		for _, e := range append(errs, err) {
			if e != nil {
				return nil, e
			}
		}
		mu.Lock()
		for _, t := range at {
			took = append(took, max(0, t.Sub(done)))
		}
		mu.Unlock()
	}
	slices.Sort(took)
	return took, nil
}

// spend lets all regions spend one quota at once, until it is used up.
func (w *world) spend(p *customer) (admitted int64, err error) {
	const hands = 4 // in each region
	var n atomic.Int64
	var last atomic.Int64 // when something was admitted, in nanoseconds since begun
	var failed atomic.Int64
	begun := time.Now()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, r := range w.regions {
		for range hands {
			all.Go(func() {
				c := r.caller()
				defer c.close()
				tick := time.NewTicker(hands * time.Second / time.Duration(w.c.QuotaRate))
				defer tick.Stop()
				for {
					select {
					case <-stop:
						return
					case <-tick.C:
					}
					a, err := c.get(p.keys[0], pathGood)
					switch {
					case err != nil:
						failed.Add(1)
					case a.status == 200:
						n.Add(1)
						last.Store(int64(time.Since(begun)))
					}
				}
			})
		}
	}
	quota := time.Duration(p.limit) * time.Second / time.Duration(w.c.QuotaRate*len(w.regions))
	most := begun.Add(10*time.Second + 3*quota)
	for w.ctx.Err() == nil && time.Now().Before(most) {
		// For some time after, nothing may be admitted.
		if n.Load() >= p.limit && time.Since(begun)-time.Duration(last.Load()) > 2*time.Second {
			break
		}
		w.wait(20 * time.Millisecond)
	}
	close(stop)
	all.Wait()
	if failed.Load() > 0 {
		return 0, fmt.Errorf("simulate: %d calls had no answer while nothing was killed", failed.Load())
	}
	return n.Load(), w.ctx.Err()
}
