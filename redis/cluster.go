package redis

import (
	"context"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/limit"
	"github.com/redis/rueidis"
)

// How often the client looks where things are, beside of when it is told.
const (
	clusterRefresh  = 5 * time.Second
	sentinelRefresh = 5 * time.Second
)

// slots carries out asks on a cluster, where the keys of one run of the script
// are all of one slot.
type slots struct {
	calls map[uint16]*call
	free  []*call
	order []uint16 // of calls, so that runs are the same from one time to the next
}

// exchange runs the script once a slot, all at once, and then gives back what
// was charged for an ask that was denied elsewhere.
func (g *slots) exchange(ctx context.Context, client rueidis.Client, s *store, asks []*limit.Ask) {
	if g.calls == nil {
		g.calls = map[uint16]*call{}
	}
	for _, a := range asks {
		g.add(a, s.config.Prefix)
	}
	failed := g.run(ctx, client, s)
	back := false
	for _, a := range asks {
		a.Err = nil
		for i := range a.Items {
			if err := failed[&a.Items[i]]; err != nil {
				a.Err = err
			}
		}
		conclude(a)
		if !a.Allowed {
			back = g.giveBack(a, s.config.Prefix, failed) || back
		}
	}
	if back {
		g.run(ctx, client, s) // what this does not reach stays charged: see Limiter
	}
}

// add puts the items of an ask into the calls of their slots. Those of one slot
// are charged at once; they stand together, as no other ask is in between.
func (g *slots) add(a *limit.Ask, prefix string) {
	for i := range a.Items {
		it := &a.Items[i]
		key := string(appendKey(nil, prefix, it.Key))
		slot := slotOf(key)
		last := true
		for j := range a.Items[i+1:] {
			other := string(appendKey(nil, prefix, a.Items[i+1+j].Key))
			if slotOf(other) == slot {
				last = false
				break
			}
		}
		g.call(slot).add(opTake, it, key, last)
	}
}

// giveBack asks the slots which charged an ask for what they took. It reports
// whether there is anything.
func (g *slots) giveBack(a *limit.Ask, prefix string, failed map[*limit.Item]error) (any bool) {
	denied := map[uint16]bool{} // those slots charged nothing
	for i := range a.Items {
		if it := &a.Items[i]; !it.Allowed || failed[it] != nil {
			denied[slotOf(string(appendKey(nil, prefix, it.Key)))] = true
		}
	}
	for i := range a.Items {
		it := &a.Items[i]
		key := string(appendKey(nil, prefix, it.Key))
		if slot := slotOf(key); !denied[slot] && it.Cost > 0 {
			g.call(slot).add(opBack, it, key, true)
			any = true
		}
	}
	return any
}

func (g *slots) call(slot uint16) *call {
	c := g.calls[slot]
	if c == nil {
		if n := len(g.free); n > 0 {
			c, g.free = g.free[n-1], g.free[:n-1]
		} else {
			c = &call{}
		}
		g.calls[slot] = c
		g.order = append(g.order, slot)
	}
	return c
}

// run runs all calls, and returns the error of each item that has one.
func (g *slots) run(ctx context.Context, client rueidis.Client, s *store) map[*limit.Item]error {
	cmds := make(rueidis.Commands, 0, len(g.order))
	for _, slot := range g.order {
		c := g.calls[slot]
		cmds = append(cmds, c.command(client, "EVALSHA", s.script.sha))
	}
	failed := map[*limit.Item]error{}
	results := client.DoMulti(ctx, cmds...)
	for i, slot := range g.order {
		c := g.calls[slot]
		text, err := results[i].ToString()
		if unknown(err) {
			text, err = client.Do(ctx, c.command(client, "EVAL", s.script.text)).ToString()
		}
		if err = classify(err); err == nil {
			err = c.answer(text)
		}
		if err != nil {
			for _, it := range c.whose {
				failed[it] = err
			}
		}
		c.reset()
		g.free = append(g.free, c)
		delete(g.calls, slot)
	}
	g.order = g.order[:0]
	return failed
}

// slotOf is the slot of a key: CRC16 of what is in its first braces, if there is
// anything, else of all of it (the Redis cluster specification, "Key
// distribution model" and "Hash tags").
func slotOf(key string) uint16 {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if end := strings.IndexByte(key[open+1:], '}'); end > 0 {
			key = key[open+1 : open+1+end]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc & 0x3fff
}
