package source

import (
	"context"
	"net/netip"
	"time"
)

// Waiting for another process: how often the Store is looked at.
const (
	firstLook = 2 * time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// elsewhere returns the answer that another process puts into the Store while this
// one waits. It is nil when it is for this process to ask.
func (c *Cached) elsewhere(ctx context.Context, f *flight) *answer {
	if c.cfg.Store == nil {
		return nil
	}
	claim := c.keys.key(keyClaim, c.cfg.Name, f.of, top(f.addr))
	var mine bool
	ok := c.try(ctx, func(ctx context.Context) (err error) {
		mine, err = c.cfg.Store.Claim(ctx, claim, c.cfg.Timeout+time.Second)
		return err
	})
	switch {
	case !ok:
		return nil // every process asks for itself
	case mine:
		// Between the look and the claim another may have been done.
		return c.fetch(ctx, f)
	}
	c.stats.waited.Add(1)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return c.failure(f.addr, context.Cause(ctx), c.cfg.Now())
		case <-t.C:
		}
		if a := c.fetch(ctx, f); a != nil {
			return a
		}
		if c.well.IsOpen() {
			return nil // nobody will hear of the other's answer
		}
	}
}

// try asks the Store, unless it is away.
func (c *Cached) try(ctx context.Context, ask func(context.Context) error) bool {
	if !c.well.TryAcquirePermit() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StoreTimeout)
	defer cancel()
	if err := ask(ctx); err != nil {
		c.stats.storeErrors.Add(1)
		c.well.RecordFailure()
		return false
	}
	c.well.RecordSuccess()
	return true
}

// fetch returns what the Store has of an address, and that it was asked for
// without success; nil for nothing that is fresh. It looks first where this
// provider's answers of late are; looking everywhere else too costs another round
// trip only to who has to ask the provider next.
func (c *Cached) fetch(ctx context.Context, f *flight) *answer {
	var keys [numRungs + 1]Key
	widest := top(f.addr)
	n := 0
	add := func(bits int) {
		p, _ := f.addr.Prefix(bits)
		keys[n] = c.keys.key(keyAnswer, c.cfg.Name, p, widest)
		n++
	}
	likely := 0
	if l := int(c.learned[family(f.addr)].Load()); l != 0 {
		likely = rung(f.addr, l)
		add(likely)
		if a, ok := c.read(ctx, f, keys[:n]); a != nil || !ok {
			return a
		}
		n = 0
	}
	for _, bits := range rungs(f.addr) {
		if bits != likely {
			add(bits)
		}
	}
	if !isRung(f.of) {
		add(f.of.Bits())
	}
	a, ok := c.read(ctx, f, keys[:n])
	if a == nil && ok {
		c.stats.storeMisses.Add(1)
	}
	return a
}

// read asks the Store for keys; false when it could not.
func (c *Cached) read(ctx context.Context, f *flight, keys []Key) (*answer, bool) {
	values := make([][]byte, len(keys))
	if !c.try(ctx, func(ctx context.Context) error { return c.cfg.Store.Get(ctx, keys, values) }) {
		return nil, false
	}
	now := c.cfg.Now().UnixNano()
	for _, v := range values {
		if v == nil {
			continue
		}
		a, err := c.keys.readValue(v, c.cfg.Name, now)
		switch {
		case err != nil:
			c.stats.junk.Add(1)
		case !a.full.Network.Contains(f.addr) || a.full.Network != clip(f.addr, a.full.Network):
			c.stats.junk.Add(1)
		case now < a.fresh && !c.early(a, now):
			c.stats.storeHits.Add(1)
			return a, true
		}
	}
	return nil, true
}

func isRung(p netip.Prefix) bool {
	for _, n := range rungs(p.Addr()) {
		if n == p.Bits() {
			return true
		}
	}
	return false
}

// share puts an answer into the Store. That the Source failed is put there too, for
// those who wait for this process: under the network that it claimed.
func (c *Cached) share(f *flight, a *answer) {
	if c.cfg.Store == nil {
		return
	}
	put := &answer{full: a.full, err: a.err, asked: a.asked, fresh: a.fresh, stale: a.stale, took: a.took}
	if a.err != nil {
		put.full.Network = f.of
	}
	value, ok := c.keys.appendValue(nil, c.cfg.Name, put)
	if !ok {
		c.stats.tooLong.Add(1)
		return
	}
	ttl := time.Duration(a.stale - c.cfg.Now().UnixNano())
	if ttl <= 0 {
		return
	}
	set := func(p netip.Prefix) bool {
		key := c.keys.key(keyAnswer, c.cfg.Name, p, top(f.addr))
		return c.try(c.ctx, func(ctx context.Context) error { return c.cfg.Store.Set(ctx, key, value, ttl) })
	}
	if a.err != nil {
		set(f.of)
		return
	}
	for p := range func(yield func(netip.Prefix) bool) { pieces(a.full.Network, yield) } {
		if !set(p) {
			return
		}
	}
}
