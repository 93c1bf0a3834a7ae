package limit

// What a node knows of a shared key: the state of its table, which is what the
// store said last and what the node charged since, and a debt.

// A debt is what a node owes the store for a key, and what it may still spend
// without asking.
type debt struct {
	pending uint32 // admitted here, and not known to be counted by the store
	told    uint32 // the part of it that is on its way
	lease   uint32 // may be admitted without asking
	asked   uint32 // what asks on their way may take
}

// debtSize is the memory of a debt in bytes.
const debtSize = 16

// lease is how much of a quota a node may admit without asking, at most.
func (q *quota) lease(percent uint64) uint64 { return min(q.limit, q.burst) * percent / 100 }

// grant is the part of that which an answer with so much left gives: a quarter
// of what is left when that is less, so that leases shrink as a limit is neared.
func (q *quota) grant(percent uint64, left uint32) uint64 {
	if left == 0 || percent == 0 {
		return 0
	}
	return min(q.lease(percent), max(1, uint64(left)/4))
}

// A mode is how far a decision may be made here.
type mode uint8

const (
	connected mode = iota // within the lease; beyond it the store is asked
	alone                 // all of it, and the store is told later
	doubtful              // all of it, and the store may have counted it already
)

// decide decides a Take by what this node knows, and returns nil, or, if the
// store must be asked, what it is asked; queued says whether that is on its way. A
// denial never needs the store: others can only have used more than this node
// knows.
//
// left, if it is not nil, is what the store was asked for these reqs: it is abandoned,
// or returned if it was answered meanwhile. That is done under the locks, so that the
// charge here comes before the answer is taken over, which has the same charge in it: a
// key that is charged twice is denied early, and a denial asks nobody.
func (s *Shared) decide(reqs []Request, results []Result, m mode, left *Ask) (ask *Ask, queued bool) {
	now := s.now()
	t := s.table
	var locks [MaxRequests]uint8
	held := t.lock(&locks, reqs)
	if left != nil && !left.stage.CompareAndSwap(sent, abandoned) {
		t.unlock(locks[:held])
		return left, false
	}
	allowed, leased := s.weigh(now, reqs, results)
	var more [MaxRequests]uint8 // the requests whose lease is to be renewed
	renew := 0
	switch {
	case !allowed:
		for i := range reqs {
			t.restate(now, &reqs[i], &results[i])
		}
	case m == connected && !leased:
		ask = s.newAsk(true)
		for i := range reqs {
			s.add(ask, &reqs[i])
		}
		// Under the locks, so that asks for a key come to the store in the order in
		// which they were made: one that asks for more must not overtake one that tells
		// what was admitted before.
		queued = s.enqueue(ask)
	default:
		for i := range reqs {
			if s.spend(now, &reqs[i], &results[i], m) {
				more[renew] = uint8(i)
				renew++
			}
		}
	}
	if held > 0 && ask == nil && m == connected {
		t.stripes[locks[0]].fast++
	}
	t.unlock(locks[:held])
	if ask != nil {
		return ask, queued
	}
	source := Fast
	if m != connected {
		source = Local
		s.counts.local.Add(1)
	}
	for i := range results {
		results[i].Source = source
	}
	for _, i := range more[:renew] {
		s.renew(&reqs[i])
	}
	return nil, false
}

// weigh answers each request by what is known of its key, charging nothing, and
// says whether all are allowed, and whether leases cover them. The locks are
// held.
func (s *Shared) weigh(now int64, reqs []Request, results []Result) (allowed, leased bool) {
	allowed, leased = true, s.lease > 0
	for i := range reqs {
		r := &reqs[i]
		q := r.Rate.quota(r.Raise)
		n := s.table.index(r.Key)
		b := &s.table.buckets[n]
		way := b.find(r.Key)
		var st state
		free := uint64(0)
		if s.lease > 0 {
			free = q.lease(s.lease)
		}
		small := free == 0 // a limit too small to be leased: the store is always asked
		if way >= 0 {
			st = b.state(way)
			free = uint64(s.table.debts[n*ways+way].lease)
		}
		before := earlier(reqs[:i], r.Key)
		q.add(&st, now, before)
		if !q.take(&st, now, uint64(r.Cost), &results[i]) {
			allowed = false
			if way >= 0 {
				b.mark(way, true, false)
			}
		}
		leased = leased && !small && before+uint64(r.Cost) <= free
	}
	return allowed, leased
}

// spend charges a request that is allowed, and reports whether its lease should
// be renewed. The locks are held.
func (s *Shared) spend(now int64, r *Request, res *Result, m mode) (renew bool) {
	n := s.table.index(r.Key)
	b := &s.table.buckets[n]
	c := &s.table.stripes[s.table.stripe(n)].stripeCounts
	way := b.find(r.Key)
	var st state
	if way >= 0 {
		st = b.state(way)
	}
	q := r.Rate.quota(r.Raise)
	q.take(&st, now, uint64(r.Cost), res)
	fresh := way < 0
	if r.Cost == 0 {
		if m == connected { // others may have used what this node never charges: read it
			if fresh {
				way = s.table.put(n, c, r.Key, way, state{}, false, now)
			}
			s.note(b, way, r)
		}
		return false
	}
	way = s.table.put(n, c, r.Key, way, st, res.Remaining == 0, now)
	d := &s.table.debts[n*ways+way]
	if fresh && m == connected {
		// A key this node has not seen: it may spend one lease of it. The store will
		// hear of that before there is another.
		d.lease = uint32(q.lease(s.lease))
	}
	d.lease -= min(d.lease, r.Cost)
	if m != doubtful {
		d.pending = saturate(uint64(d.pending) + uint64(r.Cost))
	}
	if m == connected && 3*uint64(d.lease) <= uint64(d.pending) && !b.slots[way].has(metaAsking) {
		return true // three quarters of it are spent
	}
	if d.pending > 0 {
		s.note(b, way, r)
	}
	return false
}

// add adds the item of a request to an ask, with what its key owes: the store
// hears of that before it is asked for more. The first ask on its way for a key
// brings its lease. The locks are held.
func (s *Shared) add(a *Ask, r *Request) *Item {
	it := Item{Key: r.Key, Rate: r.Rate, Raise: r.Raise, Cost: r.Cost}
	n := s.table.index(r.Key)
	b := &s.table.buckets[n]
	way := b.find(r.Key)
	if way < 0 && s.lease > 0 {
		way = s.table.put(n, &s.table.stripes[s.table.stripe(n)].stripeCounts, r.Key, way, state{}, false, s.now())
	}
	if way >= 0 {
		d := &s.table.debts[n*ways+way]
		if !b.slots[way].has(metaAsking) {
			b.slots[way].set(metaAsking, 0)
			it.leases = true
		}
		it.Report = d.pending - d.told
		d.told = d.pending
		if r.Cost > 0 {
			// What the store gives now, and the rest of a lease, may be more than
			// there is: the lease is given up.
			d.lease = 0
			d.asked = saturate(uint64(d.asked) + uint64(r.Cost))
		}
	}
	a.Items = append(a.Items, it)
	return &a.Items[len(a.Items)-1]
}

// renew asks for a new lease, before the last one is spent, and waits for
// nothing.
func (s *Shared) renew(r *Request) {
	peek := *r
	peek.Cost = 0
	a := s.newAsk(false)
	st := &s.table.stripes[s.table.stripe(s.table.index(r.Key))]
	st.mu.Lock()
	queued := s.add(a, &peek).leases && s.enqueue(a) // in order, as in decide
	st.mu.Unlock()
	if !queued { // somebody else was faster, or there is no room
		s.drop(a, false)
		s.recycle(a)
	}
}

// drop ends an ask that got no answer. If it is in doubt whether it was counted,
// what it carried is taken to be, so that nothing is counted twice.
func (s *Shared) drop(a *Ask, doubt bool) {
	for i := range a.Items {
		it := &a.Items[i]
		s.at(it.Key, func(b *bucket, way int, d *debt) {
			d.asked -= min(d.asked, it.Cost)
			d.told -= min(d.told, it.Report)
			if it.leases {
				b.slots[way].set(0, metaAsking)
			}
			if doubt {
				d.pending -= min(d.pending, it.Report)
			}
			if d.pending > 0 {
				s.note(b, way, &Request{Rate: it.Rate, Key: it.Key, Raise: it.Raise})
			}
		})
	}
}

// owe notes that the costs of an ask, which were decided here, were not counted
// by the store after all.
func (s *Shared) owe(a *Ask) {
	for i := range a.Items {
		it := &a.Items[i]
		s.at(it.Key, func(b *bucket, way int, d *debt) {
			d.pending = saturate(uint64(d.pending) + uint64(it.Cost))
			s.note(b, way, &Request{Rate: it.Rate, Key: it.Key, Raise: it.Raise})
		})
	}
}

// settle takes over what the store answered.
func (s *Shared) settle(a *Ask) {
	now := s.now()
	t := s.table
	for i := range a.Items {
		it := &a.Items[i]
		n := t.index(it.Key)
		b := &t.buckets[n]
		stripe := &t.stripes[t.stripe(n)]
		q := it.Rate.quota(it.Raise)
		st := it.state(now)
		stripe.mu.Lock()
		way := b.find(it.Key)
		if way < 0 && it.Until <= 0 {
			stripe.mu.Unlock()
			continue // nothing is known here, and there is nothing to know
		}
		unheard := uint64(0) // charged here, and not in the answer
		if way >= 0 {
			d := &t.debts[n*ways+way]
			d.asked -= min(d.asked, it.Cost)
			d.told -= min(d.told, it.Report)
			d.pending -= min(d.pending, it.Report)
			unheard = uint64(d.pending)
			it.unheard = d.pending
		}
		var res Result
		q.take(&st, now, 0, &res)
		q.add(&st, now, unheard)
		way = t.put(n, &stripe.stripeCounts, it.Key, way, st, uint64(res.Remaining) <= unheard, now)
		if d := &t.debts[n*ways+way]; it.leases {
			// What is not told yet is part of what may be admitted without being told,
			// and what is asked for may be taken from what is left.
			b.slots[way].set(0, metaAsking)
			grant := min(q.grant(s.lease, res.Remaining), uint64(res.Remaining-min(res.Remaining, d.asked)))
			d.lease = uint32(grant - min(grant, unheard))
		}
		stripe.mu.Unlock()
	}
}

// at calls f with the place of a key, locked, if it has one.
func (s *Shared) at(k Key, f func(b *bucket, way int, d *debt)) {
	n := s.table.index(k)
	b := &s.table.buckets[n]
	stripe := &s.table.stripes[s.table.stripe(n)]
	stripe.mu.Lock()
	defer stripe.mu.Unlock()
	if way := b.find(k); way >= 0 {
		f(b, way, &s.table.debts[n*ways+way])
	}
}
