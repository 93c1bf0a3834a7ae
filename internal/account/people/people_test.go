package people_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/database"
	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/sqlite"
)

// counted is a store that counts what it is asked.
type counted struct {
	account.Store
	mu            sync.Mutex
	reads, writes int
	statements    []string
}

func (c *counted) note(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statements = append(c.statements, name)
}

// take returns what was counted, and begins anew.
func (c *counted) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprint(c.reads, " reads, ", c.writes, " writes: ", c.statements)
	c.reads, c.writes, c.statements = 0, 0, nil
	return text
}

func (c *counted) Read(ctx context.Context, f func(account.Tx) error) error {
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return c.Store.Read(ctx, func(tx account.Tx) error { return f(&countedTx{tx, c}) })
}

func (c *counted) Write(ctx context.Context, f func(account.Tx) error) error {
	c.mu.Lock()
	c.writes++
	c.mu.Unlock()
	return c.Store.Write(ctx, func(tx account.Tx) error { return f(&countedTx{tx, c}) })
}

// countedTx counts the statements that who asks without a session causes. Rows that are
// put are one kind: which table it is nobody sees from outside.
type countedTx struct {
	account.Tx
	c *counted
}

func (t *countedTx) AccountByEmail(key string) (customer.Account, error) {
	t.c.note("account by e-mail")
	return t.Tx.AccountByEmail(key)
}

func (t *countedTx) Credential(id customer.AccountID) (account.Credential, error) {
	t.c.note("credential")
	return t.Tx.Credential(id)
}

func (t *countedTx) TOTP(id customer.AccountID) (account.TOTP, error) {
	t.c.note("totp")
	return t.Tx.TOTP(id)
}

func (t *countedTx) Device(d account.Digest) (account.Device, error) {
	t.c.note("device")
	return t.Tx.Device(d)
}

func (t *countedTx) SignUps(key string) ([]account.SignUp, error) {
	t.c.note("sign-ups")
	return t.Tx.SignUps(key)
}

func (t *countedTx) MailTokens(id customer.AccountID, purpose string) ([]account.MailToken, error) {
	t.c.note("tokens")
	return t.Tx.MailTokens(id, purpose)
}

func (t *countedTx) CountSignUps() (int64, error) { t.c.note("count"); return t.Tx.CountSignUps() }
func (t *countedTx) PutSignUp(s *account.SignUp) error {
	t.c.note("put")
	return t.Tx.PutSignUp(s)
}

func (t *countedTx) PutMailToken(m *account.MailToken) error {
	t.c.note("put")
	return t.Tx.PutMailToken(m)
}
func (t *countedTx) Log(e *account.Entry) error { t.c.note("log"); return t.Tx.Log(e) }

// world is a server with its mailboxes.
type world struct {
	*people.People
	t       *testing.T
	store   *counted
	service *account.Service

	mu      sync.Mutex
	now     time.Time
	letters []sent
}

type sent struct {
	to string
	mail.Letter
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// mailed returns the letters since the last call.
func (w *world) mailed() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.letters
	w.letters = nil
	return all
}

var tokenOf = regexp.MustCompile(`token=(ipw_mail_[a-z0-9]+)$`)

// token returns the token of the only letter since the last call, which is of a kind
// and to somebody.
func (w *world) token(kind, to string) string {
	w.t.Helper()
	all := w.mailed()
	if len(all) != 1 || all[0].Kind != kind || all[0].to != to {
		w.t.Fatalf("mailed %+v; want one %s to %s", all, kind, to)
	}
	m := tokenOf.FindStringSubmatch(all[0].Link.URL)
	if m == nil {
		w.t.Fatalf("the letter leads to %q", all[0].Link.URL)
	}
	return m[1]
}

func newWorld(t *testing.T, db *database.DB, change func(*people.Config)) *world {
	t.Helper()
	t.Cleanup(func() { db.Close() })
	w := &world{t: t, store: &counted{Store: accountsql.New(db)}, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	var err error
	w.service, err = account.New(account.Config{Store: w.store, Now: w.clock, Hash: func(text string) (h customer.Hash) { copy(h[:], text[len(text)-8:]); return h }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := people.Config{
		Accounts: w.service, Store: w.store, Secret: []byte(strings.Repeat("s", 32)), URL: "https://ip.example/", Name: "Example", Now: w.clock,
		Log: slog.New(slog.DiscardHandler), Refused: func(domain string) bool { return domain == "mailinator.com" },
		Send: func(_ context.Context, to string, l mail.Letter) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.letters = append(w.letters, sent{to, l})
			return nil
		},
	}
	if change != nil {
		change(&c)
	}
	if w.People, err = people.New(c); err != nil {
		t.Fatal(err)
	}
	w.Cheap()
	return w
}

func lite(t *testing.T) *database.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// both runs a test on each database.
func both(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) { f(t, newWorld(t, lite(t), nil)) })
	t.Run("postgres", func(t *testing.T) {
		db, err := postgres.Open(t.Context(), proxytest.NewPostgres(t).Create(t, "test"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		f(t, newWorld(t, db, nil))
	})
}

const (
	ada      = "Ada@Example.com"
	password = "three words are enough"
)

var visit = people.Visit{Address: netip.MustParseAddr("192.0.2.1"), Agent: "Firefox\x1b[31m"}

// account makes one, and returns who is signed in.
func (w *world) account(email string) (people.Session, people.Confirmed) {
	w.t.Helper()
	w.mailed()
	if err := w.SignUp(w.t.Context(), visit, email); err != nil {
		w.t.Fatal(err)
	}
	c, err := w.Confirm(w.t.Context(), visit, w.token("confirm", email), password)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mailed()
	return w.session(c.Session), c
}

func (w *world) session(text string) people.Session {
	w.t.Helper()
	s, err := w.Session(w.t.Context(), text)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// wants checks the code of an error.
func wants(t *testing.T, err error, code people.Code) {
	t.Helper()
	var e *people.Error
	if !errors.As(err, &e) || e.Code != code || e.Message == "" {
		t.Errorf("got %v; want %s", err, code)
	}
}

func invalid(t *testing.T, err error, field string) {
	t.Helper()
	var e account.Invalid
	if !errors.As(err, &e) || e[0].Field != field {
		t.Errorf("got %v; want a mistake in %s", err, field)
	}
}

// code is what the app shows.
func (w *world) code(secret string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// second gives the account a second factor.
func (w *world) second(s people.Session) (secret string, recovery []string) {
	w.t.Helper()
	setup, err := w.BeginTOTP(w.t.Context(), visit, s, password)
	if err != nil {
		w.t.Fatal(err)
	}
	if recovery, err = w.ConfirmTOTP(w.t.Context(), visit, s, w.code(setup.Secret)); err != nil {
		w.t.Fatal(err)
	}
	w.wait(time.Minute)
	w.mailed()
	return setup.Secret, recovery
}

// The whole way: from the form to the first key, out, and in again.
func TestSignUpToKey(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		if err := w.SignUp(ctx, visit, " "+ada+" "); err != nil {
			t.Fatal(err)
		}
		if _, err := w.service.Find(ctx, ada); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("there is an account before the address is confirmed: %v", err)
		}
		token := w.token("confirm", ada)
		if email, err := w.Peek(ctx, token); err != nil || email != ada {
			t.Errorf("the link is to %q, %v", email, err)
		}
		_, err := w.Confirm(ctx, visit, token, "short")
		invalid(t, err, "password")
		c, err := w.Confirm(ctx, visit, token, password)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(c.KeyText, "ipw_sk_live_") || c.Account.Email != ada || c.Account.Verified.IsZero() {
			t.Errorf("confirmed: %+v", c)
		}
		keys, err := w.service.Keys(ctx, c.Account.ID)
		if err != nil || len(keys) != 1 || keys[0].ID != c.Key.ID {
			t.Errorf("the keys are %v, %v", keys, err)
		}
		if l := w.mailed(); len(l) != 1 || l[0].Kind != "welcome" || strings.Contains(fmt.Sprint(l), c.KeyText) {
			t.Errorf("mailed %+v; want a welcome without the key", l)
		}
		_, err = w.Confirm(ctx, visit, token, password)
		wants(t, err, people.BadToken)
		_, err = w.Peek(ctx, token)
		wants(t, err, people.BadToken)

		s := w.session(c.Session)
		if s.Account.ID != c.Account.ID || s.Address != "192.0.2.1" || s.Agent != "Firefox[31m" {
			t.Errorf("the session is %+v", s)
		}
		if err := w.EndSession(ctx, visit, s, s.ID); err != nil {
			t.Fatal(err)
		}
		_, err = w.Session(ctx, c.Session)
		wants(t, err, people.NoSession)
		_, err = w.SignIn(ctx, visit, ada, password+"x")
		wants(t, err, people.BadSignIn)
		in, err := w.SignIn(ctx, visit, strings.ToUpper(ada), password)
		if err != nil || in.Session == "" || in.Session == c.Session || in.Ticket != "" {
			t.Fatalf("signed in: %+v, %v", in, err)
		}
		log, err := w.Log(ctx, w.session(in.Session), 0, 100)
		var actions []string
		for _, e := range log {
			actions = append(actions, e.Action)
			if e.Address != "192.0.2.1" {
				t.Errorf("%s came from %q", e.Action, e.Address)
			}
		}
		if got, want := strings.Join(actions, " "), "sign-in sign-out sign-in key.new account.confirm account.add"; err != nil || got != want {
			t.Errorf("the log says %s, %v; want %s", got, err, want)
		}
	})
}

// Nothing tells whether an address has an account: not the answer, not the work, not
// the number of letters.
func TestNoEnumeration(t *testing.T) {
	w := newWorld(t, lite(t), nil)
	ctx := t.Context()
	s, _ := w.account(ada)
	w.second(s)
	if _, err := w.service.Add(ctx, "operator", account.NewAccount{Email: "without@example.com", Verified: true}); err != nil {
		t.Fatal(err)
	}
	addresses := []string{ada, "without@example.com", "nobody@example.com"} // with a second factor, without a password, without an account
	for name, f := range map[string]func(email string) error{
		"sign up":  func(email string) error { return w.SignUp(ctx, visit, email) },
		"forgot":   func(email string) error { return w.Forgot(ctx, visit, email) },
		"sign in":  func(email string) error { _, err := w.SignIn(ctx, visit, email, "not the password"); return err },
		"too long": func(email string) error { _, err := w.SignIn(ctx, visit, email, strings.Repeat("x", 5000)); return err },
	} {
		var want string
		for _, email := range addresses {
			w.store.take()
			w.mailed()
			before := w.Hashed()
			err := f(email)
			letters := w.mailed()
			got := fmt.Sprintf("%v; %s; %d passwords; %d letters", err, w.store.take(), w.Hashed()-before, len(letters))
			for _, l := range letters {
				if account.EmailKey(l.to) != account.EmailKey(email) {
					t.Errorf("%s: a letter went to %s", name, l.to)
				}
			}
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s of %s:\n%s\nof %s:\n%s", name, email, got, addresses[0], want)
			}
		}
		t.Logf("%s: %s", name, want)
	}
	// Who is signed in learns nothing of others either.
	w.mailed()
	var want string
	for _, email := range []string{"without@example.com", "nobody@example.com"} {
		w.store.take()
		err := w.ChangeMail(ctx, visit, s, password, email)
		letters := w.mailed()
		pending, e2 := w.PendingMail(ctx, s)
		got := fmt.Sprint(err, w.store.take(), len(letters), pending != nil, e2)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("a change to %s: %s; want %s", email, got, want)
		}
	}
}

// However often somebody asks, a mailbox is not filled, and whatever is asked.
func TestLettersAreBounded(t *testing.T) {
	w := newWorld(t, lite(t), nil)
	w.account(ada)
	for _, email := range []string{ada, "nobody@example.com"} {
		for range 20 {
			if err := errors.Join(w.SignUp(t.Context(), visit, email), w.Forgot(t.Context(), visit, email)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.mailed()); n != 5 {
			t.Errorf("%s got %d letters; want 5", email, n)
		}
	}
	w.wait(people.ConfirmLife)
	if err := w.SignUp(t.Context(), visit, "nobody@example.com"); err != nil || len(w.mailed()) != 1 {
		t.Errorf("a day later: %v", err)
	}
}

func TestSignUpRefused(t *testing.T) {
	w := newWorld(t, lite(t), nil)
	for _, disposable := range []string{"x@Mailinator.com", "x@ｍailinator.com", "x@mailinator。com"} {
		invalid(t, w.SignUp(t.Context(), visit, disposable), "email")
	}
	invalid(t, w.SignUp(t.Context(), visit, "x"), "email")
	if n := len(w.mailed()); n != 0 {
		t.Errorf("%d letters", n)
	}
	closed := newWorld(t, lite(t), func(c *people.Config) { c.SignUpClosed = true })
	wants(t, closed.SignUp(t.Context(), visit, ada), people.Closed)
	if err := closed.Forgot(t.Context(), visit, ada); err != nil {
		t.Fatal(err)
	}
	if l := closed.mailed(); len(l) != 1 || l[0].Link.URL != "" {
		t.Errorf("mailed %+v; want one without a link", l)
	}
}

func TestMailKeys(t *testing.T) {
	w := newWorld(t, lite(t), func(c *people.Config) { c.MailKeys = true })
	if err := w.SignUp(t.Context(), visit, ada); err != nil {
		t.Fatal(err)
	}
	c, err := w.Confirm(t.Context(), visit, w.token("confirm", ada), password)
	if l := w.mailed(); err != nil || len(l) != 1 || len(l[0].Facts) != 1 || l[0].Facts[0].Value != c.KeyText {
		t.Errorf("mailed %+v, %v; want the key: the operator wants it so", l, err)
	}
}

// Each link and each code opens once, however many come at once.
func TestOnceAtOnce(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		once := func(name string, f func() error) {
			t.Helper()
			var all sync.WaitGroup
			errs := make([]error, 6)
			for i := range errs {
				all.Go(func() { errs[i] = f() })
			}
			all.Wait()
			good := 0
			for _, err := range errs {
				if err == nil {
					good++
				} else if !errors.Is(err, &people.Error{Code: people.BadToken}) && !errors.Is(err, &people.Error{Code: people.BadCode}) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if good != 1 {
				t.Errorf("%s: worked %d times; want once", name, good)
			}
		}
		if err := w.SignUp(ctx, visit, ada); err != nil {
			t.Fatal(err)
		}
		token := w.token("confirm", ada)
		once("confirm", func() error { _, err := w.Confirm(ctx, visit, token, password); return err })
		w.mailed()
		if err := w.Forgot(ctx, visit, ada); err != nil {
			t.Fatal(err)
		}
		token = w.token("reset", ada)
		once("reset", func() error { _, err := w.Reset(ctx, visit, token, password); return err })
		in, err := w.SignIn(ctx, visit, ada, password)
		if err != nil {
			t.Fatal(err)
		}
		secret, recovery := w.second(w.session(in.Session))
		if in, err = w.SignIn(ctx, visit, ada, password); err != nil || in.Ticket == "" {
			t.Fatalf("%+v, %v; want a ticket", in, err)
		}
		code := w.code(secret)
		once("ticket and code", func() error { _, err := w.SecondFactor(ctx, visit, in.Ticket, code, false); return err })
		w.wait(time.Hour)
		// One code with two tickets.
		code = w.code(secret)
		once("code", func() error {
			in, err := w.SignIn(ctx, visit, ada, password)
			if err == nil {
				_, err = w.SecondFactor(ctx, visit, in.Ticket, code, false)
			}
			return err
		})
		w.wait(time.Hour)
		once("recovery code", func() error {
			in, err := w.SignIn(ctx, visit, ada, password)
			if err == nil {
				_, err = w.SecondFactor(ctx, visit, in.Ticket, recovery[3], false)
			}
			return err
		})
	})
}

func TestSecondFactor(t *testing.T) { both(t, testSecondFactor) }

func testSecondFactor(t *testing.T, w *world) {
	ctx := t.Context()
	s, c := w.account(ada)
	other, err := w.SignIn(ctx, visit, ada, password)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ConfirmTOTP(ctx, visit, s, "000000")
	wants(t, err, people.NotNow)
	_, err = w.BeginTOTP(ctx, visit, s, "wrong")
	wants(t, err, people.BadPassword)
	setup, err := w.BeginTOTP(ctx, visit, s, password)
	if err != nil || !strings.HasPrefix(setup.URI, "otpauth://totp/Example:Ada@Example.com?") || !strings.HasPrefix(string(setup.QR), "\x89PNG") {
		t.Fatalf("%+v, %v", setup, err)
	}
	if in, err := w.SignIn(ctx, visit, ada, password); err != nil || in.Session == "" {
		t.Errorf("before the second factor is confirmed: %+v, %v", in, err)
	}
	_, err = w.ConfirmTOTP(ctx, visit, s, "000000")
	wants(t, err, people.BadCode)
	first := w.code(setup.Secret)
	recovery, err := w.ConfirmTOTP(ctx, visit, s, first[:3]+" "+first[3:])
	if err != nil || len(recovery) != people.RecoveryNumb {
		t.Fatalf("%d recovery codes, %v", len(recovery), err)
	}
	_, err = w.Session(ctx, other.Session)
	wants(t, err, people.NoSession) // it has no second factor
	if s := w.session(c.Session); s.Factor.IsZero() {
		t.Error("the session that confirmed has no second factor")
	}
	if l := w.mailed(); len(l) != 1 || l[0].Kind != "factor-on" {
		t.Errorf("mailed %+v", l)
	}
	in, err := w.SignIn(ctx, visit, ada, password)
	if err != nil || in.Session != "" || in.Account.ID != 0 {
		t.Fatalf("signed in without a second factor: %+v, %v", in, err)
	}
	_, err = w.Session(ctx, in.Ticket)
	wants(t, err, people.NoSession)
	_, err = w.SecondFactor(ctx, visit, in.Ticket, first, false)
	wants(t, err, people.BadCode) // replayed: it was used to confirm
	w.wait(30 * time.Second)
	now := w.code(setup.Secret)
	w.wait(-30 * time.Second) // the app's clock is half a minute ahead
	done, err := w.SecondFactor(ctx, visit, in.Ticket, now, true)
	if err != nil || done.Session == "" || done.Device == "" || done.RecoveryLeft != -1 {
		t.Fatalf("%+v, %v", done, err)
	}
	again, err := w.SignIn(ctx, visit, ada, password)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.SecondFactor(ctx, visit, again.Ticket, now, false)
	wants(t, err, people.BadCode) // replayed
	_, err = w.SecondFactor(ctx, visit, again.Ticket, first, false)
	wants(t, err, people.BadCode) // an older step than the last that was used
	by, err := w.SecondFactor(ctx, visit, again.Ticket, strings.ToUpper(recovery[0]), false)
	if err != nil || by.RecoveryLeft != people.RecoveryNumb-1 {
		t.Fatalf("by a recovery code: %+v, %v", by, err)
	}

	// A remembered device needs none, from the right account alone, and for a while.
	remembered := visit
	remembered.Device = done.Device
	if in, err := w.SignIn(ctx, remembered, ada, password); err != nil || in.Session == "" {
		t.Errorf("a remembered device: %+v, %v", in, err)
	}
	eve, _ := w.account("eve@example.com")
	w.second(eve)
	if in, err := w.SignIn(ctx, remembered, "eve@example.com", password); err != nil || in.Session != "" {
		t.Errorf("another's device: %+v, %v", in, err)
	}
	devices, err := w.Devices(ctx, w.session(done.Session))
	if err != nil || len(devices) != 1 {
		t.Fatalf("the devices are %v, %v", devices, err)
	}
	if err := w.ForgetDevice(ctx, visit, eve, devices[0].ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("another's device was forgotten: %v", err)
	}
	w.wait(people.DeviceLife)
	if in, err := w.SignIn(ctx, remembered, ada, password); err != nil || in.Session != "" {
		t.Errorf("after its time: %+v, %v", in, err)
	}
	s = w.session(mustSignIn(t, w, setup.Secret))
	wants(t, w.EndTOTP(ctx, visit, s, password, "123456"), people.BadCode)
	if err := w.EndTOTP(ctx, visit, s, password, recovery[1]); err != nil {
		t.Fatal(err)
	}
	if in, err := w.SignIn(ctx, visit, ada, password); err != nil || in.Session == "" {
		t.Errorf("without a second factor: %+v, %v", in, err)
	}
}

func mustSignIn(t *testing.T, w *world, secret string) string {
	t.Helper()
	in, err := w.SignIn(t.Context(), visit, ada, password)
	if err != nil {
		t.Fatal(err)
	}
	if in.Session != "" {
		return in.Session
	}
	w.wait(time.Minute)
	if in, err = w.SecondFactor(t.Context(), visit, in.Ticket, w.code(secret), false); err != nil {
		t.Fatal(err)
	}
	return in.Session
}

// Codes and passwords cannot be tried for long, by who has one of the two.
func TestBruteForce(t *testing.T) {
	w := newWorld(t, lite(t), nil)
	ctx := t.Context()
	s, _ := w.account(ada)
	secret, _ := w.second(s)
	tries := 0
	for range 100 { // with as many tickets as one likes
		in, err := w.SignIn(ctx, visit, ada, password)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.SecondFactor(ctx, visit, in.Ticket, "000000", false); errors.Is(err, &people.Error{Code: people.TooMany}) {
			var e *people.Error
			if errors.As(err, &e); e.After <= 0 {
				t.Errorf("says nothing of when: %+v", e)
			}
			break
		}
		wants(t, err, people.BadCode)
		tries++
	}
	if tries == 0 || tries > 10 {
		t.Errorf("%d codes were tried; want at most 10", tries)
	}
	log, err := w.Log(ctx, s, 0, 1000)
	failed := 0
	for _, e := range log {
		if e.Action == account.ActionSignInFailed {
			failed++
		}
	}
	if err != nil || failed != tries {
		t.Errorf("the log has %d failures, %v; want %d", failed, err, tries)
	}
	tries = 0
	for range 100 { // a stolen session
		err := w.Delete(ctx, visit, s, "not the password", "000000")
		if errors.Is(err, &people.Error{Code: people.TooMany}) {
			break
		}
		wants(t, err, people.BadPassword)
		tries++
	}
	if tries == 0 || tries > 10 {
		t.Errorf("%d passwords were tried; want at most 10", tries)
	}
	w.wait(2 * time.Hour)
	if _, err := w.Session(ctx, mustSignIn(t, w, secret)); err != nil {
		t.Errorf("its owner, two hours later: %v", err)
	}
}

func TestReset(t *testing.T) { both(t, testReset) }

func testReset(t *testing.T, w *world) {
	ctx := t.Context()
	_, c := w.account(ada)
	if err := w.Forgot(ctx, visit, ada); err != nil {
		t.Fatal(err)
	}
	late := w.token("reset", ada)
	w.wait(people.ResetLife)
	_, err := w.Reset(ctx, visit, late, "another password")
	wants(t, err, people.BadToken)
	if err := errors.Join(w.Forgot(ctx, visit, ada), w.Forgot(ctx, visit, ada)); err != nil {
		t.Fatal(err)
	}
	links := w.mailed()
	token := tokenOf.FindStringSubmatch(links[0].Link.URL)[1]
	_, err = w.Confirm(ctx, visit, token, "another password")
	wants(t, err, people.BadToken) // it is for another purpose
	_, err = w.Reset(ctx, visit, token, ada)
	invalid(t, err, "password")
	in, err := w.Reset(ctx, visit, token, "another password")
	if err != nil || in.Session == "" {
		t.Fatalf("%+v, %v", in, err)
	}
	if l := w.mailed(); len(l) != 1 || l[0].Kind != "password" {
		t.Errorf("mailed %+v", l)
	}
	_, err = w.Session(ctx, c.Session)
	wants(t, err, people.NoSession)
	_, err = w.Reset(ctx, visit, tokenOf.FindStringSubmatch(links[1].Link.URL)[1], "a third password")
	wants(t, err, people.BadToken) // links that are out are void
	_, err = w.SignIn(ctx, visit, ada, password)
	wants(t, err, people.BadSignIn)
	// With a second factor a letter alone does not open.
	s := w.session(in.Session)
	setup, err := w.BeginTOTP(ctx, visit, s, "another password")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ConfirmTOTP(ctx, visit, s, w.code(setup.Secret)); err != nil {
		t.Fatal(err)
	}
	w.mailed()
	if err := w.Forgot(ctx, visit, ada); err != nil {
		t.Fatal(err)
	}
	if in, err = w.Reset(ctx, visit, w.token("reset", ada), password); err != nil || in.Session != "" || in.Ticket == "" {
		t.Errorf("a letter alone opened an account with a second factor: %+v, %v", in, err)
	}
}

// An account that an operator made has no password: a link sets the first.
func TestFirstPassword(t *testing.T) {
	w := newWorld(t, lite(t), nil)
	ctx := t.Context()
	if _, err := w.service.Add(ctx, "operator", account.NewAccount{Email: ada}); err != nil {
		t.Fatal(err)
	}
	_, err := w.SignIn(ctx, visit, ada, "")
	wants(t, err, people.BadSignIn)
	if err := w.SignUp(ctx, visit, ada); err != nil {
		t.Fatal(err)
	}
	in, err := w.Reset(ctx, visit, w.token("known", ada), password)
	if err != nil || in.Session == "" || in.Account.Verified.IsZero() {
		t.Errorf("%+v, %v; want a session, and the address confirmed", in, err)
	}
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t, lite(t), nil)
	ctx := t.Context()
	s, c := w.account(ada)
	other, err := w.SignIn(ctx, visit, ada, password)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, w.ChangePassword(ctx, visit, s, "wrong", "another password"), people.BadPassword)
	invalid(t, w.ChangePassword(ctx, visit, s, password, "short"), "password")
	if err := w.ChangePassword(ctx, visit, s, password, "another password"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Session(ctx, other.Session)
	wants(t, err, people.NoSession)
	w.session(c.Session)
	if err := w.EndSession(ctx, visit, s, s.ID); err != nil {
		t.Fatal(err)
	}
	wants(t, w.ChangePassword(ctx, visit, s, "another password", password), people.NoSession)
}

func TestChangeMail(t *testing.T) { both(t, testChangeMail) }

func testChangeMail(t *testing.T, w *world) {
	ctx := t.Context()
	s, c := w.account(ada)
	w.account("eve@example.com")
	if err := w.Forgot(ctx, visit, ada); err != nil {
		t.Fatal(err)
	}
	reset := w.token("reset", ada)
	wants(t, w.ChangeMail(ctx, visit, s, "wrong", "new@example.com"), people.BadPassword)
	invalid(t, w.ChangeMail(ctx, visit, s, password, "new"), "email")
	if err := w.ChangeMail(ctx, visit, s, password, "new@example.com"); err != nil {
		t.Fatal(err)
	}
	l := w.mailed()
	if len(l) != 2 || l[0].to != "new@example.com" || l[1].to != ada || tokenOf.MatchString(l[1].Link.URL) || !strings.Contains(fmt.Sprint(l[1].Facts), "new@example.com") {
		t.Fatalf("mailed %+v; want a link to the new address, and a notice to the old", l)
	}
	if pending, err := w.PendingMail(ctx, s); err != nil || pending == nil || pending.Email != "new@example.com" {
		t.Errorf("waits: %+v, %v", pending, err)
	}
	token := tokenOf.FindStringSubmatch(l[0].Link.URL)[1]
	if a := w.session(c.Session).Account; a.Email != ada {
		t.Errorf("changed before it was confirmed: %+v", a)
	}
	a, err := w.ConfirmMail(ctx, visit, token)
	if err != nil || a.Email != "new@example.com" {
		t.Fatalf("%+v, %v", a, err)
	}
	if l := w.mailed(); len(l) != 2 || l[0].to != ada || l[1].to != "new@example.com" {
		t.Errorf("mailed %+v; want both told", l)
	}
	_, err = w.ConfirmMail(ctx, visit, token)
	wants(t, err, people.BadToken)
	_, err = w.Reset(ctx, visit, reset, password)
	wants(t, err, people.BadToken) // it went to the old address
	_, err = w.SignIn(ctx, visit, ada, password)
	wants(t, err, people.BadSignIn)
	if _, err := w.SignIn(ctx, visit, "new@example.com", password); err != nil {
		t.Error(err)
	}
	// Somebody else's address stays theirs.
	if err := w.ChangeMail(ctx, visit, w.session(c.Session), password, "eve@example.com"); err != nil {
		t.Fatal(err)
	}
	for _, l := range w.mailed() {
		if tokenOf.MatchString(l.Link.URL) {
			t.Errorf("a link was mailed: %+v", l)
		}
	}
}

func TestSessions(t *testing.T) { both(t, testSessions) }

func testSessions(t *testing.T, w *world) {
	ctx := t.Context()
	s, c := w.account(ada)
	eve, _ := w.account("eve@example.com")
	w.wait(time.Minute)
	in, err := w.SignIn(ctx, people.Visit{Agent: "curl"}, ada, password)
	if err != nil {
		t.Fatal(err)
	}
	all, err := w.Sessions(ctx, s)
	if err != nil || len(all) != 2 || all[0].Agent != "curl" || all[0].Current || !all[1].Current {
		t.Fatalf("the sessions are %+v, %v", all, err)
	}
	if err := w.EndSession(ctx, visit, eve, all[0].ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("another's session was ended: %v", err)
	}
	if n, err := w.EndOthers(ctx, visit, s); err != nil || n != 1 {
		t.Errorf("ended %d, %v; want 1", n, err)
	}
	_, err = w.Session(ctx, in.Session)
	wants(t, err, people.NoSession)
	for _, text := range []string{"", "ipw_session_", c.Session + "x", c.Session[:len(c.Session)-1] + "!", strings.ToUpper(c.Session), c.KeyText} {
		_, err := w.Session(ctx, text)
		wants(t, err, people.NoSession)
	}
	// It lasts while it is used, and not for ever; whoever keeps it is told.
	if w.session(c.Session).Renewed {
		t.Error("a session that was used just now is renewed")
	}
	w.wait(time.Hour)
	if s := w.session(c.Session); !s.Renewed || !s.Expires.Equal(w.clock().Add(people.SessionIdle)) {
		t.Errorf("after an hour it is %+v", s)
	}
	for at := time.Duration(0); at < people.SessionLife-24*time.Hour; at += people.SessionIdle - time.Hour {
		w.session(c.Session)
		w.wait(people.SessionIdle - time.Hour)
	}
	w.wait(people.SessionIdle)
	_, err = w.Session(ctx, c.Session)
	wants(t, err, people.NoSession)
	in, err = w.SignIn(ctx, visit, ada, password)
	if err != nil {
		t.Fatal(err)
	}
	w.wait(people.SessionIdle)
	_, err = w.Session(ctx, in.Session)
	wants(t, err, people.NoSession) // idle
	for range 60 {
		if in, err = w.SignIn(ctx, visit, ada, password); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := w.Sessions(ctx, w.session(in.Session)); err != nil || len(all) > 50 {
		t.Errorf("%d sessions, %v; want at most 50", len(all), err)
	}
	w.wait(people.SessionLife)
	if err := w.service.Housekeep(ctx); err != nil {
		t.Fatal(err)
	}
	if rows, err := w.Sessions(ctx, s); err != nil || len(rows) != 0 {
		t.Errorf("%d sessions are left, %v", len(rows), err)
	}
}

func TestDeleteAndExport(t *testing.T) { both(t, testDeleteAndExport) }

func testDeleteAndExport(t *testing.T, w *world) {
	ctx := t.Context()
	s, c := w.account(ada)
	secret, _ := w.second(s)
	if err := w.service.SetAlerts(ctx, "", c.Account.ID, []int{90}); err != nil {
		t.Fatal(err)
	}
	x, err := w.Export(ctx, visit, s)
	if err != nil || x.Account.Email != ada || len(x.Keys) != 1 || len(x.Sessions) != 1 || x.Recovery != people.RecoveryNumb || x.TOTPSince.IsZero() || !slices.Equal(x.Alerts, []int{90}) {
		t.Errorf("the export is %+v, %v", x, err)
	}
	wants(t, w.Delete(ctx, visit, s, password, ""), people.BadCode)
	if err := w.Delete(ctx, visit, s, password, w.code(secret)); err != nil {
		t.Fatal(err)
	}
	if l := w.mailed(); len(l) != 1 || l[0].Kind != "deleted" || l[0].to != ada {
		t.Errorf("mailed %+v", l)
	}
	_, err = w.Session(ctx, c.Session)
	wants(t, err, people.NoSession)
	_, err = w.SignIn(ctx, visit, ada, password)
	wants(t, err, people.BadSignIn)
	log, err := w.service.Log(ctx, c.Account.ID, 0, 1000)
	if err != nil || strings.Contains(strings.ToLower(fmt.Sprint(log)), "example.com") || strings.Contains(fmt.Sprint(log), "192.0.2.1") {
		t.Errorf("the log still says whose it was: %+v, %v", log, err)
	}
	if chosen, err := w.service.Alerts(ctx, c.Account.ID); err != nil || len(chosen) != 3 {
		t.Errorf("what it chose of alerts is still there: %v, %v", chosen, err)
	}
	w.account(ada) // the address is free again
}

// A password is one however its characters are typed, and is kept as argon2id.
func TestPasswords(t *testing.T) {
	w := newWorld(t, lite(t), nil)
	ctx := t.Context()
	if err := w.SignUp(ctx, visit, ada); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Confirm(ctx, visit, w.token("confirm", ada), "se\u0301same ouvre-toi"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SignIn(ctx, visit, ada, "s\u00e9same ouvre-toi"); err != nil {
		t.Errorf("the same characters, typed in another way: %v", err)
	}
	for _, bad := range []string{"", "short", "aaaaaaaaaaaaaaaa", "1234567890", strings.Repeat("long ", 60), "bad\xff utf8 here", "nul\x00 in here it is", "grace.hopper rules", "GRACE.HOPPER@example.com"} {
		invalid(t, people.CheckPassword(bad, "Grace.Hopper@example.com"), "password")
	}
	if err := people.ParseKept(people.Nobody); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$!$AAAA"} {
		if people.ParseKept(bad) == nil {
			t.Errorf("%q is one", bad)
		}
	}
}

// Many at once wait for their turn, and those who are too many are told so.
func TestBoundedHashes(t *testing.T) {
	w := newWorld(t, lite(t), func(c *people.Config) { c.Hashes = 1 })
	var all sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		all.Go(func() { _, errs[i] = w.SignIn(t.Context(), visit, "nobody@example.com", "a password") })
	}
	all.Wait()
	for _, err := range errs {
		if !errors.Is(err, &people.Error{Code: people.BadSignIn}) && !errors.Is(err, &people.Error{Code: people.Busy}) {
			t.Errorf("got %v", err)
		}
	}
}

func TestConfig(t *testing.T) {
	if _, err := people.New(people.Config{Secret: []byte("short"), URL: "ip.example"}); err == nil ||
		!strings.Contains(err.Error(), "Store") || !strings.Contains(err.Error(), "Secret") || !strings.Contains(err.Error(), "URL") {
		t.Errorf("got %v; want all mistakes", err)
	}
}
