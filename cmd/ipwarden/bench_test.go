package main

import (
	"bytes"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// bench runs the command and returns what it prints.
func runBench(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(append([]string{"bench", "overshoot"}, args...), &env{
		stdin: strings.NewReader(""), stdout: &out, stderr: &err, getenv: func(string) string { return "" }, now: time.Now,
	})
	return status, out.String(), err.String()
}

// The overshoot is measured on a real server, and is within the bound; a server
// that is not there, or a flag that is wrong, is said.
func TestBenchOvershoot(t *testing.T) {
	program := proxytest.Need(t, "redis-server", "redis-server")
	addr := proxytest.FreeAddr(t)
	dir := t.TempDir()
	_, port, _ := strings.Cut(addr, ":")
	proxytest.Start(t, dir, addr, program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", dir)
	for mode, bound := range map[string]string{"fast": "at most 90 more", "exact": "at most 0 more"} {
		status, out, stderr := runBench(t, "--redis", "redis://"+addr, "--limit", "300", "--rounds", "2", "--limit-mode", mode, "--budget", "20s")
		if status != exitOK || !strings.Contains(out, bound) || !strings.Contains(out, "Within the bound") {
			t.Errorf("%s: status %d\n%s%s", mode, status, out, stderr)
		}
	}
}

func TestBenchOvershootMistakes(t *testing.T) {
	for want, args := range map[string][]string{
		"connection refused": {"--redis", "redis://" + proxytest.FreeAddr(t)},
		`scheme "http"`:      {"--redis", "http://127.0.0.1"},
		"--nodes is 0":       {"--redis", "redis://127.0.0.1", "--nodes", "0", "--limit", "0"},
		"--limit is 0":       {"--redis", "redis://127.0.0.1", "--nodes", "0", "--limit", "0"},
		"shorter than 1ms":   {"--redis", "redis://127.0.0.1", "--window", "1ns"},
		"--redis":            {},
	} {
		status, out, stderr := runBench(t, args...)
		if status == exitOK || !strings.Contains(stderr, want) {
			t.Errorf("%q: status %d, want %q\n%s%s", args, status, want, out, stderr)
		}
	}
}

// A spray of new clients lets in nobody who was over a limit, and the process stays
// within what is allowed for.
func TestBenchSpray(t *testing.T) {
	var out, stderr bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &stderr, getenv: func(string) string { return "" }, now: time.Now}
	if status := run([]string{"bench", "spray", "--for", "200ms"}, e); status != exitOK || !strings.Contains(out.String(), "over a limit, 0 were let in") {
		t.Errorf("status %d\n%s%s", status, &out, &stderr)
	}
	if status := run([]string{"bench", "spray", "--for", "1ns"}, e); status == exitOK || !strings.Contains(stderr.String(), "--for from 10ms") {
		t.Errorf("status %d\n%s", status, &stderr)
	}
}

// Those who pay are answered beside a flood of keys that nobody has, which are refused.
func TestBenchFlood(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets in the test's folder may have longer names than the system takes")
	}
	program, err := exec.LookPath("ipwarden") // see TestMain
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &out, getenv: func(string) string { return "" }, now: time.Now}
	c := &floodCmd{KeysPerSecond: 2000, Paying: 400, Round: 300 * time.Millisecond, Rounds: 3, program: program}
	if err := c.Run(t.Context(), e); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	if !strings.Contains(out.String(), "keys were refused") || strings.Contains(out.String(), "\n0 keys") {
		t.Error(out.String())
	}
}
