package sqlsums

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/database"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/sqlite"
	"github.com/ipwarden/ipwarden/internal/usage/usagetest"
)

func TestSQLite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "accounts.db")
	both(t, func() (*database.DB, error) { return sqlite.Open(t.Context(), name, time.Minute) })
}

func TestPostgres(t *testing.T) {
	url := proxytest.NewPostgres(t).Create(t, "test")
	both(t, func() (*database.DB, error) { return postgres.Open(t.Context(), url, time.Minute) })
}

func both(t *testing.T, open func() (*database.DB, error)) {
	var stores [2]*Store
	for i := range stores {
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		stores[i] = New(db, "eu-west")
		// Sums of another are not theirs.
		if err := New(db, "other").Commit(t.Context(), nil, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	usagetest.TestStore(t, stores[0], stores[1])
	usagetest.TestCallerStore(t, stores[0], stores[1])
}
