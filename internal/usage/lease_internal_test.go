package usage

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// apart is a node of three regions, and what it knows of one account.
type apart struct {
	*aggregator
	acc *account
	now time.Time
}

func newApart(perDay, perMonth int64, w customer.Window) *apart {
	p := &apart{now: time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC)}
	p.aggregator = newAggregator(&Config{
		Region: "a", Sources: []Source{{Region: "a"}, {Region: "b"}, {Region: "c"}}, Patience: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Now:    func() time.Time { return p.now },
		Lessor: func(context.Context, string, uint64, []LeaseReport) ([]LeaseGrant, error) { return nil, nil },
	}, 1, 0)
	p.acc = p.make(Subject{Account: 5})
	p.terms(perDay, perMonth, w)
	return p
}

func (p *apart) terms(perDay, perMonth int64, w customer.Window) {
	b := p.accounts.of(terms{perDay, perMonth, w})
	b.turn(p.spans.at(p.now).of(w))
	p.acc.bounds.Store(b)
	p.settle(p.acc, p.now)
}

// uses admits as many of n calls as it may, and knows them as its own a moment later.
func (p *apart) uses(n int64) int64 {
	n = p.acc.TakeUpTo(n)
	if p.acc.tally == nil {
		p.acc.tally = newTally(p.acc.window(), p.spans.at(p.now))
	}
	t := p.acc.tally
	t.day, t.month, t.own = t.day+n, t.month+n, t.own+n
	p.settle(p.acc, p.now)
	return n
}

// after lets time pass; what was used then is of the span before.
func (p *apart) after(d time.Duration, day, month int64) {
	p.now = p.now.Add(d)
	p.settle(p.acc, p.now)
	if t := p.acc.tally; t != nil { // this test keeps no hours
		t.day, t.month = day, month
	}
	p.settle(p.acc, p.now)
}

// A node that loses touch far from the limit keeps within a part of what is left, and half
// of the last fifth is nobody's: for what all admitted before anybody noticed.
func TestShareHoldsBack(t *testing.T) {
	p := newApart(0, 9000, customer.Calendar)
	if got := p.uses(3000); got != 3000 {
		t.Fatalf("in touch: %d", got)
	}
	p.sources[2].reached = false
	p.settle(p.acc, p.now)
	if got, want := p.uses(9000), int64((9000-3000-900)/3); got != want {
		t.Errorf("out of touch it admits %d, want %d", got, want)
	}
	for range 5 {
		p.settle(p.acc, p.now)
	}
	if got := p.uses(9000); got != 0 {
		t.Errorf("again: %d; a share is there once", got)
	}
	p.sources[2].reached = true
	p.settle(p.acc, p.now)
	if got := p.uses(1000); got != 1000 {
		t.Errorf("back in touch: %d", got)
	}
}

// A region may be away for days: a day that begins and another plan bring a share of
// their own, and a month does not begin with each day.
func TestShareOfEachSpan(t *testing.T) {
	p := newApart(900, 2400, customer.Calendar)
	p.sources[2].reached = false
	p.settle(p.acc, p.now)
	if got := p.uses(9000); got != (900-90)/3 {
		t.Fatalf("the first day: %d", got)
	}
	p.after(time.Hour, 0, 270)
	if got := p.uses(9000); got != (900-90)/3 {
		t.Errorf("the second day: %d; it has a share of its own", got)
	}
	p.after(24*time.Hour, 0, 540)
	if got, want := p.uses(9000), int64((2400-240)/3-540); got != want {
		t.Errorf("the third day: %d, want %d: what is left of the share of the month", got, want)
	}
	p.after(24*time.Hour, 0, 720)
	if got := p.uses(9000); got != 0 {
		t.Errorf("the fourth day: %d; the share of the month is used", got)
	}
	p.terms(9000, 0, customer.Calendar)
	if got := p.uses(9000); got != (9000-900)/3 {
		t.Errorf("another plan: %d", got)
	}

	p = newApart(900, 0, customer.Rolling)
	p.sources[2].reached = false
	p.settle(p.acc, p.now)
	if got := p.uses(9000); got != 270 {
		t.Fatalf("rolling: %d", got)
	}
	p.after(2*time.Hour, 270, 270)
	if got := p.uses(9000); got != 0 {
		t.Errorf("rolling, two hours later: %d", got)
	}
	p.after(22*time.Hour, 0, 270)
	if got := p.uses(9000); got != 270 {
		t.Errorf("rolling, a day later: %d", got)
	}
}

// A node whose own stream is away does not read its calls back: those of a day that has
// ended are not held against the next one, and those of a month against all its days.
func TestShareOfANodeThatIsNotRead(t *testing.T) {
	p := newApart(900, 2400, customer.Calendar)
	p.stuck = p.now.Add(-time.Minute)
	p.settle(p.acc, p.now)
	for i, want := range []int64{270, 270, (2400-240)/3 - 540, 0} {
		if got := p.acc.TakeUpTo(9000); got != want {
			t.Errorf("day %d: %d, want %d", i+1, got, want)
		}
		p.settle(p.acc, p.now)
		if got := p.acc.TakeUpTo(9000); got != 0 {
			t.Errorf("day %d, again: %d", i+1, got)
		}
		p.now = p.now.Add(24 * time.Hour)
		p.settle(p.acc, p.now)
	}
	// Another plan on the same day forgives nothing that nobody has read.
	p = newApart(900, 0, customer.Calendar)
	p.stuck = p.now.Add(-time.Minute)
	p.settle(p.acc, p.now)
	if got := p.acc.TakeUpTo(9000); got != 270 {
		t.Errorf("%d, want 270", got)
	}
	p.terms(1800, 0, customer.Calendar)
	if got := p.acc.TakeUpTo(9000); got != 540-270 {
		t.Errorf("another plan: %d, want 270", got)
	}
}

// Terms that say the same are the same, though nobody shares them.
func TestShareOfTheSameTerms(t *testing.T) {
	p := newApart(900, 0, customer.Calendar)
	p.sources[2].reached = false
	p.settle(p.acc, p.now)
	p.uses(9000)
	for range 3 {
		b := p.acc.bounds.Load()
		p.acc.bounds.Store(&bounds{perDay: b.perDay, perMonth: b.perMonth, window: b.window})
		p.settle(p.acc, p.now)
		if got := p.uses(9000); got != 0 {
			t.Fatalf("again: %d; a share is there once", got)
		}
	}
}

// In one region there is nobody to hold anything back for.
func TestShareOfOneRegion(t *testing.T) {
	p := newApart(900, 0, customer.Calendar)
	p.sources = p.sources[:1]
	p.stuck = p.now.Add(-time.Minute)
	p.settle(p.acc, p.now)
	if got := p.acc.TakeUpTo(9000); got != 900 {
		t.Errorf("%d of 900", got)
	}
}

// A region that hears all of them uses what is left, and those that do not hear each
// other hear that: their shares are no more than that.
func TestShareOfWhatIsLeft(t *testing.T) {
	p := newApart(0, 9000, customer.Calendar)
	p.sources[2].reached = false
	p.settle(p.acc, p.now)
	if got := p.uses(100); got != 100 {
		t.Fatalf("of its share: %d", got)
	}
	p.acc.tally.month += 8600 // the other's
	p.settle(p.acc, p.now)
	if got := p.uses(9000); got != 300 {
		t.Errorf("%d of the 300 that are left", got)
	}
}
