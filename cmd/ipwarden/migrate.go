package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/ipwarden/ipwarden/internal/database"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/sqlite"
)

// migrateCmd moves an installation.
type migrateCmd struct {
	SQLiteToPostgres sqliteToPostgresCmd `cmd:"" name:"sqlite-to-postgres" help:"Move accounts, keys, plans and usage from the data directory to PostgreSQL." example:"ipwarden migrate sqlite-to-postgres --accounts-url postgres://ipwarden@db.example.com/ipwarden"`
}

type sqliteToPostgresCmd struct {
	accountsFlags
}

// Help is the long help.
func (sqliteToPostgresCmd) Help() string {
	return `Stop the server first. Everything of accounts.db in the data directory is copied into
the database that --accounts-url names, which must be empty, in one transaction, and
compared there, row by row. Then accounts.db refuses changes, so that nothing goes
into the old one by mistake. The secret that hashes keys stays where it is,
secrets/key-hash: each node needs a copy of it.

A run that was killed is run again.

Examples:
  export PGPASSWORD=…
  ipwarden migrate sqlite-to-postgres --accounts-url postgres://ipwarden@db.example.com/ipwarden
  ipwarden serve --accounts --accounts-url postgres://ipwarden@db.example.com/ipwarden`
}

// settingMoved says in the old database where the new one is.
const settingMoved = "moved-to"

func movedTo(ctx context.Context, db *database.DB) (to string, err error) {
	err = db.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, settingMoved).Scan(&to)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return to, err
}

// Run moves the installation.
func (c *sqliteToPostgresCmd) Run(ctx context.Context, e *env) error {
	if c.AccountsURL == "" {
		return usagef("where to? Say --accounts-url, such as postgres://ipwarden@db.example.com/ipwarden")
	}
	dir, err := c.dir(e)
	if err != nil {
		return err
	}
	name := accountsFile(dir)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is nothing to move: %s does not exist; say --data-dir", name)
	}
	from, err := sqlite.Open(ctx, name, accountsTimeout)
	if err != nil {
		return err
	}
	defer from.Close()
	if to, err := movedTo(ctx, from); err != nil || to != "" {
		if err == nil {
			err = fmt.Errorf("the accounts of %s were moved to %s already", name, to)
		}
		return err
	}
	to, err := postgres.Open(ctx, c.AccountsURL, accountsTimeout)
	if err != nil {
		return err
	}
	defer to.Close()
	done, err := database.Copy(ctx, from, to, func(ctx context.Context, tx *sql.Tx) error { return closeOld(ctx, tx, to.Name()) })
	if errors.Is(err, database.ErrUnavailable) {
		return fmt.Errorf("%w; nothing is lost: stop the server if it runs, and run this again", err)
	}
	if err != nil {
		return err
	}
	if done.Before {
		fmt.Fprintf(e.stderr, "ipwarden: all of it was there already, from a run that was ended early\n")
	}
	w := columns(e.stdout)
	for _, t := range done.Tables {
		fmt.Fprintf(w, "%s\t%d rows\n", t.Name, t.Rows)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "moved to %s, and compared; %s takes no changes any more\n", to.Name(), name)
	return nil
}

// closeOld makes the old database refuse changes, whichever program makes them.
func closeOld(ctx context.Context, tx *sql.Tx, to string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)`, settingMoved, to); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	message := "'these accounts were moved to " + strings.ReplaceAll(to, "'", "''") + "'"
	for _, name := range tables {
		for _, change := range []string{"INSERT", "UPDATE", "DELETE"} {
			if _, err := tx.ExecContext(ctx, `CREATE TRIGGER moved_`+strings.ToLower(change)+`_`+name+` BEFORE `+change+` ON `+name+` BEGIN SELECT RAISE(ABORT, `+message+`); END`); err != nil {
				return err
			}
		}
	}
	return nil
}
