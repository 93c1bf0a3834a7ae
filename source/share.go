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
// one waits. It is nil when it is for this process to ask: about the address, for
// all who want to know of the network that it has claimed.
func (c *Cached) elsewhere(ctx context.Context, f *flight) (a *answer, claimed netip.Prefix) {
	claimed = f.of
	if c.cfg.Store == nil {
		return nil, claimed
	}
	mine, ok := c.claim(ctx, f, claimed)
	first := mine
	if mine && claimed != host(f.addr) {
		// Another process may presume another network round the same address.
		mine, ok = c.claim(ctx, f, host(f.addr))
	}
	if mine || !ok {
		return c.unlessKnown(ctx, f, claimed, ok), claimed
	}
	c.stats.waited.Add(1)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return c.failure(f.addr, context.Cause(ctx), c.cfg.Now()), claimed
		case <-t.C:
		}
		if a := c.fetch(ctx, f); a != nil {
			if first {
				c.tell(f, claimed, a)
			}
			return a, claimed
		}
		if c.well.IsOpen() || c.stuck.Load() >= lookersStuck {
			return nil, claimed // nobody will hear of the other's answer
		}
		if first || claimed == host(f.addr) || !c.told(ctx, f) {
			continue
		}
		// The answer was about another part of the network: this address is asked
		// about by whoever claims that.
		claimed = host(f.addr)
		if mine, ok = c.claim(ctx, f, claimed); mine || !ok {
			return c.unlessKnown(ctx, f, claimed, ok), claimed
		}
	}
}

// claim takes it on this process to ask about a network; not ok when the Store is
// away, and every process asks for itself.
func (c *Cached) claim(ctx context.Context, f *flight, of netip.Prefix) (mine, ok bool) {
	key := c.keys.key(keyClaim, c.cfg.Name, of, top(f.addr))
	ok = c.try(ctx, func(ctx context.Context) (err error) {
		mine, err = c.cfg.Store.Claim(ctx, key, c.claimTime())
		return err
	})
	return mine, ok
}

func (c *Cached) claimTime() time.Duration { return c.cfg.Timeout + time.Second }

// unlessKnown is for who has claimed: between the look and the claim another may
// have been done.
func (c *Cached) unlessKnown(ctx context.Context, f *flight, claimed netip.Prefix, ok bool) *answer {
	if !ok {
		return nil
	}
	a := c.fetch(ctx, f)
	if a != nil {
		c.tell(f, claimed, a)
	}
	return a
}

// tell says in the Store that who claimed a network is done, where the answer is
// about less, or is gone before the claim: nobody waits for another one then. A
// claim cannot be given back: it ends by itself, and so does this.
func (c *Cached) tell(f *flight, claimed netip.Prefix, a *answer) {
	all := a.err == nil && a.full.Network.Bits() <= claimed.Bits() && a.stale-c.cfg.Now().UnixNano() > int64(c.claimTime())
	if all || claimed == host(f.addr) {
		return
	}
	if value, ok := c.value(a, a.full.Network); ok {
		c.set(f, keyTold, claimed, value, c.claimTime())
	}
}

// told reports whether who claimed the network is done.
func (c *Cached) told(ctx context.Context, f *flight) bool {
	keys, values := [1]Key{c.keys.key(keyTold, c.cfg.Name, f.of, top(f.addr))}, [1][]byte{}
	if !c.try(ctx, func(ctx context.Context) error { return c.cfg.Store.Get(ctx, keys[:], values[:]) }) || values[0] == nil {
		return false
	}
	if _, err := c.keys.readValue(values[0], c.cfg.Name, c.cfg.Now().UnixNano()); err != nil {
		c.stats.junk.Add(1)
		return false
	}
	return true
}

// try asks the Store, unless it is away. That whoever asks has no more time is no
// failure of the Store.
func (c *Cached) try(ctx context.Context, ask func(context.Context) error) bool {
	if ctx.Err() != nil || !c.permitted() {
		return false
	}
	within, cancel := context.WithTimeout(ctx, c.cfg.StoreTimeout)
	defer cancel()
	switch err := ask(within); {
	case err == nil:
		c.well.RecordSuccess()
		return true
	case ctx.Err() == nil:
		c.storeFailed()
	case c.well.IsHalfOpen():
		c.well.RecordFailure() // a permit cannot be given back
	}
	return false
}

// likely is the length at which an address is looked for first: where this
// provider's answers of late are; 0 for all there are. Looking everywhere else too
// costs another round trip only to who has to ask the provider next.
func (c *Cached) likely(f *flight) int {
	if l := int(c.learned[family(f.addr)].Load()); l != 0 {
		return rung(f.addr, l)
	}
	return 0
}

// firstKeys appends the keys of a flight's first look.
func (c *Cached) firstKeys(keys []Key, f *flight, likely int) []Key {
	if likely == 0 {
		return c.otherKeys(keys, f, 0)
	}
	p, _ := f.addr.Prefix(likely)
	return append(keys, c.keys.key(keyAnswer, c.cfg.Name, p, top(f.addr)))
}

// otherKeys appends those of all lengths but one.
func (c *Cached) otherKeys(keys []Key, f *flight, but int) []Key {
	widest := top(f.addr)
	for _, bits := range rungs(f.addr) {
		if bits != but {
			p, _ := f.addr.Prefix(bits)
			keys = append(keys, c.keys.key(keyAnswer, c.cfg.Name, p, widest))
		}
	}
	if !isRung(f.of) {
		keys = append(keys, c.keys.key(keyAnswer, c.cfg.Name, f.of, widest))
	}
	return keys
}

// fetch returns what the Store has of an address, and that it was asked for
// without success; nil for nothing that is fresh.
func (c *Cached) fetch(ctx context.Context, f *flight) *answer {
	likely := c.likely(f)
	if likely == 0 {
		return c.fetchElse(ctx, f, 0)
	}
	if a, ok := c.read(ctx, f, c.firstKeys(nil, f, likely)); a != nil || !ok {
		return a
	}
	return c.fetchElse(ctx, f, likely)
}

// fetchElse is fetch at all lengths but one.
func (c *Cached) fetchElse(ctx context.Context, f *flight, but int) *answer {
	a, ok := c.read(ctx, f, c.otherKeys(nil, f, but))
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
	return c.accept(f, values, c.cfg.Now().UnixNano()), true
}

// accept returns the first of the Store's values that is an answer for a flight, and
// fresh.
func (c *Cached) accept(f *flight, values [][]byte, now int64) *answer {
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
			return a
		}
	}
	return nil
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
func (c *Cached) share(f *flight, claimed netip.Prefix, a *answer) {
	if c.cfg.Store == nil {
		return
	}
	defer c.tell(f, claimed, a)
	network := a.full.Network
	if a.err != nil {
		network = claimed
	}
	value, ok := c.value(a, network)
	ttl := time.Duration(a.stale - c.cfg.Now().UnixNano())
	if !ok || ttl <= 0 {
		return
	}
	if a.err != nil {
		c.set(f, keyAnswer, claimed, value, ttl)
		return
	}
	for p := range func(yield func(netip.Prefix) bool) { pieces(a.full.Network, yield) } {
		if !c.set(f, keyAnswer, p, value, ttl) {
			return
		}
	}
}

// value is an answer about a network as the Store has it; false when it is too long.
// Of an answer that others read there is a copy made: writing one goes through the
// same steps as reading it.
func (c *Cached) value(a *answer, network netip.Prefix) ([]byte, bool) {
	put := &answer{full: a.full, err: a.err, asked: a.asked, fresh: a.fresh, stale: a.stale, took: a.took}
	put.full.Network = network
	value, ok := c.keys.appendValue(nil, c.cfg.Name, put)
	if !ok {
		c.stats.tooLong.Add(1)
	}
	return value, ok
}

func (c *Cached) set(f *flight, kind string, p netip.Prefix, value []byte, ttl time.Duration) bool {
	key := c.keys.key(kind, c.cfg.Name, p, top(f.addr))
	return c.try(c.ctx, func(ctx context.Context) error { return c.cfg.Store.Set(ctx, key, value, ttl) })
}
