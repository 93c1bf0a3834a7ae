package limit

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// The table is set-associative: a key has one bucket, and a place in any of its
// eight ways. Its size never changes. What a spray of new keys costs is decided
// when a bucket is full: an entry that holds nothing any more goes first, then
// one that was seen only once (the spray's own kind), then, by CLOCK, one that
// was not seen lately; one that is over its limit goes only when all eight are,
// and then the one that is over for the shortest time.
//
// Entries are added, and cells counted, under the lock of their bucket. A GCRA
// entry that is there is one word, which a Take of one key charges with one
// compare-and-swap and without the lock; so who holds the lock changes that word
// in the same way. An entry that goes while it is charged takes the charge with
// it.

const ways = 8

// EntrySize is the memory of one entry in bytes.
const EntrySize = 24

// A bucket is three cache lines, four slots in a line and the cells in the
// third. A key is looked for at first where its first half says, and put there
// when that is free: most often one line is all that GCRA touches.
type bucket struct {
	slots [ways]slot
	cells [ways]uint64 // current, and previous << 32
}

type slot struct {
	tag   atomic.Uint64 // the key's second half, and in the low byte what is below
	until atomic.Int64
}

// The low byte of a tag.
const (
	metaUsed   = 1 << iota // there is an entry
	metaAgain              // seen a second time: no longer on probation
	metaRef                // seen since the hand came by
	metaOver               // was over its limit at the last look
	metaListed             // of a Shared: the store will be told of it
	metaAsking             // of a Shared: a new lease is asked for
	metaMask   = 0xff
)

// A stripe locks the buckets whose number ends in its own. It fills a cache
// line, so that two of them do not share one.
type stripe struct {
	mu sync.Mutex // guards its buckets, and what is below
	stripeCounts
	_ [64 - 8 - 5*8]byte
}

type stripeCounts struct {
	evicted, evictedUsed, evictedOver uint64
	hand                              uint64
	fast                              uint64 // Takes of a Shared decided without the store
}

type table struct {
	buckets []bucket
	stripes []stripe // a power of two, at most as many as buckets
	debts   []debt   // of a Shared: one for each way of each bucket
}

// maxStripes bounds what locks cost in memory: 16 KiB.
const maxStripes = 256

func newTable(entries int) *table {
	n := max(1, (entries+ways-1)/ways)
	t := &table{
		buckets: make([]bucket, n),
		stripes: make([]stripe, min(maxStripes, 1<<(bits.Len(uint(n))-1))),
	}
	largePages(t.buckets)
	return t
}

// index is the number of a key's bucket: its first half, scaled.
func (t *table) index(k Key) int {
	hi, _ := bits.Mul64(k[0], uint64(len(t.buckets)))
	return int(hi)
}

// touch fetches the slots of a key's bucket.
func (t *table) touch(k Key) { prefetch(unsafe.Pointer(&t.buckets[t.index(k)])) }

// stripe is the number of the lock of bucket i.
func (t *table) stripe(i int) int { return i & (len(t.stripes) - 1) }

// find returns the way of a key, or -1.
func (b *bucket) find(k Key) int {
	if first := home(k); b.slots[first].holds(k) {
		return first
	}
	return b.search(k)
}

// search is the rest of find.
func (b *bucket) search(k Key) int {
	for i := range b.slots {
		if b.slots[i].holds(k) {
			return i
		}
	}
	return -1
}

// home is where a key is looked for at first. The bits are none that index uses,
// unless there are 2⁶¹ buckets.
func home(k Key) int { return int(k[0] % ways) }

func (s *slot) holds(k Key) bool {
	tag := s.tag.Load()
	return (tag^k[1])&^metaMask == 0 && tag&metaUsed != 0
}

// has reports whether all of some bits are set.
func (s *slot) has(meta uint64) bool { return s.tag.Load()&meta == meta }

// set sets and clears bits of the low byte. Most often there is nothing to do,
// and a line that stays clean is cheap.
func (s *slot) set(meta, clear uint64) {
	tag := s.tag.Load()
	for tag|meta != tag || tag&clear != 0 {
		if s.tag.CompareAndSwap(tag, tag&^clear|meta) {
			return
		}
		tag = s.tag.Load()
	}
}

func (b *bucket) state(way int) state {
	return state{until: b.slots[way].until.Load(), current: uint32(b.cells[way]), previous: uint32(b.cells[way] >> 32)}
}

// get returns the state of a key; what is not there is empty.
func (b *bucket) get(k Key) state {
	if way := b.find(k); way >= 0 {
		return b.state(way)
	}
	return state{}
}

// put writes the state of a key that has the given way of bucket i, or none yet
// (-1), and returns its way.
func (t *table) put(i int, c *stripeCounts, k Key, way int, s state, over bool, now int64) int {
	b := &t.buckets[i]
	if way < 0 {
		way = b.victim(c, home(k), now)
		if t.debts != nil {
			t.debts[i*ways+way] = debt{}
		}
		meta := uint64(metaUsed)
		if over {
			meta |= metaOver
		}
		slot := &b.slots[way]
		slot.tag.Store(0) // nobody's, until all of it is there
		slot.until.Store(s.until)
		slot.tag.Store(k[1]&^metaMask | meta)
	} else {
		if b.slots[way].until.Load() != s.until {
			b.slots[way].until.Store(s.until)
		}
		b.mark(way, over, !over)
	}
	b.cells[way] = uint64(s.current) | uint64(s.previous)<<32
	return way
}

// mark notes that the key of a way was seen, and whether it is over its limit or
// no longer so.
func (b *bucket) mark(way int, over, under bool) {
	meta, clear := uint64(metaAgain|metaRef), uint64(0)
	if over {
		meta |= metaOver
	}
	if under {
		clear = metaOver
	}
	b.slots[way].set(meta, clear)
}

// victim returns the way for a new entry, its first one if that is free.
func (b *bucket) victim(c *stripeCounts, first int, now int64) int {
	for i := range ways {
		way := (first + i) % ways
		if s := &b.slots[way]; !s.has(metaUsed) || s.until.Load() <= now {
			return way
		}
	}
	c.evicted++
	// The hand starts elsewhere each time: by itself a bucket has no room for one.
	c.hand++
	hand := int(c.hand)
	for i := range ways {
		way := (hand + i) % ways
		if b.slots[way].tag.Load()&(metaAgain|metaOver) == 0 {
			return way
		}
	}
	for range 2 { // the first round may take every second chance
		for i := range ways {
			way := (hand + i) % ways
			switch s := &b.slots[way]; {
			case s.has(metaOver):
			case s.has(metaRef):
				s.set(0, metaRef)
			default:
				c.evictedUsed++
				return way
			}
		}
	}
	c.evictedOver++
	way := 0
	for i := range b.slots {
		if b.slots[i].until.Load() < b.slots[way].until.Load() {
			way = i
		}
	}
	return way
}
