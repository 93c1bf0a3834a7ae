package limit

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// send is the one goroutine that talks to the store: answers come in the order
// in which they were counted, and a store that hangs holds nobody else. It takes
// all asks that wait to the store at once: the busier it is, the larger its
// batches are, and the less one ask costs.
func (s *Shared) send() {
	defer close(s.ended)
	tick := time.NewTicker(s.config.Interval)
	defer tick.Stop()
	asks := make([]*Ask, 0, batch)
	for {
		select {
		case <-s.ctx.Done():
			s.end()
			return
		case <-s.opened:
			if s.breaker.open.Load() && !s.probe() {
				s.end()
				return
			}
		case <-tick.C:
			s.tell(s.ctx, tellAtOnce)
		case a := <-s.asks:
			// Those that the last answers woke are about to ask again: a batch with
			// them is cheaper for all.
			runtime.Gosched()
			asks = s.gather(asks[:0], a)
			s.exchange(s.ctx, asks)
		}
	}
}

// gather adds an ask, and those behind it, to a batch; not those whose Take has
// gone.
func (s *Shared) gather(asks []*Ask, a *Ask) []*Ask {
	for {
		if a.stage.CompareAndSwap(waiting, sent) {
			asks = append(asks, a)
		} else {
			s.drop(a, false)
			s.recycle(a)
		}
		if len(asks) == batch {
			return asks
		}
		select {
		case a = <-s.asks:
		default:
			return asks
		}
	}
}

// end tells the store what it can within a budget, and gives back what waits.
func (s *Shared) end() {
	if !s.breaker.open.Load() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.config.Budget)
		s.tell(ctx, dirtyRoom)
		cancel()
		s.breaker.open.Store(true)
	}
	for {
		select {
		case a := <-s.asks:
			if a.stage.CompareAndSwap(waiting, sent) {
				s.finish(a, errClosed)
			} else {
				s.drop(a, false)
				s.recycle(a)
			}
		default:
			return
		}
	}
}

var (
	errClosed = NotApplied(errors.New("limit: closed"))
	errOpen   = NotApplied(errors.New("limit: the shared store is away"))
)

// patience is how much longer than a budget the sender waits: an answer that is
// late for its Take still tells what was counted.
const patience = 20

// exchange takes a batch to the store and finishes each of its asks.
func (s *Shared) exchange(ctx context.Context, asks []*Ask) {
	if len(asks) == 0 {
		return
	}
	if s.breaker.open.Load() {
		for _, a := range asks {
			s.finish(a, errOpen)
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience*s.config.Budget)
	begun := time.Now()
	err := s.config.Store.Exchange(ctx, asks)
	took := time.Since(begun)
	cancel()
	items, well := 0, 0
	var failure error // one for the exchange: what failed is the store, once
	for _, a := range asks {
		items += len(a.Items)
		e := a.Err
		if err != nil {
			e = err
		}
		switch {
		case a.waits && a.stage.Load() != sent:
			// Of an ask that a Take waited for in vain the Take has noted the failure.
		case e != nil:
			failure = e
		case took <= s.config.Budget:
			well++
		case a.waits:
			s.tooLate()
		default:
			// Nobody waits for what is only told, and a large batch takes its time.
		}
		s.finish(a, e)
	}
	if failure != nil {
		s.failed(failure)
	}
	s.breaker.succeeded(well)
	s.counts.exchanges.Add(1)
	s.counts.items.Add(uint64(items))
}

// finish settles an ask and tells its Take.
func (s *Shared) finish(a *Ask, err error) {
	a.Err = err
	told := a.waits && a.stage.CompareAndSwap(sent, settling)
	applied := err == nil || !errors.Is(err, ErrNotApplied)
	if err == nil {
		s.settle(a)
	} else {
		s.drop(a, applied)
		s.counts.failed.Add(1)
	}
	if told {
		a.stage.Store(done)
		a.done <- struct{}{}
		return
	}
	if a.waits && !applied {
		s.owe(a) // its Take went, and charged it here as if it were told
	}
	s.recycle(a)
}

// dirty is the list of keys of which the store is to be told at the next
// interval. It is bounded: a key that finds no room is told when it is next
// asked about.
type dirty struct {
	mu   sync.Mutex // guards keys
	keys []dirtyKey
}

type dirtyKey struct {
	key   Key
	rate  *Rate
	raise uint16
}

const (
	// dirtyRoom is how many keys are listed, 40 bytes each.
	dirtyRoom = 8192
	// tellAtOnce is how many of them are told at an interval, so that a store that
	// is back is not met with everything.
	tellAtOnce = 1024
)

// note lists a key. The lock of its stripe is held.
func (s *Shared) note(b *bucket, way int, r *Request) {
	if b.slots[way].has(metaListed) {
		return
	}
	s.dirty.mu.Lock()
	if len(s.dirty.keys) < dirtyRoom {
		s.dirty.keys = append(s.dirty.keys, dirtyKey{r.Key, r.Rate, r.Raise})
		b.slots[way].set(metaListed, 0)
	}
	s.dirty.mu.Unlock()
}

// tell takes up to n listed keys to the store.
func (s *Shared) tell(ctx context.Context, n int) {
	s.dirty.mu.Lock()
	n = min(n, len(s.dirty.keys))
	keys := append([]dirtyKey(nil), s.dirty.keys[:n]...)
	s.dirty.keys = append(s.dirty.keys[:0], s.dirty.keys[n:]...)
	s.dirty.mu.Unlock()
	asks := make([]*Ask, 0, min(n, batch))
	for i := range keys {
		if a := s.report(&keys[i]); a != nil {
			asks = append(asks, a)
		}
		if len(asks) == batch || i == len(keys)-1 && len(asks) > 0 {
			s.exchange(ctx, asks)
			asks = asks[:0]
		}
	}
}

// report is the ask that tells of one listed key; nil if it is forgotten.
func (s *Shared) report(k *dirtyKey) *Ask {
	var a *Ask
	n := s.table.index(k.key)
	b := &s.table.buckets[n]
	stripe := &s.table.stripes[s.table.stripe(n)]
	stripe.mu.Lock()
	defer stripe.mu.Unlock()
	if way := b.find(k.key); way >= 0 {
		b.slots[way].set(0, metaListed)
		a = s.newAsk(false)
		a.stage.Store(sent)
		s.add(a, &Request{Rate: k.rate, Key: k.key, Raise: k.raise})
	}
	return a
}

// probe probes the store, alone, until it answers within the budget. It is
// false when the Shared is closed.
func (s *Shared) probe() bool {
	told := s.notifyAway()
	for {
		wait := time.NewTimer(s.breaker.pause())
		select {
		case <-s.ctx.Done():
			wait.Stop()
			return false
		case <-wait.C:
		}
		if s.breaker.probed(s.ping(s.ctx)) {
			if told && s.config.Notify != nil {
				s.config.Notify(nil)
			}
			return true
		}
		told = s.notifyAway() || told
	}
}

// notifyAway tells that the store is away, once a minute, however often it comes and
// goes. The sender alone calls it.
func (s *Shared) notifyAway() (told bool) {
	if now := time.Now(); s.noted.IsZero() || now.Sub(s.noted) >= time.Minute {
		s.noted = now
		if s.config.Notify != nil {
			s.config.Notify(s.breaker.lastError())
		}
		return true
	}
	return false
}
