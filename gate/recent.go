package gate

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/policy"
)

// recent remembers the last decisions, so that an application can say what
// became of one, and a person can ask why. Its slots are used in turn: memory
// that is written from one end to the other is there in time, which random places
// of it are not. For the same reason the locks are not in the slots.
//
// Decisions that limits wait for have places of their own beside, four for as many
// as may meet; the oldest of them goes first. No flood of other requests makes a
// log-in that failed be forgotten before it is told.
type recent struct {
	next   atomic.Uint64 // decisions so far
	mask   uint64        // odd, of this process
	slots  []slot        // some 200 bytes each, in which the collector has nothing to look for
	names  []names       // beside slots
	whys   []detail      // beside slots
	words  *lexicon      // of all of them
	events []events      // beside slots
	// waits are some 800 bytes each, which the collector looks through: they are made
	// when a limit first waits for an outcome.
	waits func() []waiting
	locks [recentLocks]recentLock

	waitLocks [recentLocks]recentLock
}

const (
	recentLocks = 64
	// maxRemember is what the place in an ID can name.
	maxRemember = 1 << placeBits
)

// A recentLock guards the slots and the events whose number ends in its own. It
// fills a cache line, so that two of them do not share one.
type recentLock struct {
	sync.Mutex
	_ [64 - 8]byte
}

// A slot holds a decision without anything that belongs to the transport.
type slot struct {
	id    ID
	kept  remembered
	texts [128]byte // host and path, cut
}

// remembered is what stays of a decision. It has what policies read most of the
// Record and not the Record itself, which would keep its dataset in memory: a
// decision of yesterday must not hold on to all of yesterday's data. It points to
// nothing, so that the collector need not look through all decisions each time.
type remembered struct {
	at       int64    // Unix time in nanoseconds
	client   [16]byte // IPv4 as IPv6 has it
	family   uint8    // bits of client; 0 for none
	used     bool     // else it is that of a slot which was never used
	hot      ipwarden.Hot
	method   uint8  // of methods
	answer   uint16 // HTTP status
	status   clientip.Status
	verdict  ipwarden.Verdict
	reason   policy.Reason
	score    uint8
	shared   bool
	degraded bool
	detailed bool  // there is more in whys
	host     uint8 // bytes of texts
	path     uint8
	nEvents  uint8
}

// names are the policy's words in a decision. They are written when they are others
// than those of the decision before in the same slot.
type names struct{ by, tier string }

// events are the outcomes of a decision that were counted, hashed.
type events [maxEvents]uint64

// waiting holds what waits for the outcome of a decision.
type waiting struct {
	id      ID
	n       uint8  // 0: it is free
	charged uint16 // a bit for each of pending: what was charged once is not again
	alone   uint16 // what this node has charged without telling the others
	pending [maxPending]pendingUse
}

const (
	maxPending = 12 // limits of one decision that wait for its outcome, networks round an address among them
	maxEvents  = 8  // outcomes of one decision
	waitWays   = 4
	maxHost    = 48
)

func newRecent(n int) *recent {
	return &recent{mask: rand.Uint64() | 1, words: newLexicon(), whys: make([]detail, n), slots: make([]slot, n), names: make([]names, n), events: make([]events, n), waits: sync.OnceValue(func() []waiting { return make([]waiting, n) })}
}

// newID makes an ID of which the last bits name the next slot. Who sees IDs does
// not see how many there were: the number is hidden by the random bits.
func (r *recent) newID(now time.Time, id *ID) (sample uint32) {
	hi, lo, sample := newID(now)
	if r != nil {
		number := r.next.Add(1) % uint64(len(r.slots))
		lo = lo&^(maxRemember-1) | number ^ r.hidden(lo)
	}
	id.put(hi, lo)
	return sample
}

// hidden is what the number of a slot is mixed with, from the bits before it.
func (r *recent) hidden(lo uint64) uint64 { return (lo >> placeBits) * r.mask >> (64 - placeBits) }

// slot returns the number of the slot of a decision, and locks it; it is nil when there
// is none.
func (r *recent) slot(id ID) (n uint64, lock *recentLock) {
	_, lo := id.words()
	i := (lo ^ r.hidden(lo)) & (maxRemember - 1)
	if i >= uint64(len(r.slots)) {
		return 0, nil // no ID of this process
	}
	lock = &r.locks[i%recentLocks]
	lock.Lock()
	return i, lock
}

func (s *slot) holds(id ID) bool { return s.id == id && s.kept.used }

// waiting returns the place for what waits for the outcome of a decision, and locks
// it: that which it has, or else the one to give it. Where to look is said by the
// random bits of its ID, so that it is nobody's to choose.
func (r *recent) waiting(id ID) (*waiting, *recentLock) {
	hi, lo := id.words()
	waits := r.waits()
	ways := min(waitWays, len(waits))
	set := int(lo >> placeBits % uint64(len(waits)/ways))
	lock := &r.waitLocks[set%recentLocks]
	lock.Lock()
	all := waits[set*ways : (set+1)*ways]
	place, oldest := &all[0], hi
	for i := range all {
		w := &all[i]
		began, _ := w.id.words()
		switch {
		case w.n > 0 && w.id == id:
			return w, lock
		case w.n == 0:
			place, oldest = w, 0
		case began < oldest:
			place, oldest = w, began
		}
	}
	return place, lock
}

func (r *recent) remember(d *Decision) {
	if len(d.pending) > 0 {
		r.wait(d)
	}
	tier := ""
	if d.Tier != nil {
		tier = d.Tier.Name
	}
	by, answer, method, hot := d.By(), uint16(d.Status()), methodOf(d.request.Method), d.Record.Hot()
	n, lock := r.slot(d.ID)
	if lock == nil {
		return
	}
	s := &r.slots[n]
	s.id = d.ID
	r.fetchNext(s)
	if said := (names{by, tier}); r.names[n] != said {
		r.names[n] = said
	}
	k := &s.kept
	k.at, k.hot, k.method, k.used = d.Time.UnixNano(), hot, method, true
	k.client, k.family = d.Client.Addr.As16(), uint8(d.Client.Addr.BitLen())
	k.answer, k.status, k.verdict, k.reason = answer, d.Client.Status, d.Verdict, d.Reason
	k.score, k.shared, k.degraded = d.Score, d.Shared, d.Degraded
	k.host = uint8(copy(s.texts[:maxHost], d.request.Host))
	k.path = uint8(copy(s.texts[k.host:], d.request.Path))
	k.nEvents = 0
	if k.detailed = d.Verdict != ipwarden.Allow; k.detailed {
		r.whys[n].keep(d, r.words)
	}
	lock.Unlock()
}

// elaborate keeps why a decision was made that is remembered without it.
func (r *recent) elaborate(d *Decision) {
	n, lock := r.slot(d.ID)
	if lock == nil {
		return
	}
	defer lock.Unlock()
	if s := &r.slots[n]; s.holds(d.ID) && !s.kept.detailed {
		r.whys[n].keep(d, r.words)
		s.kept.detailed = true
	}
}

// fetchNext lets the slot after s come from memory. Else the lock, whose release
// waits for all that was written, would wait for it next time.
func (r *recent) fetchNext(s *slot) {
	const line = 64
	n := (uintptr(unsafe.Pointer(s))-uintptr(unsafe.Pointer(&r.slots[0])))/unsafe.Sizeof(*s) + 1
	if n == uintptr(len(r.slots)) {
		n = 0
	}
	next := unsafe.Pointer(&r.slots[n])
	for at := uintptr(0); at < unsafe.Sizeof(*s); at += 2 * line {
		prefetch(unsafe.Add(next, at))
	}
}

func (r *recent) wait(d *Decision) {
	w, lock := r.waiting(d.ID)
	defer lock.Unlock()
	w.id, w.n, w.charged, w.alone = d.ID, uint8(copy(w.pending[:], d.pending)), 0, 0
}

// A due is what waits for the outcome of a decision, and what of it an outcome
// charges, a bit for each.
type due struct {
	all     int
	pending [maxPending]pendingUse
	set     uint16
	alone   uint16 // what this node has charged without telling the others
}

// giveBack gives up the places of what was only decided.
func (u *due) giveBack(f *flights) {
	for i := range u.pending[:u.all] {
		if l := u.pending[i].lease; l != nil {
			f.giveBack(l)
		}
	}
}

// due takes what an outcome charges of a decision into u; ok is false when nothing
// waits for it here. Each limit is charged once a decision, whoever reports it and
// in which words: one log-in that failed is one, if the proxy saw 401 and the
// application says login_failed.
func (r *recent) due(id ID, o *policy.Outcome, u *due) (ok bool) {
	w, lock := r.waiting(id)
	defer lock.Unlock()
	if w.n == 0 || w.id != id {
		return false
	}
	u.all = copy(u.pending[:], w.pending[:w.n])
	u.set = charges(u.pending[:u.all], o) &^ w.charged
	w.charged |= u.set
	u.alone = w.alone
	for i := range w.pending[:w.n] {
		w.pending[i].lease = nil
	}
	return true
}

// alone notes what this node charges without telling the others.
func (r *recent) alone(id ID, set uint16) {
	w, lock := r.waiting(id)
	defer lock.Unlock()
	if w.n > 0 && w.id == id {
		w.alone |= set
	}
}

// record is what is left of the Record.
func (k *remembered) record() ipwarden.Record {
	f := ipwarden.Full{Traits: k.hot.Traits()}
	f.ASN.Number, f.Location.CountryCode = k.hot.ASNumber(), k.hot.CountryCode()
	return ipwarden.NewRecord(k.addr(), f)
}

// addr is the client.
func (k *remembered) addr() netip.Addr {
	switch k.family {
	case 0:
		return netip.Addr{}
	case 32:
		return netip.AddrFrom16(k.client).Unmap()
	}
	return netip.AddrFrom16(k.client)
}

// find returns what is remembered of a decision.
func (r *recent) find(id ID) (sum Recalled, ok bool) {
	if r == nil {
		return sum, false
	}
	n, lock := r.slot(id)
	if lock == nil {
		return sum, false
	}
	defer lock.Unlock()
	s, said := &r.slots[n], &r.names[n]
	if !s.holds(id) {
		return sum, false
	}
	k := &s.kept
	h := int(k.host)
	sum.Summary = Summary{
		ID: id, Time: time.Unix(0, k.at).UTC(), Verdict: k.verdict, Reason: k.reason, By: said.by, Tier: said.tier,
		Client: k.addr(), ClientStatus: k.status.String(), Record: k.record(), Score: k.score, Shared: k.shared,
		Degraded: k.degraded, Status: int(k.answer), Method: methods[k.method],
		Host: string(s.texts[:h]), Path: string(s.texts[h : h+int(k.path)]),
	}
	if k.detailed {
		why := &r.whys[n]
		sum.Contributions, sum.Limits = why.contributions(r.words), why.states(r.words)
		sum.RetryAfter, sum.Awaited = time.Duration(why.retry)*time.Second, why.awaits
	}
	return sum, true
}

// event notes an outcome; first is false when it was noted before, or when
// there were too many, and known when the decision is not remembered.
func (r *recent) event(id ID, hash uint64) (first, known bool) {
	place, lock := r.slot(id)
	if lock == nil {
		return false, false
	}
	defer lock.Unlock()
	s, noted := &r.slots[place], &r.events[place]
	if !s.holds(id) {
		return false, false
	}
	n := int(s.kept.nEvents)
	if n == maxEvents || slices.Contains(noted[:n], hash) {
		return false, true
	}
	noted[n] = hash
	s.kept.nEvents++
	return true, true
}

// methods are those that are remembered by name; the last is any other.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}

// methodOf is the place of a method in methods.
func methodOf(m string) uint8 {
	for i, known := range methods[:len(methods)-1] {
		if m == known {
			return uint8(i)
		}
	}
	return uint8(len(methods) - 1)
}

// knownMethod is the method as a string that outlives the request.
func knownMethod(m string) string { return methods[methodOf(m)] }
