package ipwarden

import "sync/atomic"

// Kept keeps what a View has written of the answers that most addresses share,
// so that their JSON is written once. All Views that share one must have the
// same Fields and Scores. It is safe for concurrent use and takes at most
// 16,384 times the length of an answer, some 15 MB for the default fields.
//
// What is kept is written anew after 15 minutes, the shortest distance at which
// the rules of a time zone change; scores may be that old.
type Kept struct{ cur atomic.Pointer[keptOf] }

// Shared is a [Backing] whose answers are shared by many addresses, and whose
// numbers are given so that the answers of most addresses come first.
type Shared interface {
	Backing
	// Answers is how many there are; their numbers are below.
	Answers() int
}

const (
	keptAnswers = 1 << 14
	keptSeconds = 15 * 60
)

// keptOf is what is kept of one Backing in one period.
type keptOf struct {
	data    Backing
	period  int64
	answers []atomic.Pointer[written]
}

// written is the JSON of an answer from its location on, cut where the address
// goes in: at the announced prefix, which is part of many answers' text and
// differs by address.
type written struct {
	before, after []byte
	route         int // length of the prefix, -1: there is none, and no after
}

// What differs between the addresses of one answer, and comes first.
var groupAddress = fieldRange(FieldIP, FieldZone)

// of returns what is kept of r's Backing at the View's time, nil when nothing
// is to be kept.
func (k *Kept) of(v *View, r Record) *keptOf {
	period := v.Now.Unix() / keptSeconds
	if cur := k.cur.Load(); cur != nil && cur.data == r.store.backing && cur.period == period {
		return cur
	}
	s, ok := r.store.backing.(Shared)
	if !ok || v.Fields.Has(FieldTimeZoneCurrentTime) {
		return nil
	}
	cur := &keptOf{data: r.store.backing, period: period, answers: make([]atomic.Pointer[written], min(s.Answers(), keptAnswers))}
	k.cur.Store(cur)
	return cur
}

// appendKept appends the members of an answer, from what is kept where it is.
func (v *View) appendKept(dst []byte, r Record) ([]byte, bool) {
	if v.Explain || r.store == nil {
		return dst, false
	}
	cur := v.Kept.of(v, r)
	if cur == nil || int(r.id()) >= len(cur.answers) {
		return dst, false
	}
	slot := &cur.answers[r.id()]
	w := slot.Load()
	if w == nil {
		w = v.writeKept(r)
		slot.Store(w)
	}
	start := len(dst)
	dst = v.appendAddress(dst, r, v.Fields)
	dst = append(dst, w.before...)
	if w.route >= 0 {
		p, err := r.Addr().Prefix(w.route)
		if err != nil { // a route of the other family
			return v.appendFields(dst[:start], r, v.Fields, nil), true
		}
		dst = p.AppendTo(dst)
		dst = append(dst, w.after...)
	}
	return dst, true
}

func (v *View) writeKept(r Record) *written {
	cut := routeCut{bits: -1}
	b := v.appendFields(nil, r, v.Fields.without(groupAddress), &cut)
	if cut.bits < 0 {
		return &written{before: clone(b), route: -1}
	}
	return &written{before: clone(b[:cut.from]), after: clone(b[cut.to:]), route: cut.bits}
}

// routeCut is where the announced prefix was written.
type routeCut struct{ from, to, bits int }

func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

func (s Fields) without(t Fields) Fields { return Fields{s.lo &^ t.lo, s.hi &^ t.hi} }
