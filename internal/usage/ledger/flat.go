package ledger

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"
)

// A slot counts one client or one referer; its key is written last.
type slot struct{ key, count uint64 }

const (
	// Other is the key of the count of all that had no room.
	Other = ^uint64(0)
	// maxProbes bounds what an unlucky table costs; what is not found after so many
	// counts as Other.
	maxProbes = 64
	nameSize  = 64 // of a referer: its length and up to 63 bytes
	maxSlots  = 1 << 28
)

// flatTable is one file of counts of one day. Its last slot is that of [Other].
type flatTable struct {
	*mapped
	slots []slot
	sent  []uint64
	names [][nameSize]byte // nil for clients
	dirty dirt
	since time.Time // when it was replaced; guarded by Ledger.mu
}

func newFlatTable(m *mapped, named bool) *flatTable {
	offset := dirtSize(m.n)
	t := &flatTable{mapped: m, slots: part[slot](m, offset, m.n), dirty: newDirt(m, 0)}
	offset += m.n * int(unsafe.Sizeof(slot{}))
	t.sent = part[uint64](m, offset, m.n)
	if named {
		t.names = part[[nameSize]byte](m, offset+m.n*8, m.n)
	}
	if t.day() == 0 { // it was being emptied
		t.empty()
	}
	return t
}

func (t *flatTable) day() uint64 { return t.word(wordDay) }

func (t *flatTable) full() bool { return t.word(wordUsed) >= uint64(len(t.slots)/8*7) }

// empty makes it ready for a day to come. Whoever dies in it finds day 0, and begins
// again.
func (t *flatTable) empty() {
	t.set(wordDay, 0)
	t.set(wordUsed, 0)
	clear(t.data[headerSize:])
	atomic.StoreUint64(&t.slots[len(t.slots)-1].key, Other)
}

// place finds or makes the slot of a key, and a name where the table has names.
func (t *flatTable) place(l *Ledger, key uint64, name string) int {
	i := t.home(key)
	if atomic.LoadUint64(&t.slots[i].key) == key && (t.names == nil || t.name(i) == name) {
		return i // as nearly always
	}
	i, ok := t.find(key, name)
	if !ok {
		i = t.insert(l, i, key, name)
	}
	return i
}

// add counts n in a slot.
func (t *flatTable) add(l *Ledger, i int, n uint64) {
	atomic.AddUint64(&t.slots[i].count, n)
	t.counted(l, i, n)
}

// counted follows each addition.
func (t *flatTable) counted(l *Ledger, i int, n uint64) {
	t.dirty.mark(i)
	if i == len(t.slots)-1 {
		l.noRoom.Add(n)
	}
}

// home is where a key is looked for first: not in the last slot; by multiplication, so
// that there is no division, and any size will do. The node's number is chance, so that
// nobody can choose addresses that crowd.
func (t *flatTable) home(key uint64) int {
	if t.names != nil { // the key is a hash
		i, _ := bits.Mul64(key, uint64(len(t.slots)-1))
		return int(i)
	}
	return int(uint64(uint32(mix(key^t.node))) * uint64(len(t.slots)-1) >> 32)
}

// find looks for a key: its slot, or where it may be put, or -1.
func (t *flatTable) find(key uint64, name string) (int, bool) {
	n := len(t.slots) - 1
	i := t.home(key)
	for range maxProbes {
		switch atomic.LoadUint64(&t.slots[i].key) {
		case 0:
			return i, false
		case key:
			if t.names == nil || t.name(i) == name {
				return i, true
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	return -1, false
}

// insert makes a slot: of one key only one, though many ask at once.
func (t *flatTable) insert(l *Ledger, i int, key uint64, name string) int {
	last := len(t.slots) - 1
	if i < 0 || t.full() {
		return last
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := t.find(key, name)
	if ok {
		return i
	}
	if i < 0 || t.full() {
		return last
	}
	t.slots[i].count, t.sent[i] = 0, 0
	if t.names != nil {
		t.names[i] = [nameSize]byte{byte(len(name))}
		copy(t.names[i][1:], name)
	}
	t.set(wordUsed, t.word(wordUsed)+1)
	atomic.StoreUint64(&t.slots[i].key, key)
	return i
}

func (t *flatTable) name(i int) string {
	n := &t.names[i]
	return unsafe.String(&n[1], min(int(n[0]), nameSize-1))
}

// CountClient counts n calls of a client address: an IPv4 address, or the /64 of an
// IPv6 one.
func (l *Ledger) CountClient(a netip.Addr, n uint64) {
	if key := ClientKey(a); key != 0 {
		t := l.clients.Load()
		t.add(l, t.place(l, key, ""), n)
	}
}

// ClientKey is the number of a client address: an IPv4 address behind 0x00000001, or
// the upper half of an IPv6 one. What is reserved (RFC 4291 section 2.4: 0000::/8) is
// one, 2. No address is 0.
func ClientKey(a netip.Addr) uint64 {
	switch {
	case !a.IsValid():
		return 0
	case a.Is4() || a.Is4In6():
		b := a.As4()
		return 1<<32 | uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	if b[0] == 0 || b[0] == 0xff { // reserved, or multicast: nobody's
		return 2
	}
	return binary.BigEndian.Uint64(b[:])
}

// Client is the network of a client's number.
func Client(key uint64) netip.Prefix {
	if key>>32 == 1 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(key))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	if key == 2 || key == Other {
		return netip.Prefix{}
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], key)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// CountReferer counts n calls of a page's host. Of a longer name the last 63 bytes
// count: they say whose it is.
func (l *Ledger) CountReferer(host string, n uint64) {
	if host != "" {
		t := l.referers.Load()
		key, host := t.hash(host)
		t.add(l, t.place(l, key, host), n)
	}
}

// hash is the key of a host, and as much of the host as is kept. It is this node's own:
// who does not know its number cannot make hosts that share a key, and those that do by
// chance have their names.
func (t *flatTable) hash(host string) (uint64, string) {
	if len(host) > nameSize-1 {
		host = host[len(host)-(nameSize-1):]
	}
	key := hash(host, t.node)
	if key == 0 || key == Other {
		key = 1
	}
	return key, host
}

// Clients calls yield with what this node counted today by client address, until it
// says no.
func (l *Ledger) Clients(yield func(client netip.Prefix, n uint64) bool) {
	for i := range l.clients.Load().slots {
		s := &l.clients.Load().slots[i]
		if k, n := atomic.LoadUint64(&s.key), atomic.LoadUint64(&s.count); k != 0 && n != 0 && !yield(Client(k), n) {
			return
		}
	}
}

// Referers does the same by the host of the page.
func (l *Ledger) Referers(yield func(host string, n uint64) bool) {
	t := l.referers.Load()
	for i := range t.slots {
		if k, n := atomic.LoadUint64(&t.slots[i].key), atomic.LoadUint64(&t.slots[i].count); k != 0 && n != 0 {
			name := ""
			if k != Other {
				name = t.name(i)
			}
			if !yield(name, n) {
				return
			}
		}
	}
}
