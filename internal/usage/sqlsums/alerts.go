package sqlsums

import (
	"context"
	"database/sql"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// epoch is how an alert's Epoch is kept.
func epoch(a usage.Alert) int64 {
	if a.Epoch.IsZero() {
		return 0
	}
	return a.Epoch.UnixMicro()
}

// Raise says whether an alert is new, and remembers it: the primary key lets one of
// all processes have it.
func (s *Store) Raise(ctx context.Context, a usage.Alert) (fresh bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO alerts (account, plan_from, period, span, threshold, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			int64(a.Account), epoch(a), int64(a.Period), int64(a.Span), int64(a.Threshold), -time.Now().UnixMicro())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		fresh = n == 1
		return err
	})
	return fresh, err
}

// Told says that an alert was told.
func (s *Store) Told(ctx context.Context, a usage.Alert) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE alerts SET at = $1 WHERE account = $2 AND plan_from = $3 AND period = $4 AND span = $5 AND threshold = $6`,
			time.Now().UnixMicro(), int64(a.Account), epoch(a), int64(a.Period), int64(a.Span), int64(a.Threshold))
		return err
	})
}

// Untold returns alerts that nobody has told, for the caller to tell.
func (s *Store) Untold(ctx context.Context, before time.Time, limit int) (all []usage.Alert, err error) {
	var found []usage.Alert
	var since []int64
	err = s.db.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT account, plan_from, period, span, threshold, at FROM alerts WHERE at < 0 AND at > $1 LIMIT $2`, -before.UnixMicro(), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var account, from, period, span, threshold, at int64
			if err := rows.Scan(&account, &from, &period, &span, &threshold, &at); err != nil {
				return err
			}
			a := usage.Alert{Account: customer.AccountID(account), Period: customer.Period(period), Span: customer.Hour(span), Threshold: int(threshold)}
			if from != 0 {
				a.Epoch = time.UnixMicro(from).UTC()
			}
			found, since = append(found, a), append(since, at)
		}
		return rows.Err()
	})
	if err != nil || len(found) == 0 { // mostly there are none, and then nothing is written
		return nil, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		all = nil
		now := -time.Now().UnixMicro()
		for i, a := range found {
			// Of two processes that have found it, the one gets it for which it is as it was.
			result, err := tx.ExecContext(ctx, `UPDATE alerts SET at = $1 WHERE account = $2 AND plan_from = $3 AND period = $4 AND span = $5 AND threshold = $6 AND at = $7`,
				now, int64(a.Account), epoch(a), int64(a.Period), int64(a.Span), int64(a.Threshold), since[i])
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil {
				return err
			} else if n == 1 {
				all = append(all, a)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
