package usage

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// A Key is where the calls of one key are counted on this node.
type Key struct {
	ledger.Key
	counts *[customer.NumEndpoints][customer.NumClasses]atomic.Int64 // of Memory
}

// Memory counts in this process alone, and forgets with it: for tests, and for who
// wants quotas and no books.
type Memory struct {
	now func() time.Time

	mu        sync.Mutex
	keys      map[customer.KeyID]*Key    // guarded by mu
	standings map[Subject]*memoryAccount // guarded by mu
}

type memoryAccount struct {
	Standing
	terms      Terms
	day, month customer.Hour // first hours of the spans
}

// NewMemory returns an empty one. Nil is time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, keys: map[customer.KeyID]*Key{}, standings: map[Subject]*memoryAccount{}}
}

// Key returns where calls of a key are counted, found or made.
func (m *Memory) Key(id customer.KeyID, account customer.AccountID) *Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.keys[id]
	if k == nil {
		k = &Key{counts: new([customer.NumEndpoints][customer.NumClasses]atomic.Int64)}
		k.ID, k.Account = id, account
		m.keys[id] = k
	}
	return k
}

// Record counts n calls.
func (m *Memory) Record(k *Key, e customer.Endpoint, c customer.Class, n uint32, _ netip.Addr, _ string) {
	k.counts[e][c].Add(int64(n))
}

// Standing returns where a Subject stands, found or made; without terms it has no bound.
func (m *Memory) Standing(s Subject) *Standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &m.account(s).Standing
}

func (m *Memory) account(s Subject) *memoryAccount { // m.mu is held
	a := m.standings[s]
	if a == nil {
		a = &memoryAccount{}
		a.allowed.Store(math.MaxInt64)
		m.standings[s] = a
	}
	return a
}

// SetTerms says what a Subject may use from now on. What was used stays.
func (m *Memory) SetTerms(s Subject, t Terms) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.account(s)
	a.terms = t
	a.perDay.Store(t.PerDay)
	a.perMonth.Store(t.PerMonth)
	a.turn(m.now())
}

// Turn begins the spans anew whose time has come. Whoever has a Memory calls it each
// second or so.
func (m *Memory) Turn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.standings {
		a.turn(m.now())
	}
}

func (a *memoryAccount) turn(now time.Time) {
	spent := a.spent.Load()
	fresh := spent - a.known.Load()
	a.known.Store(spent)
	day, month := a.terms.Window.Day(now), a.terms.Window.Month(now)
	d, mo := a.Standing.day.Load()+fresh, a.Standing.month.Load()+fresh
	if day.First != a.day && a.day != 0 {
		d = 0
	}
	if month.First != a.month && a.month != 0 {
		mo = 0
	}
	a.day, a.month = day.First, month.First
	a.Standing.day.Store(d)
	a.Standing.month.Store(mo)
	a.dayReset.Store(day.Reset.Unix())
	a.monthReset.Store(month.Reset.Unix())
	left := int64(math.MaxInt64) - spent
	if a.terms.PerDay > 0 {
		left = min(left, a.terms.PerDay-d)
	}
	if a.terms.PerMonth > 0 {
		left = min(left, a.terms.PerMonth-mo)
	}
	a.allowed.Store(spent + left)
}
