package gate

import (
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// recent remembers the last decisions, so that an application can say what
// became of one, and a person can ask why. It has a fixed number of slots of
// some 700 bytes; of two decisions that meet in a slot the later one stays.
type recent struct {
	slots []slot
}

// A slot holds a decision without anything that belongs to the transport.
type slot struct {
	mu    sync.Mutex // guards all below
	id    ID
	kept  remembered
	texts [128]byte // host and path, cut
	known bool
}

// remembered is what stays of a decision.
type remembered struct {
	at       time.Time
	program  *program
	record   ipwarden.Record
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
	nPending uint8
	nEvents  uint8
	pending  [maxPending]pendingUse
	events   [maxEvents]uint64 // outcomes that were counted, hashed
}

const (
	maxPending = 6 // limits of one decision that wait for its outcome
	maxEvents  = 8 // outcomes of one decision
	maxHost    = 48
)

func (r *recent) slot(id ID) *slot {
	_, lo := id.words() // random bits
	return &r.slots[lo%uint64(len(r.slots))]
}

func (r *recent) remember(d *Decision) {
	s := r.slot(d.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.known = d.ID, true
	k := &s.kept
	k.at, k.program, k.record = d.Time, d.program, d.Record
	k.status, k.verdict, k.reason = d.input.ClientStatus, d.Verdict, d.Reason
	k.by, k.tier = d.By(), ""
	if d.Tier != nil {
		k.tier = d.Tier.Name
	}
	k.method = knownMethod(d.request.Method)
	k.score, k.shared, k.degraded, k.answer = d.Score, d.Shared, d.Degraded, uint16(d.Status())
	k.host = uint8(copy(s.texts[:maxHost], d.request.Host))
	k.path = uint8(copy(s.texts[k.host:], d.request.Path))
	k.nPending, k.nEvents = uint8(copy(k.pending[:], d.pending)), 0
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
// there were too many.
func (r *recent) event(id ID, hash uint64) (first bool) {
	s := r.slot(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known || s.id != id || int(s.kept.nEvents) == maxEvents {
		return false
	}
	for _, h := range s.kept.events[:s.kept.nEvents] {
		if h == hash {
			return false
		}
	}
	s.kept.events[s.kept.nEvents] = hash
	s.kept.nEvents++
	return true
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
