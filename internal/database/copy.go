package database

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotEmpty: a database that something was to be copied into has something else.
var ErrNotEmpty = errors.New("it has data already")

// Copied is what [Copy] did.
type Copied struct {
	Tables []TableCount // by name
	// Before says that all of it was there already, from a run that was ended before it
	// could say so.
	Before bool
}

// A TableCount says how many rows a table has.
type TableCount struct {
	Name string
	Rows int64
}

// goose keeps a book of its own in each database.
const gooseTable = "goose_db_version"

// Copy copies every row of from into to, which has none but what its migrations made,
// and compares what arrived. Nobody writes into from meanwhile; those who try wait,
// and fail. It is one transaction of to: all is there or nothing is. Then last runs in
// the transaction of from.
//
// A run that was killed is run again, whatever it had done.
func Copy(ctx context.Context, from, to *DB, last func(context.Context, *sql.Tx) error) (done Copied, err error) {
	out, err := from.pool.BeginTx(ctx, nil) // of SQLite: takes the lock of writers
	if err != nil {
		return done, from.sorted(ctx, err)
	}
	defer func() { _ = out.Rollback() }()
	in, err := to.pool.BeginTx(ctx, nil)
	if err != nil {
		return done, to.sorted(ctx, err)
	}
	defer func() { _ = in.Rollback() }()

	tables, err := from.sameTables(ctx, out, to, in)
	if err != nil {
		return done, err
	}
	empty, err := to.isEmpty(ctx, in, tables)
	if err != nil {
		return done, to.sorted(ctx, err)
	}
	if empty {
		if _, err := in.ExecContext(ctx, `DELETE FROM counters`); err != nil {
			return done, to.sorted(ctx, err)
		}
	}
	for _, t := range tables {
		var put func([]any) error
		var flush func() error
		if empty {
			put, flush = t.inserter(ctx, in)
		}
		sent, err := t.digest(ctx, out, put)
		if err != nil {
			return done, from.sorted(ctx, fmt.Errorf("table %s: %w", t.name, err))
		}
		if flush != nil {
			if err := flush(); err != nil {
				return done, to.sorted(ctx, fmt.Errorf("table %s: %w", t.name, err))
			}
		}
		arrived, err := t.digest(ctx, in, nil)
		switch {
		case err != nil:
			return done, to.sorted(ctx, fmt.Errorf("table %s: %w", t.name, err))
		case sent != arrived && !empty:
			return done, fmt.Errorf("%s: %w: its table %s has %d rows, and not the %d that would be copied into it; name an empty database", to.c.Name, ErrNotEmpty, t.name, arrived.rows, sent.rows)
		case sent != arrived:
			return done, fmt.Errorf("table %s: %d rows were sent and %d arrived, and they are not the same; nothing was kept", t.name, sent.rows, arrived.rows)
		}
		done.Tables = append(done.Tables, TableCount{t.name, sent.rows})
	}
	done.Before = !empty
	if err := in.Commit(); err != nil {
		return done, to.sorted(ctx, err)
	}
	if last != nil {
		if err := last(ctx, out); err != nil {
			return done, from.sorted(ctx, err)
		}
	}
	return done, from.sorted(ctx, out.Commit())
}

// table is one that both databases have.
type table struct {
	name    string
	columns []string
}

func names(ctx context.Context, tx *sql.Tx, query string, args ...any) (all []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func (d *DB) tables(ctx context.Context, tx *sql.Tx) (all []table, err error) {
	list, err := names(ctx, tx, d.c.Tables)
	if err != nil {
		return nil, d.sorted(ctx, err)
	}
	slices.Sort(list)
	for _, name := range list {
		if name == gooseTable {
			continue
		}
		columns, err := names(ctx, tx, d.c.Columns, name)
		if err != nil {
			return nil, d.sorted(ctx, err)
		}
		all = append(all, table{name, columns})
	}
	return all, nil
}

func (d *DB) sameTables(ctx context.Context, own *sql.Tx, to *DB, others *sql.Tx) ([]table, error) {
	a, err := d.tables(ctx, own)
	if err != nil {
		return nil, err
	}
	b, err := to.tables(ctx, others)
	if err != nil {
		return nil, err
	}
	if len(a) == 0 || !slices.EqualFunc(a, b, func(x, y table) bool { return x.name == y.name && slices.Equal(x.columns, y.columns) }) {
		return nil, fmt.Errorf("the tables of %s and of %s are not the same; name a database of its own for the accounts", d.c.Name, to.c.Name)
	}
	return a, nil
}

// isEmpty locks all tables, and reports whether there is nothing in them but the
// counters, which stand at 0.
func (d *DB) isEmpty(ctx context.Context, tx *sql.Tx, tables []table) (bool, error) {
	empty := true
	for _, t := range tables {
		if d.c.Lock != "" {
			if _, err := tx.ExecContext(ctx, `LOCK TABLE `+t.name+` IN ACCESS EXCLUSIVE MODE`); err != nil {
				return false, err
			}
		}
		query := `SELECT count(*) FROM ` + t.name
		if t.name == "counters" {
			query += ` WHERE value <> 0`
		}
		var n int64
		if err := tx.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return false, err
		}
		empty = empty && n == 0
	}
	return empty, nil
}

// sum is what a table has: equal sums are equal rows, whatever their order.
type sum struct {
	rows int64
	hash [4]uint64
}

// digest reads all rows, and calls each with them when it is not nil.
func (t *table) digest(ctx context.Context, tx *sql.Tx, each func([]any) error) (s sum, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+strings.Join(t.columns, ", ")+` FROM `+t.name)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	values, to := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range values {
		to[i] = &values[i]
	}
	var text []byte
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return s, err
		}
		text = text[:0]
		for i, v := range values {
			switch v := v.(type) {
			case int64:
				text = binary.BigEndian.AppendUint64(append(text, 'n'), uint64(v))
			case string:
				text = append(binary.BigEndian.AppendUint64(append(text, 't'), uint64(len(v))), v...)
			case []byte:
				if v == nil { // SQLite's driver says so of no bytes; there is no NULL in the tables
					values[i] = []byte{}
				}
				text = append(binary.BigEndian.AppendUint64(append(text, 'b'), uint64(len(v))), v...)
			default:
				return s, fmt.Errorf("column %s has a %T; there are numbers, texts and bytes", t.columns[i], v)
			}
		}
		h := sha256.Sum256(text)
		for i := range s.hash {
			s.hash[i] += binary.BigEndian.Uint64(h[8*i:])
		}
		s.rows++
		if each != nil {
			if err := each(values); err != nil {
				return s, err
			}
		}
	}
	return s, rows.Err()
}

// insertRows is how many rows one statement inserts: PostgreSQL takes 65,535 values.
const insertRows = 200

// inserter returns what inserts a row, and what inserts those that wait.
func (t *table) inserter(ctx context.Context, tx *sql.Tx) (put func([]any) error, flush func() error) {
	var waiting []any
	flush = func() error {
		if len(waiting) == 0 {
			return nil
		}
		var b strings.Builder
		fmt.Fprintf(&b, `INSERT INTO %s (%s) VALUES `, t.name, strings.Join(t.columns, ", "))
		for i := range waiting {
			switch {
			case i == 0:
				b.WriteString("(")
			case i%len(t.columns) == 0:
				b.WriteString("), (")
			default:
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "$%d", i+1)
		}
		b.WriteString(")")
		_, err := tx.ExecContext(ctx, b.String(), waiting...)
		waiting = waiting[:0]
		return err
	}
	put = func(values []any) error {
		waiting = append(waiting, values...) // bytes and texts are the scan's own copies
		if len(waiting) == insertRows*len(t.columns) {
			return flush()
		}
		return nil
	}
	return put, flush
}
