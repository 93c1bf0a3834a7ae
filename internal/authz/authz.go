package authz

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/limit"
)

// Counts is what counts calls and holds quotas: [usage.Memory], or the ledger.
type Counts interface {
	// Standing returns where a quota stands, found or made. It is asked for when a key
	// or an account is learnt of.
	Standing(usage.Subject) *usage.Standing
	// SetTerms says what a Subject may use from now on.
	SetTerms(usage.Subject, usage.Terms)
	// Directory has them all.
	Directory() *usage.Directory
	// Each calls yield with all Subjects, until it says no.
	Each(yield func(usage.Subject, *usage.Standing, usage.Terms) bool)
	// Expect says that a call of class Charged or Tested was admitted, which is counted once
	// it is answered. It keeps in x whom it is counted of, and begins to fetch the memory.
	Expect(x *usage.Expected, k *usage.Key, e customer.Endpoint, c customer.Class, client netip.Addr, referer string)
	// RecordExpected counts n calls, on the way of a request: nanoseconds, no allocation. Of
	// another class than was expected they are counted by key.
	RecordExpected(k *usage.Key, e customer.Endpoint, c customer.Class, n uint32, x *usage.Expected)
}

// Config says what an [Authorizer] works with. The zero value is not usable.
type Config struct {
	// Hasher hashes keys as the store of them does. Required.
	Hasher *Hasher

	// Usage counts. Required.
	Usage Counts

	// NoAnonymous refuses calls without a key whatever the plans are.
	NoAnonymous bool

	// Shield says what is refused under attack, whatever the keys are. Default: nothing
	// is.
	Shield Shield

	// Networks is of how many networks the use without a key is remembered.
	// Default: 524,288, some 24 MiB, which are taken as they are used, once there is a
	// plan without a key.
	Networks int

	// Now is the clock that calls are stamped with. Default: time.Now.
	Now func() time.Time
}

// An Authorizer says whether keys may have answers. It is safe for concurrent use.
type Authorizer struct {
	hasher *Hasher
	usage  Counts
	where  *usage.Directory // of usage
	table  table
	start  time.Time // of the cells' clock
	now    func() time.Time
	counts [NumCodes]atomic.Int64

	tier   atomic.Pointer[tier] // nil: no call without a key
	memory *limit.Memory        // of calls without a key; made before the first tier is stored
	nobody usage.Key            // where they are counted
	seed   limit.Hasher
	salts  [2]limit.Salt

	noAnonymous bool
	networks    int
	shield      Shield
	stale       atomic.Pointer[time.Time] // since when changes cannot be read; nil while they can
	mu          sync.Mutex                // guards changes
	plans       plans
}

// New returns an Authorizer that knows no key. The error names every mistake in cfg.
func New(cfg Config) (*Authorizer, error) {
	var errs []error
	if cfg.Hasher == nil {
		errs = append(errs, errors.New("no Hasher: make one with NewHasher"))
	}
	if cfg.Usage == nil {
		errs = append(errs, errors.New("no Usage: make one with usage.NewMemory"))
	}
	if cfg.Networks < 0 || cfg.Networks > mostNetworks {
		errs = append(errs, fmt.Errorf("the number of Networks is %d; it is 0 for the default, or 1 to %d", cfg.Networks, mostNetworks))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("authz: %w", errors.Join(errs...))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Authorizer{hasher: cfg.Hasher, usage: cfg.Usage, where: cfg.Usage.Directory(), start: cfg.Now(), now: cfg.Now, noAnonymous: cfg.NoAnonymous, shield: cfg.Shield}
	a.plans.number = map[string]uint32{}
	a.nobody = usage.NewKey(customer.AnonymousKey, customer.AnonymousAccount)
	a.plans.list.Store(&[]*plan{nil})
	a.networks = cfg.Networks
	var seed [16]byte
	rand.Read(seed[:]) // never fails
	a.seed = limit.NewHasher(seed)
	for i, name := range [...]string{nameDay, nameSecond} {
		a.salts[i] = a.seed.Salt(limit.AppendPart(nil, name))
	}
	return a, nil
}

// Changes is what changed in a store. What is in it is whole: a key as it is now.
type Changes struct {
	Plans     []customer.Plan
	Accounts  []customer.Account
	Keys      []customer.Key
	GoneKeys  []customer.Hash // that are not even remembered as revoked
	GonePlans []string
}

// ErrForgotten is what a feed of changes returns when it no longer knows what was
// deleted since the revision that it was asked about.
var ErrForgotten = errors.New("authz: the changes since then are forgotten")

// A Feed calls f with what changed after a revision, in parts, and returns the newest
// revision. After 0 that is everything there is.
type Feed func(ctx context.Context, since int64, f func(*Changes) error) (newest int64, err error)

// Apply takes up changes. Calls that are under way go on as they began; those that
// begin after it returns see what it brought.
func (a *Authorizer) Apply(c *Changes) {
	a.mu.Lock()
	defer a.mu.Unlock()
	changed := map[uint32]*plan{}
	for _, p := range c.Plans {
		n := a.plans.of(p.Name)
		changed[n] = newPlan(p)
		a.plans.set(n, changed[n])
		if p.Name == AnonymousPlan && !a.noAnonymous {
			if a.memory == nil {
				a.memory = newMemory(a.networks)
			}
			a.tier.Store(newTier(p))
		}
	}
	for _, name := range c.GonePlans {
		// Accounts that are on it stay on what it was: who removes it moves them first.
		if name == AnonymousPlan {
			a.tier.Store(nil)
		}
	}
	a.setPlans(changed)
	for i := range c.Accounts {
		a.setAccount(&c.Accounts[i])
	}
	slots := make([]slot, 0, len(c.Keys))
	for i := range c.Keys {
		slots = append(slots, a.slot(&c.Keys[i]))
	}
	if len(slots)+len(c.GoneKeys) > 0 {
		a.table.replace(slots, c.GoneKeys)
	}
}

func (a *Authorizer) setAccount(c *customer.Account) {
	s := a.usage.Standing(usage.Subject{Account: c.ID})
	n := a.plans.of(c.Plan)
	terms := usage.Terms{Epoch: c.PlanFrom} // of one that comes
	if p := a.plans.at(n); p != nil {
		terms = p.terms(c.PlanFrom)
	}
	a.usage.SetTerms(usage.Subject{Account: c.ID}, terms)
	s.Desk.Plan.Store(n)
	s.Desk.Status.Store(uint32(c.Status))
}

// setPlans gives accounts the terms of plans that changed.
func (a *Authorizer) setPlans(changed map[uint32]*plan) {
	if len(changed) == 0 {
		return
	}
	type change struct {
		s usage.Subject
		t usage.Terms
	}
	var all []change
	a.usage.Each(func(s usage.Subject, at *usage.Standing, t usage.Terms) bool {
		if p := changed[at.Desk.Plan.Load()]; p != nil && s.Key == 0 {
			all = append(all, change{s, p.terms(t.Epoch)})
		}
		return true
	})
	for _, c := range all {
		a.usage.SetTerms(c.s, c.t)
	}
}

// slot makes the slot of a key.
func (a *Authorizer) slot(k *customer.Key) slot {
	s := slot{hash: words(k.Hash), Key: usage.NewKey(k.ID, k.Account), account: a.usage.Standing(usage.Subject{Account: k.Account}).Number(), flags: newFlags(k)}
	var revoked bool
	if s.ends, revoked = ends(k); revoked {
		s.flags |= flagRevoked
	}
	if k.Ended {
		s.flags |= flagEnded | flagRevoked
	}
	var before *detail
	if old, _, _ := a.table.find(s.hash, a.where); old != nil {
		before = old.detail
	}
	d, f := newDetail(k, before)
	s.detail = d
	s.flags |= f
	window := customer.Calendar
	if p := a.plans.at(a.where.At(s.account).Desk.Plan.Load()); p != nil {
		window = p.Window
	}
	if terms, ok := ownTerms(k, window); ok {
		subject := usage.Subject{Account: k.Account, Key: k.ID}
		a.usage.SetTerms(subject, terms)
		d.standing = a.usage.Standing(subject)
	}
	return s
}

// Len is how many keys are known, revoked ones among them.
func (a *Authorizer) Len() int { return int(a.table.n.Load()) }

// Refused is how many calls were refused for each reason since the start.
func (a *Authorizer) Refused(c Code) int64 { return a.counts[c].Load() }

// Follow takes up changes until ctx ends: every interval, and at once when notify
// says so, which may be nil. The first error is returned, before anything is served;
// later ones are logged, and what is known goes on to be used.
func (a *Authorizer) Follow(ctx context.Context, feed Feed, interval time.Duration, notify <-chan struct{}, log *slog.Logger) (done <-chan struct{}, err error) {
	revision, err := feed(ctx, 0, a.take)
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Compact()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		failing := false
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-notify:
			}
			newest, err := feed(ctx, revision, a.take)
			if errors.Is(err, ErrForgotten) {
				newest, err = a.renew(ctx, feed)
			}
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !failing {
					log.Error("changes of keys and plans cannot be read; what is known is used until they can", "error", err)
					since := a.now()
					a.stale.Store(&since)
				}
				failing = true
				continue
			case failing:
				failing = false
				a.stale.Store(nil)
				log.Info("changes of keys and plans can be read again")
			}
			revision = newest
		}
	}()
	return ended, nil
}

func (a *Authorizer) take(c *Changes) error {
	a.Apply(c)
	return nil
}

// renew takes up everything there is, and forgets the keys and plans that are not
// among it.
func (a *Authorizer) renew(ctx context.Context, feed Feed) (revision int64, err error) {
	keys, plans := map[[2]uint64]bool{}, map[string]bool{}
	revision, err = feed(ctx, 0, func(c *Changes) error {
		for i := range c.Keys {
			keys[words(c.Keys[i].Hash)] = true
		}
		for i := range c.Plans {
			plans[c.Plans[i].Name] = true
		}
		a.Apply(c)
		return nil
	})
	if err != nil {
		return 0, err
	}
	var gone Changes
	for i := range a.table.shards {
		for k := range a.table.shards[i].Load().all {
			if !keys[k.hash] {
				gone.GoneKeys = append(gone.GoneKeys, hashOf(k.hash))
			}
		}
	}
	a.mu.Lock()
	for name := range a.plans.number {
		if !plans[name] {
			gone.GonePlans = append(gone.GonePlans, name)
		}
	}
	a.mu.Unlock()
	a.Apply(&gone)
	return revision, nil
}

// Stale says since when changes of keys and plans cannot be read; the zero time while
// they can.
func (a *Authorizer) Stale() time.Time {
	if t := a.stale.Load(); t != nil {
		return *t
	}
	return time.Time{}
}
