package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/database"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/sqlite"
)

// both runs a test on an empty database of each kind. open opens it as another
// process does.
func both(t *testing.T, f func(t *testing.T, open func() (*database.DB, error))) {
	t.Run("sqlite", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "a?b#c%20 d.db") // what a URL would read otherwise
		f(t, func() (*database.DB, error) { return sqlite.Open(t.Context(), name, 10*time.Minute) })
	})
	t.Run("postgres", func(t *testing.T) {
		url := proxytest.NewPostgres(t).Create(t, "test")
		f(t, func() (*database.DB, error) { return postgres.Open(t.Context(), url, 10*time.Minute) })
	})
}

func must(t *testing.T, db *database.DB, err error) *database.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// columns are all columns of all tables, with their types in one language.
func columns(t *testing.T, db *database.DB, query string) map[string]string {
	t.Helper()
	rows, err := db.Pool().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			t.Fatal(err)
		}
		kind = strings.NewReplacer("INTEGER", "number", "bigint", "number", "BLOB", "bytes", "bytea", "bytes").Replace(kind)
		all[table+"."+column] = strings.ToLower(kind)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(all) < 90 {
		t.Fatalf("found %d columns; there are more", len(all))
	}
	return all
}

func TestSchemasAgree(t *testing.T) {
	pg, err := postgres.Open(t.Context(), proxytest.NewPostgres(t).Create(t, "test"), 10*time.Minute)
	must(t, pg, err)
	lite, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), 10*time.Minute)
	must(t, lite, err)
	a := columns(t, lite, `SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'goose_db_version'`)
	b := columns(t, pg, `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version'`)
	if !maps.Equal(a, b) {
		for _, k := range slices.Sorted(maps.Keys(a)) {
			if a[k] != b[k] {
				t.Errorf("%s is %q in SQLite, %q in PostgreSQL", k, a[k], b[k])
			}
		}
		for k := range b {
			if a[k] == "" {
				t.Errorf("%s is not in SQLite", k)
			}
		}
	}
	for k, kind := range a {
		if !slices.Contains([]string{"number", "text", "bytes"}, kind) {
			t.Errorf("%s is %q: columns are numbers, texts and bytes", k, kind)
		}
	}
}

// Nothing is NULL: Go has no such value, and the copy of a database relies on it.
func TestNothingIsNull(t *testing.T) {
	pg, err := postgres.Open(t.Context(), proxytest.NewPostgres(t).Create(t, "test"), 10*time.Minute)
	must(t, pg, err)
	lite, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), 10*time.Minute)
	must(t, lite, err)
	for _, c := range []struct {
		db    *database.DB
		query string
	}{
		{lite, `SELECT coalesce(max(m.name || '.' || c.name), '') FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'goose_db_version' AND c."notnull" = 0`},
		{pg, `SELECT coalesce(max(table_name || '.' || column_name), '') FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version' AND is_nullable = 'YES'`},
	} {
		var name string
		if err := c.db.Pool().QueryRowContext(t.Context(), c.query).Scan(&name); err != nil || name != "" {
			t.Errorf("%s: %s may be NULL, %v", c.db.Name(), name, err)
		}
	}
}

// Processes that start at once make the tables once.
func TestOpenAtOnce(t *testing.T) {
	both(t, func(t *testing.T, open func() (*database.DB, error)) {
		var all sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			all.Go(func() {
				db, err := open()
				if errs[i] = err; err == nil {
					db.Close()
				}
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		db, err := open()
		must(t, db, err)
		var n int64
		if err := db.Pool().QueryRowContext(t.Context(), `SELECT count(*) FROM counters`).Scan(&n); err != nil || n != 3 {
			t.Errorf("%d counters, %v; want 3", n, err)
		}
	})
}

// Tables of a later version are left alone.
func TestLaterVersion(t *testing.T) {
	both(t, func(t *testing.T, open func() (*database.DB, error)) {
		db, err := open()
		must(t, db, err)
		if _, err := db.Pool().ExecContext(t.Context(), `UPDATE goose_db_version SET version_id = 99 WHERE version_id > 0`); err != nil {
			t.Fatal(err)
		}
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "later ipwarden") {
			t.Errorf("opened tables of version 99: %v", err)
		}
	})
}

// Who counts on in WriteAlone does so alone.
func TestWriteAlone(t *testing.T) {
	both(t, func(t *testing.T, open func() (*database.DB, error)) {
		var all sync.WaitGroup
		const writers, turns = 4, 25
		errs := make([]error, writers)
		for i := range writers {
			db, err := open() // a process each
			must(t, db, err)
			all.Go(func() {
				for range turns {
					errs[i] = errors.Join(errs[i], db.WriteAlone(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
						var n int64
						if err := tx.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = $1`, "revision").Scan(&n); err != nil {
							return err
						}
						_, err := tx.ExecContext(ctx, `UPDATE counters SET value = $1 WHERE name = 'revision'`, n+1)
						return err
					}))
				}
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		db, err := open()
		must(t, db, err)
		err = db.Read(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			var n int64
			err := tx.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'revision'`).Scan(&n)
			if n != writers*turns {
				t.Errorf("counted to %d; want %d", n, writers*turns)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestErrors(t *testing.T) {
	both(t, func(t *testing.T, open func() (*database.DB, error)) {
		db, err := open()
		must(t, db, err)
		again := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ('a', 'b')`)
			return err
		}
		if err := db.Write(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), again); !errors.Is(err, database.ErrExists) {
			t.Errorf("a second row with one key: %v, want ErrExists", err)
		}
		own := fmt.Errorf("own")
		if err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `DELETE FROM settings`); err != nil {
				return err
			}
			return own
		}); err != own { //nolint:errorlint // it must be itself
			t.Errorf("got %v, want the function's own error", err)
		}
		var n int
		if err := db.Pool().QueryRowContext(t.Context(), `SELECT count(*) FROM settings`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d settings, %v: what a failed transaction did was kept", n, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Read(gone, func(context.Context, *sql.Tx) error { return nil }); !errors.Is(err, context.Canceled) || errors.Is(err, database.ErrUnavailable) {
			t.Errorf("the caller went away: %v, want context.Canceled", err)
		}
	})
}
