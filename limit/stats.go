package limit

// Stats are counts since the start, and the size.
type Stats struct {
	// Evicted counts entries that had to go for new ones while they still held
	// something; of them EvictedUsed had been seen more than once, and EvictedOver
	// were over their limit: when that rises, Entries is too small.
	Evicted, EvictedUsed, EvictedOver uint64
	// Entries is the capacity, Bytes what it costs when all of it was used.
	Entries, Bytes int
	// Keys is how many keys hold something now. Of a table of more than 131,072
	// entries it is an estimate, whose error is about a hundredth.
	Keys int
}

// Stats adds up the counts; it locks each part of the table for a moment.
func (m *Memory) Stats() Stats {
	s := m.table.stats()
	if m.now != nil {
		s.Keys = keysOf(m.table, at(m.now().Sub(m.start)))
	} else {
		s.Keys = keysOf(m.table, at(m.clock.since()))
	}
	return s
}

func (t *table) stats() Stats {
	s := Stats{Entries: len(t.buckets) * ways, Bytes: len(t.buckets) * ways * EntrySize}
	for i := range t.stripes {
		st := &t.stripes[i]
		st.mu.Lock()
		s.Evicted += st.evicted
		s.EvictedUsed += st.evictedUsed
		s.EvictedOver += st.evictedOver
		st.mu.Unlock()
	}
	return s
}

// SharedStats are the counts of a Shared since its start.
type SharedStats struct {
	Stats
	// Exact, Fast and Local count Takes by their Source.
	Exact, Fast, Local uint64
	// Exchanges counts batches that went to the store, Items the keys in them.
	Exchanges, Items uint64
	// Late counts Takes that the store did not answer within the budget, Failed asks
	// that it answered with an error, and Unqueued those for which there was no room.
	Late, Failed, Unqueued uint64
	// Away is whether the store is not asked now, and Err why.
	Away bool
	Err  error
}

// Stats adds up the counts.
func (s *Shared) Stats() SharedStats {
	stats := SharedStats{
		Stats: s.table.stats(),
		Exact: s.counts.exact.Load(), Fast: s.table.fast(), Local: s.counts.local.Load(),
		Exchanges: s.counts.exchanges.Load(), Items: s.counts.items.Load(),
		Late: s.counts.late.Load(), Failed: s.counts.failed.Load(), Unqueued: s.counts.unqueued.Load(),
		Away: s.breaker.open.Load(),
	}
	if stats.Away {
		stats.Err = s.breaker.lastError()
	}
	stats.Keys = keysOf(s.table, s.now())
	stats.Bytes += len(s.table.debts) * debtSize
	return stats
}

// fast adds up the Takes that were decided without the store.
func (t *table) fast() (n uint64) {
	for i := range t.stripes {
		st := &t.stripes[i]
		st.mu.Lock()
		n += st.fast
		st.mu.Unlock()
	}
	return n
}
