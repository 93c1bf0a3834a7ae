package limit

// takeOne is takeAll for one request whose key is there and whose rate is GCRA,
// which most are. It needs no lock. It is false if it could not decide.
func (t *table) takeOne(now int64, r *Request, res *Result) bool {
	if r.Rate.Algorithm != GCRA {
		return false
	}
	b := &t.buckets[t.index(r.Key)]
	way := b.find(r.Key)
	if way < 0 {
		return false
	}
	q := r.Rate.quota(r.Raise)
	slot := &b.slots[way]
	for {
		was := slot.until.Load()
		if !slot.holds(r.Key) {
			return false // it has just gone
		}
		s := state{until: was}
		allowed := q.take(&s, now, uint64(r.Cost), res)
		if allowed && r.Cost > 0 && !slot.until.CompareAndSwap(was, s.until) {
			continue
		}
		b.mark(way, !allowed || r.Cost > 0 && res.Remaining == 0, allowed && res.Remaining > 0)
		return true
	}
}

// takeNew is takeAll for one request whose key is not there yet. It is false if it
// could not decide.
func (t *table) takeNew(now int64, r *Request, res *Result) bool {
	if r.Rate.Algorithm != GCRA {
		return false
	}
	i := t.index(r.Key)
	stripe := &t.stripes[t.stripe(i)]
	stripe.mu.Lock()
	defer stripe.mu.Unlock()
	if t.buckets[i].find(r.Key) >= 0 {
		return false // it has just come
	}
	var s state
	q := r.Rate.quota(r.Raise)
	if q.take(&s, now, uint64(r.Cost), res) && r.Cost > 0 {
		t.put(i, &stripe.stripeCounts, r.Key, -1, s, res.Remaining == 0, now)
	}
	return true
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
				b.mark(way, true, false)
			}
		}
	}
	for i := 0; allowed && i < len(reqs); i++ {
		if !t.commit(now, &reqs[i], &results[i]) {
			// A Take without the lock was faster. What is charged is given back.
			allowed = false
			for j := range i {
				t.back(now, &reqs[j])
			}
		}
	}
	if !allowed {
		for i := range reqs { // say what there is, now that nothing was charged
			t.restate(now, &reqs[i], &results[i])
		}
	}
	t.unlock(locks[:held])
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

// unlock unlocks what lock has locked.
func (t *table) unlock(locks []uint8) {
	for _, n := range locks {
		t.stripes[n].mu.Unlock()
	}
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

// commit charges a request that was allowed a moment ago, and reports whether it
// still is. It looks its key up again: what was written before may have moved
// it.
func (t *table) commit(now int64, r *Request, res *Result) bool {
	i := t.index(r.Key)
	b := &t.buckets[i]
	q := r.Rate.quota(r.Raise)
	for {
		way := b.find(r.Key)
		var was, s state
		if way >= 0 {
			was = b.state(way)
			s = was
		}
		if !q.take(&s, now, uint64(r.Cost), res) {
			return false
		}
		switch {
		case r.Cost == 0:
			if way >= 0 {
				b.mark(way, false, false)
			}
		case way >= 0 && q.algorithm == GCRA:
			if !b.slots[way].until.CompareAndSwap(was.until, s.until) {
				continue
			}
			b.mark(way, res.Remaining == 0, res.Remaining > 0)
		default:
			t.put(i, &t.stripes[t.stripe(i)].stripeCounts, r.Key, way, s, res.Remaining == 0, now)
		}
		return true
	}
}

// back gives back what commit charged.
func (t *table) back(now int64, r *Request) {
	b := &t.buckets[t.index(r.Key)]
	way := b.find(r.Key)
	if way < 0 || r.Cost == 0 {
		return
	}
	q := r.Rate.quota(r.Raise)
	if q.algorithm == GCRA {
		b.slots[way].until.Add(-mul(q.interval(), uint64(r.Cost)))
		return
	}
	s := b.state(way)
	s.current -= min(s.current, r.Cost)
	b.cells[way] = uint64(s.current) | uint64(s.previous)<<32
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
