package accountsql

import (
	"context"
	"database/sql"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// A part has at most so many of everything.
const changesPart = 5000

// changesTimeout bounds the reading of everything: a million keys take seconds.
const changesTimeout = 5 * time.Minute

// Changes is part of account.Store.
func (s *Store) Changes(ctx context.Context, since int64, f func(*account.Changes) error) (newest int64, err error) {
	// Most of the time nothing has changed: that is one row.
	err = s.db.Read(ctx, func(ctx context.Context, q *sql.Tx) (err error) {
		newest, err = (&tx{ctx: ctx, q: q}).counter(counterRevision)
		return err
	})
	if err != nil || newest == since {
		return newest, sorted(err)
	}
	err = s.db.ReadFor(ctx, changesTimeout, func(ctx context.Context, q *sql.Tx) error {
		t := &tx{ctx: ctx, q: q}
		floor, err := t.counter(counterFloor)
		if err != nil {
			return err
		}
		if newest, err = t.counter(counterRevision); err != nil {
			return err
		}
		if since != 0 && (since < floor || since > newest) { // or it is another store, or an older copy of it
			return account.ErrForgotten
		}
		return t.changes(since, f)
	})
	return newest, sorted(err)
}

func (t *tx) changes(since int64, f func(*account.Changes) error) error {
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
	const after = `WHERE revision > $1 ORDER BY revision`
	err := t.rows(func(r *sql.Rows) error {
		p, err := scanPlan(r)
		if err != nil {
			return err
		}
		c.Plans = append(c.Plans, p)
		return next()
	}, planColumns+after, since)
	if err != nil {
		return err
	}
	if err = t.rows(func(r *sql.Rows) error {
		a, err := scanAccount(r)
		if err != nil {
			return err
		}
		c.Accounts = append(c.Accounts, a)
		return next()
	}, accountColumns+after, since); err != nil {
		return err
	}
	if err = t.rows(func(r *sql.Rows) error {
		k, err := scanKey(r)
		if err != nil {
			return err
		}
		c.Keys = append(c.Keys, k)
		return next()
	}, keyColumns+after, since); err != nil {
		return err
	}
	if since > 0 { // who begins knows nothing that could be gone
		if err = t.rows(func(r *sql.Rows) error {
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
		}, `SELECT kind, id, hash, name FROM deletions `+after, since); err != nil {
			return err
		}
	}
	if n > 0 {
		return f(c)
	}
	return nil
}
