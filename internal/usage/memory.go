package usage

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// A Key is where the calls of one key are counted on this node.
type Key struct{ ledger.Key }

// NewKey returns the Key of an identifier; two of one key count in the same place.
func NewKey(id customer.KeyID, account customer.AccountID) (k Key) {
	k.ID, k.Account = id, account
	return k
}

// Copy returns another of the same key, while this one is used.
func (k *Key) Copy() Key { return Key{k.Key.Copy()} }

// Memory counts in this process alone, and forgets with it: for tests, and for who
// wants quotas and no books.
type Memory struct {
	now func() time.Time

	mu       sync.Mutex
	accounts accounts // guarded by mu
}

// NewMemory returns an empty one. Nil is time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now}
}

// Key returns where calls of a key are counted.
func (m *Memory) Key(id customer.KeyID, account customer.AccountID) *Key {
	k := NewKey(id, account)
	return &k
}

// Expect expects nothing.
func (m *Memory) Expect(*Expected, *Key, customer.Endpoint, customer.Class, netip.Addr, string) {}

// RecordExpected counts nothing: a Memory keeps what was admitted, and no books.
func (m *Memory) RecordExpected(*Key, customer.Endpoint, customer.Class, uint32, *Expected) {}

// Standing returns where a Subject stands, found or made; without terms it has no bound.
func (m *Memory) Standing(s Subject) *Standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &m.account(s).Standing
}

func (m *Memory) account(s Subject) *account { // m.mu is held
	a := m.accounts.find(s)
	if a == nil {
		a = m.accounts.make(s)
		a.allowed.Store(math.MaxInt64)
		a.tally = &tally{}
	}
	return a
}

// Directory gives Standings by their numbers.
func (m *Memory) Directory() *Directory { return &m.accounts.Directory }

// SetTerms says what a Subject may use from now on. What was used stays.
func (m *Memory) SetTerms(s Subject, t Terms) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.account(s)
	a.epoch = epochOf(t.Epoch)
	a.bounds.Store(m.accounts.of(terms{t.PerDay, t.PerMonth, t.Window}))
	a.renew(m.now())
}

// Each calls yield with all Subjects that are known, and their terms. Nothing of the
// Memory may be called in it.
func (m *Memory) Each(yield func(Subject, *Standing, Terms) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a := range m.accounts.all() {
		b := a.bounds.Load()
		if !yield(a.subject, &a.Standing, Terms{b.perDay, b.perMonth, b.window, a.since()}) {
			return
		}
	}
}

// Turn begins the spans anew whose time has come. Whoever has a Memory calls it each
// second or so.
func (m *Memory) Turn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a := range m.accounts.all() {
		a.renew(m.now())
	}
}

// renew reckons a Memory's account: all that was admitted was used.
func (a *account) renew(now time.Time) {
	t := a.tally
	spent := a.spent.Load()
	t.day += spent - a.known.Load()
	t.month += spent - a.known.Load()
	a.known.Store(spent)
	b := a.bounds.Load()
	day, month := b.window.Day(now), b.window.Month(now)
	b.turn(day, month)
	if day.First != t.dayFirst && t.dayFirst != 0 {
		t.day = 0
	}
	if month.First != t.monthFirst && t.monthFirst != 0 {
		t.month = 0
	}
	t.dayFirst, t.monthFirst = day.First, month.First
	a.day.Store(t.day)
	a.month.Store(t.month)
	a.allowed.Store(spent + min(a.left(), math.MaxInt64-spent))
}
