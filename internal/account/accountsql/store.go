// Package accountsql keeps accounts, keys and plans in a SQL database, which package
// sqlite or postgres has opened. [New] makes an account.Store of it. The statements
// are the same for both.
package accountsql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/database"
)

// Store is an account.Store. It is safe for concurrent use.
type Store struct{ db *database.DB }

var _ account.Store = (*Store)(nil)

// New returns a Store on db. It asks nothing of it. Closing the Store closes db.
func New(db *database.DB) *Store { return &Store{db} }

// Close is part of account.Store.
func (s *Store) Close() error { return s.db.Close() }

// Read is part of account.Store.
func (s *Store) Read(ctx context.Context, f func(account.Tx) error) error {
	return sorted(s.db.Read(ctx, func(ctx context.Context, q *sql.Tx) error { return f(&tx{ctx: ctx, q: q}) }))
}

// Write is part of account.Store.
func (s *Store) Write(ctx context.Context, f func(account.Tx) error) error {
	return sorted(s.db.WriteAlone(ctx, func(ctx context.Context, q *sql.Tx) error {
		t := &tx{ctx: ctx, q: q}
		if err := f(t); err != nil {
			return err
		}
		return t.finish()
	}))
}

// sorted says a failure of the database in the words of package account.
func sorted(err error) error {
	switch {
	case err == nil || errors.Is(err, account.ErrUnavailable):
		return err
	case errors.Is(err, database.ErrUnavailable):
		return unavailable{err}
	case errors.Is(err, database.ErrExists):
		return fmt.Errorf("%w: %w", account.ErrExists, err)
	}
	return err
}

// unavailable is an [account.ErrUnavailable] that says so once.
type unavailable struct{ error }

func (unavailable) Is(err error) bool { return err == account.ErrUnavailable } //nolint:errorlint // that is what Is is for
func (e unavailable) Unwrap() error   { return e.error }

// querier is a transaction, or for what is only read the pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// tx is an account.Tx.
type tx struct {
	ctx      context.Context //nolint:containedctx // the transaction's own
	q        querier
	revision int64 // 0 until something is stamped
	logged   int64 // the same of the log
}

const (
	counterRevision = "revision"
	counterFloor    = "floor"
	counterLog      = "audit"
)

func (t *tx) counter(name string) (n int64, err error) {
	err = t.q.QueryRowContext(t.ctx, `SELECT value FROM counters WHERE name = $1`, name).Scan(&n)
	return n, err
}

func (t *tx) setCounter(name string, n int64) error {
	return t.exec(`UPDATE counters SET value = $2 WHERE name = $1`, name, n)
}

// stamp returns the next revision. Nobody else counts until this transaction has
// ended (database.DB.WriteAlone), so the order of revisions is that of commits.
func (t *tx) stamp() (int64, error) {
	if t.revision == 0 {
		n, err := t.counter(counterRevision)
		if err != nil {
			return 0, err
		}
		t.revision = n
	}
	t.revision++
	return t.revision, nil
}

// finish writes how far this transaction has counted.
func (t *tx) finish() error {
	if t.revision > 0 {
		if err := t.setCounter(counterRevision, t.revision); err != nil {
			return err
		}
	}
	if t.logged > 0 {
		return t.setCounter(counterLog, t.logged)
	}
	return nil
}

func (t *tx) exec(statement string, args ...any) error {
	_, err := t.q.ExecContext(t.ctx, statement, args...)
	return err
}

// rows calls scan for each row of the answer.
func (t *tx) rows(scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := t.q.QueryContext(t.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one is what a query for one row found.
func one[T any](v T, err error) (T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		var none T
		return none, account.ErrNotFound
	}
	return v, err
}

// scanner is a row.
type scanner interface{ Scan(...any) error }

// Times are kept as microseconds since 1970; zero is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// Setting is part of account.Tx.
func (t *tx) Setting(name string) (v string, err error) {
	err = t.q.QueryRowContext(t.ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// SetSetting is part of account.Tx.
func (t *tx) SetSetting(name, value string) error {
	if value == "" {
		return t.exec(`DELETE FROM settings WHERE name = $1`, name)
	}
	return t.exec(`INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
}

// Log is part of account.Tx.
func (t *tx) Log(e *account.Entry) error {
	if t.logged == 0 {
		n, err := t.counter(counterLog)
		if err != nil {
			return err
		}
		t.logged = n
	}
	t.logged++
	e.ID = t.logged
	return t.exec(`INSERT INTO audit (id, at, account, actor, action, subject, detail, address) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		e.ID, micros(e.At), int64(e.Account), e.Actor, e.Action, e.Subject, e.Detail, e.Address)
}

// Entries is part of account.Tx.
func (t *tx) Entries(a customer.AccountID, before int64, limit int) (all []account.Entry, err error) {
	const columns = `SELECT id, at, account, actor, action, subject, detail, address FROM audit `
	scan := func(r *sql.Rows) error {
		var e account.Entry
		var at, id int64
		err := r.Scan(&e.ID, &at, &id, &e.Actor, &e.Action, &e.Subject, &e.Detail, &e.Address)
		e.At, e.Account = moment(at), customer.AccountID(id)
		all = append(all, e)
		return err
	}
	if before <= 0 {
		before = 1<<63 - 1
	}
	if a == 0 {
		err = t.rows(scan, columns+`WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, limit)
	} else {
		err = t.rows(scan, columns+`WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, int64(a), before, limit)
	}
	return all, err
}
