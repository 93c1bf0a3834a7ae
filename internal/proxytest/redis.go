package proxytest

import (
	"net"
	"os/exec"
	"testing"
)

// Redis starts a Redis server on addr, with a folder of its own and nothing kept
// on disk.
func Redis(t *testing.T, addr string, args ...string) *Process {
	t.Helper()
	program := Need(t, "redis-server", "redis-server")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return Start(t, dir, addr, program, append([]string{
		"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no", "--protected-mode", "no",
	}, args...)...)
}

// RedisCLI runs redis-cli and returns what it prints.
func RedisCLI(t *testing.T, addr string, args ...string) string {
	t.Helper()
	program := Need(t, "redis-cli", "redis-tools")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return string(out)
}
