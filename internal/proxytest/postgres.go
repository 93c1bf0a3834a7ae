package proxytest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/postgres/local"
)

// Postgres is a PostgreSQL server that a test stops and starts again. It has one
// user, ipwarden, without a password, and what it is told to keep is gone with the
// test: it does not wait for the disk.
type Postgres struct {
	t       *testing.T
	dir     string
	port    string
	program string
	as      *syscall.SysProcAttr
	process *Process
}

// NewPostgres makes a server's folder and starts it.
func NewPostgres(t *testing.T) *Postgres {
	t.Helper()
	p := &Postgres{t: t}
	p.program = postgresProgram(t, "postgres")
	dir, as, err := local.Make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.dir, p.as = dir, &syscall.SysProcAttr{Credential: as}
	_, p.port, err = net.SplitHostPort(FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	return p
}

// Start starts the server, which does not run, and waits until it answers.
func (p *Postgres) Start() {
	p.t.Helper()
	cmd := exec.Command(p.program, "-D", filepath.Join(p.dir, "data"), "-p", p.port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+p.dir,
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		"-c", "shared_buffers=16MB", "-c", "max_connections=100", "-c", "autovacuum=off", "-c", "max_wal_senders=0", "-c", "wal_level=minimal")
	cmd.SysProcAttr = p.as
	p.process = startCommand(p.t, p.dir, "answers", p.answers, cmd)
	p.t.Cleanup(p.Stop) // before the process's own, which asks in a way that waits for clients
}

// answers reports whether the server takes questions: it listens before it does.
func (p *Postgres) answers() bool {
	if !local.Ready(p.dir) {
		return false
	}
	c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", p.port), time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Stop ends the server and all its connections.
func (p *Postgres) Stop() {
	p.t.Helper()
	_ = p.process.cmd.Process.Signal(syscall.SIGINT) // it would wait for its clients at SIGTERM
	select {
	case <-p.process.ended:
	case <-time.After(patience):
		p.t.Errorf("PostgreSQL did not end; it said:\n%s", p.process.Output())
		p.process.Stop()
	}
}

// URL is where the database called name is.
func (p *Postgres) URL(name string) string {
	return "postgres://ipwarden@127.0.0.1:" + p.port + "/" + name + "?sslmode=disable"
}

// Port is the server's.
func (p *Postgres) Port() string { return p.port }

// Create makes an empty database.
func (p *Postgres) Create(t *testing.T, name string) (url string) {
	t.Helper()
	p.SQL(t, "postgres", `CREATE DATABASE "`+name+`"`)
	return p.URL(name)
}

// SQL runs statements with psql and returns what it prints.
func (p *Postgres) SQL(t *testing.T, database, statements string) string {
	t.Helper()
	psql := postgresProgram(t, "psql")
	out, err := exec.CommandContext(t.Context(), psql, "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1",
		"-h", "127.0.0.1", "-p", p.port, "-U", "ipwarden", "-c", statements, database).CombinedOutput()
	if err != nil {
		t.Fatalf("psql %s: %v\n%s", statements, err, out)
	}
	return string(out)
}

// postgresProgram finds a program of PostgreSQL.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := local.Program(name)
	if err != nil {
		return Need(t, name, "postgresql") // and says so
	}
	return path
}
