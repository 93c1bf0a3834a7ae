package limit

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// MemoryConfig says how a [Memory] is made. The zero value is a good one.
type MemoryConfig struct {
	// Entries is how many keys are held at once; the default is 1,048,576, the
	// most 1<<30. Each costs [EntrySize] bytes, which the system gives when the
	// entry is first used: 24 MiB for the default.
	Entries int
	// Now is the clock; the default is the system's monotonic one, which nobody
	// sets. When a clock of your own is set back, no key is locked for longer than
	// by so much, or by twice its window.
	Now func() time.Time
}

// Memory counts in this process, exactly. Its size never changes: under more
// keys than it holds, those seen once are forgotten first, and those over their
// limit last. It is safe for concurrent use and has no goroutine.
type Memory struct {
	table *table
	start time.Time
	now   func() time.Time
}

var _ Limiter = (*Memory)(nil)

// defaultEntries and maxEntries are of [MemoryConfig].
const (
	defaultEntries = 1 << 20
	maxEntries     = 1 << 30
)

// NewMemory returns a Memory, or says what is wrong with c.
func NewMemory(c MemoryConfig) (*Memory, error) {
	if c.Entries == 0 {
		c.Entries = defaultEntries
	}
	if c.Entries < 0 || c.Entries > maxEntries {
		return nil, errors.New("limit: MemoryConfig.Entries is " + strconv.Itoa(c.Entries) + "; it is 0 for the default, or 1 to " + strconv.Itoa(maxEntries))
	}
	m := &Memory{table: newTable(c.Entries), start: time.Now(), now: c.Now}
	if m.now != nil {
		m.start = m.now()
	}
	return m, nil
}

// Take is [Limiter]'s.
func (m *Memory) Take(_ context.Context, reqs []Request, results []Result) error {
	var now time.Duration
	if m.now == nil {
		now = time.Since(m.start)
	} else {
		now = m.now().Sub(m.start)
	}
	return m.take(now, reqs, results)
}

// TakeAt is Take for who has read the clock already.
func (m *Memory) TakeAt(now time.Time, reqs []Request, results []Result) error {
	return m.take(now.Sub(m.start), reqs, results)
}

// at is a time since the start on the table's clock. It leaves room before the
// start, because 0 is "long ago" in a state, and a clock can be set back.
func at(sinceStart time.Duration) int64 {
	return max(int64(sinceStart)+int64(MaxHorizon), 1)
}

func (m *Memory) take(sinceStart time.Duration, reqs []Request, results []Result) error {
	if err := check(reqs, results); err != nil {
		return err
	}
	now := at(sinceStart)
	if len(reqs) == 1 {
		m.table.takeOne(now, &reqs[0], &results[0])
		return nil
	}
	m.table.takeAll(now, reqs, results)
	return nil
}

// takeOne is takeAll for one request, which most are.
func (t *table) takeOne(now int64, r *Request, res *Result) {
	q := r.Rate.quota(r.Raise)
	i := t.index(r.Key)
	b := &t.buckets[i]
	st := &t.stripes[t.stripe(i)]
	st.mu.Lock()
	way := b.find(r.Key)
	var s state
	if way >= 0 {
		s = b.state(way)
	}
	allowed := q.take(&s, now, uint64(r.Cost), res)
	t.settle(i, &st.stripeCounts, r, way, s, res, now)
	if allowed {
		st.allowed++
	} else {
		st.denied++
	}
	st.mu.Unlock()
}

// settle writes what one allowed request charged, or notes a denial.
func (t *table) settle(i int, c *stripeCounts, r *Request, way int, s state, res *Result, now int64) {
	switch {
	case res.Allowed && r.Cost > 0:
		t.put(i, c, r.Key, way, s, res.Remaining == 0, now)
	case way >= 0:
		t.buckets[i].mark(way, !res.Allowed)
	}
}

// takeAll charges all or none. It holds the locks of all buckets, taken in
// ascending order so that no two Takes wait for each other.
func (t *table) takeAll(now int64, reqs []Request, results []Result) {
	var locks [MaxRequests]uint8
	held := t.lock(&locks, reqs)
	allowed := true
	for i := range reqs {
		r := &reqs[i]
		b := &t.buckets[t.index(r.Key)]
		way := b.find(r.Key)
		var s state
		if way >= 0 {
			s = b.state(way)
		}
		q := r.Rate.quota(r.Raise)
		if before := earlier(reqs[:i], r.Key); before > 0 {
			q.add(&s, now, before)
		}
		if !q.take(&s, now, uint64(r.Cost), &results[i]) {
			allowed = false
			if way >= 0 {
				b.mark(way, true)
			}
		}
	}
	if allowed {
		for i := range reqs {
			t.commit(now, &reqs[i], &results[i])
		}
	} else {
		for i := range reqs { // say what there is, now that nothing was charged
			t.restate(now, &reqs[i], &results[i])
		}
	}
	for _, n := range locks[:held] {
		if allowed {
			t.stripes[n].allowed++
		} else {
			t.stripes[n].denied++
		}
		t.stripes[n].mu.Unlock()
	}
}

// lock locks the stripes of all keys, each once, and returns how many.
func (t *table) lock(locks *[MaxRequests]uint8, reqs []Request) int {
	n := 0
	for i := range reqs { // an insertion sort: there are few
		s := uint8(t.stripe(t.index(reqs[i].Key)))
		j := n
		for j > 0 && locks[j-1] > s {
			j--
		}
		if j > 0 && locks[j-1] == s {
			continue
		}
		copy(locks[j+1:n+1], locks[j:n])
		locks[j] = s
		n++
	}
	for _, s := range locks[:n] {
		t.stripes[s].mu.Lock()
	}
	return n
}

// earlier is what requests before this one take from the same key.
func earlier(reqs []Request, k Key) (cost uint64) {
	for i := range reqs {
		if reqs[i].Key == k {
			cost += uint64(reqs[i].Cost)
		}
	}
	return cost
}

// commit charges a request that is known to be allowed. It looks its key up
// again: what was written before may have moved it.
func (t *table) commit(now int64, r *Request, res *Result) {
	i := t.index(r.Key)
	b := &t.buckets[i]
	way := b.find(r.Key)
	var s state
	if way >= 0 {
		s = b.state(way)
	}
	q := r.Rate.quota(r.Raise)
	q.take(&s, now, uint64(r.Cost), res)
	t.settle(i, &t.stripes[t.stripe(i)].stripeCounts, r, way, s, res, now)
}

// restate takes back from an answer what was not charged after all.
func (t *table) restate(now int64, r *Request, res *Result) {
	if !res.Allowed || r.Cost == 0 {
		return
	}
	s := t.buckets[t.index(r.Key)].get(r.Key)
	q := r.Rate.quota(r.Raise)
	q.take(&s, now, 0, res)
	res.Allowed, res.RetryAfter = true, 0
}
