package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// What went wrong, for the caller.
var (
	// ErrUnavailable: the database is away, or did not answer in time. Nothing is
	// known about what was asked; a change may have been made or not.
	ErrUnavailable = errors.New("the database of accounts cannot be used now")
	// ErrExists: something with this name, or this hash, is there already.
	ErrExists = errors.New("it exists already")
)

// DefaultTimeout is how long a transaction may take.
const DefaultTimeout = 5 * time.Second

// Config of a [DB].
type Config struct {
	// Timeout bounds each transaction, with the wait for a connection or a lock;
	// 0 is [DefaultTimeout].
	Timeout time.Duration
	// Name says where the database is, without a secret: for errors.
	Name string
	// Lock is a statement that lets one writer at a time go on, until it commits. It
	// is "" where the engine has one writer anyway.
	Lock string
	// Read are the options of a transaction that sees one state of everything.
	Read sql.TxOptions
	// Sort says what an error of the driver is: [ErrUnavailable], [ErrExists] or nil.
	Sort func(error) error
	// Tables is a query for the names of all tables, and Columns one for those of the
	// columns of table $1, in their order.
	Tables, Columns string
}

// DB is a database that has the tables of this version.
type DB struct {
	pool *sql.DB
	c    Config
}

// New wraps a pool of connections. It does not ask the database anything.
func New(pool *sql.DB, c Config) *DB {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	return &DB{pool: pool, c: c}
}

// Close ends all connections.
func (d *DB) Close() error { return d.pool.Close() }

// Name says where the database is, without a secret.
func (d *DB) Name() string { return d.c.Name }

// Pool is the pool itself, for what takes longer than a transaction may.
func (d *DB) Pool() *sql.DB { return d.pool }

// Read runs f in a transaction that sees one state of the database.
func (d *DB) Read(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	return d.transact(ctx, d.c.Timeout, &d.c.Read, false, f)
}

// ReadFor is [DB.Read] for what takes longer: at most timeout.
func (d *DB) ReadFor(ctx context.Context, timeout time.Duration, f func(context.Context, *sql.Tx) error) error {
	return d.transact(ctx, timeout, &d.c.Read, false, f)
}

// Write runs f in a transaction, and commits it unless f returns an error. Several
// may run at once on PostgreSQL.
func (d *DB) Write(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	return d.transact(ctx, d.c.Timeout, nil, false, f)
}

// WriteAlone is [DB.Write] with no other WriteAlone beside it, in any process: what
// f reads stays so until it commits, as far as only WriteAlone changes it.
func (d *DB) WriteAlone(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	return d.transact(ctx, d.c.Timeout, nil, true, f)
}

func (d *DB) transact(parent context.Context, timeout time.Duration, o *sql.TxOptions, alone bool, f func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	tx, err := d.pool.BeginTx(ctx, o)
	if err != nil {
		return d.sorted(parent, err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if alone && d.c.Lock != "" {
		if _, err := tx.ExecContext(ctx, d.c.Lock); err != nil {
			return d.sorted(parent, err)
		}
	}
	if err := f(ctx, tx); err != nil {
		return d.sorted(parent, err)
	}
	return d.sorted(parent, tx.Commit())
}

// Sorted says of an error what it means, as the transactions do.
func (d *DB) Sorted(ctx context.Context, err error) error { return d.sorted(ctx, err) }

// sorted says of an error what it means. That the caller has given up is no failure
// of the database.
func (d *DB) sorted(parent context.Context, err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrExists) {
		return err
	}
	if cause := context.Cause(parent); cause != nil && errors.Is(cause, context.Canceled) {
		return cause
	}
	sort := d.c.Sort(err)
	if sort == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrConnDone)) {
		sort = ErrUnavailable
	}
	switch {
	case sort == nil:
		return err
	case errors.Is(sort, ErrUnavailable):
		return fmt.Errorf("%w (%s): %w", ErrUnavailable, d.c.Name, err)
	}
	return fmt.Errorf("%w: %w", sort, err)
}
