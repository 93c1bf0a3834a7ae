package sqlsums

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden/internal/usage"
)

var _ usage.CallerStore = (*Store)(nil)

// callers is whose marks those of the callers are, beside the sums'.
func (s *Store) callers() *Store { return &Store{s.db, "callers " + s.name} }

// CallerMarks says how far the counts of callers are.
func (s *Store) CallerMarks(ctx context.Context) (map[usage.Mark]uint64, error) {
	return s.callers().Marks(ctx)
}

const (
	kindClient = 0
	kindHost   = 1
)

func kindOf(c usage.Caller) int64 {
	if c.Client != 0 {
		return kindClient
	}
	return kindHost
}

// AddCallers adds to the counts and moves the marks, in one transaction; and forgets
// days that are long over.
func (s *Store) AddCallers(ctx context.Context, add map[usage.Caller]int64, was, marks map[usage.Mark]uint64) error {
	tx, err := s.db.Pool().BeginTx(ctx, nil)
	if err != nil {
		return s.db.Sorted(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := s.callers().move(ctx, tx, was, marks); err != nil {
		return s.sorted(ctx, err)
	}
	type row struct {
		day, kind int64
		name      string
		n         int64
	}
	rows := make([]row, 0, len(add))
	newest := int64(0)
	for c, n := range add {
		rows = append(rows, row{int64(c.Day), kindOf(c), c.String(), n})
		newest = max(newest, int64(c.Day))
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	for part := range slices.Chunk(rows, perStatement) {
		var q strings.Builder
		q.WriteString(`INSERT INTO usage_callers (aggregator, day, kind, name, n) VALUES `)
		args := make([]any, 0, 5*len(part))
		for i, r := range part {
			if i > 0 {
				q.WriteString(", ")
			}
			for c := range 5 {
				q.WriteString([...]string{"($", ", $"}[min(c, 1)])
				q.WriteString(strconv.Itoa(5*i + c + 1))
			}
			q.WriteByte(')')
			args = append(args, s.name, r.day, r.kind, r.name, r.n)
		}
		q.WriteString(` ON CONFLICT (aggregator, day, kind, name) DO UPDATE SET n = usage_callers.n + excluded.n`)
		if _, err := tx.ExecContext(ctx, q.String(), args...); err != nil {
			return s.db.Sorted(ctx, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM usage_callers WHERE aggregator = $1 AND day < $2`, s.name, newest-usage.KeepCallers); err != nil {
		return s.db.Sorted(ctx, err)
	}
	return s.db.Sorted(ctx, tx.Commit())
}

// Callers calls yield with counts.
func (s *Store) Callers(ctx context.Context, first, last uint32, clients bool, yield func(usage.Caller, int64) bool) error {
	return s.db.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		kind := kindHost
		if clients {
			kind = kindClient
		}
		rows, err := tx.QueryContext(ctx, `SELECT day, name, n FROM usage_callers WHERE aggregator = $1 AND day >= $2 AND day <= $3 AND kind = $4`,
			s.name, int64(first), int64(last), int64(kind))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var day, n int64
			var name string
			if err := rows.Scan(&day, &name, &n); err != nil {
				return err
			}
			if !yield(usage.ParseCaller(uint32(day), clients, name), n) {
				return nil
			}
		}
		return rows.Err()
	})
}
