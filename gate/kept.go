package gate

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/risk"
)

// A Recalled decision is what a gate remembers of one: its Summary, and why it was so
// where it was no plain allow, or [Gate.Elaborate] was called for it.
type Recalled struct {
	Summary
	// The first six contributions to the score and the first four limits, as they were
	// when it was decided.
	Contributions []risk.Contribution
	Limits        []LimitState // without the time until each allows again
	RetryAfter    time.Duration
	Awaited       bool // a limit waited to be told what became of it
}

// Elaborate remembers of a decision of g why it was made, which is remembered anyway
// of all but those that just let a request in: these are most, and nobody waits for
// what few ask about.
func (g *Gate) Elaborate(d *Decision) {
	if g.recent != nil {
		g.recent.elaborate(d)
	}
}

// A detail is what stays of why a decision was made: what the score is the sum of,
// and how full the limits were. It points to nothing: names are numbers in a lexicon.
type detail struct {
	retry  uint32 // seconds
	parts  uint8  // of part
	limits uint8  // of limit
	awaits bool
	limit  [maxLimits]keptLimit
	part   [maxParts]keptPart
}

type keptPart struct {
	signal     risk.Signal
	points     int16
	feed, note uint16 // of lexicon
	day        int32  // since 1970
}

type keptLimit struct {
	name             uint16 // of lexicon
	allowed          bool
	source           limit.Source
	limit, remaining uint32
	window, resets   uint32 // seconds
}

// What is beyond these is left out: the contributions of one address are mostly two or
// three, and the limits of one request as many.
const (
	maxParts  = 6
	maxLimits = 4
)

// A lexicon has the names of feeds, of limits, and of what notes say, each once. They are
// few, and those of a policy that is not in use any more stay.
type lexicon struct {
	all atomic.Pointer[[]string] // grows at its end alone; the first is ""
	mu  sync.Mutex               // guards the growing
}

// maxWords bounds what is remembered; a word beyond it is left out.
const maxWords = 1024

func newLexicon() *lexicon {
	w := new(lexicon)
	w.all.Store(&[]string{""})
	return w
}

// number is that of a word, 0 for none. last is that of the decision before in the
// same place, which mostly had the same.
func (w *lexicon) number(word string, last uint16) uint16 {
	if word == "" {
		return 0
	}
	if all := *w.all.Load(); all[last] == word {
		return last
	}
	for i, known := range *w.all.Load() {
		if known == word {
			return uint16(i)
		}
	}
	return w.add(word)
}

func (w *lexicon) add(word string) uint16 {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := *w.all.Load()
	for i, known := range all { // meanwhile
		if known == word {
			return uint16(i)
		}
	}
	if len(all) == maxWords {
		return 0
	}
	next := append(all[:len(all):len(all)], strings.Clone(word))
	w.all.Store(&next)
	return uint16(len(all))
}

func (w *lexicon) of(n uint16) string { return (*w.all.Load())[n] }

// keep fills in k of d.
func (k *detail) keep(d *Decision, w *lexicon) {
	if k.retry = 0; d.RetryAfter > 0 {
		k.retry = uint32(d.RetrySeconds())
	}
	k.awaits = len(d.pending) > 0
	parts := d.risk.Contributions()
	k.parts = uint8(min(len(parts), maxParts))
	for i := range k.part[:k.parts] {
		c, p := &parts[i], &k.part[i]
		p.signal, p.points, p.feed, p.note, p.day = c.Signal, c.Points, w.number(c.Feed, p.feed), w.number(c.Note, p.note), 0
		if !c.Date.IsZero() {
			p.day = int32(c.Date.Unix() / (24 * 60 * 60))
		}
	}
	k.limits = uint8(min(len(d.Limits), maxLimits))
	for i := range k.limit[:k.limits] {
		l, to := &d.Limits[i], &k.limit[i]
		to.name, to.allowed, to.source = w.number(l.Name, to.name), l.Allowed, l.Source
		to.limit, to.remaining = l.Limit, l.Remaining
		to.window, to.resets = uint32(l.Window/time.Second), uint32((l.Reset+time.Second-1)/time.Second)
	}
}

// contributions and states are what k has kept.
func (k *detail) contributions(w *lexicon) []risk.Contribution {
	var all []risk.Contribution
	for _, p := range k.part[:k.parts] {
		c := risk.Contribution{Signal: p.signal, Points: p.points, Feed: w.of(p.feed), Note: w.of(p.note)}
		if p.day != 0 {
			c.Date = time.Unix(int64(p.day)*24*60*60, 0).UTC()
		}
		all = append(all, c)
	}
	return all
}

func (k *detail) states(w *lexicon) []LimitState {
	var all []LimitState
	for _, l := range k.limit[:k.limits] {
		all = append(all, LimitState{
			Name: w.of(l.name), Window: time.Duration(l.window) * time.Second,
			Result: limit.Result{
				Allowed: l.allowed, Limit: l.limit, Remaining: l.remaining,
				Reset: time.Duration(l.resets) * time.Second, Source: l.source,
			},
		})
	}
	return all
}
