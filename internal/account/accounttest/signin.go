package accounttest

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

func newDigest() (d account.Digest) {
	rand.Read(d[:]) // never fails
	return d
}

// signInRows is one of each thing that people sign in with, with something in every
// field.
type signInRows struct {
	credential account.Credential
	totp       account.TOTP
	code       account.RecoveryCode
	session    account.Session
	device     account.Device
	token      account.MailToken
	signUp     account.SignUp
}

func newSignIn(id customer.AccountID, expires time.Time) signInRows {
	return signInRows{
		credential: account.Credential{Account: id, Password: "$argon2id$…", Changed: day},
		totp:       account.TOTP{Account: id, Secret: []byte{1, 2, 3}, Created: day, Confirmed: day.Add(time.Second), LastStep: 1 << 40},
		code:       account.RecoveryCode{Account: id, Hash: newDigest(), Created: day, Used: day.Add(time.Second)},
		session: account.Session{
			Hash: newDigest(), ID: 1<<62 + 1, Account: id, Created: day, Seen: day.Add(time.Second), Expires: expires, Factor: day.Add(time.Minute),
			Address: "2001:db8::1", Agent: "curl/8",
		},
		device: account.Device{Hash: newDigest(), ID: 1<<62 + 2, Account: id, Name: "Firefox", Created: day, Seen: day.Add(time.Second), Expires: expires},
		token:  account.MailToken{Hash: newDigest(), Account: id, Purpose: "reset", Email: "Ada@Example.com", Created: day, Expires: expires, Used: day.Add(time.Second)},
		signUp: account.SignUp{Hash: newDigest(), Email: customer.NewKeyID().String() + "@Example.com", Created: day, Expires: expires},
	}
}

func (r *signInRows) put(tx account.Tx) error {
	return errors.Join(tx.PutCredential(&r.credential), tx.PutTOTP(&r.totp), tx.PutRecoveryCode(&r.code), tx.PutSession(&r.session),
		tx.PutDevice(&r.device), tx.PutMailToken(&r.token))
}

// check compares all that is there with r.
func (r *signInRows) check(t *testing.T, tx account.Tx) {
	t.Helper()
	id := r.credential.Account
	credential, err := tx.Credential(id)
	same(t, credential, err, r.credential)
	totp, err := tx.TOTP(id)
	same(t, totp, err, r.totp)
	codes, err := tx.RecoveryCodes(id)
	same(t, codes, err, []account.RecoveryCode{r.code})
	session, err := tx.Session(r.session.Hash)
	same(t, session, err, r.session)
	sessions, err := tx.Sessions(id)
	same(t, sessions, err, []account.Session{r.session})
	device, err := tx.Device(r.device.Hash)
	same(t, device, err, r.device)
	devices, err := tx.Devices(id)
	same(t, devices, err, []account.Device{r.device})
	token, err := tx.MailToken(r.token.Hash)
	same(t, token, err, r.token)
	tokens, err := tx.MailTokens(id, r.token.Purpose)
	same(t, tokens, err, []account.MailToken{r.token})
	tokens, err = tx.MailTokens(id, "other")
	same(t, tokens, err, nil)
}

// gone checks that nothing of r is there.
func (r *signInRows) gone(t *testing.T, tx account.Tx) {
	t.Helper()
	id := r.credential.Account
	_, e1 := tx.Credential(id)
	_, e2 := tx.TOTP(id)
	_, e3 := tx.Session(r.session.Hash)
	_, e4 := tx.Device(r.device.Hash)
	_, e5 := tx.MailToken(r.token.Hash)
	_, e6 := tx.SignUp(r.signUp.Hash)
	for i, err := range []error{e1, e2, e3, e4, e5, e6} {
		if !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%d: %v, want ErrNotFound", i, err)
		}
	}
	codes, err := tx.RecoveryCodes(id)
	same(t, codes, err, nil)
	sessions, err := tx.Sessions(id)
	same(t, sessions, err, nil)
}

// Everything that people sign in with is there as it was put, also when it is put again
// with everything changed; and gone when it is deleted, or its account is forgotten.
func testSignIn(t *testing.T, s account.Store) {
	a, other := NewAccount("sign-in@example.com"), NewAccount("other-sign-in@example.com")
	r, beside := newSignIn(a.ID, day.Add(time.Hour)), newSignIn(other.ID, day.Add(time.Hour))
	read(t, s, func(tx account.Tx) error { r.gone(t, tx); return nil })
	write(t, s, func(tx account.Tx) error {
		return errors.Join(tx.PutAccount(&a), tx.PutAccount(&other), r.put(tx), beside.put(tx))
	})
	read(t, s, func(tx account.Tx) error { r.check(t, tx); return nil })
	again := newSignIn(a.ID, day.Add(2*time.Hour))
	again.code.Hash, again.session.Hash, again.device.Hash, again.token.Hash = r.code.Hash, r.session.Hash, r.device.Hash, r.token.Hash
	again.credential.Password, again.totp.LastStep, again.totp.Secret = "$argon2id$other", 0, []byte{9}
	again.code.Used, again.session.Factor, again.token.Used = time.Time{}, time.Time{}, time.Time{}
	again.session.Agent, again.device.Name = "", ""
	r = again
	write(t, s, r.put)
	read(t, s, func(tx account.Tx) error { r.check(t, tx); beside.check(t, tx); return nil })
	write(t, s, func(tx account.Tx) error {
		return errors.Join(tx.DeleteTOTP(a.ID), tx.DeleteRecoveryCodes(a.ID), tx.DeleteSession(r.session.Hash), tx.DeleteDevice(r.device.Hash),
			tx.DeleteMailTokens(a.ID, "other"))
	})
	read(t, s, func(tx account.Tx) error {
		tokens, err := tx.MailTokens(a.ID, "reset")
		same(t, tokens, err, []account.MailToken{r.token})
		return nil
	})
	write(t, s, func(tx account.Tx) error { return tx.DeleteMailTokens(a.ID, "") })
	if err := s.Write(t.Context(), func(tx account.Tx) error {
		c := account.Credential{Account: 12345, Password: "x"}
		return tx.PutCredential(&c)
	}); err == nil {
		t.Error("a password of no account was put")
	}
	write(t, s, func(tx account.Tx) error { return tx.Forget(a.ID) })
	read(t, s, func(tx account.Tx) error { r.gone(t, tx); beside.check(t, tx); return nil })

	// Sign-ups are of nobody's account.
	key := account.EmailKey(r.signUp.Email)
	second := r.signUp
	second.Hash, second.Created = newDigest(), day.Add(time.Minute)
	write(t, s, func(tx account.Tx) error { return errors.Join(tx.PutSignUp(&r.signUp), tx.PutSignUp(&second)) })
	read(t, s, func(tx account.Tx) error {
		got, err := tx.SignUp(r.signUp.Hash)
		same(t, got, err, r.signUp)
		all, err := tx.SignUps(key)
		same(t, all, err, []account.SignUp{second, r.signUp})
		n, err := tx.CountSignUps()
		same(t, n, err, 2)
		return nil
	})
	write(t, s, func(tx account.Tx) error { return tx.DeleteSignUps(key) })
	read(t, s, func(tx account.Tx) error {
		all, err := tx.SignUps(key)
		same(t, all, err, nil)
		return nil
	})
}

func testSignInExpires(t *testing.T, s account.Store) {
	a := NewAccount("expires@example.com")
	old, young := newSignIn(a.ID, day.Add(time.Hour)), newSignIn(a.ID, day.Add(3*time.Hour))
	write(t, s, func(tx account.Tx) error {
		return errors.Join(tx.PutAccount(&a), old.put(tx), young.put(tx), tx.PutSignUp(&old.signUp), tx.PutSignUp(&young.signUp))
	})
	write(t, s, func(tx account.Tx) error { return tx.ForgetSignIns(day.Add(2 * time.Hour)) })
	read(t, s, func(tx account.Tx) error {
		_, e1 := tx.Session(old.session.Hash)
		_, e2 := tx.Device(old.device.Hash)
		_, e3 := tx.MailToken(old.token.Hash)
		_, e4 := tx.SignUp(old.signUp.Hash)
		for i, err := range []error{e1, e2, e3, e4} {
			if !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%d: %v, want ErrNotFound: it has expired", i, err)
			}
		}
		_, e1 = tx.Session(young.session.Hash)
		_, e2 = tx.Device(young.device.Hash)
		_, e3 = tx.MailToken(young.token.Hash)
		_, e4 = tx.SignUp(young.signUp.Hash)
		return errors.Join(e1, e2, e3, e4)
	})
}
