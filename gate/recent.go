package gate

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// recent remembers the last decisions, so that an application can say what
// became of one, and a person can ask why. It has a fixed number of slots; of two
// decisions that meet in a slot the later one stays. Decisions that limits wait
// for have slots of their own: no flood of other requests makes a log-in that
// failed be forgotten before it is told.
type recent struct {
	slots []slot    // some 450 bytes each
	waits []waiting // some 650 bytes each
}

func newRecent(n int) *recent { return &recent{slots: make([]slot, n), waits: make([]waiting, n)} }

// A slot holds a decision without anything that belongs to the transport.
type slot struct {
	mu    sync.Mutex // guards all below
	id    ID
	kept  remembered
	texts [128]byte // host and path, cut
	known bool
}

// remembered is what stays of a decision. It has what policies read most of the
// Record and not the Record itself, which would keep its dataset in memory: a
// decision of yesterday must not hold on to all of yesterday's data.
type remembered struct {
	at       time.Time
	client   netip.Addr
	traits   ipwarden.Traits
	asn      uint32
	country  [2]byte
	status   string // of the client's address
	verdict  ipwarden.Verdict
	reason   policy.Reason
	by, tier string
	method   string
	score    uint8
	shared   bool
	degraded bool
	answer   uint16 // HTTP status
	host     uint8  // bytes of texts
	path     uint8
	nEvents  uint8
	events   [maxEvents]uint64 // outcomes that were counted, hashed
}

// waiting holds what waits for the outcome of a decision.
type waiting struct {
	mu      sync.Mutex // guards all below
	id      ID
	n       uint8
	charged uint16 // a bit for each of pending: what was charged once is not again
	pending [maxPending]pendingUse
}

const (
	maxPending = 12 // limits of one decision that wait for its outcome, networks round an address among them
	maxEvents  = 8  // outcomes of one decision
	maxHost    = 48
)

// place is where a decision is, in a table of n slots.
func place(id ID, n int) uint64 {
	_, lo := id.words() // random bits
	return lo % uint64(n)
}

func (r *recent) slot(id ID) *slot { return &r.slots[place(id, len(r.slots))] }

func (r *recent) remember(d *Decision) {
	if len(d.pending) > 0 {
		r.wait(d)
	}
	s := r.slot(d.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.known = d.ID, true
	k := &s.kept
	k.at, k.client = d.Time, d.Client.Addr
	k.traits, k.asn, k.country = d.Record.Traits(), d.Record.ASNumber(), [2]byte{}
	copy(k.country[:], d.Record.CountryCode())
	k.status, k.verdict, k.reason = d.input.ClientStatus, d.Verdict, d.Reason
	k.by, k.tier = d.By(), ""
	if d.Tier != nil {
		k.tier = d.Tier.Name
	}
	k.method = knownMethod(d.request.Method)
	k.score, k.shared, k.degraded, k.answer = d.Score, d.Shared, d.Degraded, uint16(d.Status())
	k.host = uint8(copy(s.texts[:maxHost], d.request.Host))
	k.path = uint8(copy(s.texts[k.host:], d.request.Path))
	k.nEvents = 0
}

func (r *recent) wait(d *Decision) {
	w := &r.waits[place(d.ID, len(r.waits))]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id, w.n, w.charged = d.ID, uint8(copy(w.pending[:], d.pending)), 0
}

// due takes what an outcome charges of a decision into uses and returns how much
// that is; ok is false when nothing waits for it here. Each limit is charged once
// a decision, whoever reports it and in which words: one log-in that failed is
// one, if the proxy saw 401 and the application says login_failed.
func (r *recent) due(id ID, o *policy.Outcome, uses *[maxPending]limit.Request) (n int, ok bool) {
	w := &r.waits[place(id, len(r.waits))]
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == 0 || w.id != id {
		return 0, false
	}
	for i := range w.pending[:w.n] {
		if w.charged&(1<<i) == 0 && w.pending[i].limit.Counts(nil, o) {
			w.charged |= 1 << i
			uses[n] = w.pending[i].request
			n++
		}
	}
	return n, true
}

// record is what is left of the Record.
func (k *remembered) record() ipwarden.Record {
	f := ipwarden.Full{Traits: k.traits}
	f.ASN.Number = k.asn
	if k.country[0] != 0 {
		f.Location.CountryCode = string(k.country[:])
	}
	return ipwarden.NewRecord(k.client, f)
}

// find returns what is remembered of a decision.
func (r *recent) find(id ID) (k remembered, host, path string, ok bool) {
	if r == nil {
		return k, "", "", false
	}
	s := r.slot(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known || s.id != id {
		return k, "", "", false
	}
	h := int(s.kept.host)
	return s.kept, string(s.texts[:h]), string(s.texts[h : h+int(s.kept.path)]), true
}

// event notes an outcome; first is false when it was noted before, or when
// there were too many, and known when the decision is not remembered.
func (r *recent) event(id ID, hash uint64) (first, known bool) {
	s := r.slot(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known || s.id != id {
		return false, false
	}
	if int(s.kept.nEvents) == maxEvents {
		return false, true
	}
	for _, h := range s.kept.events[:s.kept.nEvents] {
		if h == hash {
			return false, true
		}
	}
	s.kept.events[s.kept.nEvents] = hash
	s.kept.nEvents++
	return true, true
}

// knownMethod is the method as a string that outlives the request.
func knownMethod(m string) string {
	for _, known := range [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if m == known {
			return known
		}
	}
	return "other"
}
