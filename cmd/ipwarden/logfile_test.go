//go:build unix

package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

func pipeLog(t *testing.T) (name string, reader *os.File) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	return name, reader
}

// A pipe that somebody holds and does not read keeps neither SIGHUP nor the end of
// the program waiting.
func TestLogFileThatBlocks(t *testing.T) {
	name, _ := pipeLog(t)
	f, err := openLogFile(name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		line := []byte(strings.Repeat("x", 1<<10) + "\n")
		for {
			if _, err := f.Write(line); err != nil {
				return
			}
		}
	})
	proxytest.Eventually(t, "the writer waits for room in the pipe", func() bool {
		stacks := make([]byte, 1<<20)
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, "(*logFile).Write(") && strings.Contains(stack, "[IO wait") {
				return true
			}
		}
		return false
	})
	for range 3 {
		if err := f.reopen(); err != nil {
			t.Error(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	writer.Wait()
}

// A pipe without a reader, and a folder that is not there, are said at once.
func TestLogFileThatCannotBeOpened(t *testing.T) {
	name, reader := pipeLog(t)
	_ = reader.Close()
	for file, want := range map[string]string{
		name: "nobody reads the pipe",
		filepath.Join(t.TempDir(), "away", "decisions.jsonl"): "mkdir -p ",
	} {
		if _, err := openLogFile(file, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", file, err, want)
		}
	}
}

// No line is lost while the file is opened again, over and over.
func TestLogFileIsOpenedAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	f, err := openLogFile(name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const lines = 2000
	var writer sync.WaitGroup
	writer.Go(func() {
		for range lines {
			if _, err := io.WriteString(f, "line\n"); err != nil {
				t.Errorf("a line is lost: %v", err)
				return
			}
		}
	})
	for range 200 {
		if err := f.reopen(); err != nil {
			t.Fatal(err)
		}
	}
	writer.Wait()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(name)
	if n := strings.Count(string(text), "line\n"); err != nil || n != lines {
		t.Errorf("%d lines, %v", n, err)
	}
}
