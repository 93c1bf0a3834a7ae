package database

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrate brings the tables to the version of this program. Migrations that are
// already there are not run again, so that it does nothing on most starts.
//
// A database that a later version has changed is refused: nobody knows what it means.
//
// Where the tables are of this version, as on most starts, that is one question: the
// database may be far away.
func Migrate(ctx context.Context, pool *sql.DB, dialect goose.Dialect, migrations fs.FS) error {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if dialect == goose.DialectPostgres {
		// Several nodes that start at once wait for the one that migrates.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, pool, migrations, options...)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	// Each step is one transaction with its row in goose's book, so that what is read here
	// is in force. Where there is no book yet, goose makes it, and says what else is wrong.
	var have int64
	if err := pool.QueryRowContext(ctx, `SELECT max(version_id) FROM `+gooseTable).Scan(&have); err != nil {
		if have, err = p.GetDBVersion(ctx); err != nil {
			return err
		}
	}
	switch {
	case have > newest:
		return fmt.Errorf("its tables are of version %d, and this program knows versions up to %d: it was used by a later ipwarden; use that one", have, newest)
	case have == newest:
		return nil
	}
	_, err = p.Up(ctx)
	return err
}
