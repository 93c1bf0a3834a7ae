package api

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// sharedAnswers is a Backing whose answer 1 is one of the sample's.
type sharedAnswers struct {
	ipwarden.Backing
	id uint32
}

func (s *sharedAnswers) Location(uint32) ipwarden.Location { return s.Backing.Location(s.id) }
func (s *sharedAnswers) Answers() int                      { return 2 }

// When the offset ends is the same whether it is kept by answer or asked anew,
// round the change of the clocks and at midnight, forwards and backwards.
func TestZoneEndsAreKept(t *testing.T) {
	rec, err := ipwardentest.Sample().Lookup(context.Background(), netip.MustParseAddr("81.2.69.1"))
	if err != nil {
		t.Fatal(err)
	}
	data, id := rec.Answer()
	store := ipwarden.NewStore(&sharedAnswers{data, id}, make([]ipwarden.Hot, 2))
	kept := ipwarden.MakeRecord(rec.Addr(), store, 1)
	a := newAPI(t, nil)
	x := a.take(noon)
	change := time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)
	steps := []time.Duration{0, 1, 999 * time.Millisecond, time.Second, time.Minute, time.Hour, 13 * time.Hour, 24*time.Hour - 1, 24 * time.Hour, 25 * time.Hour, 26 * time.Hour, 49 * time.Hour}
	for range 2 {
		for _, d := range steps {
			for _, now := range []time.Time{change.Add(-d), change.Add(d), change.Add(-d)} {
				x.now = now
				_, end := now.In(rec.Location().TimeZone.Zone).ZoneBounds()
				want := max(0, min(day, int64(end.Sub(now)/time.Second)))
				if got := x.zoneLasts(kept); got != want {
					t.Errorf("%v: %d s, want %d", now, got, want)
				}
				if got := x.zoneLasts(rec); got != want {
					t.Errorf("%v, not kept: %d s, want %d", now, got, want)
				}
			}
		}
	}
	if ends := x.st.ends.Load(); ends == nil || ends.seconds[1].Load() == 0 {
		t.Error("nothing was kept")
	}
}
