// Package accounttest has the suite of the contract of account.Store. [TestStore] runs
// it on an empty store.
package accounttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

var day = time.Date(2026, 11, 21, 12, 0, 0, 123_456_000, time.UTC)

// NewKey is a key with something in every field.
func NewKey(id customer.AccountID) customer.Key {
	k := customer.Key{
		ID: customer.NewKeyID(), Account: id, Hint: "wxyz", Kind: customer.Publishable, Mode: customer.Test,
		Name: "Schlüssel, \"quoted\" '; DROP TABLE keys", Tags: []string{"web", "eu"}, Scopes: []string{customer.ScopeLookup, customer.ScopeUsage},
		Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		Origins:  []string{"https://example.com", "https://*.example.org"}, Endpoints: []string{"/v1/ip"},
		Limits:  []customer.Limit{{Name: "burst", Per: customer.PerSecond, N: 5}, {Name: "day", Per: customer.PerDay, N: 1 << 40}},
		Created: day, Expires: day.Add(1000 * time.Hour), Revoked: day.Add(10 * time.Hour), Ended: true, Replaces: customer.NewKeyID(),
	}
	for i := range k.Hash {
		k.Hash[i] = byte(rand.IntN(256))
	}
	return k
}

// NewAccount is an account with something in every field.
func NewAccount(email string) customer.Account {
	return customer.Account{
		ID: customer.NewAccountID(), Email: email, Verified: day.Add(time.Second), Status: customer.Suspended,
		Plan: "full", PlanFrom: day.Add(2 * time.Second), Created: day,
	}
}

var plan = customer.Plan{
	Name: "full", Title: "Full", PerDay: 1 << 50, PerMonth: 1 << 51, PerSecond: 7, Burst: 8,
	Fields: []string{"location.country_code", "asn.number"}, Bulk: 9, Window: customer.Rolling, Upgrade: "https://example.com/plans",
}

// TestStore runs the suite. open returns a store; each call is one more process on the
// same empty database.
func TestStore(t *testing.T, open func(t *testing.T) account.Store) {
	s := open(t)
	t.Run("Kept", func(t *testing.T) { testKept(t, s) })
	t.Run("NotFound", func(t *testing.T) { testNotFound(t, s) })
	t.Run("Exists", func(t *testing.T) { testExists(t, s) })
	t.Run("AllOrNothing", func(t *testing.T) { testAllOrNothing(t, s) })
	t.Run("Lists", func(t *testing.T) { testLists(t, s) })
	t.Run("Log", func(t *testing.T) { testLog(t, s) })
	t.Run("SignIn", func(t *testing.T) { testSignIn(t, s) })
	t.Run("SignInExpires", func(t *testing.T) { testSignInExpires(t, s) })
	t.Run("Changes", func(t *testing.T) { testChanges(t, s) })
	t.Run("Deletions", func(t *testing.T) { testDeletions(t, s) })
	t.Run("Alone", func(t *testing.T) { testAlone(t, open) })
	t.Run("Followers", func(t *testing.T) { testFollowers(t, open) })
}

func write(t *testing.T, s account.Store, f func(account.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s account.Store, f func(account.Tx) error) {
	t.Helper()
	if err := s.Read(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// same compares what was put with what is there.
func same[T any](t *testing.T, got T, err error, want T) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

// Everything that is put is there, also when it is put again with everything changed,
// and when nothing is in it.
func testKept(t *testing.T, s account.Store) {
	p, a := plan, NewAccount("Kept@Example.com")
	k := NewKey(a.ID)
	check := func() {
		t.Helper()
		write(t, s, func(tx account.Tx) error {
			return errors.Join(tx.PutPlan(&p), tx.PutAccount(&a), tx.PutKey(&k), tx.SetSetting("kept", a.Plan))
		})
		if p.Revision == 0 || a.Revision <= p.Revision || k.Revision <= a.Revision {
			t.Errorf("revisions %d, %d, %d do not grow", p.Revision, a.Revision, k.Revision)
		}
		read(t, s, func(tx account.Tx) error {
			gotPlan, err := tx.Plan(p.Name)
			same(t, gotPlan, err, p)
			gotAccount, err := tx.Account(a.ID)
			same(t, gotAccount, err, a)
			if a.Email != "" {
				gotAccount, err = tx.AccountByEmail(strings.ToLower(a.Email))
				same(t, gotAccount, err, a)
			}
			gotKey, err := tx.Key(k.ID)
			same(t, gotKey, err, k)
			gotKey, err = tx.KeyByHash(k.Hash)
			same(t, gotKey, err, k)
			keys, err := tx.Keys(a.ID)
			same(t, keys, err, []customer.Key{k})
			v, err := tx.Setting("kept")
			same(t, v, err, a.Plan)
			any, err := tx.AnyKey()
			same(t, any, err, true)
			return nil
		})
	}
	check()
	p = customer.Plan{Name: p.Name, Title: "Other"}
	a = customer.Account{ID: a.ID, Email: "other@example.com", Plan: p.Name, Created: day}
	k2 := NewKey(a.ID)
	k = customer.Key{ID: k.ID, Account: a.ID, Hash: k2.Hash, Created: day}
	check()
	a.Email, a.Status = "", customer.Deleted
	check()
	b := a
	b.ID = customer.NewAccountID() // another deleted one: it has no address either
	write(t, s, func(tx account.Tx) error { return tx.PutAccount(&b) })
}

func testNotFound(t *testing.T, s account.Store) {
	read(t, s, func(tx account.Tx) error {
		_, e1 := tx.Account(1)
		_, e2 := tx.AccountByEmail("nobody@example.com")
		_, e3 := tx.Key(1)
		_, e4 := tx.KeyByHash(customer.Hash{1})
		_, e5 := tx.Plan("none")
		_, e6 := tx.AccountByEmail("") // a deleted account is there without an address
		for i, err := range []error{e1, e2, e3, e4, e5, e6} {
			if !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%d: %v, want ErrNotFound", i, err)
			}
		}
		v, err := tx.Setting("none")
		same(t, v, err, "")
		keys, err := tx.Keys(1)
		same(t, keys, err, nil)
		return nil
	})
}

func testExists(t *testing.T, s account.Store) {
	a, b := NewAccount("Exists@example.com"), NewAccount("exists@EXAMPLE.com")
	k := NewKey(a.ID)
	write(t, s, func(tx account.Tx) error { return errors.Join(tx.PutAccount(&a), tx.PutKey(&k)) })
	if err := s.Write(t.Context(), func(tx account.Tx) error { return tx.PutAccount(&b) }); !errors.Is(err, account.ErrExists) {
		t.Errorf("two accounts with one address: %v, want ErrExists", err)
	}
	k.ID = customer.NewKeyID()
	if err := s.Write(t.Context(), func(tx account.Tx) error { return tx.PutKey(&k) }); !errors.Is(err, account.ErrExists) {
		t.Errorf("two keys with one hash: %v, want ErrExists", err)
	}
	orphan := NewKey(12345)
	if err := s.Write(t.Context(), func(tx account.Tx) error { return tx.PutKey(&orphan) }); err == nil {
		t.Error("a key of no account was put")
	}
}

func newest(t *testing.T, s account.Store) int64 {
	t.Helper()
	n, err := s.Changes(t.Context(), 0, func(*account.Changes) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testAllOrNothing(t *testing.T, s account.Store) {
	a := NewAccount("nothing@example.com")
	before := newest(t, s)
	own := errors.New("own")
	if err := s.Write(t.Context(), func(tx account.Tx) error {
		if err := tx.PutAccount(&a); err != nil {
			return err
		}
		return own
	}); !errors.Is(err, own) || errors.Is(err, account.ErrUnavailable) {
		t.Errorf("got %v, want the function's own error", err)
	}
	read(t, s, func(tx account.Tx) error {
		if _, err := tx.Account(a.ID); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("what failed was kept: %v", err)
		}
		return nil
	})
	if now := newest(t, s); now != before {
		t.Errorf("what failed was counted: revision %d, then %d", before, now)
	}
	func() {
		defer func() { _ = recover() }()
		_ = s.Write(t.Context(), func(tx account.Tx) error {
			_ = tx.PutAccount(&a)
			panic("a mistake in the program")
		})
	}()
	write(t, s, func(tx account.Tx) error { return tx.SetSetting("after a panic", "it goes on") })
}

func testLists(t *testing.T, s account.Store) {
	var want []customer.AccountID
	write(t, s, func(tx account.Tx) error {
		for i := range 25 {
			a := NewAccount(fmt.Sprintf("list%d@example.com", i))
			a.Plan, a.Created = "list", day.Add(time.Hour+time.Duration(i/3)*time.Minute) // three are of one age
			if err := tx.PutAccount(&a); err != nil {
				return err
			}
			want = append(want, a.ID)
		}
		return nil
	})
	var got []customer.AccountID
	read(t, s, func(tx account.Tx) error {
		n, err := tx.AccountsOn("list")
		same(t, n, err, 25)
		var after account.Cursor
		for {
			part, err := tx.Accounts(after, 4)
			if err != nil || len(part) > 4 {
				t.Fatalf("%d accounts, %v", len(part), err)
			}
			for _, a := range part {
				after = account.Cursor{Created: a.Created, ID: a.ID}
				if a.Plan == "list" {
					got = append(got, a.ID)
				}
			}
			if len(part) < 4 {
				return nil
			}
		}
	})
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("listed %d accounts, want %d, each once", len(got), len(want))
	}
}

func testLog(t *testing.T, s account.Store) {
	a := NewAccount("log@example.com")
	var want []account.Entry
	write(t, s, func(tx account.Tx) error {
		if err := tx.PutAccount(&a); err != nil {
			return err
		}
		for i := range 10 {
			e := account.Entry{At: day, Account: a.ID, Actor: "operator", Action: account.ActionAdd, Subject: "s", Detail: fmt.Sprint(i), Address: "192.0.2.1"}
			if err := tx.Log(&e); err != nil {
				return err
			}
			want = append(want, e)
		}
		return tx.Log(&account.Entry{At: day, Actor: "operator", Action: account.ActionPlanSet, Subject: "full"})
	})
	slices.Reverse(want)
	read(t, s, func(tx account.Tx) error {
		got, err := tx.Entries(a.ID, 0, 4)
		same(t, got, err, want[:4])
		got, err = tx.Entries(a.ID, got[3].ID, 100)
		same(t, got, err, want[4:])
		got, err = tx.Entries(0, 0, 1)
		if err != nil || len(got) != 1 || got[0].Action != account.ActionPlanSet || got[0].ID <= want[0].ID {
			t.Errorf("the newest of all is %+v, %v", got, err)
		}
		return nil
	})
	write(t, s, func(tx account.Tx) error { return tx.Forget(a.ID) })
	read(t, s, func(tx account.Tx) error {
		got, err := tx.Entries(a.ID, 0, 100)
		if err != nil || len(got) != 10 || got[0].Detail != "" || got[0].Address != "" || got[0].Action == "" {
			t.Errorf("after an account is forgotten its log is %+v, %v", got, err)
		}
		return nil
	})
}

// after collects what changed.
func after(t *testing.T, s account.Store, since int64) (all account.Changes, newest int64) {
	t.Helper()
	newest, err := s.Changes(t.Context(), since, func(c *account.Changes) error {
		all.Plans, all.Accounts, all.Keys = append(all.Plans, c.Plans...), append(all.Accounts, c.Accounts...), append(all.Keys, c.Keys...)
		all.DeletedKeys, all.DeletedPlans = append(all.DeletedKeys, c.DeletedKeys...), append(all.DeletedPlans, c.DeletedPlans...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, newest
}

func testChanges(t *testing.T, s account.Store) {
	since := newest(t, s)
	if c, n := after(t, s, since); n != since || !reflect.DeepEqual(c, account.Changes{}) {
		t.Errorf("nothing changed, and got %+v, %d after %d", c, n, since)
	}
	p, a := plan, NewAccount("changes@example.com")
	p.Name = "changes"
	k, other := NewKey(a.ID), NewKey(a.ID)
	write(t, s, func(tx account.Tx) error {
		return errors.Join(tx.PutAccount(&a), tx.PutPlan(&p), tx.PutKey(&k), tx.PutKey(&other), tx.Log(&account.Entry{At: day}), tx.SetSetting("a", "b"))
	})
	c, n := after(t, s, since)
	want := account.Changes{Plans: []customer.Plan{p}, Accounts: []customer.Account{a}, Keys: []customer.Key{k, other}}
	same(t, c, nil, want)
	if n != other.Revision {
		t.Errorf("the newest revision is %d; want %d", n, other.Revision)
	}
	// Changed twice: told once, as it is.
	k.Name = "one"
	write(t, s, func(tx account.Tx) error { return tx.PutKey(&k) })
	k.Name = "two"
	write(t, s, func(tx account.Tx) error { return tx.PutKey(&k) })
	c, _ = after(t, s, n)
	same(t, c, nil, account.Changes{Keys: []customer.Key{k}})
	// Gone: told to who may have it, not to who begins.
	write(t, s, func(tx account.Tx) error {
		return errors.Join(tx.DeleteKey(k, day), tx.DeletePlan(p.Name, day))
	})
	c, _ = after(t, s, n)
	same(t, c, nil, account.Changes{DeletedKeys: []account.DeletedKey{{ID: k.ID, Hash: k.Hash}}, DeletedPlans: []string{p.Name}})
	c, _ = after(t, s, 0)
	if len(c.DeletedKeys)+len(c.DeletedPlans) > 0 || slices.ContainsFunc(c.Keys, func(has customer.Key) bool { return has.ID == k.ID }) {
		t.Error("who begins is told of what is gone")
	}
	// There again.
	write(t, s, func(tx account.Tx) error { return tx.PutPlan(&p) })
	c, _ = after(t, s, n)
	same(t, c, nil, account.Changes{Plans: []customer.Plan{p}, DeletedKeys: []account.DeletedKey{{ID: k.ID, Hash: k.Hash}}})
	// From elsewhere: a store that was put back to an older copy of itself.
	_, err := s.Changes(t.Context(), newest(t, s)+1, func(*account.Changes) error { return nil })
	if !errors.Is(err, account.ErrForgotten) {
		t.Errorf("changes since a revision to come: %v, want ErrForgotten", err)
	}
	own := errors.New("own")
	if _, err := s.Changes(t.Context(), 0, func(*account.Changes) error { return own }); !errors.Is(err, own) {
		t.Errorf("got %v, want the function's own error", err)
	}
}

func testDeletions(t *testing.T, s account.Store) {
	a := NewAccount("deletions@example.com")
	first, second := NewKey(a.ID), NewKey(a.ID)
	write(t, s, func(tx account.Tx) error {
		return errors.Join(tx.PutAccount(&a), tx.PutKey(&first), tx.PutKey(&second))
	})
	since := newest(t, s)
	write(t, s, func(tx account.Tx) error { return tx.DeleteKey(first, day.Add(100*time.Hour)) })
	between := newest(t, s)
	write(t, s, func(tx account.Tx) error { return tx.DeleteKey(second, day.Add(300*time.Hour)) })
	write(t, s, func(tx account.Tx) error { return tx.ForgetDeletions(day.Add(200 * time.Hour)) })
	if _, err := s.Changes(t.Context(), since, func(*account.Changes) error { return nil }); !errors.Is(err, account.ErrForgotten) {
		t.Errorf("changes since what was forgotten: %v, want ErrForgotten", err)
	}
	c, _ := after(t, s, between)
	same(t, c.DeletedKeys, nil, []account.DeletedKey{{ID: second.ID, Hash: second.Hash}})
	write(t, s, func(tx account.Tx) error { return tx.ForgetDeletions(day.Add(200 * time.Hour)) }) // nothing to forget
	after(t, s, between)
}

// What a writer reads stays so until it is done, whoever else writes.
func testAlone(t *testing.T, open func(*testing.T) account.Store) {
	const writers, turns = 4, 15
	var all sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		s := open(t)
		all.Go(func() {
			for range turns {
				errs[i] = errors.Join(errs[i], s.Write(t.Context(), func(tx account.Tx) error {
					v, err := tx.Setting("alone")
					if err != nil {
						return err
					}
					return tx.SetSetting("alone", v+"x")
				}))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	read(t, open(t), func(tx account.Tx) error {
		v, err := tx.Setting("alone")
		same(t, len(v), err, writers*turns)
		return nil
	})
}

// Who follows the changes while several processes write sees each of them.
func testFollowers(t *testing.T, open func(*testing.T) account.Store) {
	s := open(t)
	a := NewAccount("followers@example.com")
	write(t, s, func(tx account.Tx) error { return tx.PutAccount(&a) })
	since := newest(t, s)
	const writers, turns = 4, 15
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writing, following sync.WaitGroup
	errs := make([]error, writers+1)
	want := make([][]customer.KeyID, writers)
	for i := range writers {
		s := open(t)
		writing.Go(func() {
			for range turns {
				k, l := NewKey(a.ID), NewKey(a.ID)
				want[i] = append(want[i], k.ID, l.ID)
				errs[i] = errors.Join(errs[i], s.Write(t.Context(), func(tx account.Tx) error {
					return errors.Join(tx.PutKey(&k), tx.PutKey(&l))
				}))
			}
		})
	}
	seen := map[customer.KeyID]int{}
	follow := func() error {
		n, err := s.Changes(t.Context(), since, func(c *account.Changes) error {
			for _, k := range c.Keys {
				seen[k.ID]++
			}
			return nil
		})
		if err == nil {
			since = n
		}
		return err
	}
	following.Go(func() {
		for ctx.Err() == nil && errs[writers] == nil {
			errs[writers] = follow()
		}
	})
	writing.Wait()
	cancel()
	following.Wait()
	if err := errors.Join(append(errs, follow())...); err != nil {
		t.Fatal(err)
	}
	for _, ids := range want {
		for _, id := range ids {
			if seen[id] != 1 {
				t.Errorf("%s was seen %d times; want once", id, seen[id])
			}
		}
	}
}
