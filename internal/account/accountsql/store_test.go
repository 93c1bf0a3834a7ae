package accountsql_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/account/accounttest"
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
}

func TestPostgres(t *testing.T) {
	url := proxytest.NewPostgres(t).Create(t, "test")
	accounttest.TestStore(t, func(t *testing.T) account.Store {
		db, err := postgres.Open(t.Context(), url, patience)
		return store(t, db, err)
	})
}
