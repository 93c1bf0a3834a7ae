package accountsql

import (
	"context"
	"database/sql"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/database"
)

// A part has at most so many of everything.
const changesPart = 5000

// changesTimeout bounds the reading of everything: a million keys take seconds.
const changesTimeout = 5 * time.Minute

// Changes is part of account.Store.
func (s *Store) Changes(ctx context.Context, since int64, f func(*account.Changes) error) (newest int64, err error) {
	if since == 0 {
		err = s.db.ReadFor(ctx, changesTimeout, func(ctx context.Context, q *sql.Tx) error {
			t := &tx{ctx: ctx, q: q}
			if newest, err = t.counter(counterRevision); err != nil {
				return err
			}
			return t.changes(since, &heads{newest, newest, newest, newest, 0}, f)
		})
		return newest, sorted(err)
	}
	newest, err = s.since(ctx, since, f)
	return newest, sorted(s.db.Sorted(ctx, err))
}

// heads are the newest revisions, in all and of each table.
type heads struct{ all, plans, accounts, keys, deletions int64 }

const headColumns = `SELECT (SELECT value FROM counters WHERE name = 'floor'), (SELECT value FROM counters WHERE name = 'revision'),
	COALESCE((SELECT MAX(revision) FROM plans), 0), COALESCE((SELECT MAX(revision) FROM accounts), 0),
	COALESCE((SELECT MAX(revision) FROM keys), 0), COALESCE((SELECT MAX(revision) FROM deletions), 0)`

// since tells what has changed. The database may be far away, and a revocation is to be
// known in a second: this is one question where nothing has changed, which is nearly
// always, and one more for each table that has; a transaction would be two more of each.
//
// What is newer than the first answer is told the next time. Nothing older is missing:
// nobody counts on before a change is committed.
func (s *Store) since(ctx context.Context, since int64, f func(*account.Changes) error) (newest int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, changesTimeout)
	defer cancel()
	t := &tx{ctx: ctx, q: s.db.Pool()}
	var floor int64
	var h heads
	once, done := context.WithTimeout(ctx, database.DefaultTimeout)
	defer done()
	if err := t.q.QueryRowContext(once, headColumns).Scan(&floor, &newest, &h.plans, &h.accounts, &h.keys, &h.deletions); err != nil || newest == since {
		return newest, err
	}
	if since < floor || since > newest { // or it is another store, or an older copy of it
		return newest, account.ErrForgotten
	}
	h.all = newest
	return newest, t.changes(since, &h, f)
}

func (t *tx) changes(since int64, h *heads, f func(*account.Changes) error) error {
	c := &account.Changes{}
	n := 0
	next := func() error { // one more is in c
		if n++; n < changesPart {
			return nil
		}
		err := f(c)
		c, n = &account.Changes{}, 0
		return err
	}
	const between = `WHERE revision > $1 AND revision <= $2 ORDER BY revision`
	// rows asks a table whose newest revision is head.
	rows := func(head int64, scan func(*sql.Rows) error, query string) error {
		if head <= since {
			return nil
		}
		return t.rows(scan, query+between, since, h.all)
	}
	err := rows(h.plans, func(r *sql.Rows) error {
		p, err := scanPlan(r)
		if err != nil {
			return err
		}
		c.Plans = append(c.Plans, p)
		return next()
	}, planColumns)
	if err != nil {
		return err
	}
	if err = rows(h.accounts, func(r *sql.Rows) error {
		a, err := scanAccount(r)
		if err != nil {
			return err
		}
		c.Accounts = append(c.Accounts, a)
		return next()
	}, accountColumns); err != nil {
		return err
	}
	if err = rows(h.keys, func(r *sql.Rows) error {
		k, err := scanKey(r)
		if err != nil {
			return err
		}
		c.Keys = append(c.Keys, k)
		return next()
	}, keyColumns); err != nil {
		return err
	}
	if since > 0 { // who begins knows nothing that could be gone
		if err = rows(h.deletions, func(r *sql.Rows) error {
			var kind, name string
			var id int64
			var hash []byte
			if err := r.Scan(&kind, &id, &hash, &name); err != nil {
				return err
			}
			switch kind {
			case kindKey:
				k := account.DeletedKey{ID: customer.KeyID(id)}
				copy(k.Hash[:], hash)
				c.DeletedKeys = append(c.DeletedKeys, k)
			case kindPlan:
				c.DeletedPlans = append(c.DeletedPlans, name)
			}
			return next()
		}, `SELECT kind, id, hash, name FROM deletions `); err != nil {
			return err
		}
	}
	if n > 0 {
		return f(c)
	}
	return nil
}
