package people

import (
	"context"
	"errors"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// Reset sets a new password by a link of Forgot, and ends all sessions. With a second
// factor, that is still wanted: then there is a Ticket.
func (p *People) Reset(ctx context.Context, v Visit, token, password string) (out SignedIn, err error) {
	var m account.MailToken
	if err := p.c.Store.Read(ctx, func(tx account.Tx) error {
		m, err = p.token(tx, account.PurposeReset, prefixMail, token)
		return err
	}); err != nil {
		return out, failed(ctx, err)
	}
	if err := checkPassword(password, m.Email); err != nil {
		return out, err
	}
	kept, err := p.hash.hash(ctx, password)
	if err != nil {
		return out, err
	}
	var a customer.Account
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		m, err := p.token(tx, account.PurposeReset, prefixMail, token) // once
		if err != nil {
			return err
		}
		if a, err = tx.Account(m.Account); err != nil {
			return err
		}
		if a.Verified.IsZero() { // the letter has arrived
			a.Verified = p.moment()
			if err := tx.PutAccount(&a); err != nil {
				return err
			}
		}
		if err := p.setPassword(tx, v, Session{Account: a}, kept); err != nil {
			return err
		}
		_, second, err := totpOf(tx, a.ID)
		if err != nil {
			return err
		}
		if second {
			out, err = p.ticket(tx, a.ID)
		} else {
			out, err = p.begin(tx, v, &a, false)
		}
		return err
	})
	if err != nil {
		return SignedIn{}, err
	}
	p.tell(ctx, a.Email, p.letterPassword(v))
	return out, nil
}

// setPassword puts a password in place, and ends what the one before has opened but
// for the session s: sessions, devices, links.
func (p *People) setPassword(tx account.Tx, v Visit, s Session, kept string) error {
	id := s.Account.ID
	if err := tx.PutCredential(&account.Credential{Account: id, Password: kept, Changed: p.moment()}); err != nil {
		return err
	}
	if _, err := p.endOthers(tx, s); err != nil {
		return err
	}
	if err := tx.DeleteMailTokens(id, ""); err != nil {
		return err
	}
	return p.log(tx, v, id, account.ActionPassword, "", "")
}

// ChangePassword sets a new password, and ends all other sessions.
func (p *People) ChangePassword(ctx context.Context, v Visit, s Session, old, password string) error {
	if err := checkPassword(password, s.Account.Email); err != nil {
		return err
	}
	if err := p.own(ctx, s, old); err != nil {
		return err
	}
	kept, err := p.hash.hash(ctx, password)
	if err != nil {
		return err
	}
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		if _, err := p.still(tx, s); err != nil {
			return err
		}
		return p.setPassword(tx, v, s, kept)
	})
	if err == nil {
		p.tell(ctx, s.Account.Email, p.letterPassword(v))
	}
	return err
}

// ChangeMail sends a link to the new address, which ConfirmMail takes, and tells the
// old one. The answer is the same when somebody else has the new address.
func (p *People) ChangeMail(ctx context.Context, v Visit, s Session, password, email string) error {
	email, err := p.newEmail(email)
	if err != nil {
		return err
	}
	if err := p.own(ctx, s, password); err != nil {
		return err
	}
	if account.EmailKey(email) == account.EmailKey(s.Account.Email) && email == s.Account.Email {
		return account.Invalid{{Field: "email", Message: "that is your address already"}}
	}
	text, digest := newToken(prefixMail)
	now := p.moment()
	taken := false
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		if _, err := p.still(tx, s); err != nil {
			return err
		}
		other, err := tx.AccountByEmail(account.EmailKey(email))
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		taken = err == nil && other.ID != s.Account.ID
		if err := tx.DeleteMailTokens(s.Account.ID, account.PurposeChange); err != nil { // the last one counts
			return err
		}
		// When it is taken the link is in no letter: the row is there so that all looks
		// the same.
		if err := tx.PutMailToken(&account.MailToken{
			Hash: digest, Account: s.Account.ID, Purpose: account.PurposeChange, Email: email, Created: now, Expires: now.Add(ChangeLife),
		}); err != nil {
			return err
		}
		return p.log(tx, v, s.Account.ID, account.ActionMailAsked, "", "to "+email)
	})
	if err != nil {
		return err
	}
	l := p.letterMove(v, text)
	if taken {
		l = p.letterMoveTaken(v)
	}
	if err := p.write(ctx, email, l); err != nil {
		return err
	}
	p.tell(ctx, s.Account.Email, p.letterMoving(v, email))
	return nil
}

// ConfirmMail puts the new address in place of the old one. Both are told.
func (p *People) ConfirmMail(ctx context.Context, v Visit, token string) (a customer.Account, err error) {
	var old string
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		m, err := p.token(tx, account.PurposeChange, prefixMail, token)
		if err != nil {
			return err
		}
		other, err := tx.AccountByEmail(account.EmailKey(m.Email))
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		if err == nil && other.ID != m.Account {
			return errBadToken
		}
		if a, err = tx.Account(m.Account); err != nil {
			return err
		}
		old, a.Email, a.Verified = a.Email, m.Email, p.moment()
		if err := tx.PutAccount(&a); err != nil {
			return err
		}
		// Links that went to the old address open nothing any more.
		if err := tx.DeleteMailTokens(a.ID, ""); err != nil {
			return err
		}
		return p.log(tx, v, a.ID, account.ActionMail, "", "from "+old+" to "+a.Email)
	})
	if errors.Is(err, account.ErrExists) {
		err = errBadToken
	}
	if err != nil {
		return customer.Account{}, err
	}
	p.tell(ctx, old, p.letterMoved(v, a.Email))
	p.tell(ctx, a.Email, p.letterMoved(v, a.Email))
	return a, nil
}

// PendingMail returns the change of address that waits, or nil.
func (p *People) PendingMail(ctx context.Context, s Session) (pending *Pending, err error) {
	err = p.c.Store.Read(ctx, func(tx account.Tx) error {
		all, err := tx.MailTokens(s.Account.ID, account.PurposeChange)
		if err == nil && len(all) > 0 && all[0].Used.IsZero() && p.moment().Before(all[0].Expires) {
			pending = &Pending{all[0].Email, all[0].Expires}
		}
		return err
	})
	return pending, err
}

// Delete ends the account for good. code is wanted where there is a second factor.
func (p *People) Delete(ctx context.Context, v Visit, s Session, password, code string) error {
	if err := p.own(ctx, s, password); err != nil {
		return err
	}
	if err := p.try(p.factor, s.Account.ID); err != nil {
		return err
	}
	err := p.c.Store.Write(ctx, func(tx account.Tx) error {
		if _, err := p.still(tx, s); err != nil {
			return err
		}
		x, on, err := totpOf(tx, s.Account.ID)
		if err != nil {
			return err
		}
		if on {
			if _, err := p.spend(tx, &x, code, p.moment()); err != nil {
				return err
			}
		}
		return p.c.Accounts.DeleteIn(tx, s.Account.ID.String(), s.Account.ID)
	})
	if err == nil {
		p.tell(ctx, s.Account.Email, p.letterDeleted(v))
	}
	return err
}

// Export collects what is kept about the account.
func (p *People) Export(ctx context.Context, v Visit, s Session) (x account.Export, err error) {
	if err := p.c.Store.Write(ctx, func(tx account.Tx) error {
		if _, err := p.still(tx, s); err != nil {
			return err
		}
		return p.log(tx, v, s.Account.ID, account.ActionExport, "", "")
	}); err != nil {
		return x, err
	}
	return p.c.Accounts.Export(ctx, s.Account.ID)
}

// Log lists at most limit entries of the account's log, the newest first, from before
// the entry called before, or from the newest when it is 0.
func (p *People) Log(ctx context.Context, s Session, before int64, limit int) ([]account.Entry, error) {
	return p.c.Accounts.Log(ctx, s.Account.ID, before, limit)
}
