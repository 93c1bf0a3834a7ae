package accountsql_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accounttest"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// A server that stops and starts again: calls fail, say why, and in time; what was
// written is there; and the same Store goes on.
func TestPostgresRestart(t *testing.T) {
	server := proxytest.NewPostgres(t)
	const timeout = 30 * time.Second
	db, err := postgres.Open(t.Context(), server.Create(t, "test"), timeout)
	s := store(t, db, err)
	a := accounttest.NewAccount("ada@example.com")
	put := func() error { return s.Write(t.Context(), func(tx account.Tx) error { return tx.PutAccount(&a) }) }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	since := a.Revision

	// In the middle of a transaction.
	stopped := false
	err = s.Write(t.Context(), func(tx account.Tx) error {
		if !stopped {
			stopped = true
			server.Stop()
		}
		return tx.SetSetting("half", "done")
	})
	if !errors.Is(err, account.ErrUnavailable) {
		t.Errorf("the server went away within a transaction: %v, want ErrUnavailable", err)
	}
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"Write", put},
		{"Read", func() error { return s.Read(t.Context(), func(account.Tx) error { return nil }) }},
		{"Changes", func() error {
			_, err := s.Changes(t.Context(), since, func(*account.Changes) error { return nil })
			return err
		}},
	} {
		begin := time.Now()
		if err := c.do(); !errors.Is(err, account.ErrUnavailable) || !strings.Contains(err.Error(), "cannot be used now (postgres://ipwarden@127.0.0.1:") {
			t.Errorf("%s without a server: %v, want ErrUnavailable and where", c.what, err)
		}
		if took := time.Since(begin); took > 2*timeout {
			t.Errorf("%s without a server took %v; the bound is %v", c.what, took, timeout)
		}
	}

	server.Start()
	if err := put(); err != nil { // at once: no connection of before is used
		t.Fatalf("the server is back: %v", err)
	}
	if err := s.Read(t.Context(), func(tx account.Tx) error {
		v, err := tx.Setting("half")
		if v != "" {
			t.Error("half of a transaction was kept")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	seen := 0
	if _, err := s.Changes(t.Context(), since, func(c *account.Changes) error { seen += len(c.Accounts); return nil }); err != nil || seen != 1 {
		t.Errorf("%d changes since, %v; want 1", seen, err)
	}
}

// A server that takes connections and says nothing does not hold a call for ever.
func TestPostgresHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close() // when the listener is closed
		}
	}()
	begin := time.Now()
	_, err = postgres.Open(t.Context(), "postgres://u:hush@"+ln.Addr().String()+"/x?sslmode=disable", 200*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "cannot be used now") || strings.Contains(err.Error(), "hush") {
		t.Errorf("a server that says nothing: %v", err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	// That the caller has given up is the caller's own.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = postgres.Open(ctx, "postgres://u@"+ln.Addr().String()+"/x?sslmode=disable", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has given up: %v", err)
	}
}
