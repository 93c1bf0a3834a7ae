package people

import (
	"context"
	"errors"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// What follows is for operators, who need nobody's password. actor is who they are, for
// the log.

// operate changes how an account signs in, in one transaction, and notes it.
func (p *People) operate(ctx context.Context, actor string, id customer.AccountID, action, detail string, f func(account.Tx) error) (a customer.Account, err error) {
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		if a, err = tx.Account(id); err != nil {
			return err
		}
		if a.Status == customer.Deleted {
			return account.ErrNotFound
		}
		if err := f(tx); err != nil {
			return err
		}
		return tx.Log(&account.Entry{At: p.moment(), Account: id, Actor: actor, Action: action, Subject: id.String(), Detail: detail})
	})
	return a, err
}

// OperatorPassword sets the password of an account, and ends its sessions.
func (p *People) OperatorPassword(ctx context.Context, actor string, a *customer.Account, password string) error {
	if err := checkPassword(password, a.Email); err != nil {
		return err
	}
	kept, err := p.hash.hash(ctx, password)
	if err != nil {
		return err
	}
	_, err = p.operate(ctx, actor, a.ID, account.ActionPassword, "by the operator", func(tx account.Tx) error {
		if err := tx.PutCredential(&account.Credential{Account: a.ID, Password: kept, Changed: p.moment()}); err != nil {
			return err
		}
		if _, err := p.endOthers(tx, Session{Account: *a}); err != nil {
			return err
		}
		return tx.DeleteMailTokens(a.ID, "")
	})
	return err
}

// OperatorSignOut ends all sessions of an account, and forgets its devices.
func (p *People) OperatorSignOut(ctx context.Context, actor string, id customer.AccountID) (ended int, err error) {
	_, err = p.operate(ctx, actor, id, account.ActionSessionEnd, "all, by the operator", func(tx account.Tx) error {
		ended, err = p.endOthers(tx, Session{Account: customer.Account{ID: id}})
		return err
	})
	return ended, err
}

// OperatorFactorOff ends the second factor of who has lost it. Who wants that must have
// shown to be the owner, to the operator.
func (p *People) OperatorFactorOff(ctx context.Context, actor string, id customer.AccountID) error {
	a, err := p.operate(ctx, actor, id, account.ActionTOTPEnd, "by the operator", func(tx account.Tx) error {
		if _, on, err := totpOf(tx, id); err != nil || !on {
			return first(err, errNoTOTP)
		}
		return errors.Join(tx.DeleteTOTP(id), tx.DeleteRecoveryCodes(id))
	})
	if err == nil {
		p.tell(ctx, a.Email, p.letterFactor(Visit{}, false))
	}
	return err
}
