package account_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/sqlite"
)

// world is a Service with a clock that the test sets.
type world struct {
	*account.Service
	store account.Store
	now   time.Time
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func hash(text string) (h customer.Hash) {
	sum := sha256.Sum256([]byte(text))
	copy(h[:], sum[:])
	return h
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{store: accountsql.New(db), now: start}
	w.Service, err = account.New(account.Config{Store: w.store, Hash: hash, Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) add(t *testing.T, email string) customer.Account {
	t.Helper()
	a, err := w.Add(t.Context(), "test", account.NewAccount{Email: email})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) key(t *testing.T, id customer.AccountID, spec account.KeySpec) (customer.Key, string) {
	t.Helper()
	k, text, err := w.NewKey(t.Context(), "test", id, spec)
	if err != nil {
		t.Fatal(err)
	}
	return k, text
}

// isConflict wants an account.Conflict with part in its words.
func isConflict(t *testing.T, err error, part string) {
	t.Helper()
	var c *account.Conflict
	if !errors.As(err, &c) || !strings.Contains(c.Message, part) {
		t.Errorf("got %v, want a conflict with %q", err, part)
	}
}

// isInvalid wants mistakes of just these fields, in their order.
func isInvalid(t *testing.T, err error, fields ...string) {
	t.Helper()
	var wrong account.Invalid
	if !errors.As(err, &wrong) {
		t.Errorf("got %v, want mistakes of %v", err, fields)
		return
	}
	var got []string
	for _, m := range wrong {
		got = append(got, m.Field)
	}
	if !slices.Equal(got, fields) {
		t.Errorf("got mistakes of %v, want %v:\n%v", got, fields, err)
	}
}

// The text of a key is returned, and nothing of it is kept but a hash and its end.
func TestKeyTextIsNowhere(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, "ada@example.com")
	k, text := w.key(t, a.ID, account.KeySpec{Name: "web"})
	if _, _, err := customer.ParseKey(text); err != nil {
		t.Fatal(err)
	}
	if k.Hash != hash(text) || k.Hint != text[len(text)-4:] {
		t.Errorf("the key has the hash %x and the hint %q", k.Hash, k.Hint)
	}
	got, err := w.FindKey(t.Context(), " "+text+"\n")
	if err != nil || got.ID != k.ID {
		t.Errorf("its text finds %v, %v", got.ID, err)
	}
	x, err := w.Export(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal(account.ViewExport(&x, w.now))
	if err != nil {
		t.Fatal(err)
	}
	if random := text[12:36]; strings.Contains(string(all), random) || !strings.Contains(string(all), k.ID.String()) {
		t.Errorf("the export is %s", all)
	}
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, "ada@example.com")
	spec := account.KeySpec{
		Kind: customer.Publishable, Name: "page", Tags: []string{"x"}, Origins: []string{"https://example.com"},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Limits: []customer.Limit{{Name: "m", Per: customer.PerMinute, N: 5}},
		Expires: start.Add(100 * 24 * time.Hour),
	}
	k, text := w.key(t, a.ID, spec)
	old, fresh, newText, err := w.RotateKey(t.Context(), "test", k.ID, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if newText == text || fresh.Replaces != k.ID || fresh.ID == k.ID || !old.Revoked.Equal(start.Add(24*time.Hour)) {
		t.Errorf("rotation made %+v of %+v", fresh, old)
	}
	was, is := account.SpecOf(&old), account.SpecOf(&fresh)
	if was.String() != is.String() {
		t.Errorf("the new key is %s, the old one %s", is.String(), was.String())
	}
	for _, c := range []struct {
		after time.Duration
		state string
	}{{0, "ending"}, {24*time.Hour - time.Microsecond, "ending"}, {24 * time.Hour, "revoked"}} {
		if got := account.State(&old, start.Add(c.after)); got != c.state {
			t.Errorf("the old key is %s after %v, want %s", got, c.after, c.state)
		}
	}
	_, _, _, err = w.RotateKey(t.Context(), "test", k.ID, time.Hour)
	isConflict(t, err, "is being replaced already")
	w.now = start.Add(25 * time.Hour)
	_, _, _, err = w.RotateKey(t.Context(), "test", k.ID, time.Hour)
	isConflict(t, err, "has ended")
	_, _, _, err = w.RotateKey(t.Context(), "test", fresh.ID, account.MaxOverlap+1)
	isInvalid(t, err, "overlap")
}

// A revocation never makes a key live longer.
func TestRevocation(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, "ada@example.com")
	k, _ := w.key(t, a.ID, account.KeySpec{})
	k, err := w.RevokeKey(t.Context(), "test", k.ID, time.Hour, "")
	if err != nil || !k.Revoked.Equal(start.Add(time.Hour)) {
		t.Fatal(k.Revoked, err)
	}
	if k, err = w.RevokeKey(t.Context(), "test", k.ID, 2*time.Hour, ""); err != nil || !k.Revoked.Equal(start.Add(time.Hour)) {
		t.Errorf("a later revocation moved the end to %v, %v", k.Revoked, err)
	}
	if k, err = w.RevokeKey(t.Context(), "test", k.ID, 0, "leaked"); err != nil || !k.Revoked.Equal(start) || !k.Ended {
		t.Errorf("an earlier revocation left the end at %v, %v", k.Revoked, err)
	}
	_, err = w.ChangeKey(t.Context(), "test", k.ID, func(s *account.KeySpec) { s.Name = "x" })
	isConflict(t, err, "has ended")
	_, err = w.RevokeKey(t.Context(), "test", 1, 0, "")
	if !errors.Is(err, account.ErrNotFound) {
		t.Errorf("no such key: %v", err)
	}
}

func TestChanging(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, "ada@example.com")
	k, _ := w.key(t, a.ID, account.KeySpec{Name: "one"})
	same, err := w.ChangeKey(t.Context(), "test", k.ID, func(s *account.KeySpec) { s.Name = "one" })
	if err != nil || same.Revision != k.Revision {
		t.Errorf("nothing was changed, and the revision went from %d to %d, %v", k.Revision, same.Revision, err)
	}
	changed, err := w.ChangeKey(t.Context(), "test", k.ID, func(s *account.KeySpec) {
		s.Kind, s.Mode = customer.Publishable, customer.Test // which cannot change
		s.Origins = []string{"HTTPS://Example.com/", "https://example.com"}
		s.Tags = []string{"a", "a"}
	})
	if err != nil || changed.Revision <= k.Revision || changed.Kind != customer.Secret || changed.Mode != customer.Live ||
		!slices.Equal(changed.Origins, []string{"https://example.com"}) || !slices.Equal(changed.Tags, []string{"a"}) || changed.Hash != k.Hash {
		t.Errorf("changed to %+v, %v", changed, err)
	}
}

// Every mistake is said, and nothing is made.
func TestMistakes(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, "ada@example.com")
	_, _, err := w.NewKey(t.Context(), "test", a.ID, account.KeySpec{
		Kind: customer.Publishable, Name: "a\x1b[2J", Tags: []string{""}, Scopes: []string{"keys", "root"},
		Networks:  []netip.Prefix{{}, netip.MustParsePrefix("::ffff:1.2.3.4/120"), netip.MustParsePrefix("10.0.0.1/8")},
		Endpoints: []string{"v1"}, Limits: []customer.Limit{{Name: "a b", Per: 9}, {Name: "a b", N: 1}},
		Expires: start,
	})
	isInvalid(t, err, "name", "tags", "scopes", "networks", "networks", "networks", "origins", "scopes", "endpoints", "limits", "limits", "limits", "limits", "expires")
	_, _, err = w.NewKey(t.Context(), "test", a.ID, account.KeySpec{Limits: []customer.Limit{
		{Name: "strict", Per: customer.PerDay, N: 1},
		{Name: "lax", Per: customer.PerDay, N: 9},
		{Name: "a", Per: customer.PerMonth, N: 9},
		{Name: "b", Per: customer.PerMinute, N: 1},
		{Name: "c", Per: customer.PerMinute, N: 2},
	}})
	isInvalid(t, err, "limits") // of a day only
	for _, origin := range []string{
		"example.com", "ftp://example.com", "https://", "https://*", "https://a.*.com", "https://u@example.com", "https://example.com/path",
		"https://example.com?q", "https://example.com#f", "https://exa mple.com", "https://exämple.com", "https://*.*.example.com", "javascript:alert(1)", "null",
	} {
		_, _, err := w.NewKey(t.Context(), "test", a.ID, account.KeySpec{Origins: []string{origin}})
		if isInvalid(t, err, "origins"); t.Failed() {
			t.Fatalf("the origin is %q", origin)
		}
	}
	for _, origin := range []string{"https://example.com", "http://localhost:3000", "https://*.example.com", "https://xn--exmple-cua.com", "https://[2001:db8::1]:8443"} {
		if _, _, err := w.NewKey(t.Context(), "test", a.ID, account.KeySpec{Origins: []string{origin}}); err != nil {
			t.Errorf("the origin %q: %v", origin, err)
		}
	}
	for _, email := range []string{"", "ada", "@example.com", "ada@", "a@b@c", "ada @example.com", "ada@example.com\nBcc: x@example.com", "<ada@example.com>", "ada@.example", "ada@example.", "ada@a..b", strings.Repeat("a", 251) + "@b.c", "\u202eada@example.com", "ada\xff@example.com"} {
		if _, err := w.Add(t.Context(), "test", account.NewAccount{Email: email}); err == nil {
			t.Errorf("the e-mail address %q was taken", email)
		}
	}
	for _, email := range []string{"ada+x@example.com", "a.b@sub.example.com", "ädä@exämple.com", "o'brien@example.com"} {
		w.add(t, email)
	}
	err = w.PutPlans(t.Context(), "test", []customer.Plan{
		{Name: "Big Plan"}, {Name: "a", PerDay: -1, Burst: 5, Upgrade: "javascript:alert(1)", Fields: []string{"A b"}}, {Name: "b"}, {Name: "b", PerDay: 2, PerMonth: 1},
	})
	isInvalid(t, err, "name", "a: per_day", "a: burst", "a: fields", "a: upgrade", "b: per_month", "b")
	if plans, err := w.Plans(t.Context()); err != nil || len(plans) != 3 {
		t.Errorf("there are %d plans, %v; want the 3 of the start", len(plans), err)
	}
}

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, " Ada@Example.com ")
	if _, err := w.Add(t.Context(), "test", account.NewAccount{Email: "ada@example.com"}); err == nil {
		t.Error("two accounts with one address")
	}
	for _, text := range []string{a.ID.String(), "ADA@example.com"} {
		if got, err := w.Find(t.Context(), text); err != nil || got.ID != a.ID || got.Email != "Ada@Example.com" || got.Plan != account.DefaultPlan || !got.PlanFrom.Equal(start) {
			t.Errorf("Find(%q) = %+v, %v", text, got, err)
		}
	}
	w.now = start.Add(time.Hour)
	got, err := w.SetPlan(t.Context(), "test", a.ID, "standard")
	if err != nil || got.Plan != "standard" || !got.PlanFrom.Equal(w.now) {
		t.Errorf("SetPlan: %+v, %v", got, err)
	}
	again, err := w.SetPlan(t.Context(), "test", a.ID, "standard")
	if err != nil || again != got {
		t.Errorf("the same plan again: %+v, %v", again, err)
	}
	if _, err := w.SetPlan(t.Context(), "test", a.ID, "gold"); !errors.Is(err, account.ErrNotFound) || !strings.Contains(err.Error(), "there are free, standard, unlimited") {
		t.Errorf("no such plan: %v", err)
	}
	if got, err = w.Suspend(t.Context(), "test", a.ID, "unpaid"); err != nil || got.Status != customer.Suspended {
		t.Errorf("Suspend: %+v, %v", got, err)
	}
	if got, err = w.Resume(t.Context(), "test", a.ID, ""); err != nil || got.Status != customer.Active {
		t.Errorf("Resume: %+v, %v", got, err)
	}
	err = w.RemovePlan(t.Context(), "test", "standard")
	isConflict(t, err, "1 accounts are on the plan standard")
	k, text := w.key(t, a.ID, account.KeySpec{})
	revision := k.Revision
	if err := w.Delete(t.Context(), "test", a.ID); err != nil {
		t.Fatal(err)
	}
	var changes account.Changes
	if _, err := w.Changes(t.Context(), revision, func(c *account.Changes) error { changes = *c; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(changes.Accounts) != 1 || changes.Accounts[0].Status != customer.Deleted || changes.Accounts[0].Email != "" ||
		len(changes.DeletedKeys) != 1 || changes.DeletedKeys[0].Hash != hash(text) {
		t.Errorf("a deletion is told as %+v", changes)
	}
	if err := w.Delete(t.Context(), "test", a.ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, _, err := w.NewKey(t.Context(), "test", a.ID, account.KeySpec{}); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a key of a deleted account: %v", err)
	}
	if err := w.RemovePlan(t.Context(), "test", "standard"); err != nil {
		t.Errorf("a plan that only a deleted account is on: %v", err)
	}
	entries, err := w.Log(t.Context(), a.ID, 0, 100)
	if err != nil || len(entries) != 6 || entries[0].Action != account.ActionDelete {
		t.Errorf("the log has %d entries, %v: %+v", len(entries), err, entries)
	}
	for _, e := range entries[1:] {
		if e.Detail != "" {
			t.Errorf("the log still says %q", e.Detail)
		}
	}
	w.add(t, "ada@example.com") // the address is free again
}

func TestKeysAreBounded(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, "ada@example.com")
	const most = 20
	w.SetMaxKeys(most)
	keys := make([]customer.Key, 2*most-1)
	if err := w.store.Write(t.Context(), func(tx account.Tx) error {
		for i := range keys {
			k := &keys[i]
			*k = customer.Key{ID: customer.NewKeyID(), Account: a.ID, Hash: hash(customer.NewKeyText(0, 0)), Created: start}
			if i >= most-1 { // one less than the most are live
				k.Revoked = start.Add(time.Duration(i) * time.Second)
			}
			if err := tx.PutKey(k); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.now = start.Add(100 * time.Hour)
	w.key(t, a.ID, account.KeySpec{})
	_, _, err := w.NewKey(t.Context(), "test", a.ID, account.KeySpec{})
	isConflict(t, err, "may have no more")
	if _, err := w.RevokeKey(t.Context(), "test", keys[0].ID, 0, ""); err != nil {
		t.Fatal(err)
	}
	w.key(t, a.ID, account.KeySpec{})
	got, err := w.Keys(t.Context(), a.ID)
	if err != nil || len(got) != 2*most {
		t.Fatalf("there are %d keys, %v", len(got), err)
	}
	if first := keys[most-1].ID; slices.ContainsFunc(got, func(k customer.Key) bool { return k.ID == first }) {
		t.Error("the key that ended first is still there")
	}
}

// The default plans are made once, whoever is first.
func TestInit(t *testing.T) {
	w := newWorld(t)
	if err := w.RemovePlan(t.Context(), "test", "standard"); err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if plans, err := w.Plans(t.Context()); err != nil || len(plans) != 2 {
		t.Errorf("there are %d plans, %v; want 2", len(plans), err)
	}
}

func TestSecret(t *testing.T) {
	w := newWorld(t)
	a := w.add(t, "ada@example.com")
	dir := t.TempDir()
	// Several processes at once make one.
	var all sync.WaitGroup
	secrets, errs := make([][]byte, 4), make([]error, 4)
	for i := range secrets {
		all.Go(func() { secrets[i], errs[i] = w.Secret(t.Context(), dir) })
	}
	all.Wait()
	for i := range secrets {
		if errs[i] != nil || len(secrets[i]) != 32 || !slices.Equal(secrets[i], secrets[0]) {
			t.Fatalf("the secret is %x, %v", secrets[i], errs[i])
		}
	}
	name := account.SecretFile(dir)
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if rest, err := os.ReadDir(filepath.Dir(name)); err != nil || len(rest) != 1 {
		t.Errorf("beside the secret is %v, %v", rest, err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	w.key(t, a.ID, account.KeySpec{})
	refuses := func(dir, part string) {
		t.Helper()
		if _, err := w.Secret(t.Context(), dir); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q", err, part)
		}
	}
	other := t.TempDir()
	refuses(other, "is missing")
	if _, err := os.Stat(account.SecretFile(other)); err == nil {
		t.Error("another secret was made")
	}
	put := func(text string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(account.SecretFile(other)), 0o700),
			os.WriteFile(account.SecretFile(other), []byte(text), 0o600), os.Chmod(account.SecretFile(other), mode)); err != nil {
			t.Fatal(err)
		}
	}
	put(strings.Repeat("ab", 32), 0o600)
	refuses(other, "is not the secret of these accounts")
	put(string(text), 0o640)
	refuses(other, "others may read")
	put("short\n", 0o600)
	refuses(other, "does not have 64 hexadecimal digits")
	put(string(text), 0o600)
	if secret, err := w.Secret(t.Context(), other); err != nil || !slices.Equal(secret, secrets[0]) {
		t.Errorf("a copy of the secret: %v", err)
	}
}

// A document is swapped only for the one that was read, and the log says of it.
func TestDocument(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for _, c := range []struct {
		before, after string
		want          bool
	}{{"", "one", true}, {"", "two", false}, {"one", "two", true}} {
		if ok, err := w.SwapDocument(ctx, "shield", c.before, c.after, &account.Entry{Actor: "operator", Action: account.ActionShield, Subject: "shield"}); err != nil || ok != c.want {
			t.Errorf("%+v: %v, %v", c, ok, err)
		}
	}
	if text, err := w.Document(ctx, "shield"); err != nil || text != "two" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := w.Document(ctx, "another"); err != nil || text != "" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := w.SwapDocument(ctx, "shield", "two", strings.Repeat("x", 1<<20+1), nil); err == nil {
		t.Error("a document of any size is kept")
	}
	if log, err := w.Log(ctx, 0, 0, 10); err != nil || len(log) != 2 || log[0].Action != account.ActionShield {
		t.Errorf("%+v, %v", log, err)
	}
}
