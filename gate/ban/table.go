package ban

import (
	stdheap "container/heap"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gaissmai/bart"

	"github.com/ipwarden/ipwarden"
)

// An Entry is a ban as it is kept and shared.
type Entry struct {
	Ban
	Since time.Time
	// Lifted: the ban was lifted before its end. It is kept until then, so that a
	// node which was away does not bring it back.
	Lifted bool
	// Stamp orders what is said of one network: milliseconds, and more than those of
	// what was known before.
	Stamp int64
}

// entry is an Entry in the table.
type entry struct {
	Entry
	place int  // in the heap
	dirty bool // the store was not told of it
}

// heap has the entry that ends first at its root.
type heap []*entry

func (h heap) Len() int           { return len(h) }
func (h heap) Less(i, j int) bool { return h[i].Until.Before(h[j].Until) }
func (h heap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].place, h[j].place = i, j }
func (h *heap) Push(x any)        { e := x.(*entry); e.place = len(*h); *h = append(*h, e) }
func (h *heap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}

// ErrFull says that all bans there may be end later than the one that was to be
// made.
var ErrFull = errors.New("the table of bans is full of such that end later; lift some, or ban for longer")

// Find returns the ban of the longest prefix round addr that runs now; nil for
// none.
func (t *Table) Find(addr netip.Addr, now time.Time) *Ban {
	live := t.live.Load()
	if live == nil {
		return nil
	}
	b, ok := live.Lookup(addr)
	if !ok {
		return nil
	}
	if b.Holds(now) {
		return b
	}
	// It has just ended; a shorter prefix may still be banned.
	for _, b := range live.Supernets(netip.PrefixFrom(addr, addr.BitLen())) {
		if b.Holds(now) {
			return b
		}
	}
	return nil
}

// Splits reports whether a ban that runs is for a part of network alone.
func (t *Table) Splits(network netip.Prefix, now time.Time) bool {
	live := t.live.Load()
	if live == nil {
		return false
	}
	for p, b := range live.Subnets(network) {
		if p != network && b.Holds(now) {
			return true
		}
	}
	return false
}

// Add makes a ban, in place of one of the same network: the last word counts. The
// error says everything that is wrong with it, or is ErrFull.
func (t *Table) Add(b Ban) (Entry, error) {
	now := t.cfg.Now()
	e := Entry{Ban: b, Since: now.Truncate(time.Millisecond), Stamp: now.UnixMilli()}
	e.Until = b.Until.Truncate(time.Millisecond)
	if err := e.check(now); err != nil {
		return e, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.entries[b.Network]; old != nil {
		e.Stamp = max(e.Stamp, old.Stamp+1)
		if !old.Lifted {
			e.Since = old.Since
		}
	}
	t.put(e, true)
	if t.entries[b.Network] == nil {
		return e, ErrFull
	}
	t.stats.Made++
	t.changed()
	return e, nil
}

// Lift ends the ban of exactly this network, and reports whether there was one.
func (t *Table) Lift(network netip.Prefix) bool {
	now := t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.entries[network]
	if old == nil || old.Lifted || !old.Holds(now) {
		return false
	}
	t.stats.Lifted++
	if t.cfg.Store == nil && !old.OverLimit {
		t.drop(old)
	} else { // kept as lifted: neither another node nor the limit makes it again
		e := old.Entry
		e.Lifted, e.Stamp = true, max(now.UnixMilli(), old.Stamp+1)
		t.put(e, true)
	}
	t.changed()
	return true
}

// List returns the bans that run, in the order of their networks; with an address
// those whose network has it. It returns most at most, and how many there are.
func (t *Table) List(of netip.Addr, most int) (list []Entry, all int) {
	now := t.cfg.Now()
	t.mu.Lock()
	entries := slices.Clone(t.ends) // requests wait for the lock; what an Entry says does not change
	t.mu.Unlock()
	for _, e := range entries {
		if !e.Lifted && e.Holds(now) && (!of.IsValid() || e.Network.Contains(of)) {
			list = append(list, e.Entry)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return a.Network.Compare(b.Network) })
	all = len(list)
	return list[:min(all, most)], all
}

// changed wakes who tells the store. t.mu is held.
func (t *Table) changed() {
	if t.cfg.Store == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// put takes an entry in, in place of that of the same network. t.mu is held.
func (t *Table) put(e Entry, dirty bool) {
	old := t.entries[e.Network]
	if old != nil {
		t.forget(old)
	}
	kept := &entry{Entry: e, dirty: dirty && t.cfg.Store != nil}
	kept.Reason = strings.Clone(e.Reason)
	t.entries[e.Network], t.unsaved = kept, true
	if e.OverLimit {
		t.over++
	}
	stdheap.Push(&t.ends, kept)
	if kept.dirty {
		t.dirty++
	}
	if !e.Lifted { // in one step: no request sees the network without a ban in between
		live := t.live.Load()
		if live == nil {
			live = new(bart.Table[*Ban])
		}
		t.live.Store(live.InsertPersist(e.Network, &kept.Ban))
	} else if old != nil && !old.Lifted {
		t.open(e.Network)
	}
	if len(t.entries) > t.cfg.Most {
		if !t.ends[0].Lifted {
			t.stats.Evicted++
		}
		t.drop(t.ends[0])
	}
}

// drop takes an entry out. t.mu is held.
func (t *Table) drop(e *entry) {
	t.forget(e)
	if !e.Lifted {
		t.open(e.Network)
	}
}

// forget takes an entry out of all but what requests see. t.mu is held.
func (t *Table) forget(e *entry) {
	stdheap.Remove(&t.ends, e.place)
	delete(t.entries, e.Network)
	t.unsaved = true
	if e.OverLimit {
		t.over--
	}
	if e.dirty {
		t.dirty--
	}
}

// open lets requests from a network in again. t.mu is held.
func (t *Table) open(network netip.Prefix) {
	live := t.live.Load().DeletePersist(network)
	if live.Size() == 0 {
		live = nil
	}
	t.live.Store(live)
}

// sweep drops what has ended. t.mu is held.
func (t *Table) sweep(now time.Time) {
	for len(t.ends) > 0 && !t.ends[0].Holds(now) {
		if !t.ends[0].Lifted {
			t.stats.Ended++
		}
		t.drop(t.ends[0])
	}
}

// known reports whether an action is one of a ban.
func known(v ipwarden.Verdict) bool {
	return v == ipwarden.Block || v == ipwarden.Challenge || v == ipwarden.Throttle
}
