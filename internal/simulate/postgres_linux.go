package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/postgres/local"
)

// database is the PostgreSQL of all regions, in the first.
type database struct {
	*process
	dir  string
	addr string
	url  string
}

// openDatabase makes a database and starts it.
func (w *world) openDatabase() error {
	server, err := local.Program("postgres")
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	d := &database{addr: w.addr(0, 5432)}
	w.database = d
	d.url = "postgres://ipwarden@" + d.addr + "/postgres?sslmode=disable"
	dir, as, err := local.Make(w.ctx)
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	d.dir = dir
	data := filepath.Join(dir, "data")
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
func (d *database) answers() bool { return local.Ready(d.dir) }

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
