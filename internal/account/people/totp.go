package people

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"image/png"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/limit"
)

// The codes of RFC 6238 that every app makes: six digits of SHA-1, every 30 seconds.
// One step before and after is taken too: clocks differ.
const (
	totpStep = 30
	totpSkew = 1
	totpLen  = 20 // bytes of a secret
)

// sealer makes what seals the secrets of second factors, unlike hashes they must be
// read again. Its key is of the secret that all nodes have anyway.
func sealer(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "ipwarden totp 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// owner binds a sealed secret to its account: nobody moves one to another row.
func owner(id customer.AccountID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

func (p *People) sealed(id customer.AccountID, secret []byte) []byte {
	return p.seal.Seal(nil, nil, secret, owner(id))
}

func (p *People) unsealed(x *account.TOTP) ([]byte, error) {
	secret, err := p.seal.Open(nil, nil, x.Secret, owner(x.Account))
	if err != nil {
		return nil, errors.New("a second factor was sealed with another secrets/key-hash: 'ipwarden account factor-off' ends it, and a recovery code works")
	}
	return secret, nil
}

var plain32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// matches returns the step whose code this is, later than after; 0 for none. All steps
// are compared.
func matches(secret []byte, code string, now time.Time, after int64) (step int64) {
	text := plain32.EncodeToString(secret)
	at := now.Unix() / totpStep
	for n := at - totpSkew; n <= at+totpSkew; n++ {
		want, err := totp.GenerateCode(text, time.Unix(n*totpStep, 0))
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && n > after {
			step = n
		}
	}
	return step
}

// isTOTP reports whether text is of the form of a code, and not of a recovery code.
func isTOTP(code string) bool {
	return len(code) == int(otp.DigitsSix) && strings.Trim(code, "0123456789") == ""
}

// codeOf leaves out what people type between the digits.
func codeOf(text string) string {
	if len(text) > 64 {
		return ""
	}
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "\t", "", "\n", "", "\r", "").Replace(text))
}

// recoveryLen is how many letters a recovery code has: 80 bits.
const recoveryLen = 16

func newRecovery(id customer.AccountID, now time.Time) (texts []string, rows []account.RecoveryCode) {
	for range RecoveryNumb {
		text := strings.ToLower(rand.Text()[:recoveryLen])
		texts = append(texts, text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:])
		rows = append(rows, account.RecoveryCode{Account: id, Hash: recoveryDigest(id, text), Created: now})
	}
	return texts, rows
}

func recoveryDigest(id customer.AccountID, code string) account.Digest {
	return sha256.Sum256(append(owner(id), code...))
}

var errBadCode = &Error{Code: BadCode, Message: "This code is not right, or was used before. A code of the app holds for half a minute, and each counts once."}

// spend takes a code of the app or a recovery code, once. left is how many recovery
// codes are left when it was one, else -1. It is called in a transaction that writes.
func (p *People) spend(tx account.Tx, x *account.TOTP, text string, now time.Time) (left int, err error) {
	code := codeOf(text)
	if isTOTP(code) {
		secret, err := p.unsealed(x)
		if err != nil {
			return -1, err
		}
		step := matches(secret, code, now, x.LastStep)
		if step == 0 {
			return -1, errBadCode
		}
		x.LastStep = step
		return -1, tx.PutTOTP(x)
	}
	if len(code) != recoveryLen {
		return -1, errBadCode
	}
	rows, err := tx.RecoveryCodes(x.Account)
	if err != nil {
		return -1, err
	}
	want, found := recoveryDigest(x.Account, code), -1
	for i := range rows {
		if rows[i].Used.IsZero() {
			left++
			if rows[i].Hash == want { // hashes of 80 random bits: how long it takes tells nothing
				found = i
			}
		}
	}
	if found < 0 {
		return -1, errBadCode
	}
	rows[found].Used = now
	return left - 1, tx.PutRecoveryCode(&rows[found])
}

// try charges a try of one of an account's secrets before it is made, so that many at
// once are no more than one after the other.
func (p *People) try(r *limit.Rate, id customer.AccountID) error {
	key := p.keys.Sum(limit.AppendPart(limit.AppendPart(nil, r.Name), owner(id)))
	var results [1]limit.Result
	if err := p.tries.Take(context.Background(), []limit.Request{{Rate: r, Key: key, Cost: 1}}, results[:]); err != nil {
		return err
	}
	if limit.Allowed(results[:]) {
		return nil
	}
	return &Error{Code: TooMany, Message: "That was tried too often. Wait a while.", After: time.Duration(limit.RetryAfter(results[:])) * time.Second}
}

// totpOf returns the second factor of an account, and whether it is in force.
func totpOf(tx account.SignInTx, id customer.AccountID) (x account.TOTP, on bool, err error) {
	x, err = tx.TOTP(id)
	if errors.Is(err, account.ErrNotFound) {
		return x, false, nil
	}
	return x, err == nil && !x.Confirmed.IsZero(), err
}

// Factors says how an account signs in.
func (p *People) Factors(ctx context.Context, s Session) (f Factors, err error) {
	err = p.c.Store.Read(ctx, func(tx account.Tx) error {
		c, err := tx.Credential(s.Account.ID)
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		f.Password, f.PasswordSince = c.Password != "", c.Changed
		x, on, err := totpOf(tx, s.Account.ID)
		if err != nil || !on {
			return err
		}
		f.TOTP, f.TOTPSince = true, x.Confirmed
		codes, err := tx.RecoveryCodes(s.Account.ID)
		for i := range codes {
			if codes[i].Used.IsZero() {
				f.RecoveryLeft++
			}
		}
		return err
	})
	return f, err
}

var errHasTOTP = &Error{Code: NotNow, Message: "There is a second factor already. End it first."}

var errNoTOTP = &Error{Code: NotNow, Message: "There is no second factor."}

// BeginTOTP makes a secret for an authenticator app. It is in force after ConfirmTOTP.
func (p *People) BeginTOTP(ctx context.Context, _ Visit, s Session, password string) (out TOTPSetup, err error) {
	if err := p.own(ctx, s, password); err != nil {
		return out, err
	}
	secret := make([]byte, totpLen)
	rand.Read(secret) // never fails
	key, err := totp.Generate(totp.GenerateOpts{Issuer: p.c.Name, AccountName: s.Account.Email, Secret: secret})
	if err != nil {
		return out, fmt.Errorf("people: %w", err)
	}
	image, err := key.Image(232, 232)
	if err != nil {
		return out, fmt.Errorf("people: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image); err != nil {
		return out, fmt.Errorf("people: %w", err)
	}
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		if _, on, err := totpOf(tx, s.Account.ID); err != nil || on {
			return first(err, errHasTOTP)
		}
		return tx.PutTOTP(&account.TOTP{Account: s.Account.ID, Secret: p.sealed(s.Account.ID, secret), Created: p.moment()})
	})
	if err != nil {
		return out, err
	}
	return TOTPSetup{Secret: key.Secret(), URI: key.URL(), QR: b.Bytes()}, nil
}

// ConfirmTOTP puts the second factor in force by a code of it, ends all other sessions,
// and returns recovery codes, which are shown once.
func (p *People) ConfirmTOTP(ctx context.Context, v Visit, s Session, code string) (recovery []string, err error) {
	if err := p.try(p.factor, s.Account.ID); err != nil {
		return nil, err
	}
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		own, err := p.still(tx, s)
		if err != nil {
			return err
		}
		x, on, err := totpOf(tx, s.Account.ID)
		switch {
		case err != nil:
			return err
		case on:
			return errHasTOTP
		case x.Account == 0:
			return errNoTOTP
		}
		if code := codeOf(code); !isTOTP(code) {
			return errBadCode
		}
		if _, err := p.spend(tx, &x, code, p.moment()); err != nil {
			return err
		}
		x.Confirmed = p.moment()
		own.Factor = x.Confirmed
		if err := errors.Join(tx.PutTOTP(&x), tx.PutSession(&own)); err != nil {
			return err
		}
		if recovery, err = p.putRecovery(tx, s.Account.ID); err != nil {
			return err
		}
		if _, err := p.endOthers(tx, s); err != nil {
			return err
		}
		return p.log(tx, v, s.Account.ID, account.ActionTOTP, "", "")
	})
	if err != nil {
		return nil, err
	}
	p.tell(ctx, s.Account.Email, p.letterFactor(v, true))
	return recovery, nil
}

func (p *People) putRecovery(tx account.Tx, id customer.AccountID) ([]string, error) {
	texts, rows := newRecovery(id, p.moment())
	if err := tx.DeleteRecoveryCodes(id); err != nil {
		return nil, err
	}
	for i := range rows {
		if err := tx.PutRecoveryCode(&rows[i]); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// EndTOTP ends the second factor; code is of the app or a recovery code.
func (p *People) EndTOTP(ctx context.Context, v Visit, s Session, password, code string) error {
	if err := p.own(ctx, s, password); err != nil {
		return err
	}
	if err := p.try(p.factor, s.Account.ID); err != nil {
		return err
	}
	err := p.c.Store.Write(ctx, func(tx account.Tx) error {
		x, on, err := totpOf(tx, s.Account.ID)
		if err != nil || !on {
			return first(err, errNoTOTP)
		}
		if _, err := p.spend(tx, &x, code, p.moment()); err != nil {
			return err
		}
		if err := errors.Join(tx.DeleteTOTP(s.Account.ID), tx.DeleteRecoveryCodes(s.Account.ID)); err != nil {
			return err
		}
		return p.log(tx, v, s.Account.ID, account.ActionTOTPEnd, "", "")
	})
	if err == nil {
		p.tell(ctx, s.Account.Email, p.letterFactor(v, false))
	}
	return err
}

// NewRecoveryCodes replaces all recovery codes.
func (p *People) NewRecoveryCodes(ctx context.Context, v Visit, s Session, password string) (codes []string, err error) {
	if err := p.own(ctx, s, password); err != nil {
		return nil, err
	}
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		if _, on, err := totpOf(tx, s.Account.ID); err != nil || !on {
			return first(err, errNoTOTP)
		}
		if codes, err = p.putRecovery(tx, s.Account.ID); err != nil {
			return err
		}
		return p.log(tx, v, s.Account.ID, account.ActionRecovery, "", "")
	})
	return codes, err
}

// first is err, or other when it is nil.
func first(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
