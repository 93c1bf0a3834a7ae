package summary

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
)

// Bounds of what is counted one by one. Together they take 40 MB at most.
const (
	numShards = 64
	perShard  = 4096 // keys; a shard has twice as many slots
	shardBits = 6
)

// A key is an address as 16 bytes; of a network the first one.
type key struct{ hi, lo uint64 }

func keyOf(a netip.Addr) key {
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	return netip.AddrFrom16(b).Unmap()
}

// table counts keys. The zero table is empty.
type table struct {
	slots []slot // a power of two of them; count 0: free
	n     int
}

type slot struct {
	key
	count uint64
}

// find returns the slot of k, or the free one where it belongs. h is its hash.
func (t *table) find(k key, h uint64) *slot {
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.count == 0 || s.key == k {
			return s
		}
	}
}

// add counts k, and reports whether it was new.
func (t *table) add(k key, h, n uint64) bool {
	if 2*(t.n+1) > len(t.slots) {
		old := t.slots
		t.slots, t.n = make([]slot, max(64, 2*len(old))), 0
		for _, s := range old {
			if s.count > 0 {
				*t.find(s.key, hashOf(s.key)) = s
				t.n++
			}
		}
	}
	s := t.find(k, h)
	fresh := s.count == 0
	if fresh {
		s.key = k
		t.n++
	}
	s.count += n
	return fresh
}

// retain keeps what keep says, with the count that it returns.
func (t *table) retain(keep func(slot) uint64) {
	scratch := scratches.Get().(*[]slot)
	old := append((*scratch)[:0], t.slots...)
	clear(t.slots)
	t.n = 0
	for _, s := range old {
		if s.count == 0 {
			continue
		}
		if s.count = keep(s); s.count > 0 {
			*t.find(s.key, hashOf(s.key)) = s
			t.n++
		}
	}
	*scratch = old
	scratches.Put(scratch)
}

// scratches are what retain writes down: it is called for every few thousand keys.
var scratches = sync.Pool{New: func() any { return new([]slot) }}

// seed is drawn for each process, so that nobody can choose addresses that fall
// into one slot.
var seed = maphash.MakeSeed()

func hashOf(k key) uint64 { return maphash.Comparable(seed, k) }

func shardOf(h uint64) uint64 { return h >> (64 - shardBits) }

// talkers counts keys, of which the frequent ones matter: when a shard is full, the
// median count is taken from all of it, and what has nothing left goes (Anderson et
// al., A High-Performance Algorithm for Identifying Frequent Items in Data Streams,
// 2017). A count is too low by at most what was taken.
type talkers struct {
	most   int // keys of a shard
	shards [numShards]talkerShard
}

type talkerShard struct {
	mu     sync.Mutex // guards all below
	table  table
	taken  uint64
	counts []uint64 // room to find the median
	_      [64]byte // the next one's lock is in another cache line
}

func (t *talkers) add(k key, h uint64) {
	s := &t.shards[shardOf(h)]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.add(k, h, 1)
	if s.table.n >= t.most {
		counts := s.counts[:0]
		for _, sl := range s.table.slots {
			if sl.count > 0 {
				counts = append(counts, sl.count)
			}
		}
		slices.Sort(counts)
		median := counts[len(counts)/2]
		s.counts = counts
		s.taken += median
		s.table.retain(func(sl slot) uint64 { return sl.count - min(median, sl.count) })
	}
}

// a talker is a key that came often. It came count times, or up to missed more.
type talker struct {
	key    key
	count  uint64
	missed uint64
}

// top returns the n most frequent, and the most by which a count may be too low.
func (t *talkers) top(n int) (top []talker, missed uint64) {
	less := func(a, b talker) int {
		switch {
		case a.count != b.count:
			return compare(b.count, a.count)
		case a.key.hi != b.key.hi:
			return compare(a.key.hi, b.key.hi)
		}
		return compare(a.key.lo, b.key.lo)
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		missed = max(missed, s.taken)
		for _, sl := range s.table.slots {
			if sl.count > 0 {
				top = append(top, talker{sl.key, sl.count, s.taken})
			}
		}
		s.mu.Unlock()
		if len(top) > n+t.most {
			slices.SortFunc(top, less)
			top = top[:n]
		}
	}
	slices.SortFunc(top, less)
	return top[:min(n, len(top))], missed
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// distinct holds which keys there are: all of them while they fit, then every
// second, every fourth and so on, chosen by their hashes, so that any share of them
// can be told (Wegman's adaptive sampling).
type distinct struct {
	most   int // keys of a shard
	shards [numShards]distinctShard
}

type distinctShard struct {
	mu    sync.Mutex // guards all below
	table table
	level int // of 2^level keys one is held
	_     [64]byte
}

// levelOf is how often a key is left out: with each level half of the keys.
func levelOf(h uint64) int { return bits.LeadingZeros64(h << shardBits) }

func (d *distinct) add(k key, h uint64) {
	s := &d.shards[shardOf(h)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if levelOf(h) < s.level {
		return
	}
	s.table.add(k, h, 1)
	for s.table.n >= d.most {
		s.level++
		s.table.retain(func(sl slot) uint64 {
			if levelOf(hashOf(sl.key)) < s.level {
				return 0
			}
			return sl.count
		})
	}
}

// all yields the keys that are held, and for how many each of them stands.
func (d *distinct) all() iter.Seq2[key, uint64] {
	return func(yield func(key, uint64) bool) {
		for i := range d.shards {
			s := &d.shards[i]
			s.mu.Lock()
			slots, level := slices.Clone(s.table.slots), s.level
			s.mu.Unlock()
			for _, sl := range slots {
				if sl.count > 0 && !yield(sl.key, 1<<level) {
					return
				}
			}
		}
	}
}

// spread is the standard error of how many keys there are, as a share; 0 when all
// are held.
func (d *distinct) spread() float64 {
	held, sampled := 0, false
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		held += s.table.n
		sampled = sampled || s.level > 0
		s.mu.Unlock()
	}
	if !sampled {
		return 0
	}
	return 1 / math.Sqrt(float64(held))
}
