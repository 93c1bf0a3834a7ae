package ledger

import (
	"net/netip"
	"sync/atomic"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// classes are counts of one key and endpoint.
type classes [customer.NumClasses]uint64

// A keyID says whose counts a slot has. Its id is written last.
type keyID struct{ id, account, endpoint uint64 }

// keyTable is one file of key counts. Slots are taken in the order in which keys are
// first used, and the counts of a class stand together: those who call the most came
// early as a rule, and eight of them share a cache line. No key's counts share a slot:
// when the table is full, a larger one is made beside it.
type keyTable struct {
	*mapped
	classes [customer.NumClasses]column
	who     []keyID
	index   []uint32 // slot and one by hash, in memory alone; 0 is free, and half are
}

// A column is the counts of one class.
type column struct {
	counts []uint64
	sent   []uint64 // frozen into batches
	dirty  dirt
}

func newKeyTable(m *mapped) *keyTable {
	t := &keyTable{mapped: m, index: make([]uint32, 2*m.n)}
	at := 0
	for c := range t.classes {
		t.classes[c].dirty = newDirt(m, at)
		at += dirtSize(m.n)
	}
	for c := range t.classes {
		t.classes[c].counts, t.classes[c].sent = part[uint64](m, at, m.n), part[uint64](m, at+8*m.n, m.n)
		at += 16 * m.n
	}
	t.who = part[keyID](m, at, m.n)
	for i := range t.used() {
		if k := &t.who[i]; k.id != 0 { // after a loss of power it may be
			h, _ := t.find(k.id, k.endpoint)
			t.index[h] = uint32(i) + 1
		}
	}
	return t
}

// used is how many slots are taken.
func (t *keyTable) used() int { return int(min(t.word(wordUsed), uint64(t.n))) }

func (t *keyTable) full() bool { return t.used() == t.n }

// find looks for a key: where the index says its slot, or would.
func (t *keyTable) find(id, endpoint uint64) (h int, found bool) {
	mask := len(t.index) - 1
	for h := int(mix(id+endpoint*0x9e3779b97f4a7c15)) & mask; ; h = (h + 1) & mask {
		at := atomic.LoadUint32(&t.index[h])
		if at == 0 {
			return h, false
		}
		if k := &t.who[at-1]; k.id == id && k.endpoint == endpoint {
			return h, true
		}
	}
}

// slot is the slot of a key.
func (t *keyTable) slot(id, endpoint uint64) (i int, found bool) {
	h, found := t.find(id, endpoint)
	return int(atomic.LoadUint32(&t.index[h])) - 1, found
}

// insert takes a slot for a key that has none. Ledger.mu is held.
func (t *keyTable) insert(id, account, endpoint uint64) (i int) {
	i = t.used()
	for c := range t.classes {
		t.classes[c].counts[i], t.classes[c].sent[i] = 0, 0
	}
	t.who[i] = keyID{account: account, endpoint: endpoint}
	atomic.StoreUint64(&t.who[i].id, id)
	t.set(wordUsed, uint64(i)+1)
	h, _ := t.find(id, endpoint)
	atomic.StoreUint32(&t.index[h], uint32(i)+1)
	return i
}

// A Key is where the calls of one key are counted.
type Key struct {
	ID      customer.KeyID
	Account customer.AccountID

	hot uint64 // the place of the endpoint asked last: table, a bit, slot, endpoint; atomic
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
	if t, i := l.counter(k, e, c, n); t != nil {
		atomic.AddUint64(&t.counts[i], n)
		t.dirty.mark(i)
	}
}

// counter is where calls of a key are counted; nil is that there is nothing more to do.
func (l *Ledger) counter(k *Key, e customer.Endpoint, c customer.Class, n uint64) (*column, int) {
	if e >= customer.NumEndpoints || c >= customer.NumClasses {
		return nil, 0
	}
	hot := atomic.LoadUint64(&k.hot)
	if hot == 0 || hot&0xff != uint64(e) {
		if hot = l.place(k, e); hot == 0 {
			l.unplaced(k, e, c, n)
			return nil, 0
		}
	}
	return &l.keys[hot>>48].Load().classes[c], int(hot >> 8 & (1<<39 - 1))
}

// CountCall counts n calls of a key, of a client unless it is the zero Addr, and of a
// page's host unless it is "": as Count, CountClient and CountReferer do. All places are
// found before anything is counted, and all is counted before anything is marked: a
// processor waits for an atomic addition before it reads on, and so would wait for
// memory three times in turn, not once.
func (l *Ledger) CountCall(k *Key, e customer.Endpoint, c customer.Class, n uint64, client netip.Addr, host string) {
	var clients, referers *flatTable
	var ofClient, ofReferer int
	column, of := l.counter(k, e, c, n)
	if column != nil {
		touch(&column.counts[of])
	}
	if key := ClientKey(client); key != 0 {
		clients = l.clients.Load()
		ofClient = clients.place(l, key, "")
	}
	if host != "" {
		referers = l.referers.Load()
		key, host := referers.hash(host)
		ofReferer = referers.place(l, key, host)
	}
	if column != nil {
		atomic.AddUint64(&column.counts[of], n)
	}
	if clients != nil {
		atomic.AddUint64(&clients.slots[ofClient].count, n)
	}
	if referers != nil {
		atomic.AddUint64(&referers.slots[ofReferer].count, n)
		referers.counted(l, ofReferer, n)
	}
	if clients != nil {
		clients.counted(l, ofClient, n)
	}
	if column != nil {
		column.dirty.mark(of)
	}
}

// touch begins to fetch a word from memory.
func touch(word *uint64) uint64 { return atomic.LoadUint64(word) }

// place finds or makes the slot of a key at an endpoint, and remembers it. 0 is that
// there was no room and none to be had.
func (l *Ledger) place(k *Key, e customer.Endpoint) uint64 {
	found := func(t, i int) uint64 {
		hot := uint64(t)<<48 | 1<<47 | uint64(i)<<8 | uint64(e)
		atomic.StoreUint64(&k.hot, hot)
		return hot
	}
	if t, i, ok := l.find(k, e); ok {
		return found(t, i)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, i, ok := l.find(k, e); ok {
		return found(t, i)
	}
	last := l.last()
	if l.keys[last].Load().full() {
		if l.growErr = l.grow(); l.growErr != nil {
			return 0
		}
		last++
	}
	return found(last, l.keys[last].Load().insert(uint64(k.ID), uint64(k.Account), uint64(e)))
}

// find looks for the table and the slot of a key.
func (l *Ledger) find(k *Key, e customer.Endpoint) (table, i int, found bool) {
	for table = l.last(); table >= 0; table-- {
		if i, found = l.keys[table].Load().slot(uint64(k.ID), uint64(e)); found {
			return table, i, true
		}
	}
	return 0, 0, false
}

// last is the number of the newest table of keys.
func (l *Ledger) last() int {
	n := 0
	for n+1 < len(l.keys) && l.keys[n+1].Load() != nil {
		n++
	}
	return n
}

// tables are those of keys, by number.
func (l *Ledger) tables(yield func(int, *keyTable) bool) {
	for i := range l.keys {
		if t := l.keys[i].Load(); t == nil || !yield(i, t) {
			return
		}
	}
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
