//go:build unix

// Package local makes servers of PostgreSQL on this machine, for simulations and tests:
// finds the programs, and the user that the server runs as where root starts it.
//
// The call most people want:
//
//	dir, as, err := local.Make(ctx)
//	server, err := local.Program("postgres")
//	exec.Command(server, "-D", filepath.Join(dir, "data"), …), with as for its rights
//
// It refuses to make one without PostgreSQL's programs, or as root without a user
// postgres.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Program finds a program of PostgreSQL, which Debian keeps by version.
func Program(name string) (string, error) {
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return slices.Max(found), nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("PostgreSQL's %s is not installed (Debian: apt-get install postgresql): %w", name, err)
	}
	return path, nil
}

// Make makes a folder with an empty cluster in data, whose user is ipwarden and has no
// password. It is not below a folder of one's own, which the server's user would not
// reach. Who starts the server does so as as says; nil is as oneself.
func Make(ctx context.Context) (dir string, as *syscall.Credential, err error) {
	initdb, err := Program("initdb")
	if err != nil {
		return "", nil, err
	}
	if os.Getuid() == 0 { // the server refuses to run as root
		if as, err = owner(); err != nil {
			return "", nil, err
		}
	}
	if dir, err = os.MkdirTemp("", "ipwarden-postgres-"); err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return dir, as, err
		}
	}
	cmd := exec.CommandContext(ctx, initdb, "-D", filepath.Join(dir, "data"), "-A", "trust", "-U", "ipwarden", "--no-sync", "-E", "UTF8", "--locale=C")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, as, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return dir, as, nil
}

// Ready says whether the server of a folder takes questions: it listens before it does.
func Ready(dir string) bool {
	pid, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(pid), "\n") // the eighth says how far it is
	return len(lines) >= 8 && strings.TrimSpace(lines[7]) == "ready"
}

func owner() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user for it: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}
