package alert_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/alert"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/sqlite"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/sqlsums"
)

type world struct {
	*account.Service
	store *sqlsums.Store
	box   *mail.Outbox
	acc   customer.Account
	now   time.Time
	fail  error
}

func newWorld(t *testing.T) (*world, *alert.Teller) {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "accounts.db"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{store: sqlsums.New(db, ""), now: time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	if w.Service, err = account.New(account.Config{Store: accountsql.New(db), Now: clock}); err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.acc, err = w.Add(t.Context(), "test", account.NewAccount{Email: "ada@example.com", Verified: true}); err != nil {
		t.Fatal(err)
	}
	if w.box, err = mail.Open(mail.Config{Dir: filepath.Join(dir, "outbox"), Now: clock, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	teller, err := alert.New(alert.Config{Accounts: w.Service, Store: w.store, URL: "https://ip.example", Send: func(ctx context.Context, to string, l mail.Letter) error {
		if w.fail != nil {
			return w.fail
		}
		return w.box.Send(ctx, to, l)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w, teller
}

func (w *world) alert(threshold int) usage.Alert {
	return usage.Alert{
		Account: w.acc.ID, Epoch: w.acc.PlanFrom, Period: customer.PerDay, Span: customer.Calendar.Day(w.now).First,
		Threshold: threshold, Used: int64(threshold) * 15, Limit: 1500,
	}
}

func (w *world) letters(t *testing.T) []*mail.Mail {
	t.Helper()
	all, err := w.box.List(0)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLetter(t *testing.T) {
	w, teller := newWorld(t)
	if err := teller.Tell(t.Context(), w.alert(90)); err != nil {
		t.Fatal(err)
	}
	all := w.letters(t)
	if len(all) != 1 || all[0].To != "ada@example.com" || all[0].Subject != "90 % of your daily look-ups are used" {
		t.Fatalf("%+v", all)
	}
	for _, s := range []string{"Plan: Free", "Used: 1,350", "Limit: 1,500", "00:00 UTC on 22 November 2026", "https://ip.example/account/usage", "https://ip.example/account/limits"} {
		if !strings.Contains(all[0].Text, s) {
			t.Errorf("the letter does not say %q:\n%s", s, all[0].Text)
		}
	}
	if !all[0].Expires.Equal(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("it is sent until %v", all[0].Expires)
	}
}

// Who tells may die at any moment: before the letter, behind it, and before the store
// knows. The letter is there once.
func TestOnce(t *testing.T) {
	w, teller := newWorld(t)
	a := w.alert(50)
	if fresh, err := w.store.Raise(t.Context(), a); !fresh || err != nil {
		t.Fatal(fresh, err)
	}
	w.fail = errors.New("the disk is full")
	if err := teller.Tell(t.Context(), a); err == nil {
		t.Fatal("a letter that was not written was told")
	}
	w.fail = nil
	for range 3 { // it dies behind the letter, twice
		again, err := w.store.Untold(t.Context(), time.Now().Add(time.Hour), 10)
		if err != nil || len(again) != 1 {
			t.Fatalf("untold: %v, %v", again, err)
		}
		if err := teller.Tell(t.Context(), again[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.Told(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if again, err := w.store.Untold(t.Context(), time.Now().Add(time.Hour), 10); len(again) != 0 || err != nil {
		t.Errorf("untold: %v, %v", again, err)
	}
	if all := w.letters(t); len(all) != 1 {
		t.Errorf("%d letters", len(all))
	}
}

func TestChoice(t *testing.T) {
	w, teller := newWorld(t)
	set := func(percent ...int) {
		t.Helper()
		if err := w.SetAlerts(t.Context(), "test", w.acc.ID, percent); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(threshold, letters int) {
		t.Helper()
		if err := teller.Tell(t.Context(), w.alert(threshold)); err != nil {
			t.Fatal(err)
		}
		if got := len(w.letters(t)); got != letters {
			t.Errorf("after %d %%: %d letters, want %d", threshold, got, letters)
		}
	}
	set()
	tell(50, 0)
	tell(100, 0)
	set(50, 100)
	tell(90, 1) // for the 50 that were passed with it
	tell(90, 1)
	tell(100, 2)
	// What is of a plan that is no more is told nobody; nor whom nobody is.
	w.now = w.now.Add(time.Hour)
	if _, err := w.SetPlan(t.Context(), "test", w.acc.ID, "standard"); err != nil {
		t.Fatal(err)
	}
	tell(50, 2)
	if err := w.Delete(t.Context(), "test", w.acc.ID); err != nil {
		t.Fatal(err)
	}
	tell(50, 2)
	if err := w.SetAlerts(t.Context(), "test", w.acc.ID, []int{70}); err == nil {
		t.Error("70 % is no threshold")
	}
}
