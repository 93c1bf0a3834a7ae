package ban

import (
	"context"
	"errors"
	"time"
)

// A Store shares bans between nodes.
type Store interface {
	// Exchange tells the others of changes, and returns what was said, in the order
	// in which it was, since the mark of an earlier answer; "" is the beginning. Of
	// two changes of one network the one with the greater Stamp stays, and at equal
	// ones that which came first. It is called
	// once a second and after each change, and waits a second at most; an error means
	// that changes are told again.
	Exchange(ctx context.Context, changes []Entry, since string) (Exchanged, error)
}

// Exchanged is what a Store answers.
type Exchanged struct {
	Entries []Entry
	Mark    string
	// More: there is more to be had at once, from Mark on.
	More bool
	// Anew: the store has lost what it was told before the mark, and is to be told
	// again.
	Anew bool
}

const (
	// batch is how many changes are told at once.
	batch = 256
	// rounds bounds how often a store is asked in a row.
	rounds = 1 << 13
)

var errJunk = errors.New("the store of bans had entries that are none; they were passed over")

// share tells the store what it does not know, and takes up what it says.
func (t *Table) share(ctx context.Context) {
	if t.cfg.Store == nil {
		return
	}
	t.turn.Lock()
	defer t.turn.Unlock()
	err := t.exchange(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		t.mu.Lock()
		t.stats.ShareErrors++
		t.mu.Unlock()
	}
	t.told("store", "bans are not shared with other nodes for now; those that are known go on", err)
}

// exchange asks until there is nothing more. t.turn is held.
func (t *Table) exchange(ctx context.Context) error {
	var junk error
	for range rounds {
		changes := t.changes()
		got, err := t.cfg.Store.Exchange(ctx, changes, t.mark)
		if err != nil {
			return err
		}
		t.mu.Lock()
		if got.Anew && t.mark != "" {
			for _, e := range t.entries {
				if !e.dirty {
					e.dirty = true
					t.dirty++
				}
			}
		} else {
			t.settle(changes)
		}
		now := t.cfg.Now()
		for i := range got.Entries {
			if !t.merge(&got.Entries[i], now) {
				junk = errJunk
			}
		}
		more := got.More || t.dirty > 0
		t.mu.Unlock()
		t.mark = got.Mark
		if !more {
			break
		}
	}
	return junk
}

// changes are those that the store was not told of, as many as go at once.
func (t *Table) changes() (list []Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dirty == 0 {
		return nil
	}
	for _, e := range t.ends {
		if e.dirty {
			if list = append(list, e.Entry); len(list) == batch {
				break
			}
		}
	}
	return list
}

// settle notes what the store was told. t.mu is held.
func (t *Table) settle(told []Entry) {
	for i := range told {
		if e := t.entries[told[i].Network]; e != nil && e.dirty && e.Stamp == told[i].Stamp {
			e.dirty = false
			t.dirty--
		}
	}
}

// merge takes up what another node said, and reports whether it could be
// believed. t.mu is held.
func (t *Table) merge(e *Entry, now time.Time) bool {
	if !e.believable(now) {
		return false
	}
	old := t.entries[e.Network]
	// At equal stamps the store's word counts, which is the same for all.
	if old != nil && (e.Stamp < old.Stamp || e.same(&old.Entry) && !old.dirty) {
		return true
	}
	if e.Holds(now) && (old != nil || !t.crowded(e)) {
		t.put(*e, false)
	} else if old != nil {
		t.drop(old)
	}
	return true
}

// same reports whether two entries say the same.
func (e *Entry) same(o *Entry) bool {
	return e.Stamp == o.Stamp && e.Network == o.Network && e.Lifted == o.Lifted && e.Action == o.Action &&
		e.Reason == o.Reason && e.OverLimit == o.OverLimit && e.Until.Equal(o.Until)
}
