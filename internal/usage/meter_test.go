package usage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/usagetest"
	"github.com/ipwarden/ipwarden/internal/usage/wan"
)

func TestLog(t *testing.T) {
	var l wan.Log
	usagetest.TestStream(t, func(*testing.T) usage.Stream { return &l })
}

// world is regions with a node each.
type world struct {
	t      *testing.T
	dir    string
	names  []string
	logs   []*wan.Log
	views  [][]*wan.View // views[i][j]: j's log as i sees it
	stores []*usage.MemoryStore
	meters []*usage.Meter
	mu     sync.Mutex
	cut    map[[2]int]bool
	alert  func(context.Context, usage.Alert) error
}

func newWorld(t *testing.T, regions int, delay time.Duration) *world {
	w := &world{t: t, dir: t.TempDir(), cut: map[[2]int]bool{}}
	for i := range regions {
		w.names = append(w.names, fmt.Sprintf("region-%d", i))
		w.logs = append(w.logs, &wan.Log{})
		w.stores = append(w.stores, &usage.MemoryStore{})
	}
	for i := range regions {
		var row []*wan.View
		for j, l := range w.logs {
			d := delay
			if i == j {
				d = 0
			}
			row = append(row, l.From(d))
		}
		w.views = append(w.views, row)
	}
	w.meters = make([]*usage.Meter, regions)
	for i := range regions {
		w.start(i)
	}
	t.Cleanup(func() {
		for i := range w.meters {
			w.stop(i)
		}
	})
	return w
}

func (w *world) start(i int) {
	w.t.Helper()
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(w.dir, w.names[i]), Region: w.names[i], Keys: 256, Clients: 256, Referers: 64})
	if err != nil {
		w.t.Fatal(err)
	}
	c := usage.Config{
		Ledger: l, Region: w.names[i], Stream: w.views[i][i], Store: w.stores[i], GivesLeases: true, Alert: w.alert,
		Freeze: 20 * time.Millisecond, Commit: 50 * time.Millisecond, Patience: 400 * time.Millisecond, Grace: 50 * time.Millisecond, LeasePause: 10 * time.Millisecond,
	}
	for j, v := range w.views[i] {
		c.Sources = append(c.Sources, usage.Source{Region: w.names[j], Stream: v})
	}
	if len(w.names) > 1 {
		c.Lessor = func(_ context.Context, region string, node uint64, reports []usage.LeaseReport) ([]usage.LeaseGrant, error) {
			for j, name := range w.names {
				w.mu.Lock()
				m, cut := w.meters[j], w.cut[[2]int{i, j}]
				w.mu.Unlock()
				if name == region && m != nil && !cut {
					return m.Grant(node, reports), nil
				}
			}
			return nil, wan.ErrStopped
		}
	}
	m, err := usage.New(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.meters[i] = m
	w.mu.Unlock()
}

func (w *world) stop(i int) {
	w.mu.Lock()
	m := w.meters[i]
	w.meters[i] = nil
	w.mu.Unlock()
	if m != nil {
		m.Close()
	}
}

// part cuts a region off from all others, or ends that.
func (w *world) part(i int, cut bool) {
	w.mu.Lock()
	for j := range w.names {
		if i != j {
			w.cut[[2]int{i, j}], w.cut[[2]int{j, i}] = cut, cut
		}
	}
	w.mu.Unlock()
	for j := range w.names {
		if i != j {
			w.views[i][j].Cut(cut)
			w.views[j][i].Cut(cut)
		}
	}
}

func (w *world) leases() (all string) {
	for i, m := range w.meters {
		all += fmt.Sprintln(i, m.Leases(), m.Unheard())
	}
	return all
}

// total is what a region knows of an account.
func (w *world) total(i int, q usage.Query) (n int64) {
	w.t.Helper()
	q.To = 1<<32 - 1
	err := w.meters[i].Rows(w.t.Context(), q, func(_ usage.Row, c int64) bool { n += c; return true })
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// until waits for something that must come true, for as long as a busy machine may need.
func until(t *testing.T, what func() bool, say func() string) {
	t.Helper()
	deadline := time.NewTimer(3 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal(say())
		}
	}
}

// Whatever happens on the way, in the end every region knows exactly what was counted.
func TestExact(t *testing.T) {
	w := newWorld(t, 3, 10*time.Millisecond)
	for _, l := range w.logs {
		l.Repeat(20)
	}
	var mu sync.Mutex
	want := map[customer.AccountID]int64{}
	r := rand.New(rand.NewPCG(1, 9))
	count := func(calls int) {
		for range calls {
			i := r.IntN(3)
			if w.meters[i] == nil {
				continue
			}
			account := customer.AccountID(r.IntN(5) + 1)
			k := w.meters[i].Key(customer.KeyID(r.IntN(20)*8+int(account)), account)
			n := uint32(r.IntN(9) + 1)
			w.meters[i].Record(k, customer.EndpointLookup, customer.Charged, n, netip.MustParseAddr("192.0.2.1"), "a.example")
			w.meters[i].Record(k, customer.EndpointBulk, customer.Failed, 1, netip.Addr{}, "")
			mu.Lock()
			want[account] += int64(n)
			mu.Unlock()
		}
	}
	count(3000)
	w.logs[1].Stop() // a region's stream
	count(3000)
	w.stop(0) // a node with its aggregator
	count(1000)
	w.part(2, true)
	count(3000)
	w.start(0)
	w.logs[1].Start()
	count(3000)
	w.part(2, false)
	w.stop(1)
	w.start(1)
	count(3000)
	var sum int64
	for _, n := range want {
		sum += n
	}
	for i := range 3 {
		until(t, func() bool { return w.total(i, usage.Query{Charged: true}) == sum }, func() string {
			return fmt.Sprintf("region %d knows of %d calls, want %d; %+v", i, w.total(i, usage.Query{Charged: true}), sum, w.meters[i].Stats())
		})
		for account, n := range want {
			if got := w.total(i, usage.Query{Account: account, Charged: true}); got != n {
				t.Errorf("region %d knows of %d calls of account %d, want %d", i, got, account, n)
			}
			if q := w.meters[i].Standing(usage.Subject{Account: account}).Quota(); q.Month.Used != n || q.Region == "" {
				t.Errorf("region %d: account %d stands at %+v, want %d", i, account, q, n)
			}
		}
		if s := w.meters[i].Stats(); s.Bad != 0 || s.Gaps != 0 {
			t.Errorf("%+v", s)
		}
	}
	// A new process reads the same from the store and the streams.
	w.stop(2)
	w.start(2)
	until(t, func() bool { return w.total(2, usage.Query{Charged: true}) == sum }, func() string { return "after a restart the sums are others" })
}

// One region alone can use all of a quota, and not one call more.
func TestLoneRegionUsesAll(t *testing.T) {
	w := newWorld(t, 3, 5*time.Millisecond)
	subject := usage.Subject{Account: 5}
	for _, m := range w.meters {
		m.SetTerms(subject, usage.Terms{PerDay: 1 << 40, PerMonth: 2000})
	}
	s, k := w.meters[1].Standing(subject), w.meters[1].Key(1, 5)
	taken := 0
	until(t, func() bool {
		for s.Take(1) {
			taken++
			w.meters[1].Record(k, customer.EndpointLookup, customer.Charged, 1, netip.Addr{}, "")
		}
		return taken >= 2000
	}, func() string { return fmt.Sprintf("%d of 2000 could be used: %+v; %s", taken, s.Quota(), w.leases()) })
	until(t, func() bool { return w.total(0, usage.Query{Account: 5}) == 2000 }, func() string { return "not all was counted" })
	if s.Take(1) || w.meters[0].Standing(subject).Take(1) {
		t.Error("a call more than the quota was admitted")
	}
}

// Regions that all spend stay within what can be in flight, also while one is cut off.
func TestOvershoot(t *testing.T) {
	for _, parted := range []bool{false, true} {
		w := newWorld(t, 3, 10*time.Millisecond)
		subject := usage.Subject{Account: 5}
		const quota = 9_000
		for _, m := range w.meters {
			m.SetTerms(subject, usage.Terms{PerMonth: quota})
		}
		if parted {
			w.part(2, true)
			until(t, func() bool {
				return slices.Equal(w.meters[2].Unheard(), w.names[:2]) && slices.Contains(w.meters[0].Unheard(), w.names[2]) && slices.Contains(w.meters[1].Unheard(), w.names[2])
			}, func() string { return "nobody misses a region that is cut off" })
		}
		var all sync.WaitGroup
		var taken [3]atomic.Int64
		stop := make(chan struct{})
		for i, m := range w.meters {
			all.Go(func() {
				s, k := m.Standing(subject), m.Key(customer.KeyID(i+1), 5)
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-stop:
						return
					case <-tick.C:
						// However slow the machine: what is not known everywhere stays below the
						// fifth of the quota for which leases are needed.
						known := taken[0].Load() + taken[1].Load() + taken[2].Load()
						for _, m := range w.meters {
							known = min(known, int64(m.Stats().Events))
						}
						if !parted && taken[0].Load()+taken[1].Load()+taken[2].Load()-known > quota/5-100 {
							continue
						}
						n := s.TakeUpTo(10)
						taken[i].Add(n)
						if n > 0 {
							m.Record(k, customer.EndpointLookup, customer.Charged, uint32(n), netip.Addr{}, "")
						}
					}
				}
			})
		}
		sum := func() (n int64) {
			for i := range w.meters {
				n = max(n, w.total(i, usage.Query{Account: 5}))
			}
			return n
		}
		if parted {
			// Each may use its part of what was left, less a tenth of the quota, and no more.
			until(t, func() bool { return w.total(2, usage.Query{Account: 5}) >= (quota-quota/10)/3 }, func() string { return "the region that is cut off cannot use its share" })
		} else {
			until(t, func() bool { return sum() >= quota }, func() string { return fmt.Sprintf("%d of %d were used", sum(), quota) })
		}
		close(stop)
		all.Wait()
		total := taken[0].Load() + taken[1].Load() + taken[2].Load()
		if n := taken[2].Load(); parted && n > (quota-quota/10)/3 {
			t.Errorf("cut off, a region admitted %d of %d", n, quota)
		}
		// What nobody could know of yet may be too much; the rest may not.
		if total > quota+quota/5 || parted && total > quota {
			t.Errorf("%d admitted of %d", total, quota)
		}
		w.part(2, false)
		for i := range w.meters {
			until(t, func() bool { return w.total(i, usage.Query{Account: 5}) == total }, func() string { return "the totals are not exact" })
		}
		for i := range w.meters {
			w.stop(i)
		}
	}
}

func TestAlertsOnce(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	w := &world{t: t, dir: t.TempDir(), names: []string{"one"}, logs: []*wan.Log{{}}, stores: []*usage.MemoryStore{{}}, cut: map[[2]int]bool{}, meters: make([]*usage.Meter, 1)}
	w.views = [][]*wan.View{{w.logs[0].From(0)}}
	w.alert = func(_ context.Context, a usage.Alert) error {
		mu.Lock()
		defer mu.Unlock()
		got[fmt.Sprintf("%s %d %d", a.Period, a.Threshold, a.Epoch.Unix())]++
		return nil
	}
	count := func(what string) int { mu.Lock(); defer mu.Unlock(); return got[what] }
	subject := usage.Subject{Account: 5}
	terms := usage.Terms{PerMonth: 100, Epoch: time.Unix(1, 0)}
	call := func(n uint32) {
		w.meters[0].Record(w.meters[0].Key(1, 5), customer.EndpointLookup, customer.Charged, n, netip.Addr{}, "")
	}
	w.start(0)
	defer func() { w.stop(0) }()
	w.meters[0].SetTerms(subject, terms)
	call(49)
	until(t, func() bool { return w.total(0, usage.Query{}) == 49 }, func() string { return "not counted" })
	call(1)
	until(t, func() bool { return count("month 50 1") == 1 }, func() string { return fmt.Sprint("no alert at 50: ", got) })
	call(41)
	until(t, func() bool { return count("month 90 1") == 1 }, func() string { return fmt.Sprint("no alert at 90: ", got) })
	w.stop(0) // a restart says nothing again
	w.start(0)
	w.meters[0].SetTerms(subject, terms)
	call(1)
	until(t, func() bool { return w.total(0, usage.Query{}) == 92 }, func() string { return "not counted" })
	terms.PerMonth, terms.Epoch = 184, time.Unix(2, 0) // an upgrade: 92 are half
	w.meters[0].SetTerms(subject, terms)
	until(t, func() bool { return count("month 50 2") == 1 }, func() string { return fmt.Sprint("no alert after the upgrade: ", got) })
	call(1000)
	until(t, func() bool { return count("month 100 2") == 1 }, func() string { return fmt.Sprint("no alert at 100: ", got) })
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 4 {
		t.Errorf("alerts: %v", got)
	}
	for what, n := range got {
		if n != 1 {
			t.Errorf("%s was raised %d times", what, n)
		}
	}
}

func TestMemoryStore(t *testing.T) {
	var s usage.MemoryStore
	usagetest.TestStore(t, &s, &s)
}

// Two processes with one store: one commits, and when it is gone the other goes on.
func TestOneStoreForTwo(t *testing.T) {
	var log wan.Log
	var store usage.MemoryStore
	dir := t.TempDir()
	start := func(name string) *usage.Meter {
		l, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, name), Region: "one", Keys: 256, Clients: 256, Referers: 64})
		if err != nil {
			t.Fatal(err)
		}
		m, err := usage.New(t.Context(), usage.Config{Ledger: l, Region: "one", Stream: &log, Store: &store, Freeze: 10 * time.Millisecond, Commit: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	a, b := start("a"), start("b")
	defer func() { b.Close() }()
	want := int64(0)
	count := func(m *usage.Meter) {
		for range 500 {
			m.Record(m.Key(7, 1), customer.EndpointLookup, customer.Charged, 1, netip.Addr{}, "")
			want++
		}
	}
	sum := func() (n int64) {
		_ = store.Rows(t.Context(), usage.Query{To: 1<<32 - 1}, func(_ usage.Row, c int64) bool { n += c; return true })
		return n
	}
	for range 5 {
		count(a)
		count(b)
		until(t, func() bool { return sum() == want }, func() string { return fmt.Sprintf("the store has %d, want %d", sum(), want) })
	}
	first, second := a, b
	if a.Stats().Behind > 0 {
		first, second = b, a
	}
	first.Close()
	b = second
	count(second)
	until(t, func() bool { return sum() == want }, func() string {
		return fmt.Sprintf("with one process the store has %d, want %d; %+v", sum(), want, second.Stats())
	})
	if q := second.Standing(usage.Subject{Account: 1}).Quota(); q.Month.Used != want {
		t.Errorf("it stands at %d, want %d", q.Month.Used, want)
	}
}

// Who follows another process's commits learns what a Subject used before, though the
// store has batches that it has not read: each is counted once.
func TestRecallOfFollower(t *testing.T) {
	w := newWorld(t, 2, time.Millisecond)
	w.stop(1)
	w.stores[1] = w.stores[0]
	w.start(1)
	w.views[1][0].Cut(true)
	count := func(account customer.AccountID, n uint32) {
		w.meters[0].Record(w.meters[0].Key(customer.KeyID(account), account), customer.EndpointLookup, customer.Charged, n, netip.Addr{}, "")
	}
	stored := func(account customer.AccountID) (n int64) {
		_ = w.stores[0].Rows(t.Context(), usage.Query{Account: account, To: 1<<32 - 1}, func(_ usage.Row, c int64) bool { n += c; return true })
		return n
	}
	count(5, 1000)
	until(t, func() bool { return stored(5) == 1000 }, func() string { return "nobody commits" })
	subject, key := usage.Subject{Account: 5}, usage.Subject{Account: 5, Key: 5}
	terms := usage.Terms{PerMonth: 1 << 40, Window: customer.Rolling}
	w.meters[1].SetTerms(subject, terms)
	w.meters[1].SetTerms(key, terms)
	w.views[1][0].Cut(false)
	count(6, 1)
	used := func(s usage.Subject) int64 { return w.meters[1].Standing(s).Quota().Month.Used }
	until(t, func() bool { return used(usage.Subject{Account: 6}) == 1 && used(subject) >= 1000 && used(key) >= 1000 }, func() string { return "the follower does not catch up" })
	if a, k := used(subject), used(key); a != 1000 || k != 1000 {
		t.Errorf("the account stands at %d and the key at %d, want 1000", a, k)
	}
}
