package ledger

import (
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// classes are counts of one key and endpoint.
type classes [customer.NumClasses]uint64

// A keySlot is the counts of one key at one endpoint: one cache line. Its id is
// written last, so that one that is seen is complete.
type keySlot struct {
	id       uint64
	account  uint64
	endpoint uint64
	counts   classes
}

// keyTable is one file of key counts: open addressing, filled up to three quarters.
// When it is full, a larger one is made beside it: no key's counts share a slot.
type keyTable struct {
	*mapped
	slots []keySlot
	sent  []classes // frozen into batches
	dirty dirt
}

func newKeyTable(m *mapped) *keyTable {
	at := dirtSize(m.n)
	t := &keyTable{mapped: m, slots: part[keySlot](m, at, m.n), dirty: newDirt(m)}
	t.sent = part[classes](m, at+m.n*int(unsafe.Sizeof(keySlot{})), m.n)
	return t
}

func (t *keyTable) full() bool { return t.word(wordUsed) >= uint64(len(t.slots)/4*3) }

// find looks for a key's slot, or where it would be.
func (t *keyTable) find(id, endpoint uint64) (i int, found bool) {
	mask := uint64(len(t.slots) - 1)
	for h := mix(id + endpoint*0x9e3779b97f4a7c15); ; h++ {
		s := &t.slots[h&mask]
		switch got := atomic.LoadUint64(&s.id); {
		case got == 0:
			return int(h & mask), false
		case got == id && s.endpoint == endpoint:
			return int(h & mask), true
		}
	}
}

// A Key is where the calls of one key are counted.
type Key struct {
	ID      customer.KeyID
	Account customer.AccountID

	hot uint64 // the place of the endpoint asked last: table+1, slot, endpoint; atomic
}

// Copy returns another of the same key, while this one is used.
func (k *Key) Copy() Key { return Key{k.ID, k.Account, atomic.LoadUint64(&k.hot)} }

// Key returns a handle; two of one key count in the same place. One made as
// &Key{ID: id, Account: account} is as good.
func (l *Ledger) Key(id customer.KeyID, account customer.AccountID) *Key {
	return &Key{ID: id, Account: account}
}

// Count counts n calls of a key.
func (l *Ledger) Count(k *Key, e customer.Endpoint, c customer.Class, n uint64) {
	if e >= customer.NumEndpoints || c >= customer.NumClasses {
		return
	}
	hot := atomic.LoadUint64(&k.hot)
	if hot == 0 || hot&0xff != uint64(e) {
		if hot = l.place(k, e); hot == 0 {
			l.unplaced(k, e, c, n)
			return
		}
	}
	tables := *l.keys.Load()
	t, i := tables[hot>>48-1], int(hot>>8&(1<<40-1))
	atomic.AddUint64(&t.slots[i].counts[c], n)
	t.dirty.mark(i)
}

// CountCall counts n calls of a key, of a client unless it is the zero Addr, and of a
// page's host unless it is "": as Count, CountClient and CountReferer do. All places are
// found before anything is counted: a processor waits for an atomic addition before it
// reads on, and so would wait for memory three times in turn, not once.
func (l *Ledger) CountCall(k *Key, e customer.Endpoint, c customer.Class, n uint64, client netip.Addr, host string) {
	var clients, referers *flatTable
	var ofClient, ofReferer int
	if hot := atomic.LoadUint64(&k.hot); hot != 0 && c < customer.NumClasses {
		touch((*l.keys.Load())[hot>>48-1], int(hot>>8&(1<<40-1)))
	}
	if key := ClientKey(client); key != 0 {
		clients = l.clients.Load()
		ofClient = clients.place(l, key, "")
	}
	if host != "" {
		key, host := refererKey(host)
		referers = l.referers.Load()
		ofReferer = referers.place(l, key, host)
	}
	l.Count(k, e, c, n)
	if clients != nil {
		clients.add(l, ofClient, n)
	}
	if referers != nil {
		referers.add(l, ofReferer, n)
	}
}

// touch begins to fetch a slot from memory.
func touch(t *keyTable, i int) { atomic.LoadUint64(&t.slots[i].id) }

// place finds or makes the slot of a key at an endpoint, and remembers it. 0 is that
// there was no room and none to be had.
func (l *Ledger) place(k *Key, e customer.Endpoint) uint64 {
	found := func(t, i int) uint64 {
		hot := uint64(t+1)<<48 | uint64(i)<<8 | uint64(e)
		atomic.StoreUint64(&k.hot, hot)
		return hot
	}
	tables := *l.keys.Load()
	for t := len(tables) - 1; t >= 0; t-- {
		if i, ok := tables[t].find(uint64(k.ID), uint64(e)); ok {
			return found(t, i)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tables = *l.keys.Load()
	for t := len(tables) - 1; t >= 0; t-- {
		if i, ok := tables[t].find(uint64(k.ID), uint64(e)); ok {
			return found(t, i)
		}
	}
	if tables[len(tables)-1].full() {
		if err := l.grow(); err != nil {
			l.growErr = err
			return 0
		}
		l.growErr = nil
		tables = *l.keys.Load()
	}
	t := tables[len(tables)-1]
	i, _ := t.find(uint64(k.ID), uint64(e))
	s := &t.slots[i]
	s.account, s.endpoint = uint64(k.Account), uint64(e)
	s.counts, t.sent[i] = classes{}, classes{}
	t.set(wordUsed, t.word(wordUsed)+1) // before the slot: at worst there is room for one less
	atomic.StoreUint64(&s.id, uint64(k.ID))
	return found(len(tables)-1, i)
}

// unplaced keeps counts of keys while the disk has no room for a larger table: they
// are in memory until it has.
func (l *Ledger) unplaced(k *Key, e customer.Endpoint, c customer.Class, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.homeless == nil {
		l.homeless = map[homeless]uint64{}
	}
	l.homeless[homeless{k.ID, k.Account, e, c}] += n
}

type homeless struct {
	id      customer.KeyID
	account customer.AccountID
	e       customer.Endpoint
	c       customer.Class
}

// settle tries again to give a place to counts that had none.
func (l *Ledger) settle() {
	l.mu.Lock()
	waiting := l.homeless
	l.homeless = nil
	l.mu.Unlock()
	for h, n := range waiting {
		l.Count(l.Key(h.id, h.account), h.e, h.c, n)
	}
}

// mix spreads the bits of a number that has few.
func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return x
}
