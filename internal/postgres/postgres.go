// Package postgres opens the platform's database on a PostgreSQL server, where all
// nodes of all regions share it. [Open] makes the tables where they are not there.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/ipwarden/ipwarden/internal/database"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations are the steps from nothing to the tables of this version.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the directive above is wrong
	}
	return sub
}

const (
	maxConns = 8
	maxIdle  = 5 * time.Minute
)

// Open connects to the server that url names, such as
// postgres://ipwarden@db.example.com/ipwarden. What it does not say comes from the
// variables of libpq (PGPASSWORD, PGPASSFILE, PGSSLMODE, …), so that the password
// need not be in it. timeout bounds each transaction; 0 is
// [database.DefaultTimeout].
func Open(ctx context.Context, url string, timeout time.Duration) (*database.DB, error) {
	if timeout <= 0 {
		timeout = database.DefaultTimeout
	}
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		// The text itself may hold a password: it is not repeated.
		return nil, errors.New("the accounts: this is no URL of PostgreSQL; one is postgres://ipwarden@db.example.com/ipwarden")
	}
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the accounts: %w; a URL of PostgreSQL is postgres://ipwarden@db.example.com/ipwarden", err) // pgx leaves the password out
	}
	if c.ConnectTimeout == 0 || c.ConnectTimeout > timeout {
		c.ConnectTimeout = timeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "ipwarden"
	}
	name := fmt.Sprintf("postgres://%s@%s/%s", c.User, net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), c.Database)
	pool := stdlib.OpenDB(*c)
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	pool.SetConnMaxIdleTime(maxIdle)
	d := database.New(pool, database.Config{
		Timeout: timeout, Name: name, Sort: sort,
		// Changes are numbered in the order in which they are committed: who counts
		// on has this row until the end of the transaction.
		Lock:    `SELECT value FROM counters WHERE name = 'revision' FOR UPDATE`,
		Read:    sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
		Tables:  `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name COLLATE "C"`,
		Columns: `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`,
	})
	starting, cancel := context.WithTimeout(ctx, timeout)
	conn, err := pool.Conn(starting) // it goes back into the pool, and is asked next
	if err == nil {
		err = conn.Close()
	}
	err = d.Sorted(ctx, err)
	cancel()
	if err == nil {
		err = database.Migrate(ctx, pool, goose.DialectPostgres, Migrations())
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("the accounts: %s: %w", name, err)
	}
	return d, nil
}

// sort: see the appendix of PostgreSQL's manual about error codes.
func sort(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case e.Code == "23505": // unique_violation
			return database.ErrExists
		case strings.HasPrefix(e.Code, "08"), // connection exceptions
			strings.HasPrefix(e.Code, "53"), // insufficient resources
			strings.HasPrefix(e.Code, "57"), // operator intervention: shutting down, starting
			e.Code == "25006":               // read-only: a standby
			return database.ErrUnavailable
		}
		return nil
	}
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.Timeout(err) {
		return database.ErrUnavailable
	}
	return nil
}
