package ipwarden

import (
	"sync"
	"sync/atomic"
)

// Kept keeps what a View has written of the answers that most addresses share,
// so that their JSON is written once. All Views that share one must have the
// same Fields and Scores. It is safe for concurrent use, takes at most 16.5 MiB,
// and holds on to no dataset.
//
// What depends on the time is written anew after 15 minutes, the shortest
// distance at which the rules of a time zone change; scores may be that old.
type Kept struct {
	cur atomic.Pointer[keptOf]
	// strangers counts Records of another Store than the one in use.
	strangers atomic.Int32
}

// Shared is a [Backing] whose answers are shared by many addresses, and whose
// numbers are given so that the answers of most addresses come first.
type Shared interface {
	Backing
	// Answers is how many there are; their numbers are below.
	Answers() int
}

const (
	keptAnswers = 1 << 16 // at most
	keptFirst   = 1 << 14 // of them, those for which half of the room is set aside
	keptSeconds = 15 * 60
	// A Store takes the place of another when so many of its Records have come: a
	// long stream that began on a replaced dataset must not drive out what the
	// present one's Records share.
	keptStrangers = 256

	pageSize    = 1 << 16 // bytes
	numPages    = 1 << 8
	maxKeptText = 1 << 13 // bytes of an answer; the longest have some 2,000
)

// keptOf is what is kept of one Store in one period.
type keptOf struct {
	name   *storeName
	period int64
	places []atomic.Uint64 // of the answers, by their number; each a place

	// Text is written once, before its place is, and never changed.
	pages [numPages]atomic.Pointer[[pageSize]byte]

	mu   sync.Mutex
	used atomic.Int64 // bytes, from the first page on; written under mu
}

// What differs between the addresses of one answer, and comes first; and what
// changes with time.
var (
	groupAddress = fieldRange(FieldIP, FieldZone)
	groupTimely  = groupTime.union(groupScores)
)

// of returns what is kept of r's Store at the View's time, nil when nothing is
// to be kept.
func (k *Kept) of(v *View, r Record) *keptOf {
	if r.store == nil || r.store.name == nil {
		return nil
	}
	period := int64(0)
	if v.Fields.Any(groupTimely) {
		period = v.Now.Unix() / keptSeconds
	}
	cur := k.cur.Load()
	if cur != nil && cur.name == r.store.name && cur.period == period {
		return cur
	}
	return k.replace(cur, v, r, period)
}

// replace puts another Store or period in the place of cur, unless that
// came only now and then, or is over.
func (k *Kept) replace(cur *keptOf, v *View, r Record, period int64) *keptOf {
	switch {
	case v.Fields.Has(FieldTimeZoneCurrentTime):
		return nil
	case cur == nil:
	case cur.name != r.store.name:
		if k.strangers.Add(1) < keptStrangers {
			return nil
		}
	case period < cur.period:
		return nil
	}
	n := min(r.store.backing.(Shared).Answers(), keptAnswers)
	next := &keptOf{name: r.store.name, period: period, places: make([]atomic.Uint64, n)}
	if !k.cur.CompareAndSwap(cur, next) {
		return nil // another was first; the next Record will see it
	}
	k.strangers.Store(0)
	return next
}

// appendKept appends the members of an answer, from what is kept where it is;
// false when nothing is.
func (v *View) appendKept(dst []byte, r Record, addr string) ([]byte, bool) {
	k := v.Kept.of(v, r)
	if k == nil || int(r.id()) >= len(k.places) {
		return dst, false
	}
	p := place(k.places[r.id()].Load())
	if p == 0 {
		if p = k.keep(v, r); p == 0 {
			return dst, false
		}
	}
	text := k.pages[p.page()].Load()[p.start():][:p.length()]
	route, has := p.route()
	if !has {
		return append(v.appendAddress(dst, r, v.Fields, addr), text...), true
	}
	prefix, err := r.Addr().Prefix(route)
	if err != nil { // a route of the other family
		return dst, false
	}
	dst = v.appendAddress(dst, r, v.Fields, addr)
	dst = prefix.AppendTo(append(dst, text[:p.cut()]...))
	return append(dst, text[p.cut():]...), true
}

// keep writes an answer, if there is room, and returns its place, else 0.
func (k *keptOf) keep(v *View, r Record) place {
	room := int64(numPages * pageSize)
	if r.id() >= keptFirst {
		room /= 2
	}
	if k.used.Load() > room-maxKeptText {
		return 0
	}
	cut := routeCut{bits: -1}
	text := v.appendFields(nil, r, v.Fields.without(groupAddress), &cut)
	text = append(text[:cut.from], text[cut.to:]...)
	if len(text) > maxKeptText {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	at := int(k.used.Load())
	if left := pageSize - at%pageSize; left < len(text) {
		at += left // no text goes over the end of a page
	}
	if p := place(k.places[r.id()].Load()); p != 0 || at+len(text) > numPages*pageSize {
		return p // another was first, or took the room
	}
	page := k.pages[at/pageSize].Load()
	if page == nil {
		page = new([pageSize]byte)
		k.pages[at/pageSize].Store(page)
	}
	copy(page[at%pageSize:], text)
	k.used.Store(int64(at + len(text)))
	p := placeOf(at, len(text), cut)
	k.places[r.id()].Store(uint64(p))
	return p
}

// A place says where the JSON of an answer from its location on is: from the
// lowest bit, the start in 16 bits and the page in 8, the length in 16, the
// number of bytes before the announced prefix in 16, and the length of the
// prefix plus 2 in 8; 1 there means that the answer has none. The prefix is part
// of many answers' text and differs by address, so it is left out. The zero
// place is none.
type place uint64

// routeCut is where the announced prefix was written; bits is -1 where it was not.
type routeCut struct{ from, to, bits int }

func placeOf(at, length int, cut routeCut) place {
	return place(at) | place(length)<<24 | place(cut.from)<<40 | place(cut.bits+2)<<56
}

func (p place) page() uint8        { return uint8(p >> 16) }
func (p place) start() uint16      { return uint16(p) }
func (p place) length() uint16     { return uint16(p >> 24) }
func (p place) cut() uint16        { return uint16(p >> 40) }
func (p place) route() (int, bool) { return int(p>>56) - 2, p>>56 != 1 }

func (s Fields) without(t Fields) Fields { return Fields{s.lo &^ t.lo, s.hi &^ t.hi} }
func (s Fields) union(t Fields) Fields   { return Fields{s.lo | t.lo, s.hi | t.hi} }
