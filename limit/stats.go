package limit

// Stats are counts since the start, and the size.
type Stats struct {
	// Allowed and Denied count Takes; a Take of several keys counts once for each
	// lock that it held, which is at most once a key.
	Allowed, Denied uint64
	// Evicted counts entries that had to go for new ones while they still held
	// something; of them EvictedUsed had been seen more than once, and EvictedOver
	// were over their limit: when that rises, Entries is too small.
	Evicted, EvictedUsed, EvictedOver uint64
	// Entries is the capacity, Bytes what it costs when all of it was used.
	Entries, Bytes int
}

// Stats adds up the counts; it locks each part of the table for a moment.
func (m *Memory) Stats() Stats { return m.table.stats() }

func (t *table) stats() Stats {
	s := Stats{Entries: len(t.buckets) * ways, Bytes: len(t.buckets) * ways * EntrySize}
	for i := range t.stripes {
		st := &t.stripes[i]
		st.mu.Lock()
		s.Allowed += st.allowed
		s.Denied += st.denied
		s.Evicted += st.evicted
		s.EvictedUsed += st.evictedUsed
		s.EvictedOver += st.evictedOver
		st.mu.Unlock()
	}
	return s
}
