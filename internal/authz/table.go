package authz

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// numShards is in how many parts the table is: a change copies one of them, some
// 80 KB of a million keys.
const numShards = 1 << shardBits

const shardBits = 10

// table finds keys by their hashes. Who reads it takes no lock: a change makes a
// new shard. Hashes are as good as random for who does not have the secret, so
// their bits are used as they are.
type table struct {
	shards [numShards]atomic.Pointer[shard]
	mu     sync.Mutex // guards against another who changes it
	n      atomic.Int64
	hints  atomic.Pointer[hints] // nil while there are no keys
}

// A shard is an open-addressing table that never changes. A byte of tags for each
// slot says whether it is taken, and by seven bits of its hash by whom: nearly all
// unknown keys touch nothing else, and known ones one slot.
//
// The numbers of the accounts stand beside the tags: both are small enough for a cache,
// so that the slot and the account, which are not, are fetched at once and not one after
// the other.
type shard struct {
	tags     []uint64    // eight slots each
	accounts [][8]uint32 // in the Directory
	slots    []slot
	n        int
}

// A slot is what a check reads of a key: one cache line.
type slot struct {
	hash [2]uint64
	usage.Key
	detail  *detail // nil when nothing restricts it
	account uint32  // in the Directory
	ends    uint32  // seconds since 1970 from which it is refused; 0 is never
	flags   flags
}

var _ = [1]struct{}{}[unsafe.Sizeof(slot{})-64]

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func words(h customer.Hash) (w [2]uint64) {
	return [2]uint64{binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:])}
}

func hashOf(w [2]uint64) (h customer.Hash) {
	binary.LittleEndian.PutUint64(h[:8], w[0])
	binary.LittleEndian.PutUint64(h[8:], w[1])
	return h
}

// shardOf, tagOf and groupOf take different bits of a hash.
func shardOf(w [2]uint64) int  { return int(w[0] >> (64 - shardBits)) }
func tagOf(w [2]uint64) uint64 { return w[0]&0x7f | 0x80 }
func (s *shard) groupOf(w [2]uint64) int {
	g, _ := bits.Mul64(w[1], uint64(len(s.tags)))
	return int(g)
}

// find returns the slot of a hash, its account's Standing, and the slot's place in the
// shard; nil when there is none. Comparing takes as long whichever bits differ.
func (t *table) find(w [2]uint64, where *usage.Directory) (*slot, *usage.Standing, int) {
	s := t.shards[shardOf(w)].Load()
	if s == nil {
		return nil, nil, 0
	}
	tag := tagOf(w) * ones
	for g := s.groupOf(w); ; {
		row := &s.accounts[g]
		_ = atomic.LoadUint32(&row[0]) // it comes with the tags
		tags := s.tags[g]
		differ := tags ^ tag
		// A byte above one that is the same may be taken for the same too; the hash tells.
		for same := (differ - ones) &^ differ & highs; same != 0; same &= same - 1 {
			i := bits.TrailingZeros64(same) / 8 & 7
			k, account := &s.slots[g*8+i], where.At(atomic.LoadUint32(&row[i]))
			account.Touch() // it comes while the hash is compared
			if (k.hash[0]^w[0])|(k.hash[1]^w[1]) == 0 {
				return k, account, g*8 + i
			}
		}
		if ^tags&highs != 0 {
			return nil, nil, 0 // a free slot: it would be there
		}
		if g++; g == len(s.tags) {
			g = 0
		}
	}
}

// newShard has room for n slots, of which at most 5/6 are taken, and one at least
// is free.
func newShard(n int) *shard {
	groups := n*3/20 + 1 // of eight
	return &shard{tags: make([]uint64, groups), accounts: make([][8]uint32, groups), slots: make([]slot, groups*8)}
}

// add puts a slot where find looks for it. Nobody reads the shard yet.
func (s *shard) add(k *slot) {
	for g := s.groupOf(k.hash); ; {
		if free := ^s.tags[g] & highs; free != 0 {
			i := bits.TrailingZeros64(free) / 8
			s.tags[g] |= tagOf(k.hash) << (8 * i)
			// The one before it may be counted with meanwhile.
			s.slots[g*8+i] = slot{k.hash, k.Key.Copy(), k.detail, k.account, k.ends, k.flags}
			s.accounts[g][i] = k.account
			s.n++
			return
		}
		if g++; g == len(s.tags) {
			g = 0
		}
	}
}

// all yields the slots that are taken.
func (s *shard) all(yield func(*slot) bool) {
	if s == nil {
		return
	}
	for i := range s.slots {
		if s.tags[i/8]>>(8*(i%8))&0x80 != 0 && !yield(&s.slots[i]) {
			return
		}
	}
}

// replace puts the slots in the place of those with the same hashes, and takes out
// the hashes of gone. Each shard that changes is made anew, once.
func (t *table) replace(put []slot, gone []customer.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	type change struct {
		put  map[[2]uint64]*slot
		gone map[[2]uint64]bool
	}
	changes := map[int]*change{}
	at := func(w [2]uint64) *change {
		c := changes[shardOf(w)]
		if c == nil {
			c = &change{put: map[[2]uint64]*slot{}, gone: map[[2]uint64]bool{}}
			changes[shardOf(w)] = c
		}
		return c
	}
	for _, h := range gone {
		at(words(h)).gone[words(h)] = true
	}
	for i := range put {
		c := at(put[i].hash)
		c.put[put[i].hash] = &put[i]
		delete(c.gone, put[i].hash)
	}
	for i, c := range changes {
		before := t.shards[i].Load()
		n := len(c.put)
		if before != nil {
			n += before.n
		}
		after := newShard(n)
		for k := range before.all {
			if c.put[k.hash] == nil && !c.gone[k.hash] {
				after.add(k)
			}
		}
		for _, k := range c.put {
			after.add(k)
		}
		was := 0
		if before != nil {
			was = before.n
		}
		if after.n == 0 {
			after = nil
		}
		t.shards[i].Store(after)
		if after != nil {
			t.n.Add(int64(after.n - was))
		} else {
			t.n.Add(int64(-was))
		}
	}
	t.hint()
}

// hint makes room for hints of all keys. Those that were are learnt again.
func (t *table) hint() {
	n, h := int(t.n.Load()), t.hints.Load()
	if h == nil && n > 0 {
		t.hints.Store(newHints(n, maphash.MakeSeed()))
	} else if h != nil && n > len(h.sets)*len(hintSet{}) {
		t.hints.Store(newHints(n, h.seed))
	}
}
