package people

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/net/idna"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/mail"
)

// Bounds of letters that anybody may ask for.
const (
	maxLetters = 5      // to an address, while their links hold
	maxSignUps = 100000 // that wait, of all
)

var errClosed = &Error{Code: Closed, Message: "Nobody can sign up here. Ask who runs this server for an account."}

// newEmail checks an address that somebody wants to be known by.
func (p *People) newEmail(text string) (string, error) {
	email, err := account.CheckEmail(text)
	if err != nil {
		return "", err
	}
	if p.refused(email) {
		return "", account.Invalid{{Field: "email", Message: "addresses of this domain are thrown away after use, so letters about the account would not arrive; take a lasting one"}}
	}
	return email, nil
}

// SignUp sends a letter: a link that confirms the address, or, when it has an account,
// one that says so. Who asks is not told which. Nothing is made before the link is
// followed.
func (p *People) SignUp(ctx context.Context, v Visit, email string) error {
	if p.c.SignUpClosed {
		return errClosed
	}
	email, err := p.newEmail(email)
	if err != nil {
		return err
	}
	return p.letter(ctx, v, email, true)
}

// Forgot sends a link that sets a new password, if there is an account, and otherwise
// a letter that says that there is none. Who asks is not told which.
func (p *People) Forgot(ctx context.Context, v Visit, email string) error {
	email, err := account.CheckEmail(email)
	if err != nil {
		return err
	}
	return p.letter(ctx, v, email, false)
}

// letter sends one letter to an address, whether it has an account or not, after the
// same work: a row is written either way, and each row opens what its letter says.
func (p *People) letter(ctx context.Context, v Visit, email string, signUp bool) error {
	text, digest := newToken(prefixMail)
	now := p.moment()
	var a customer.Account
	var known, enough bool
	err := p.c.Store.Write(ctx, func(tx account.Tx) (err error) {
		a, err = tx.AccountByEmail(account.EmailKey(email))
		if known = err == nil; err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		waiting, err := tx.SignUps(account.EmailKey(email))
		if err != nil {
			return err
		}
		sent, err := tx.MailTokens(a.ID, account.PurposeReset)
		if err != nil {
			return err
		}
		all, err := tx.CountSignUps()
		if err != nil {
			return err
		}
		if all >= maxSignUps {
			return &Error{Code: Busy, Message: "Too many addresses wait for their confirmation. Try again later.", After: ConfirmLife / 24}
		}
		n := 0
		for i := range waiting {
			if now.Before(waiting[i].Expires) {
				n++
			}
		}
		for i := range sent {
			if now.Before(sent[i].Expires) {
				n++
			}
		}
		if enough = n >= maxLetters; enough { // somebody's mailbox is being filled: it has links enough
			return nil
		}
		if known {
			return tx.PutMailToken(&account.MailToken{Hash: digest, Account: a.ID, Purpose: account.PurposeReset, Email: a.Email, Created: now, Expires: now.Add(ResetLife)})
		}
		life := ConfirmLife
		if !p.open(email) {
			life = ResetLife // a letter without a link: the row only counts letters
		}
		return tx.PutSignUp(&account.SignUp{Hash: digest, Email: email, Created: now, Expires: now.Add(life)})
	})
	if err != nil || enough {
		return err
	}
	var l mail.Letter
	switch {
	case known && signUp:
		l = p.letterKnown(v, text)
		email = a.Email
	case known:
		l = p.letterReset(v, text)
		email = a.Email
	case signUp:
		l = p.letterConfirm(v, text)
	default:
		l = p.letterUnknown(v, text, p.open(email))
	}
	return p.write(ctx, email, l)
}

// open reports whether somebody may sign up with an address.
func (p *People) open(email string) bool { return !p.c.SignUpClosed && !p.refused(email) }

// refused reports whether nobody may sign up with an address of this domain, however its
// letters are written: mail finds it with wide ones, and with another kind of dot, too.
func (p *People) refused(email string) bool {
	_, domain, _ := strings.Cut(account.EmailKey(email), "@")
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	return p.c.Refused(domain)
}

var errBadToken = &Error{Code: BadToken, Message: "This link is not good any more: each works once, and for a while. Ask for another."}

// signUp returns the sign-up of a link.
func (p *People) signUp(tx account.SignInTx, token string) (s account.SignUp, err error) {
	digest, ok := digestOf(prefixMail, token)
	if !ok {
		return s, errBadToken
	}
	s, err = tx.SignUp(digest)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return s, errBadToken
	case err == nil && (!p.moment().Before(s.Expires) || !p.open(s.Email)):
		return s, errBadToken
	}
	return s, err
}

// token returns what a letter of a purpose had in it, if it may still be used.
func (p *People) token(tx account.SignInTx, purpose, prefix, text string) (m account.MailToken, err error) {
	digest, ok := digestOf(prefix, text)
	if !ok {
		return m, errBadToken
	}
	m, err = tx.MailToken(digest)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return m, errBadToken
	case err == nil && (m.Purpose != purpose || !m.Used.IsZero() || !p.moment().Before(m.Expires)):
		return m, errBadToken
	}
	return m, err
}

// Peek returns the address that a link was sent to, without using it up: for the page
// that it leads to. The error is BadToken.
func (p *People) Peek(ctx context.Context, token string) (email string, err error) {
	err = p.c.Store.Read(ctx, func(tx account.Tx) error {
		s, err := p.signUp(tx, token)
		if email = s.Email; err == nil || !errors.Is(err, errBadToken) {
			return err
		}
		for _, purpose := range []string{account.PurposeReset, account.PurposeChange} {
			m, err := p.token(tx, purpose, prefixMail, token)
			if email = m.Email; err == nil || !errors.Is(err, errBadToken) {
				return err
			}
		}
		return errBadToken
	})
	if err != nil {
		return "", err
	}
	return email, nil
}

// Confirm makes the account of a link from SignUp, with a password that its owner
// chooses now, and a first key.
func (p *People) Confirm(ctx context.Context, v Visit, token, password string) (out Confirmed, err error) {
	var s account.SignUp
	if err := p.c.Store.Read(ctx, func(tx account.Tx) error {
		s, err = p.signUp(tx, token)
		return err
	}); err != nil {
		return out, failed(ctx, err)
	}
	if err := checkPassword(password, s.Email); err != nil {
		return out, err
	}
	kept, err := p.hash.hash(ctx, password)
	if err != nil {
		return out, err
	}
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		s, err := p.signUp(tx, token) // once
		if err != nil {
			return err
		}
		_, err = tx.AccountByEmail(account.EmailKey(s.Email))
		if err == nil {
			return errBadToken // another link was faster
		}
		if !errors.Is(err, account.ErrNotFound) {
			return err
		}
		a, err := p.c.Accounts.AddIn(account.LogFrom(tx, v.address()), "", account.NewAccount{Email: s.Email, Plan: p.c.Plan, Verified: true})
		if err != nil {
			return err
		}
		if err := tx.PutCredential(&account.Credential{Account: a.ID, Password: kept, Changed: p.moment()}); err != nil {
			return err
		}
		if err := tx.DeleteSignUps(account.EmailKey(s.Email)); err != nil {
			return err
		}
		if err := p.log(tx, v, a.ID, account.ActionConfirm, "", ""); err != nil {
			return err
		}
		if out.Key, out.KeyText, err = p.c.Accounts.NewKeyIn(account.LogFrom(tx, v.address()), a.ID.String(), a.ID, account.KeySpec{Name: "first"}); err != nil {
			return err
		}
		out.SignedIn, err = p.begin(tx, v, &a, false)
		return err
	})
	if err != nil {
		return Confirmed{}, err
	}
	key := ""
	if p.c.MailKeys {
		key = out.KeyText
	}
	p.tell(ctx, out.Account.Email, p.letterWelcome(key))
	return out, nil
}
