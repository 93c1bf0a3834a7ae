package usagetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// TestStore checks that a store keeps its promises; it begins empty. again opens the
// same one once more, as another process does.
func TestStore(t *testing.T, store, again usage.Store) {
	ctx := t.Context()
	r := rand.New(rand.NewPCG(3, 4))
	want, marks := map[usage.Row]int64{}, map[usage.Mark]uint64{}
	check := func(s usage.Store) {
		t.Helper()
		got, err := s.Marks(ctx)
		if err != nil || !maps.Equal(got, marks) && len(marks) > 0 {
			t.Fatalf("marks %v, %v; want %v", got, err, marks)
		}
		for _, q := range []usage.Query{
			{To: 1<<32 - 1},
			{From: 100, To: 150},
			{Account: 3, To: 1<<32 - 1},
			{Account: 3, Key: 13, To: 1<<32 - 1, Charged: true},
			{Key: 14, From: 120, To: 1<<32 - 1},
		} {
			some := map[usage.Row]int64{}
			for row, n := range want {
				if q.Has(row) {
					some[row] = n
				}
			}
			found := map[usage.Row]int64{}
			err := s.Rows(ctx, q, func(row usage.Row, n int64) bool { found[row] += n; return true })
			if err != nil || !maps.Equal(found, some) {
				t.Fatalf("%+v: %d rows, %v; want %d", q, len(found), err, len(some))
			}
			clear(found)
			got, err := s.State(ctx, q, func(row usage.Row, n int64) { found[row] += n })
			if err != nil || !maps.Equal(found, some) || !maps.Equal(got, marks) && len(marks) > 0 {
				t.Fatalf("%+v: the state is %d rows and %v, %v; want %d and %v", q, len(found), got, err, len(some), marks)
			}
		}
	}
	check(store)
	for round := range 8 {
		add, to := map[usage.Row]int64{}, map[usage.Mark]uint64{}
		for range 400 {
			key := customer.KeyID(r.IntN(20) + 1)
			row := usage.Row{
				Account: customer.AccountID(key % 10), Key: key, Hour: customer.Hour(100 + r.IntN(60)),
				Endpoint: customer.Endpoint(r.IntN(int(customer.NumEndpoints))), Class: customer.Class(r.IntN(int(customer.NumClasses))), Region: fmt.Sprint("r", r.IntN(3)),
			}
			add[row] += int64(r.IntN(1000))
		}
		to[usage.Mark{Node: 1<<62 + uint64(round%3), Region: "r1"}] = uint64(round + 1)
		to[usage.Mark{Region: "r1"}] = uint64(round+1) * 10
		s := store
		if round%2 == 1 {
			s = again
		}
		if err := s.Commit(ctx, list(add), maps.Clone(marks), to); err != nil {
			t.Fatal(err)
		}
		for row, n := range add {
			want[row] += n
		}
		maps.Copy(marks, to)
		check(store)
		// Who is behind changes nothing.
		stale := maps.Clone(marks)
		stale[usage.Mark{Region: "r1"}]--
		if err := again.Commit(ctx, list(add), stale, map[usage.Mark]uint64{{Region: "r1"}: 1000}); !errors.Is(err, usage.ErrBehind) {
			t.Fatalf("a commit from a mark that has moved: %v", err)
		}
		check(again)
	}
	n := 0
	if err := store.Rows(ctx, usage.Query{To: 1<<32 - 1}, func(usage.Row, int64) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("%d rows, %v, after enough was said", n, err)
	}
	a := usage.Alert{Account: 4, Epoch: time.Unix(5, 0), Period: customer.PerMonth, Span: 7, Threshold: 90, Used: 1, Limit: 2}
	b := a
	b.Epoch = time.Unix(6, 0)
	for i, c := range []struct {
		s     usage.Store
		a     usage.Alert
		fresh bool
	}{{store, a, true}, {again, a, false}, {again, b, true}, {store, b, false}} {
		c.a.Used += int64(i)
		if fresh, err := c.s.Raise(ctx, c.a); fresh != c.fresh || err != nil {
			t.Errorf("alert %d: %v, %v", i, fresh, err)
		}
	}
	// What was told is done; what was not is somebody else's to tell, once.
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	untold := func(s usage.Store, before time.Time) []usage.Alert {
		all, err := s.Untold(ctx, before, 10)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := untold(store, past); len(got) != 0 {
		t.Errorf("untold too early: %v", got)
	}
	if err := again.Told(ctx, a); err != nil {
		t.Fatal(err)
	}
	left := b
	left.Used, left.Limit = 0, 0
	if got := untold(store, future); len(got) != 1 || got[0].Account != left.Account || !got[0].Epoch.Equal(left.Epoch) || got[0].Span != left.Span || got[0].Threshold != left.Threshold || got[0].Period != left.Period {
		t.Errorf("untold: %v, want %v", got, left)
	}
	if got := untold(again, past); len(got) != 0 {
		t.Errorf("untold for two: %v", got)
	}
	if fresh, err := store.Raise(ctx, a); fresh || err != nil {
		t.Errorf("what was told is new: %v, %v", fresh, err)
	}
}

// TestCallerStore checks that a store keeps its promises; it begins empty. again opens
// the same one once more, as another process does.
func TestCallerStore(t *testing.T, store, again usage.CallerStore) {
	ctx := t.Context()
	r := rand.New(rand.NewPCG(5, 6))
	want, marks := map[usage.Caller]int64{}, map[usage.Mark]uint64{}
	check := func(s usage.CallerStore) {
		t.Helper()
		got, err := s.CallerMarks(ctx)
		if err != nil || !maps.Equal(got, marks) {
			t.Fatalf("marks %v, %v; want %v", got, err, marks)
		}
		for _, clients := range []bool{true, false} {
			some, found := map[usage.Caller]int64{}, map[usage.Caller]int64{}
			for c, n := range want {
				if (c.Client != 0) == clients && c.Day >= 20001 && c.Day <= 20002 {
					some[c] = n
				}
			}
			err := s.Callers(ctx, 20001, 20002, clients, func(c usage.Caller, n int64) bool { found[c] += n; return true })
			if err != nil || !maps.Equal(found, some) {
				t.Fatalf("%d callers, %v; want %d", len(found), err, len(some))
			}
		}
	}
	check(store)
	for round := range 6 {
		add, to := map[usage.Caller]int64{}, map[usage.Mark]uint64{}
		for range 500 {
			c := usage.Caller{Day: uint32(20000 + r.IntN(4))}
			switch r.IntN(4) {
			case 0:
				c.Host = fmt.Sprintf("shop-%d.example:8080", r.IntN(50)) // of 0 to 49, and "" below
			case 1:
				c.Client = 0x20010db8<<32 | uint64(r.IntN(300))
			case 2:
				c.Client = 1<<32 | uint64(r.Uint32N(1<<24))<<8
			default:
				c.Client = ledger.Other
			}
			add[c] += int64(r.IntN(1000) + 1)
		}
		add[usage.Caller{Day: 20001}] = 7
		to[usage.Mark{Node: 1<<62 + uint64(round%2), Region: "r1"}] = uint64(round + 1)
		to[usage.Mark{Region: "r1"}] = uint64(round+1) * 10
		s := store
		if round%2 == 1 {
			s = again
		}
		if err := s.AddCallers(ctx, add, maps.Clone(marks), to); err != nil {
			t.Fatal(err)
		}
		for c, n := range add {
			want[c] += n
		}
		maps.Copy(marks, to)
		check(store)
		stale := maps.Clone(marks)
		stale[usage.Mark{Region: "r1"}]--
		if err := again.AddCallers(ctx, add, stale, map[usage.Mark]uint64{{Region: "r1"}: 1000}); !errors.Is(err, usage.ErrBehind) {
			t.Fatalf("an addition from a mark that has moved: %v", err)
		}
		check(again)
	}
	n := 0
	if err := store.Callers(ctx, 0, 30000, true, func(usage.Caller, int64) bool { n++; return false }); err != nil || n > 1 {
		t.Errorf("%d callers, %v, after enough was said", n, err)
	}
}

func list(m map[usage.Row]int64) (all []usage.Sum) {
	for r, n := range m {
		all = append(all, usage.Sum{Row: r, N: n})
	}
	return all
}
