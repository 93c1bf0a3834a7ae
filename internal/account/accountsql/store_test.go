package accountsql_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/account/accounttest"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/database"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/sqlite"
)

// patience is how long a transaction may take in tests that are not about it.
const patience = 10 * time.Minute

func store(t *testing.T, db *database.DB, err error) account.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s := accountsql.New(db)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "accounts.db")
	accounttest.TestStore(t, func(t *testing.T) account.Store {
		db, err := sqlite.Open(t.Context(), name, patience)
		return store(t, db, err)
	})
	db, err := sqlite.Open(t.Context(), name, patience)
	testUsageDays(t, store(t, db, err), db)
}

func TestPostgres(t *testing.T) {
	url := proxytest.NewPostgres(t).Create(t, "test")
	accounttest.TestStore(t, func(t *testing.T) account.Store {
		db, err := postgres.Open(t.Context(), url, patience)
		return store(t, db, err)
	})
	db, err := postgres.Open(t.Context(), url, patience)
	testUsageDays(t, store(t, db, err), db)
}

// What was used is added up by days, and what two aggregators have counted once each
// is not there twice.
func testUsageDays(t *testing.T, s account.Store, db *database.DB) {
	if err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO usage_hours (aggregator, api_key, hour, endpoint, class, region, account, n) VALUES
			('eu', 7, 480000, 0, 0, 'eu', 5, 10), ('us', 7, 480000, 0, 0, 'eu', 5, 9), ('us', 7, 480000, 0, 0, 'us', 5, 1),
			('eu', 7, 480023, 1, 0, 'eu', 5, 100), ('eu', 7, 480023, 1, 3, 'eu', 5, 2), ('eu', 7, 480024, 0, 0, 'eu', 5, 1000),
			('eu', 8, 480000, 0, 0, 'eu', 5, 4), ('eu', 9, 480000, 0, 0, 'eu', 6, 5)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	day := time.Unix(480000*3600, 0).UTC()
	want := []account.UsageDay{
		{Day: day, Key: 7, Class: customer.Charged, N: 111},
		{Day: day, Key: 7, Class: customer.Limited, N: 2},
		{Day: day, Key: 8, Class: customer.Charged, N: 4},
		{Day: day.Add(24 * time.Hour), Key: 7, Class: customer.Charged, N: 1000},
	}
	if err := s.Read(t.Context(), func(tx account.Tx) error {
		got, err := tx.UsageDays(5)
		if !slices.Equal(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
