package gate

import (
	"strings"
	"testing"
	"time"
)

func idOf(now time.Time) (id ID) {
	hi, lo, _ := newID(now)
	id.put(hi, lo)
	return id
}

func TestID(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	seen := map[ID]bool{}
	for range 10_000 {
		id := idOf(now)
		if seen[id] {
			t.Fatalf("%s was given twice", id)
		}
		seen[id] = true
		text := id.String()
		if back, ok := ParseID(text); !ok || back != id {
			t.Fatalf("%s is read as %s", text, back)
		}
		if back, ok := ParseID(strings.ToLower(text)); !ok || back != id {
			t.Fatalf("%s in small letters is read as %s", text, back)
		}
		next := idOf(now.Add(time.Millisecond))
		if later := next.String(); later <= text {
			t.Fatalf("%s, a millisecond later, sorts before %s", later, text)
		}
	}
	// The published example of the ULID specification: its time part.
	known := idOf(time.UnixMilli(1469918176385))
	if got := known.String()[:10]; got != "01ARYZ6S41" {
		t.Errorf("the time of the specification's example is %q, want 01ARYZ6S41", got)
	}
	for _, bad := range []string{"", "01ARYZ6S41", "81ARYZ6S41TSV4RRFFQ69G5FAV", "01ARYZ6S41TSV4RRFFQ69G5FAU", "01ARYZ6S41TSV4RRFFQ69G5FAVX", "01ARYZ6S41TSV4RRFFQ69G5FA\x00"} {
		if id, ok := ParseID(bad); ok {
			t.Errorf("%q is read as %s", bad, id)
		}
	}
}

// The slot after the last is the first, also where there is one alone.
func TestFetchNext(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		r := newRecent(n)
		for i := range r.slots {
			r.fetchNext(&r.slots[i])
		}
	}
}
