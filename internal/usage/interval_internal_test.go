package usage

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// What fills one batch leaves as often as is configured, and what fills more not so often;
// of the default both are within what is promised, 100 to 250 ms, with what it takes.
func TestInterval(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		batches    int
		took, want time.Duration
	}{
		{0, 0, 150 * ms},
		{1, 0, 150 * ms},
		{1, 20 * ms, 130 * ms},
		{2, 0, 250 * ms},
		{7, 30 * ms, 220 * ms},
		{1, time.Minute, 50 * ms}, // a disk that is slow is not written to all the time
	} {
		if got := interval(150*ms, test.batches, test.took); got != test.want {
			t.Errorf("behind %d batches, which took %s: %s, want %s", test.batches, test.took, got, test.want)
		}
	}
}

// mute is a store that takes every question and answers none.
type mute struct{ Store }

func (mute) State(ctx context.Context, _ Query, _ func(Row, int64)) (map[Mark]uint64, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (mute) Rows(ctx context.Context, _ Query, _ func(Row, int64) bool) error {
	<-ctx.Done()
	return ctx.Err()
}

// A store that does not answer holds up what freezes for a while, and not for good.
func TestTickEnds(t *testing.T) {
	for name, behind := range map[string]customer.Hour{"the next hour": 1, "after days": 100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newApart(900, 0, customer.Rolling)
				p.c.Store = mute{}
				p.rolled = customer.HourOf(p.now) - behind
				began := time.Now()
				p.tick(t.Context())
				if took := time.Since(began); took != time.Minute {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
