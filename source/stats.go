package source

import "sync/atomic"

type cachedStats struct {
	hits, stale, early, misses, joined, dropped, asked, failed atomic.Uint64
	waited, storeHits, storeMisses, storeErrors, junk, tooLong atomic.Uint64
}

// CachedStats counts what a [Cached] did since it was made. Hits of [Layered]'s own
// table, which is before it, are not among them.
type CachedStats struct {
	Hits    uint64 // answers from memory
	Stale   uint64 // answers from memory that are asked for again
	Early   uint64 // answers asked for again before they are stale
	Misses  uint64 // questions of which memory knew nothing
	Joined  uint64 // questions that wait for another's
	Dropped uint64 // questions that were not asked, because too many are on their way
	Asked   uint64 // questions to the Source
	Failed  uint64 // those that it failed at

	StoreHits   uint64
	StoreMisses uint64
	StoreErrors uint64
	Waited      uint64 // questions that another process was asking
	Junk        uint64 // values of the Store that are none of ours
	TooLong     uint64 // answers that are too long for the Store

	Entries, Bytes int64 // in memory
	Flights        int64 // on their way
	StoreAway      bool  // the Store fails, and is left alone
}

// Stats returns the counts.
func (c *Cached) Stats() CachedStats {
	s := &c.stats
	out := CachedStats{
		Hits: s.hits.Load(), Stale: s.stale.Load(), Early: s.early.Load(), Misses: s.misses.Load(),
		Joined: s.joined.Load(), Dropped: s.dropped.Load(), Asked: s.asked.Load(), Failed: s.failed.Load(),
		StoreHits: s.storeHits.Load(), StoreMisses: s.storeMisses.Load(), StoreErrors: s.storeErrors.Load(),
		Waited: s.waited.Load(), Junk: s.junk.Load(), TooLong: s.tooLong.Load(),
		StoreAway: c.cfg.Store != nil && (!c.well.IsClosed() || c.stuck.Load() >= lookersStuck),
	}
	out.Entries, out.Bytes = c.mem.size()
	c.mu.Lock()
	out.Flights = int64(len(c.flights))
	c.mu.Unlock()
	return out
}
