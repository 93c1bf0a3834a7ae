// Package sqlsums keeps the sums of usage in the database of accounts: usage.Store on
// SQLite or PostgreSQL.
//
// The call most people want:
//
//	store := sqlsums.New(db, "eu-west")
//
// The name is of whose sums they are: aggregators that share a database and are to keep
// sums of their own have names of their own. Those of one name take turns: who finds
// that another one committed reads its sums anew.
package sqlsums

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/database"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// Store is the sums of one aggregator.
type Store struct {
	db   *database.DB
	name string
}

var _ usage.Store = (*Store)(nil)

// New returns the store of an aggregator.
func New(db *database.DB, name string) *Store { return &Store{db, name} }

// streams stand beside nodes in the table of marks, under this name and the region.
const streams = "stream "

func nodeName(m usage.Mark) string {
	if m.Node == 0 {
		return streams + m.Region
	}
	return fmt.Sprintf("%016x", m.Node)
}

// Marks says how far everything is.
func (s *Store) Marks(ctx context.Context) (marks map[usage.Mark]uint64, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		marks, err = s.marks(ctx, tx)
		return err
	})
	return marks, err
}

// State reads sums and marks in one transaction, which sees one state of the database.
func (s *Store) State(ctx context.Context, q usage.Query, yield func(usage.Row, int64)) (marks map[usage.Mark]uint64, err error) {
	err = s.db.ReadFor(ctx, stateTimeout, func(ctx context.Context, tx *sql.Tx) error {
		if marks, err = s.marks(ctx, tx); err != nil {
			return err
		}
		return s.rows(ctx, tx, q, func(r usage.Row, n int64) bool { yield(r, n); return true })
	})
	return marks, err
}

// stateTimeout is for a month of many keys.
const stateTimeout = 5 * time.Minute

func (s *Store) marks(ctx context.Context, tx *sql.Tx) (map[usage.Mark]uint64, error) {
	rows, err := tx.QueryContext(ctx, `SELECT node, region, sequence FROM usage_watermarks WHERE aggregator = $1`, s.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	marks := map[usage.Mark]uint64{}
	for rows.Next() {
		var node, region string
		var sequence int64
		if err := rows.Scan(&node, &region, &sequence); err != nil {
			return nil, err
		}
		m := usage.Mark{Region: region}
		if !strings.HasPrefix(node, streams) {
			if m.Node, err = strconv.ParseUint(node, 16, 64); err != nil {
				return nil, fmt.Errorf("the table usage_watermarks has a node %q: %w", node, err)
			}
		}
		marks[m] = uint64(sequence)
	}
	return marks, rows.Err()
}

// perStatement is how many rows are written at once.
const perStatement = 250

// Commit adds to the sums and moves the marks, in one transaction.
func (s *Store) Commit(ctx context.Context, add []usage.Sum, was, marks map[usage.Mark]uint64) error {
	// What is much takes longer than other transactions may.
	tx, err := s.db.Pool().BeginTx(ctx, nil)
	if err != nil {
		return s.db.Sorted(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := s.move(ctx, tx, was, marks); err != nil {
		return s.sorted(ctx, err)
	}
	// In the order of the primary key: of two processes neither waits for the other's rows
	// while the other waits for its.
	slices.SortFunc(add, func(a, b usage.Sum) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Region, b.Region))
	})
	for part := range slices.Chunk(add, perStatement) {
		if err := s.add(ctx, tx, part); err != nil {
			return s.sorted(ctx, err)
		}
	}
	return s.sorted(ctx, tx.Commit())
}

func (s *Store) sorted(ctx context.Context, err error) error {
	if errors.Is(err, usage.ErrBehind) {
		return err
	}
	return s.db.Sorted(ctx, err)
}

func (s *Store) move(ctx context.Context, tx *sql.Tx, was, marks map[usage.Mark]uint64) error {
	names := make([]usage.Mark, 0, len(marks))
	for m := range marks {
		names = append(names, m)
	}
	slices.SortFunc(names, func(a, b usage.Mark) int { return cmp.Compare(nodeName(a), nodeName(b)) })
	now := time.Now().UnixMicro()
	for _, m := range names {
		var result sql.Result
		var err error
		if was[m] == 0 {
			result, err = tx.ExecContext(ctx, `INSERT INTO usage_watermarks (aggregator, node, region, sequence, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				s.name, nodeName(m), m.Region, int64(marks[m]), now)
		} else {
			result, err = tx.ExecContext(ctx, `UPDATE usage_watermarks SET sequence = $1, at = $2 WHERE aggregator = $3 AND node = $4 AND sequence = $5`,
				int64(marks[m]), now, s.name, nodeName(m), int64(was[m]))
		}
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(usage.ErrBehind, err)
		}
	}
	return nil
}

func (s *Store) add(ctx context.Context, tx *sql.Tx, rows []usage.Sum) error {
	var q strings.Builder
	q.WriteString(`INSERT INTO usage_hours (aggregator, api_key, hour, endpoint, class, region, account, n) VALUES `)
	args := make([]any, 0, 8*len(rows))
	for i, r := range rows {
		if i > 0 {
			q.WriteString(", ")
		}
		q.WriteByte('(')
		for c := range 8 {
			if c > 0 {
				q.WriteString(", ")
			}
			q.WriteByte('$')
			q.WriteString(strconv.Itoa(8*i + c + 1))
		}
		q.WriteByte(')')
		args = append(args, s.name, int64(r.Key), int64(r.Hour), int64(r.Endpoint), int64(r.Class), r.Region, int64(r.Account), r.N)
	}
	q.WriteString(` ON CONFLICT (aggregator, api_key, hour, endpoint, class, region) DO UPDATE SET n = usage_hours.n + excluded.n`)
	_, err := tx.ExecContext(ctx, q.String(), args...)
	return err
}

// Rows calls yield with what was asked for.
func (s *Store) Rows(ctx context.Context, q usage.Query, yield func(usage.Row, int64) bool) error {
	return s.db.Sorted(ctx, s.rows(ctx, s.db.Pool(), q, yield))
}

// asked is a pool or a transaction.
type asked interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (s *Store) rows(ctx context.Context, from asked, q usage.Query, yield func(usage.Row, int64) bool) error {
	text := `SELECT account, api_key, hour, endpoint, class, region, n FROM usage_hours WHERE aggregator = $1 AND hour >= $2 AND hour <= $3`
	args := []any{s.name, int64(q.From), int64(q.To)}
	also := func(column string, v int64) {
		args = append(args, v)
		text += fmt.Sprintf(" AND %s = $%d", column, len(args))
	}
	if q.Account != 0 {
		also("account", int64(q.Account))
	}
	if q.Key != 0 {
		also("api_key", int64(q.Key))
	}
	if q.Charged {
		also("class", int64(customer.Charged))
	}
	rows, err := from.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var account, key, hour, endpoint, class, n int64
		var region string
		if err := rows.Scan(&account, &key, &hour, &endpoint, &class, &region, &n); err != nil {
			return err
		}
		r := usage.Row{
			Account: customer.AccountID(account), Key: customer.KeyID(key), Hour: customer.Hour(hour),
			Endpoint: customer.Endpoint(endpoint), Class: customer.Class(class), Region: region,
		}
		if !yield(r, n) {
			return nil
		}
	}
	return rows.Err()
}
