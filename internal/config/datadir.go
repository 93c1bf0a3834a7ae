package config

import (
	"errors"
	"path/filepath"
)

// DataDir returns the data directory: flag, else $STATE_DIRECTORY (systemd
// gives a service its own), else $XDG_DATA_HOME/ipwarden, else
// ~/.local/share/ipwarden. getenv is os.Getenv. It creates nothing.
func DataDir(flag string, getenv func(string) string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	// systemd separates several directories by colons; the first is ours.
	if dirs := filepath.SplitList(getenv("STATE_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" {
		return dirs[0], nil
	}
	// The XDG specification tells to ignore relative paths.
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ipwarden"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "ipwarden"), nil
	}
	return "", errors.New("there is no data directory: neither $STATE_DIRECTORY, $XDG_DATA_HOME nor $HOME is set; name one with --data-dir /var/lib/ipwarden")
}
