package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
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

// command runs a command of the program and returns what it prints.
func command(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &env{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, now: time.Now,
	})
	return status, out.String(), errs.String()
}

// fillTables puts rows into every table, with what text, bytes and numbers can be.
func fillTables(t *testing.T, db *database.DB) {
	t.Helper()
	s := accountsql.New(db)
	a := accounttest.NewAccount("Ädä@example.com")
	if err := s.Write(t.Context(), func(tx account.Tx) error {
		if err := tx.PutAccount(&a); err != nil {
			return err
		}
		for range 250 { // more than one statement takes
			k := accounttest.NewKey(a.ID)
			if err := tx.PutKey(&k); err != nil {
				return err
			}
		}
		k := accounttest.NewKey(a.ID)
		return errors.Join(tx.PutKey(&k), tx.DeleteKey(k, time.Now()), tx.Log(&account.Entry{Account: a.ID, Detail: "'\"\\ %s \t\n 🦉"}))
	}); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(int64(a.ID))
	if err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{
			`INSERT INTO credentials VALUES (` + id + `, '$argon2id$', 1)`,
			`INSERT INTO totp VALUES (` + id + `, x'00ff10', 1, 2, 9223372036854775807)`,
			`INSERT INTO recovery_codes VALUES (` + id + `, x'', 1, 0), (` + id + `, x'01', 1, 0)`,
			`INSERT INTO sessions VALUES (x'aa', 7, ` + id + `, 1, 2, 3, 0, '192.0.2.1', 'agent')`,
			`INSERT INTO devices VALUES (x'bb', 8, ` + id + `, 'laptop', 1, 2, 3)`,
			`INSERT INTO mail_tokens VALUES (x'cc', ` + id + `, 'reset', 'a@example.com', 1, 2, 0)`,
			`INSERT INTO sign_ups VALUES (x'dd', 'A@example.com', 'a@example.com', 1, 2)`,
			`INSERT INTO usage_hours VALUES ('', 1, 490000, 0, 0, 'eu', ` + id + `, 4611686018427387904), ('eu', 0, 490001, 5, 4, '', 0, -1)`,
			`INSERT INTO usage_callers VALUES ('', 20600, 0, '192.0.2.1', 3)`,
			`INSERT INTO usage_watermarks VALUES ('', 'node', 'eu', 12, 13)`,
			`INSERT INTO alerts VALUES (` + id + `, 1, 4, 490000, 90, 5)`,
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestMigrate(t *testing.T) {
	server := proxytest.NewPostgres(t)
	dir := t.TempDir()
	if status, _, stderr := command("key", "list", "ada@example.com", "--data-dir", dir); status == exitOK {
		t.Error(stderr)
	}
	for _, args := range [][]string{{"account", "add", "ada@example.com"}, {"key", "new", "ada@example.com", "--name", "web"}} {
		if status, _, stderr := command(append(args, "--data-dir", dir)...); status != exitOK {
			t.Fatal(stderr)
		}
	}
	old, err := sqlite.Open(t.Context(), accountsFile(dir), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	fillTables(t, old)
	move := func(url string) (int, string, string) {
		return command("migrate", "sqlite-to-postgres", "--data-dir", dir, "--accounts-url", url)
	}

	// A database with something in it stays as it is.
	used := server.Create(t, "used")
	if status, _, stderr := command("plan", "list", "--accounts-url", used, "--data-dir", t.TempDir()); status != exitOK {
		t.Fatal(stderr)
	}
	if status, _, stderr := move(used); status == exitOK || !strings.Contains(stderr, "has data already") {
		t.Errorf("into a database with plans: %d, %s", status, stderr)
	}
	if n := server.SQL(t, "used", "SELECT count(*) FROM plans"); n != "3\n" {
		t.Errorf("it has %s plans now", n)
	}
	foreign := server.Create(t, "foreign")
	server.SQL(t, "foreign", "CREATE TABLE somebodys (x int)")
	if status, _, stderr := move(foreign); status == exitOK || !strings.Contains(stderr, "are not the same") {
		t.Errorf("into somebody's database: %d, %s", status, stderr)
	}

	// Killed when all was there, before the old one could be closed: it goes on.
	killed := server.Create(t, "killed")
	to, err := postgres.Open(t.Context(), killed, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	died := errors.New("killed")
	if _, err := database.Copy(t.Context(), old, to, func(context.Context, *sql.Tx) error { return died }); !errors.Is(err, died) {
		t.Fatal(err)
	}
	done, err := database.Copy(t.Context(), old, to, func(context.Context, *sql.Tx) error { return died })
	if !errors.Is(err, died) || !done.Before {
		t.Errorf("a second run: %+v, %v", done, err)
	}
	for _, c := range done.Tables {
		if c.Rows == 0 {
			t.Errorf("nothing is in %s: the test does not see whether it is moved", c.Name)
		}
	}
	server.SQL(t, "killed", "UPDATE usage_hours SET n = n + 1 WHERE api_key = 1")
	if status, _, stderr := move(killed); status == exitOK || !strings.Contains(stderr, "has data already: its table usage_hours has 2 rows") {
		t.Errorf("into a copy that has changed: %d, %s", status, stderr)
	}
	server.SQL(t, "killed", "UPDATE usage_hours SET n = n - 1 WHERE api_key = 1")

	status, stdout, stderr := move(killed)
	if status != exitOK || !strings.Contains(stdout, "keys              251 rows") || !strings.Contains(stdout, "and compared") || !strings.Contains(stderr, "all of it was there already") {
		t.Fatalf("moved: %d\n%s%s", status, stdout, stderr)
	}
	// The old one takes no change, from whomever, and the commands say where to go.
	err = old.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE usage_hours SET n = 0`)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "these accounts were moved to postgres://ipwarden@127.0.0.1:") {
		t.Errorf("a change to the old database: %v", err)
	}
	if status, _, stderr := command("account", "list", "--data-dir", dir); status == exitOK || !strings.Contains(stderr, "say --accounts-url") {
		t.Errorf("the old database: %d, %s", status, stderr)
	}
	if status, _, stderr := move(killed); status == exitOK || !strings.Contains(stderr, "already") {
		t.Errorf("moved twice: %d, %s", status, stderr)
	}
	// The new one has the accounts, and goes on counting where the old one was; the
	// secret of the keys is the same.
	status, stdout, stderr = command("key", "new", "ada@example.com", "--data-dir", dir, "--accounts-url", killed)
	if status != exitOK || !strings.HasPrefix(stdout, "ipw_sk_live_") {
		t.Fatal(stderr)
	}
	status, stdout, stderr = command("key", "list", "ada@example.com", "--data-dir", dir, "--accounts-url", killed)
	if status != exitOK || strings.Count(stdout, "\n") != 2 {
		t.Errorf("%s%s", stdout, stderr)
	}

	// In one go, into an empty database.
	dir = t.TempDir()
	if status, _, stderr := command("account", "add", "bob@example.com", "--data-dir", dir); status != exitOK {
		t.Fatal(stderr)
	}
	if status, stdout, stderr := move(server.Create(t, "fresh")); status != exitOK || !strings.Contains(stdout, "accounts          1 rows") || strings.Contains(stderr, "already") {
		t.Errorf("moved: %d\n%s%s", status, stdout, stderr)
	}
}
