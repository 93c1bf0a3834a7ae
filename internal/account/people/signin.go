package people

import (
	"context"
	"errors"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

var errBadSignIn = &Error{Code: BadSignIn, Message: "There is no account with this address and this password."}

// log adds an entry of what somebody did to their own account.
func (p *People) log(tx account.Tx, v Visit, id customer.AccountID, action, subject, detail string) error {
	if subject == "" {
		subject = id.String()
	}
	return tx.Log(&account.Entry{At: p.moment(), Account: id, Actor: id.String(), Action: action, Subject: subject, Detail: detail, Address: v.address()})
}

// SignIn checks a password. A wrong one, and an address without an account, are
// BadSignIn after the same work.
func (p *People) SignIn(ctx context.Context, v Visit, email, password string) (out SignedIn, err error) {
	var a customer.Account
	var c account.Credential
	var second, remembered bool
	if err := p.c.Store.Read(ctx, func(tx account.Tx) (err error) {
		if a, err = tx.AccountByEmail(account.EmailKey(email)); err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		// All of it is asked for also where there is no account.
		if c, err = tx.Credential(a.ID); err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		if _, second, err = totpOf(tx, a.ID); err != nil {
			return err
		}
		digest, _ := digestOf(prefixDevice, v.Device)
		d, err := tx.Device(digest)
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		remembered = err == nil && d.Account == a.ID && p.moment().Before(d.Expires)
		return nil
	}); err != nil {
		return out, err
	}
	right, again, err := p.hash.verify(ctx, c.Password, password)
	if err != nil {
		return out, err
	}
	if !right {
		return out, failed(ctx, errBadSignIn)
	}
	fresh := c.Password
	if again { // the parameters are older than today's
		if fresh, err = p.hash.hash(ctx, password); err != nil {
			return out, err
		}
	}
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		// What was read may have changed while the password was hashed.
		now, err := tx.Credential(a.ID)
		if errors.Is(err, account.ErrNotFound) || err == nil && now.Password != c.Password {
			return errBadSignIn
		}
		if err != nil {
			return err
		}
		if again {
			if err := tx.PutCredential(&account.Credential{Account: a.ID, Password: fresh, Changed: c.Changed}); err != nil {
				return err
			}
		}
		if a, err = tx.Account(a.ID); err != nil {
			return err
		}
		if second && !remembered {
			out, err = p.ticket(tx, a.ID)
			return err
		}
		if second {
			digest, _ := digestOf(prefixDevice, v.Device)
			d, err := tx.Device(digest)
			if errors.Is(err, account.ErrNotFound) { // it was forgotten meanwhile
				out, err = p.ticket(tx, a.ID)
				return err
			}
			if err != nil {
				return err
			}
			d.Seen = p.moment()
			if err := tx.PutDevice(&d); err != nil {
				return err
			}
		}
		out, err = p.begin(tx, v, &a, false)
		return err
	})
	if err != nil {
		return SignedIn{}, err
	}
	return out, nil
}

// maxTickets is how many tickets an account may have that wait for a second factor.
const maxTickets = 20

// ticket stands between the password and the second factor.
func (p *People) ticket(tx account.Tx, id customer.AccountID) (out SignedIn, err error) {
	all, err := tx.MailTokens(id, account.PurposeFactor)
	if err != nil {
		return out, err
	}
	if len(all) >= maxTickets {
		if err := tx.DeleteMailTokens(id, account.PurposeFactor); err != nil {
			return out, err
		}
	}
	text, digest := newToken(prefixTicket)
	now := p.moment()
	out = SignedIn{Ticket: text, Expires: now.Add(TicketLife), RecoveryLeft: -1}
	return out, tx.PutMailToken(&account.MailToken{Hash: digest, Account: id, Purpose: account.PurposeFactor, Created: now, Expires: out.Expires})
}

// SecondFactor checks a code of an authenticator app, or a recovery code, for a ticket
// of SignIn. Each counts once. remember makes the device one that needs no more codes.
func (p *People) SecondFactor(ctx context.Context, v Visit, ticket, code string, remember bool) (out SignedIn, err error) {
	var m account.MailToken
	if err := p.c.Store.Read(ctx, func(tx account.Tx) error {
		m, err = p.token(tx, account.PurposeFactor, prefixTicket, ticket)
		return err
	}); err != nil {
		return out, failed(ctx, ticketError(err))
	}
	if err := p.try(p.factor, m.Account); err != nil {
		return out, err
	}
	wrong := false
	err = p.c.Store.Write(ctx, func(tx account.Tx) error {
		m, err := p.token(tx, account.PurposeFactor, prefixTicket, ticket)
		if err != nil {
			return err
		}
		a, err := tx.Account(m.Account)
		if err != nil {
			return err
		}
		x, on, err := totpOf(tx, m.Account)
		if err != nil {
			return err
		}
		left := -1
		if on { // or it was ended meanwhile, by who has it
			if left, err = p.spend(tx, &x, code, p.moment()); errors.Is(err, errBadCode) {
				wrong = true
				return p.log(tx, v, a.ID, account.ActionSignInFailed, "", "the password was right, the second factor was not")
			}
			if err != nil {
				return err
			}
		}
		m.Used = p.moment()
		if err := tx.PutMailToken(&m); err != nil {
			return err
		}
		if out, err = p.begin(tx, v, &a, true); err != nil {
			return err
		}
		out.RecoveryLeft = left
		if !remember {
			return nil
		}
		out.Device, out.DeviceExpires, err = p.remember(tx, v, a.ID)
		return err
	})
	switch {
	case err != nil:
		return SignedIn{}, ticketError(err)
	case wrong:
		return SignedIn{}, failed(ctx, errBadCode)
	}
	if out.RecoveryLeft >= 0 {
		p.tell(ctx, out.Account.Email, p.letterRecoveryUsed(v, out.RecoveryLeft))
	}
	return out, nil
}

// ticketError says of a ticket what is said of a link.
func ticketError(err error) error {
	if errors.Is(err, errBadToken) {
		return &Error{Code: BadToken, Message: "That took too long. Sign in again."}
	}
	return err
}

// maxDevices bounds the devices of an account that are remembered.
const maxDevices = 20

// remember makes the device one that needs no second factor.
func (p *People) remember(tx account.Tx, v Visit, id customer.AccountID) (text string, expires time.Time, err error) {
	all, err := tx.Devices(id)
	if err != nil {
		return "", expires, err
	}
	for i := maxDevices - 1; i < len(all); i++ { // the oldest are last
		if err := tx.DeleteDevice(all[i].Hash); err != nil {
			return "", expires, err
		}
	}
	text, digest := newToken(prefixDevice)
	now := p.moment()
	d := account.Device{Hash: digest, ID: newID(), Account: id, Name: v.agent(), Created: now, Seen: now, Expires: now.Add(DeviceLife)}
	if err := tx.PutDevice(&d); err != nil {
		return "", expires, err
	}
	return text, d.Expires, p.log(tx, v, id, account.ActionDeviceNew, DeviceID(d.ID).String(), d.Name)
}

// maxSessions bounds the sessions of an account.
const maxSessions = 50

// begin makes a session. Its text is new: nobody can have known it before.
func (p *People) begin(tx account.Tx, v Visit, a *customer.Account, factor bool) (out SignedIn, err error) {
	all, err := tx.Sessions(a.ID)
	if err != nil {
		return out, err
	}
	for i := maxSessions - 1; i < len(all); i++ { // the oldest are last
		if err := tx.DeleteSession(all[i].Hash); err != nil {
			return out, err
		}
	}
	text, digest := newToken(prefixSession)
	now := p.moment()
	s := account.Session{Hash: digest, ID: newID(), Account: a.ID, Created: now, Seen: now, Expires: now.Add(SessionIdle), Address: v.address(), Agent: v.agent()}
	if factor {
		s.Factor = now
	}
	if err := tx.PutSession(&s); err != nil {
		return out, err
	}
	out = SignedIn{Session: text, Expires: s.Expires, Account: *a, RecoveryLeft: -1}
	return out, p.log(tx, v, a.ID, account.ActionSignIn, SessionID(s.ID).String(), s.Agent)
}
