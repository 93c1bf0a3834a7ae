package dnsbl

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"

	"github.com/ipwarden/ipwarden"
)

// result is what one zone said about an address. Times are nanoseconds of Unix
// time.
type result struct {
	ok        bool   // it answered; else only retry counts
	listed    uint64 // bits of the zone's codes
	text      string
	at, until int64
	retry     int64  // it did not answer, and is not asked again before
	ttl       uint32 // as it came, in seconds
	gen       uint32 // of the zone; what another said does not count any more
}

// entry is what is known of an address.
type entry struct {
	results []result // one a zone

	// What Lookup answered last, and how long it may answer it again: as long as
	// no zone went or came back, and none of the results ended.
	store *ipwarden.Store
	epoch uint64
	fresh int64
	// version counts what was settled.
	version uint64
}

func (e *entry) isListed() bool {
	for i := range e.results {
		if e.results[i].listed != 0 {
			return true
		}
	}
	return false
}

// addrBits are those of an address: hashed sooner than a netip.Addr, which has a
// pointer.
type addrBits struct{ hi, lo uint64 }

func bitsOf(addr netip.Addr) addrBits {
	if addr.Is4() {
		b := addr.As4()
		return addrBits{1, uint64(binary.BigEndian.Uint32(b[:]))} // of IPv6 nobody has 0:0:0:1::/64
	}
	b := addr.As16()
	return addrBits{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// cache remembers a bounded number of addresses.
type cache struct {
	seed   uint64
	shards [16]shard
}

type shard struct {
	max int

	mu      sync.Mutex
	entries map[addrBits]*entry // guarded by mu, and what is in them
	dropped uint64              // guarded by mu
}

func newCache(max int) *cache {
	c := &cache{seed: rand.Uint64() | 1}
	for i := range c.shards {
		c.shards[i] = shard{max: (max + len(c.shards) - 1) / len(c.shards), entries: map[addrBits]*entry{}}
	}
	return c
}

// shard is one of 16, by a seed: who chooses addresses does not choose it.
func (c *cache) shard(b addrBits) *shard {
	h := (b.hi ^ b.lo>>7 ^ b.lo) * c.seed
	h = (h ^ h>>32) * c.seed
	return &c.shards[h>>60]
}

// last returns what Lookup answered last, if it may be answered again.
func (c *cache) last(addr netip.Addr, now int64, epoch uint64) (*ipwarden.Store, bool) {
	key := bitsOf(addr)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil || e.store == nil || e.epoch != epoch || now >= e.fresh {
		return nil, false
	}
	return e.store, true
}

// results returns a copy of what is known, nil for nothing, and its version.
func (c *cache) results(addr netip.Addr) ([]result, uint64) {
	key := bitsOf(addr)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		return nil, 0
	}
	return append([]result(nil), e.results...), e.version
}

// remember keeps what Lookup answers, unless more is known by now.
func (c *cache) remember(addr netip.Addr, version uint64, store *ipwarden.Store, epoch uint64, fresh int64) {
	key := bitsOf(addr)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil && e.version == version {
		e.store, e.epoch, e.fresh = store, epoch, fresh
	}
}

// settle keeps what zone i of n said.
func (c *cache) settle(addr netip.Addr, i, n int, r result, now int64) {
	key := bitsOf(addr)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		if len(s.entries) >= s.max {
			s.evict(now)
		}
		e = &entry{results: make([]result, n)}
		s.entries[key] = e
	}
	if r.ok {
		e.results[i] = r
	} else {
		e.results[i].retry = r.retry // what it said before counts as long as it would have
	}
	e.store = nil
	e.version++
}

// evict makes room: of a few, rather one that no zone lists, so that who comes
// from a million addresses drives out the listed ones last.
func (s *shard) evict(now int64) {
	const look = 8
	var victim addrBits
	worst, n := -1, 0
	for key, e := range s.entries {
		score := 0
		if !e.isListed() {
			score += 2
		}
		if e.fresh <= now {
			score++
		}
		if score > worst {
			victim, worst = key, score
		}
		if n++; n == look {
			break
		}
	}
	delete(s.entries, victim)
	s.dropped++
}

func (c *cache) len() (entries int, dropped uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += len(s.entries)
		dropped += s.dropped
		s.mu.Unlock()
	}
	return entries, dropped
}
