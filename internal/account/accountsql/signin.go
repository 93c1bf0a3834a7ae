package accountsql

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// digest copies what the database has of one.
func digest(to *account.Digest, b []byte) error {
	if len(b) != len(to) {
		return fmt.Errorf("a digest has %d bytes; want %d", len(b), len(to))
	}
	copy(to[:], b)
	return nil
}

// Credential is part of account.SignInTx.
func (t *tx) Credential(id customer.AccountID) (c account.Credential, err error) {
	var acc, changed int64
	err = t.q.QueryRowContext(t.ctx, `SELECT account, password, changed FROM credentials WHERE account = $1`, int64(id)).Scan(&acc, &c.Password, &changed)
	c.Account, c.Changed = customer.AccountID(acc), moment(changed)
	return one(c, err)
}

// PutCredential is part of account.SignInTx.
func (t *tx) PutCredential(c *account.Credential) error {
	return t.exec(`INSERT INTO credentials (account, password, changed) VALUES ($1, $2, $3)
		ON CONFLICT (account) DO UPDATE SET password = excluded.password, changed = excluded.changed`,
		int64(c.Account), c.Password, micros(c.Changed))
}

// TOTP is part of account.SignInTx.
func (t *tx) TOTP(id customer.AccountID) (x account.TOTP, err error) {
	var acc, created, confirmed int64
	err = t.q.QueryRowContext(t.ctx, `SELECT account, secret, created, confirmed, last_step FROM totp WHERE account = $1`, int64(id)).
		Scan(&acc, &x.Secret, &created, &confirmed, &x.LastStep)
	x.Account, x.Created, x.Confirmed = customer.AccountID(acc), moment(created), moment(confirmed)
	return one(x, err)
}

// PutTOTP is part of account.SignInTx.
func (t *tx) PutTOTP(x *account.TOTP) error {
	return t.exec(`INSERT INTO totp (account, secret, created, confirmed, last_step) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account) DO UPDATE SET secret = excluded.secret, created = excluded.created, confirmed = excluded.confirmed, last_step = excluded.last_step`,
		int64(x.Account), x.Secret, micros(x.Created), micros(x.Confirmed), x.LastStep)
}

// DeleteTOTP is part of account.SignInTx.
func (t *tx) DeleteTOTP(id customer.AccountID) error {
	return t.exec(`DELETE FROM totp WHERE account = $1`, int64(id))
}

// RecoveryCodes is part of account.SignInTx.
func (t *tx) RecoveryCodes(id customer.AccountID) (all []account.RecoveryCode, err error) {
	err = t.rows(func(r *sql.Rows) error {
		var c account.RecoveryCode
		var acc, created, used int64
		var hash []byte
		if err := r.Scan(&acc, &hash, &created, &used); err != nil {
			return err
		}
		c.Account, c.Created, c.Used = customer.AccountID(acc), moment(created), moment(used)
		err := digest(&c.Hash, hash)
		all = append(all, c)
		return err
	}, `SELECT account, hash, created, used FROM recovery_codes WHERE account = $1 ORDER BY hash`, int64(id))
	return all, err
}

// PutRecoveryCode is part of account.SignInTx.
func (t *tx) PutRecoveryCode(c *account.RecoveryCode) error {
	return t.exec(`INSERT INTO recovery_codes (account, hash, created, used) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, hash) DO UPDATE SET created = excluded.created, used = excluded.used`,
		int64(c.Account), c.Hash[:], micros(c.Created), micros(c.Used))
}

// DeleteRecoveryCodes is part of account.SignInTx.
func (t *tx) DeleteRecoveryCodes(id customer.AccountID) error {
	return t.exec(`DELETE FROM recovery_codes WHERE account = $1`, int64(id))
}

const sessionColumns = `SELECT hash, id, account, created, seen, expires, factor, address, agent FROM sessions `

func scanSession(r scanner) (s account.Session, err error) {
	var acc, created, seen, expires, factor int64
	var hash []byte
	if err := r.Scan(&hash, &s.ID, &acc, &created, &seen, &expires, &factor, &s.Address, &s.Agent); err != nil {
		return s, err
	}
	s.Account, s.Created, s.Seen, s.Expires, s.Factor = customer.AccountID(acc), moment(created), moment(seen), moment(expires), moment(factor)
	return s, digest(&s.Hash, hash)
}

// Session is part of account.SignInTx.
func (t *tx) Session(d account.Digest) (account.Session, error) {
	return one(scanSession(t.q.QueryRowContext(t.ctx, sessionColumns+`WHERE hash = $1`, d[:])))
}

// Sessions is part of account.SignInTx.
func (t *tx) Sessions(id customer.AccountID) (all []account.Session, err error) {
	err = t.rows(func(r *sql.Rows) error {
		s, err := scanSession(r)
		all = append(all, s)
		return err
	}, sessionColumns+`WHERE account = $1 ORDER BY created DESC, id`, int64(id))
	return all, err
}

// PutSession is part of account.SignInTx.
func (t *tx) PutSession(s *account.Session) error {
	return t.exec(`INSERT INTO sessions (hash, id, account, created, seen, expires, factor, address, agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (hash) DO UPDATE SET id = excluded.id, account = excluded.account, created = excluded.created, seen = excluded.seen,
			expires = excluded.expires, factor = excluded.factor, address = excluded.address, agent = excluded.agent`,
		s.Hash[:], s.ID, int64(s.Account), micros(s.Created), micros(s.Seen), micros(s.Expires), micros(s.Factor), s.Address, s.Agent)
}

// DeleteSession is part of account.SignInTx.
func (t *tx) DeleteSession(d account.Digest) error {
	return t.exec(`DELETE FROM sessions WHERE hash = $1`, d[:])
}

const deviceColumns = `SELECT hash, id, account, name, created, seen, expires FROM devices `

func scanDevice(r scanner) (d account.Device, err error) {
	var acc, created, seen, expires int64
	var hash []byte
	if err := r.Scan(&hash, &d.ID, &acc, &d.Name, &created, &seen, &expires); err != nil {
		return d, err
	}
	d.Account, d.Created, d.Seen, d.Expires = customer.AccountID(acc), moment(created), moment(seen), moment(expires)
	return d, digest(&d.Hash, hash)
}

// Device is part of account.SignInTx.
func (t *tx) Device(d account.Digest) (account.Device, error) {
	return one(scanDevice(t.q.QueryRowContext(t.ctx, deviceColumns+`WHERE hash = $1`, d[:])))
}

// Devices is part of account.SignInTx.
func (t *tx) Devices(id customer.AccountID) (all []account.Device, err error) {
	err = t.rows(func(r *sql.Rows) error {
		d, err := scanDevice(r)
		all = append(all, d)
		return err
	}, deviceColumns+`WHERE account = $1 ORDER BY created DESC, id`, int64(id))
	return all, err
}

// PutDevice is part of account.SignInTx.
func (t *tx) PutDevice(d *account.Device) error {
	return t.exec(`INSERT INTO devices (hash, id, account, name, created, seen, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (hash) DO UPDATE SET id = excluded.id, account = excluded.account, name = excluded.name, created = excluded.created,
			seen = excluded.seen, expires = excluded.expires`,
		d.Hash[:], d.ID, int64(d.Account), d.Name, micros(d.Created), micros(d.Seen), micros(d.Expires))
}

// DeleteDevice is part of account.SignInTx.
func (t *tx) DeleteDevice(d account.Digest) error {
	return t.exec(`DELETE FROM devices WHERE hash = $1`, d[:])
}

const tokenColumns = `SELECT hash, account, purpose, email, created, expires, used FROM mail_tokens `

func scanToken(r scanner) (m account.MailToken, err error) {
	var acc, created, expires, used int64
	var hash []byte
	if err := r.Scan(&hash, &acc, &m.Purpose, &m.Email, &created, &expires, &used); err != nil {
		return m, err
	}
	m.Account, m.Created, m.Expires, m.Used = customer.AccountID(acc), moment(created), moment(expires), moment(used)
	return m, digest(&m.Hash, hash)
}

// MailToken is part of account.SignInTx.
func (t *tx) MailToken(d account.Digest) (account.MailToken, error) {
	return one(scanToken(t.q.QueryRowContext(t.ctx, tokenColumns+`WHERE hash = $1`, d[:])))
}

// MailTokens is part of account.SignInTx.
func (t *tx) MailTokens(id customer.AccountID, purpose string) (all []account.MailToken, err error) {
	err = t.rows(func(r *sql.Rows) error {
		m, err := scanToken(r)
		all = append(all, m)
		return err
	}, tokenColumns+`WHERE account = $1 AND purpose = $2 ORDER BY created DESC, hash`, int64(id), purpose)
	return all, err
}

// PutMailToken is part of account.SignInTx.
func (t *tx) PutMailToken(m *account.MailToken) error {
	return t.exec(`INSERT INTO mail_tokens (hash, account, purpose, email, created, expires, used) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (hash) DO UPDATE SET account = excluded.account, purpose = excluded.purpose, email = excluded.email, created = excluded.created,
			expires = excluded.expires, used = excluded.used`,
		m.Hash[:], int64(m.Account), m.Purpose, m.Email, micros(m.Created), micros(m.Expires), micros(m.Used))
}

// DeleteMailTokens is part of account.SignInTx.
func (t *tx) DeleteMailTokens(id customer.AccountID, purpose string) error {
	if purpose == "" {
		return t.exec(`DELETE FROM mail_tokens WHERE account = $1`, int64(id))
	}
	return t.exec(`DELETE FROM mail_tokens WHERE account = $1 AND purpose = $2`, int64(id), purpose)
}

const signUpColumns = `SELECT hash, email, created, expires FROM sign_ups `

func scanSignUp(r scanner) (s account.SignUp, err error) {
	var created, expires int64
	var hash []byte
	if err := r.Scan(&hash, &s.Email, &created, &expires); err != nil {
		return s, err
	}
	s.Created, s.Expires = moment(created), moment(expires)
	return s, digest(&s.Hash, hash)
}

// SignUp is part of account.SignInTx.
func (t *tx) SignUp(d account.Digest) (account.SignUp, error) {
	return one(scanSignUp(t.q.QueryRowContext(t.ctx, signUpColumns+`WHERE hash = $1`, d[:])))
}

// SignUps is part of account.SignInTx.
func (t *tx) SignUps(emailKey string) (all []account.SignUp, err error) {
	err = t.rows(func(r *sql.Rows) error {
		s, err := scanSignUp(r)
		all = append(all, s)
		return err
	}, signUpColumns+`WHERE email_key = $1 ORDER BY created DESC, hash`, emailKey)
	return all, err
}

// CountSignUps is part of account.SignInTx.
func (t *tx) CountSignUps() (n int64, err error) {
	err = t.q.QueryRowContext(t.ctx, `SELECT count(*) FROM sign_ups`).Scan(&n)
	return n, err
}

// PutSignUp is part of account.SignInTx.
func (t *tx) PutSignUp(s *account.SignUp) error {
	return t.exec(`INSERT INTO sign_ups (hash, email, email_key, created, expires) VALUES ($1, $2, $3, $4, $5)`,
		s.Hash[:], s.Email, account.EmailKey(s.Email), micros(s.Created), micros(s.Expires))
}

// DeleteSignUps is part of account.SignInTx.
func (t *tx) DeleteSignUps(emailKey string) error {
	return t.exec(`DELETE FROM sign_ups WHERE email_key = $1`, emailKey)
}

// ForgetSignIns is part of account.SignInTx.
func (t *tx) ForgetSignIns(at time.Time) error {
	for _, table := range []string{"sessions", "devices", "mail_tokens", "sign_ups"} {
		if err := t.exec(`DELETE FROM `+table+` WHERE expires < $1`, micros(at)); err != nil {
			return err
		}
	}
	// A call that was on its way when its account was deleted is counted afterwards.
	return t.exec(`DELETE FROM usage_hours WHERE `+everyAggregator+` AND account IN (SELECT id FROM accounts WHERE status = $1)`, int64(customer.Deleted))
}
