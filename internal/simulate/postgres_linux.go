package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// database is the PostgreSQL of all regions, in the first.
type database struct {
	*process
	dir  string
	addr string
	url  string
}

// openDatabase makes a database and starts it.
func (w *world) openDatabase() (err error) {
	initdb, err := postgresProgram("initdb")
	if err != nil {
		return err
	}
	server, err := postgresProgram("postgres")
	if err != nil {
		return err
	}
	d := &database{addr: w.addr(0, 5432)}
	w.database = d
	d.url = "postgres://ipwarden@" + d.addr + "/postgres?sslmode=disable"
	// The server refuses to run as root, and its user must reach the folder.
	if d.dir, err = os.MkdirTemp("", "ipwarden-simulate-postgres-"); err != nil {
		return err
	}
	var as *syscall.Credential
	if os.Getuid() == 0 {
		if as, err = postgresUser(); err != nil {
			return err
		}
		if err := os.Chown(d.dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(d.dir, "data")
	cmd := exec.CommandContext(w.ctx, initdb, "-D", data, "-A", "trust", "-U", "ipwarden", "--no-sync", "-E", "UTF8", "--locale=C")
	cmd.Dir, cmd.SysProcAttr = d.dir, &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("simulate: initdb: %w\n%s", err, out)
	}
	hba, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(hba, "host all all 198.18.0.0/15 trust\nhost all all 127.0.0.0/8 trust")
	if err := errors.Join(err, hba.Close()); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(d.addr)
	if err != nil {
		return err
	}
	d.process = &process{name: "postgres", as: as, dir: d.dir, args: []string{
		server, "-D", data, "-p", port, "-c", "listen_addresses=" + host, "-c", "unix_socket_directories=",
		// It need not outlive the machine. What it said was committed outlives a kill.
		"-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=150", "-c", "max_wal_senders=0", "-c", "wal_level=minimal",
		// The last who wrote sums is the aggregator to kill.
		"-c", "log_statement=mod", "-c", "log_line_prefix=%a ",
	}}
	return w.ready(d.process, d.answers)
}

// answers says whether the server takes questions.
func (d *database) answers() bool {
	pid, err := os.ReadFile(filepath.Join(d.dir, "data", "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(pid), "\n") // the eighth says how far it is
	return len(lines) >= 8 && strings.TrimSpace(lines[7]) == "ready"
}

// restart starts it after a kill: as soon as what was left of it is gone.
func (w *world) restartDatabase() error {
	d := w.database
	if err := os.Remove(filepath.Join(d.dir, "data", "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var err error
	for range 50 {
		if err = w.ready(d.process, d.answers); err == nil || w.ctx.Err() != nil {
			return err
		}
		w.wait(200 * time.Millisecond)
	}
	return err
}

// aggregator is the region that wrote sums last, as the database's log says.
func (w *world) aggregator() (region int, ok bool) {
	log, err := os.ReadFile(w.logName(w.database.process))
	if err != nil {
		return 0, false
	}
	for _, line := range slices.Backward(bytes.Split(log, []byte("\n"))) {
		who, what, _ := strings.Cut(string(line), " ")
		if !strings.Contains(what, "INSERT INTO usage_hours") {
			continue
		}
		for i, r := range w.regions {
			if r.name == who {
				return i, true
			}
		}
	}
	return 0, false
}

func (d *database) remove() {
	if d != nil && d.dir != "" {
		d.kill()
		_ = os.RemoveAll(d.dir) // the rest is the system's to clean
	}
}

func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("simulate: PostgreSQL does not run as root, and there is no user for it: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// postgresProgram finds a program of PostgreSQL, which Debian keeps by version.
func postgresProgram(name string) (string, error) {
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return slices.Max(found), nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("simulate: PostgreSQL's %s is not installed (Debian: apt-get install postgresql): %w", name, err)
	}
	return path, nil
}
