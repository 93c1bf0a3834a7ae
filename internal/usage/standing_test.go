package usage

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

func TestTake(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	m := NewMemory(func() time.Time { return now })
	subject := Subject{Account: 7}
	s := m.Standing(subject)
	if !s.Take(1 << 40) {
		t.Fatal("without terms there is no bound")
	}
	s.Return(1 << 40)
	m.SetTerms(subject, Terms{PerDay: 10, PerMonth: 15})
	if !s.Take(8) || s.Take(3) || s.TakeUpTo(3) != 2 || s.TakeUpTo(1) != 0 || s.Take(1) {
		t.Fatalf("of 10: %+v", s.Quota())
	}
	if q := s.Quota(); q.Day.Used != 10 || q.Day.Left() != 0 || q.Month.Left() != 5 || q.Day.Reset != now.Truncate(24*time.Hour).Add(24*time.Hour) {
		t.Errorf("%+v", q)
	}
	s.Return(1)
	if !s.Take(1) {
		t.Error("what was given back cannot be taken")
	}
	now = now.Add(24 * time.Hour)
	m.Turn()
	if got := s.TakeUpTo(100); got != 5 {
		t.Errorf("the next day %d were taken, want the 5 that the month has left", got)
	}
	k := m.Key(3, 7)
	var x Expected
	if n := testing.AllocsPerRun(100, func() {
		m.Expect(&x, k, customer.EndpointLookup, customer.Charged, netip.Addr{}, "")
		s.Take(1)
		s.Quota()
		m.RecordExpected(k, customer.EndpointLookup, customer.Charged, 1, &x)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nobody takes more than there is, and what there is can all be had.
func TestTakeTogether(t *testing.T) {
	m := NewMemory(nil)
	s := m.Standing(Subject{Account: 1})
	m.SetTerms(Subject{Account: 1}, Terms{PerDay: 100_000})
	var taken atomic.Int64
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 20_000 {
				if g%2 == 0 && s.Take(1) {
					taken.Add(1)
				} else if g%2 == 1 {
					taken.Add(s.TakeUpTo(int64(i % 3)))
				}
			}
		})
	}
	all.Wait()
	for s.Take(1) {
		taken.Add(1)
	}
	if taken.Load() != 100_000 {
		t.Errorf("%d taken of 100000", taken.Load())
	}
}
