package limit

import (
	"math/bits"
	"sync"
)

// The table is set-associative: a key has one bucket, and a place in any of its
// eight ways. Its size never changes. What a spray of new keys costs is decided
// when a bucket is full: an entry that holds nothing any more goes first, then
// one that was seen only once (the spray's own kind), then, by CLOCK, one that
// was not seen lately; one that is over its limit goes only when all eight are,
// and then the one that is over for the shortest time.

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
	tag   uint64 // the key's second half, and in the low byte what is below
	until int64
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
}

type stripeCounts struct {
	allowed, denied, fast             uint64
	evicted, evictedUsed, evictedOver uint64
	hand                              uint64
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
	return &table{
		buckets: make([]bucket, n),
		stripes: make([]stripe, min(maxStripes, 1<<(bits.Len(uint(n))-1))),
	}
}

// index is the number of a key's bucket: its first half, scaled.
func (t *table) index(k Key) int {
	hi, _ := bits.Mul64(k[0], uint64(len(t.buckets)))
	return int(hi)
}

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
	return (s.tag^k[1])&^metaMask == 0 && s.tag&metaUsed != 0
}

func (b *bucket) state(way int) state {
	return state{until: b.slots[way].until, current: uint32(b.cells[way]), previous: uint32(b.cells[way] >> 32)}
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
	var meta uint64
	if way < 0 {
		way = b.victim(c, home(k), now)
		meta = metaUsed
		if t.debts != nil {
			t.debts[i*ways+way] = debt{}
		}
	} else {
		meta = b.slots[way].tag&(metaListed|metaAsking) | metaUsed | metaAgain | metaRef
	}
	if over {
		meta |= metaOver
	}
	b.slots[way] = slot{tag: k[1]&^metaMask | meta, until: s.until}
	b.cells[way] = uint64(s.current) | uint64(s.previous)<<32
	return way
}

// mark notes that the key of a way was seen, and whether it was over.
func (b *bucket) mark(way int, over bool) {
	tag := b.slots[way].tag | metaAgain | metaRef
	if over {
		tag |= metaOver
	}
	b.slots[way].tag = tag
}

// victim returns the way for a new entry, its first one if that is free.
func (b *bucket) victim(c *stripeCounts, first int, now int64) int {
	for i := range ways {
		way := (first + i) % ways
		if s := &b.slots[way]; s.tag&metaUsed == 0 || s.until <= now {
			return way
		}
	}
	c.evicted++
	// The hand starts elsewhere each time: by itself a bucket has no room for one.
	c.hand++
	hand := int(c.hand)
	for i := range ways {
		way := (hand + i) % ways
		if b.slots[way].tag&(metaAgain|metaOver) == 0 {
			return way
		}
	}
	for range 2 { // the first round may take every second chance
		for i := range ways {
			way := (hand + i) % ways
			switch {
			case b.slots[way].tag&metaOver != 0:
			case b.slots[way].tag&metaRef != 0:
				b.slots[way].tag &^= metaRef
			default:
				c.evictedUsed++
				return way
			}
		}
	}
	c.evictedOver++
	way := 0
	for i := range b.slots {
		if b.slots[i].until < b.slots[way].until {
			way = i
		}
	}
	return way
}
