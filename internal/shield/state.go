package shield

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A State is all measures that were ever said, as far as they still matter: the last
// word about each. Two States can be merged in any order, and however often.
type State struct{ words map[string]word }

// A word is the last that was said about a name. What it says does not change.
type word struct {
	Measure
	Ended bool     `json:"ended,omitempty"`
	Stamp int64    `json:"stamp"`              // microseconds of Unix time; greater than any that it knew of
	Was   *Measure `json:"was,omitempty"`      // what it took the place of
	May   bool     `json:"undoable,omitempty"` // it can be undone
}

// document is how a State is written.
type document struct {
	Version int    `json:"version"`
	Words   []word `json:"measures"`
}

const (
	maxDocument = 1 << 20
	maxWords    = 4 * MaxMeasures
	// remembered is how long it is told what has ended, to who was away.
	remembered = 30 * 24 * time.Hour
	// ahead is how far a clock may be before ours.
	ahead = 24 * time.Hour
)

// ParseState reads a document; "" is an empty State. Words that this program would not
// write are passed over.
func ParseState(text string, now time.Time) (*State, error) {
	s := &State{words: map[string]word{}}
	if text == "" {
		return s, nil
	}
	if len(text) > maxDocument {
		return nil, fmt.Errorf("the document has more than %d KiB", maxDocument>>10)
	}
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return nil, fmt.Errorf("this is no document of measures: %w", err)
	}
	if d.Version != 1 {
		return nil, fmt.Errorf("it is of version %d; this program reads 1", d.Version)
	}
	for _, w := range d.Words {
		if w.believable(now) && len(s.words) < maxWords {
			s.take(w)
		}
	}
	return s, nil
}

func (w *word) believable(now time.Time) bool {
	if w.check() != nil || w.Stamp <= 0 || w.Stamp > now.Add(ahead).UnixMicro() {
		return false
	}
	return w.Was == nil || w.Was.Name() == w.Name() && w.Was.check() == nil
}

// forgotten reports whether nobody needs to hear the word any more.
func (w *word) forgotten(now time.Time) bool {
	return (w.Ended || !w.Holds(now)) && now.Sub(time.UnixMicro(w.Stamp)) > remembered
}

// String writes the document: the same for the same words.
func (s *State) String() string {
	if len(s.words) == 0 {
		return ""
	}
	var b bytes.Buffer
	b.WriteString("{\"version\":1,\"measures\":[")
	for i, name := range slices.Sorted(maps.Keys(s.words)) {
		w := s.words[name]
		line, err := json.Marshal(&w)
		if err != nil {
			panic(err) // texts and times of years that have four digits
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(line)
	}
	b.WriteString("\n]}\n")
	return b.String()
}

// take takes up a word if it is the last about its name, and reports whether it was.
// At equal stamps it is the same one of the two for everybody.
func (s *State) take(w word) bool {
	old, ok := s.words[w.Name()]
	if ok && (old.Stamp > w.Stamp || old.Stamp == w.Stamp && old.rank() >= w.rank()) {
		return false
	}
	s.words[w.Name()] = w
	return true
}

func (w *word) rank() string {
	b, _ := json.Marshal(w) // as in String
	return string(b)
}

// Merge takes up what another State says later.
func (s *State) Merge(o *State) {
	for _, w := range o.words {
		s.take(w)
	}
}

// sweep forgets what nobody needs to hear.
func (s *State) sweep(now time.Time) {
	for name, w := range s.words {
		if w.forgotten(now) {
			delete(s.words, name)
		}
	}
}

// Active lists the measures that are in force, by their names.
func (s *State) Active(now time.Time) []Measure {
	var all []Measure
	for _, name := range slices.Sorted(maps.Keys(s.words)) {
		if w := s.words[name]; !w.Ended && w.Holds(now) {
			all = append(all, w.Measure)
		}
	}
	return all
}

// stamp is later than all that was said.
func (s *State) stamp(now time.Time) int64 {
	at := now.UnixMicro()
	for _, w := range s.words {
		at = max(at, w.Stamp+1)
	}
	return at
}

// Set puts measures in force, all or none. Since and Until are as they are given.
func (s *State) Set(now time.Time, measures ...Measure) error {
	var errs []error
	names := map[string]bool{}
	for i := range measures {
		m := &measures[i]
		m.Since, m.Until = m.Since.UTC().Truncate(time.Millisecond), m.Until.UTC().Truncate(time.Millisecond)
		if err := m.check(); err != nil {
			errs = append(errs, err)
		} else if !m.Holds(now) {
			errs = append(errs, fmt.Errorf("%s would end at once", m.Name()))
		}
		names[m.Name()] = true
	}
	for _, m := range s.Active(now) {
		names[m.Name()] = true
	}
	if len(names) > MaxMeasures {
		errs = append(errs, fmt.Errorf("there would be %d measures; there are %d at most: what is to stay belongs into a list of the policy", len(names), MaxMeasures))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	at := s.stamp(now)
	for _, m := range measures {
		s.put(now, at, word{Measure: m})
	}
	s.sweep(now)
	return nil
}

// put says a word that can be undone.
func (s *State) put(now time.Time, at int64, w word) {
	if old, ok := s.words[w.Name()]; ok && !old.Ended && old.Holds(now) {
		was := old.Measure
		w.Was = &was
	}
	w.Stamp, w.May = at, true
	s.words[w.Name()] = w
}

// Expire has measures end at until; one that is not after now ends them at once.
func (s *State) Expire(now, until time.Time, names ...string) error {
	until = until.UTC().Truncate(time.Millisecond)
	var errs []error
	for _, name := range names {
		w, ok := s.words[name]
		if !ok || w.Ended || !w.Holds(now) {
			errs = append(errs, fmt.Errorf("%s is not in force; 'ipwarden shield status' lists what is", name))
			continue
		}
		if until.Sub(w.Since) > Longest {
			errs = append(errs, fmt.Errorf("%s would last more than %d days", name, int(Longest.Hours()/24)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	at := s.stamp(now)
	for _, name := range names {
		next := word{Measure: s.words[name].Measure}
		if until.After(now) {
			next.Until = until
		} else {
			next.Ended = true
		}
		s.put(now, at, next)
	}
	return nil
}

// Undo takes back the last change that was not undone yet, and says what it did. What
// a change took the place of is in force again, until it would have ended.
func (s *State) Undo(now time.Time) (done []string, err error) {
	last := int64(0)
	for _, w := range s.words {
		if w.May {
			last = max(last, w.Stamp)
		}
	}
	if last == 0 {
		return nil, errors.New("there is nothing to undo")
	}
	at := s.stamp(now)
	for _, name := range slices.Sorted(maps.Keys(s.words)) {
		w := s.words[name]
		if !w.May || w.Stamp != last {
			continue
		}
		next := word{Measure: w.Measure, Ended: true, Stamp: at}
		says := "ended: "
		if w.Was.Holds(now) {
			next.Measure, next.Ended = *w.Was, false
			says = "in force again: "
		}
		s.words[name] = next
		done = append(done, says+next.Does())
	}
	return done, nil
}

// Names lists what is in force, for who wants to end all of it.
func (s *State) Names(now time.Time) (names []string) {
	for _, m := range s.Active(now) {
		names = append(names, m.Name())
	}
	return names
}

// oneLine is a text as By and Reason have it.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	for len(s) > MaxReason {
		s = strings.ToValidUTF8(s[:MaxReason], "")
	}
	return s
}
