package api

import (
	"strings"
	"testing"
	"time"
)

// A usual answer is the one that its lines make.
func TestUsualLines(t *testing.T) {
	a := newAPI(t, nil)
	usual := 0
	for _, raw := range goodAndHostile() {
		x := a.take(noon)
		if _, found := x.readHead([]byte(raw)); found == headWhole {
			x.fast, x.ctx = true, background
			x.serve()
			got := string(x.appendAnswer(nil, a.dateAt(noon), false))
			if x.usual {
				usual++
			}
			x.usual = false
			if want := string(x.appendAnswer(nil, a.dateAt(noon), false)); got != want {
				t.Errorf("%s\n%s\nwant\n%s", raw, got, want)
			}
		}
		a.give(x)
	}
	if usual < 20 {
		t.Errorf("%d of the answers are usual, which is few", usual)
	}
}

func TestDateLine(t *testing.T) {
	a := newAPI(t, nil)
	const want = "Fri, 20 Nov 2026 12:30:00 GMT\r\n"
	zone := time.FixedZone("", 3600)
	for _, now := range []time.Time{noon, noon.In(zone), noon.Add(999 * time.Millisecond)} {
		if got := string(a.dateAt(now).text[:]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := string(a.dateAt(noon.Add(time.Second)).text[:]); !strings.Contains(got, "12:30:01") {
		t.Errorf("a second later: %q", got)
	}
}
