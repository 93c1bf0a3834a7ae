package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/database"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/sqlite"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// accountsFlags say where the accounts are.
type accountsFlags struct {
	dirFlag
	AccountsURL string `name:"accounts-url" env:"IPWARDEN_ACCOUNTS_URL" placeholder:"URL" help:"Accounts are in PostgreSQL, such as postgres://ipwarden@db.example.com/ipwarden; default accounts.db in the data directory. A password belongs into the variable, PGPASSWORD or PGPASSFILE."`
}

// accounts is an open installation.
type accounts struct {
	*account.Service
	db  *database.DB
	dir string // the data directory
	// What hashes keys, and what it is made of; nil before it was asked for.
	h      *authz.Hasher
	secret []byte
	// alert tells the owner of an account what of its plan is used; nil for nobody.
	alert func(context.Context, usage.Alert) error
}

// Close ends the connections to the database.
func (a *accounts) Close() error { return a.db.Close() }

// open opens the accounts, and makes the database and the plans where they are not
// there yet.
func (f *accountsFlags) open(ctx context.Context, e *env) (*accounts, error) {
	return f.openIf(ctx, e, true)
}

// look is open for commands that only look: where nothing is, nothing is made.
func (f *accountsFlags) look(ctx context.Context, e *env) (*accounts, error) {
	return f.openIf(ctx, e, false)
}

func (f *accountsFlags) openIf(ctx context.Context, e *env, create bool) (*accounts, error) {
	dir, err := f.dir(e)
	if err != nil {
		return nil, err
	}
	db, err := f.database(ctx, dir, create)
	if err != nil {
		return nil, err
	}
	a := &accounts{db: db, dir: dir}
	a.Service, err = account.New(account.Config{
		Store: accountsql.New(db), Now: e.now,
		Hash: func(text string) customer.Hash { return a.h.Hash(text) },
	})
	if err == nil {
		err = a.Init(ctx)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return a, nil
}

func (f *accountsFlags) database(ctx context.Context, dir string, create bool) (*database.DB, error) {
	if f.AccountsURL != "" {
		return postgres.Open(ctx, f.AccountsURL, accountsTimeout)
	}
	name := accountsFile(dir)
	if !create {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there are no accounts: %s does not exist. 'ipwarden account add ada@example.com' makes the first; --data-dir or --accounts-url say where others are", name)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory: %w", err)
	}
	db, err := sqlite.Open(ctx, name, accountsTimeout)
	if err != nil {
		return nil, err
	}
	if to, err := movedTo(ctx, db); err != nil || to != "" {
		db.Close()
		if err == nil {
			err = fmt.Errorf("the accounts of %s were moved to %s: say --accounts-url", name, to)
		}
		return nil, err
	}
	return db, nil
}

// accountsTimeout bounds each transaction: a person who waits would rather have it done.
const accountsTimeout = 20 * time.Second

func accountsFile(dir string) string { return filepath.Join(dir, "accounts.db") }

// hasher returns what hashes keys, which some commands need and others do not.
func (a *accounts) hasher(ctx context.Context) (*authz.Hasher, error) {
	if a.h != nil {
		return a.h, nil
	}
	secret, err := a.keySecret(ctx)
	if err != nil {
		return nil, err
	}
	a.h, err = authz.NewHasher(secret)
	return a.h, err
}

// keySecret reads the secret of keys, once: the database that is asked about it may be
// far away.
func (a *accounts) keySecret(ctx context.Context) (secret []byte, err error) {
	if a.secret == nil {
		a.secret, err = a.Secret(ctx, a.dir)
	}
	return a.secret, err
}

// findKey finds a key by its identifier, or by its own text; "-" reads that from
// standard input, so that it is in no list of processes and no history.
func (a *accounts) findKey(ctx context.Context, e *env, text string) (customer.Key, error) {
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(e.stdin, 1024))
		if err != nil {
			return customer.Key{}, err
		}
		text = strings.TrimSpace(string(b))
	}
	if strings.HasPrefix(text, "ipw_") {
		if _, err := a.hasher(ctx); err != nil {
			return customer.Key{}, err
		}
	}
	return a.FindKey(ctx, text)
}

// operator says for the log who runs the command.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "operator " + printable(u.Username)
	}
	return "operator"
}

// minute writes a time for a column; zero is nothing.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func columns(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// asUsage says what was wrong with what was wanted, as a mistake in the command line.
func asUsage(err error) error {
	var wrong account.Invalid
	if errors.As(err, &wrong) {
		return usageError{err}
	}
	return err
}

// parseSpan reads a time that may be in days.
func parseSpan(flag, text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days+" ", "%d ", &n); err == nil && n >= 0 && n <= 36500 && fmt.Sprint(n) == days {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return 0, usagef("%s: %q is no time, such as 30m, 24h or 7d", flag, text)
}
