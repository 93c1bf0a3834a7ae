package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// waiting has some letters, and then returns nothing once a second, as inputs may.
type waiting struct {
	letters [][]byte
	given   int
}

func (w *waiting) Read(ctx context.Context, _ Bound) (*Batch, error) {
	if len(w.letters) == 0 {
		select {
		case <-time.After(time.Second):
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.given++
	b := &Batch{Messages: []Message{{ID: "x", Position: fmt.Sprint(w.given), Value: w.letters[0]}}, Commit: func(context.Context) error { return nil }}
	w.letters = w.letters[1:]
	return b, nil
}

func (w *waiting) Close() error { return nil }

// A replay of a queue ends when nothing has come for a while, whatever the input
// returns meanwhile.
func TestReplayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := letter(&Message{ID: "a", Position: "memory/1", Value: []byte("{}")}, "missing")
		two := letter(&Message{ID: "b", Position: "memory/2", Value: []byte("{}")}, "missing")
		back := &list{}
		r := &Replay{Back: back, Tell: func(err error) { t.Error(err) }}
		start := time.Now()
		if err := r.Queue(t.Context(), &waiting{letters: [][]byte{one.Value, two.Value}}, &list{}, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it ended after %v", took)
		}
		if r.Returned != 2 || len(back.events) != 2 || back.events[0].ID != "a" {
			t.Errorf("%+v, %+v", r, back.events)
		}
	})
}

// What comes back while a replay runs does not keep it from ending.
func TestReplayComesBack(t *testing.T) {
	one := letter(&Message{ID: "a", Position: "memory/1", Value: []byte("{}")}, "missing")
	r := &Replay{Back: &list{}, Tell: func(err error) { t.Error(err) }}
	err := r.Queue(t.Context(), &waiting{letters: [][]byte{one.Value, one.Value}}, &list{}, time.Second)
	if !errors.Is(err, ErrComesBack) || r.Returned != 1 {
		t.Errorf("%v, %d are back", err, r.Returned)
	}
}

// An event that was put back and is wrong again is another letter: a destination that
// leaves out ids which it has had takes both, and an event with the id of one as well.
func TestLettersAreTwo(t *testing.T) {
	first := letter(&Message{ID: "a", Position: "memory/1"}, "missing")
	again := letter(&Message{ID: "a", Position: "memory/2"}, "missing")
	if first.ID == again.ID || first.ID == "a" {
		t.Errorf("%q, %q", first.ID, again.ID)
	}
	e := Event{ID: "a"}
	if x, y := refusedLetter(&e, "x", ""), refusedLetter(&e, "y", ""); x.ID == y.ID || x.ID == "a" {
		t.Errorf("%q, %q", x.ID, y.ID)
	}
}
