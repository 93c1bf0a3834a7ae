// Package sqlite opens the platform's database in a file. [Open] makes the file and
// its tables where they are not there. Several processes of one machine may use it
// at once: readers do not wait, and writers wait for each other.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

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

// maxConns is how many readers there may be at once, and a writer.
const maxConns = 8

// Open opens the file called name. timeout bounds each transaction; 0 is
// [database.DefaultTimeout]. The file has mode 0600, and must be on a disk of this
// machine: its log is shared memory.
func Open(ctx context.Context, name string, timeout time.Duration) (*database.DB, error) {
	if timeout <= 0 {
		timeout = database.DefaultTimeout
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // its log gets the same mode
	if err != nil {
		return nil, fmt.Errorf("the accounts: %w", err)
	}
	f.Close()
	pool, err := sql.Open("sqlite", source(name, timeout))
	if err != nil {
		return nil, fmt.Errorf("the accounts: %s: %w", name, err)
	}
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	unlock, err := lock(name)
	if err == nil {
		err = database.Migrate(ctx, pool, goose.DialectSQLite3, Migrations())
		unlock()
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("the accounts: %s: %w", name, err)
	}
	return database.New(pool, database.Config{
		Timeout: timeout, Name: name, Sort: sort,
		Read:    sql.TxOptions{ReadOnly: true},
		Tables:  `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
		Columns: `SELECT name FROM pragma_table_info($1) ORDER BY cid`,
	}), nil
}

// source is the name of the database for the driver.
//
// A transaction that may write takes the lock of writers when it begins
// (_txlock), so that none finds out at its end that it must be done again.
func source(name string, timeout time.Duration) string {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Set("_dqs", "0")
	q.Set("_defensive", "1")
	for _, p := range []string{
		"busy_timeout(" + strconv.FormatInt(timeout.Milliseconds(), 10) + ")",
		"journal_mode(WAL)",
		"synchronous(FULL)", // a key that was revoked stays so after a power cut
		"foreign_keys(ON)",
		"journal_size_limit(67108864)",
	} {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Path: name, RawQuery: q.Encode()}).String()
}

func sort(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return database.ErrExists
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN:
		return database.ErrUnavailable
	}
	return nil
}
