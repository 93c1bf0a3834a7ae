package usage

import (
	"context"
	"math/bits"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// thresholds are the percentages of a plan that its owner is told of.
var thresholds = [...]int{100, 90, 50}

// alert notes what an account has come past. a.mu is held.
func (a *aggregator) alert(acc *account, now time.Time) {
	t := acc.tally
	if t == nil || a.c.Alert == nil || acc.subject.Key != 0 || !acc.limited() || !a.c.home(acc.subject.Account) {
		return
	}
	b := acc.bounds.Load()
	for i, p := range [...]struct {
		period      customer.Period
		used, limit int64
		first       customer.Hour
	}{
		{customer.PerDay, t.day, b.perDay, b.window.Day(now).First},
		{customer.PerMonth, t.month, b.perMonth, b.window.Month(now).First},
	} {
		if p.limit <= 0 {
			continue
		}
		if b.window == customer.Rolling {
			// A rolling span has no beginning: its alerts are those of the calendar's.
			if p.first = customer.Calendar.Day(now).First; i == 1 {
				p.first = customer.Calendar.Month(now).First
			}
		}
		for _, threshold := range thresholds {
			if int(acc.alerted[i]) >= threshold {
				break
			}
			if !reached(p.used, p.limit, threshold) {
				continue
			}
			acc.alerted[i] = uint8(threshold)
			if len(a.due) < maxDue {
				a.due = append(a.due, Alert{acc.subject.Account, acc.since(), p.period, p.first, threshold, p.used, p.limit})
			}
			break // of several come past at once the highest is told
		}
	}
}

// reached reports whether used is at least so many percent of limit, exactly.
func reached(used, limit int64, percent int) bool {
	if used < 0 {
		return false
	}
	high, low := bits.Mul64(uint64(used), 100)
	high2, low2 := bits.Mul64(uint64(limit), uint64(percent))
	return high > high2 || high == high2 && low >= low2
}

const maxDue = 1 << 16

// Alerts that nobody has told for untoldAfter are told again; that is looked after
// every untoldEvery.
const (
	untoldAfter = 2 * time.Minute
	untoldEvery = time.Minute
	mostUntold  = 1000
)

// raise tells the alerts that are new, and those that were to be told and were not.
func (a *aggregator) raise(ctx context.Context) {
	if a.c.Alert == nil {
		return
	}
	a.mu.Lock()
	due := a.due
	a.due = nil
	a.mu.Unlock()
	for i, alert := range due {
		fresh, err := a.c.Store.Raise(ctx, alert)
		if err != nil {
			a.mu.Lock()
			a.due = append(a.due, due[i:]...)
			a.mu.Unlock()
			return
		}
		if fresh {
			a.tell(ctx, alert)
		}
	}
	now := a.c.Now()
	if now.Sub(a.looked) < untoldEvery {
		return
	}
	a.looked = now
	again, err := a.c.Store.Untold(ctx, now.Add(-untoldAfter), mostUntold)
	if err != nil {
		return // the store is away, which the commit has said
	}
	for _, alert := range again {
		a.tell(ctx, alert)
	}
}

// tell tells one alert. If the process dies in here it is told again by another: whoever
// tells knows what it has told.
func (a *aggregator) tell(ctx context.Context, alert Alert) {
	err := a.c.Alert(ctx, alert)
	if err == nil {
		err = a.c.Store.Told(ctx, alert)
	}
	if err != nil {
		a.log.Warn("usage: an alert could not be told; it will be tried again", "account", alert.Account, "error", err)
	}
}
