package people

import (
	"context"
	"errors"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

var errNoSession = &Error{Code: NoSession, Message: "Sign in first."}

// seenEvery is how exact Session.Seen is: a session that is used is written as rarely.
const seenEvery = 5 * time.Minute

// Session returns who is signed in, by the text of a session. The error is NoSession.
func (p *People) Session(ctx context.Context, text string) (s Session, err error) {
	digest, ok := digestOf(prefixSession, text)
	if !ok {
		return s, errNoSession
	}
	var row account.Session
	var a customer.Account
	renewed := false
	now := p.moment()
	err = p.c.Store.Read(ctx, func(tx account.Tx) error {
		if row, err = tx.Session(digest); err != nil {
			return err
		}
		a, err = tx.Account(row.Account)
		return err
	})
	switch {
	case errors.Is(err, account.ErrNotFound), err == nil && (!now.Before(row.Expires) || a.Status == customer.Deleted):
		return s, errNoSession
	case err != nil:
		return s, err
	}
	if now.Sub(row.Seen) >= seenEvery {
		seen := row
		// What cannot be written now is written the next time.
		if err := p.c.Store.Write(ctx, func(tx account.Tx) error {
			if seen, err = tx.Session(digest); err != nil { // it may have been ended meanwhile
				return err
			}
			seen.Seen, seen.Expires = now, earlier(now.Add(SessionIdle), seen.Created.Add(SessionLife))
			return tx.PutSession(&seen)
		}); errors.Is(err, account.ErrNotFound) {
			return s, errNoSession
		} else if err == nil {
			row, renewed = seen, true
		}
	}
	s = sessionOf(&row, a)
	s.Renewed = renewed
	return s, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func sessionOf(row *account.Session, a customer.Account) Session {
	return Session{
		ID: SessionID(row.ID), Account: a, Created: row.Created, Seen: row.Seen, Expires: row.Expires, Factor: row.Factor,
		Address: row.Address, Agent: row.Agent, hash: row.Hash,
	}
}

// still returns the session if it is there, in a transaction that writes.
func (p *People) still(tx account.SignInTx, s Session) (account.Session, error) {
	row, err := tx.Session(s.hash)
	if errors.Is(err, account.ErrNotFound) || err == nil && row.Account != s.Account.ID {
		return row, errNoSession
	}
	return row, err
}

// own checks the password of who is signed in, before what cannot be undone.
func (p *People) own(ctx context.Context, s Session, password string) error {
	if err := p.try(p.wrong, s.Account.ID); err != nil {
		return err
	}
	var c account.Credential
	err := p.c.Store.Read(ctx, func(tx account.Tx) (err error) {
		if _, err := p.still(tx, s); err != nil {
			return err
		}
		if c, err = tx.Credential(s.Account.ID); errors.Is(err, account.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	right, _, err := p.hash.verify(ctx, c.Password, password)
	if err != nil {
		return err
	}
	if !right {
		return &Error{Code: BadPassword, Message: "This is not your password."}
	}
	return nil
}

// Sessions lists the sessions of an account, the newest first.
func (p *People) Sessions(ctx context.Context, s Session) (all []Session, err error) {
	err = p.c.Store.Read(ctx, func(tx account.Tx) error {
		rows, err := tx.Sessions(s.Account.ID)
		if err != nil {
			return err
		}
		for i := range rows {
			if p.moment().Before(rows[i].Expires) {
				one := sessionOf(&rows[i], s.Account)
				one.Current = one.ID == s.ID
				all = append(all, one)
			}
		}
		return nil
	})
	return all, err
}

// EndSession ends a session of the same account; its own is signing out. The error is
// account.ErrNotFound when the account has none of that name.
func (p *People) EndSession(ctx context.Context, v Visit, s Session, id SessionID) error {
	return p.c.Store.Write(ctx, func(tx account.Tx) error {
		rows, err := tx.Sessions(s.Account.ID)
		if err != nil {
			return err
		}
		for i := range rows {
			if SessionID(rows[i].ID) != id {
				continue
			}
			if err := tx.DeleteSession(rows[i].Hash); err != nil {
				return err
			}
			action := account.ActionSessionEnd
			if id == s.ID {
				action = account.ActionSignOut
			}
			return p.log(tx, v, s.Account.ID, action, id.String(), "")
		}
		return account.ErrNotFound
	})
}

// EndOthers ends all sessions of the account but this one, and forgets its devices.
func (p *People) EndOthers(ctx context.Context, v Visit, s Session) (ended int, err error) {
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		if _, err := p.still(tx, s); err != nil {
			return err
		}
		if ended, err = p.endOthers(tx, s); err != nil {
			return err
		}
		return p.log(tx, v, s.Account.ID, account.ActionSessionEnd, "", "all others")
	})
	return ended, err
}

func (p *People) endOthers(tx account.Tx, s Session) (ended int, err error) {
	rows, err := tx.Sessions(s.Account.ID)
	if err != nil {
		return 0, err
	}
	for i := range rows {
		if rows[i].Hash == s.hash {
			continue
		}
		if err := tx.DeleteSession(rows[i].Hash); err != nil {
			return 0, err
		}
		ended++
	}
	devices, err := tx.Devices(s.Account.ID)
	if err != nil {
		return 0, err
	}
	for i := range devices {
		if err := tx.DeleteDevice(devices[i].Hash); err != nil {
			return 0, err
		}
	}
	// Who has the password and waits for a second factor waits in vain.
	return ended, tx.DeleteMailTokens(s.Account.ID, account.PurposeFactor)
}

// Devices lists the devices that are remembered.
func (p *People) Devices(ctx context.Context, s Session) (all []Device, err error) {
	err = p.c.Store.Read(ctx, func(tx account.Tx) error {
		rows, err := tx.Devices(s.Account.ID)
		for i := range rows {
			if d := &rows[i]; p.moment().Before(d.Expires) {
				all = append(all, Device{DeviceID(d.ID), d.Name, d.Created, d.Seen, d.Expires})
			}
		}
		return err
	})
	return all, err
}

// ForgetDevice forgets a device: it needs a second factor again. The error is
// account.ErrNotFound when the account has none of that name.
func (p *People) ForgetDevice(ctx context.Context, v Visit, s Session, id DeviceID) error {
	return p.c.Store.Write(ctx, func(tx account.Tx) error {
		rows, err := tx.Devices(s.Account.ID)
		if err != nil {
			return err
		}
		for i := range rows {
			if DeviceID(rows[i].ID) == id {
				if err := tx.DeleteDevice(rows[i].Hash); err != nil {
					return err
				}
				return p.log(tx, v, s.Account.ID, account.ActionDeviceForget, id.String(), "")
			}
		}
		return account.ErrNotFound
	})
}

// Remembers reports whether a device is remembered for the account of an address.
func (p *People) Remembers(ctx context.Context, device, email string) bool {
	digest, ok := digestOf(prefixDevice, device)
	if !ok {
		return false
	}
	known := false
	err := p.c.Store.Read(ctx, func(tx account.Tx) error {
		d, err := tx.Device(digest)
		if err != nil || !p.moment().Before(d.Expires) {
			return err
		}
		a, err := tx.Account(d.Account)
		known = err == nil && account.EmailKey(a.Email) == account.EmailKey(email)
		return err
	})
	return err == nil && known
}
