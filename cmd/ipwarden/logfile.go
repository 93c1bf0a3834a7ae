package main

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"
)

// logFile is a file to which lines are appended, and which somebody may rename.
type logFile struct {
	name string
	log  *slog.Logger

	mu   sync.Mutex // guards the rest
	file *os.File
	told time.Time // when a failure was last told
}

func openLogFile(name string, log *slog.Logger) (*logFile, error) {
	f := &logFile{name: name, log: log}
	return f, f.reopen()
}

// reopen opens the file of the name anew. When that fails, the one that is open
// stays.
func (f *logFile) reopen() error {
	next, err := os.OpenFile(f.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.mu.Lock()
	last := f.file
	f.file = next
	f.mu.Unlock()
	if last != nil {
		_ = last.Close() // what was written was written
	}
	return nil
}

// Write appends to the file that is open, and tells of a failure once a minute.
func (f *logFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.file.Write(b)
	if err != nil && time.Since(f.told) >= time.Minute {
		f.told = time.Now()
		f.log.Error("the decision log cannot be written; its lines are lost, and counted", "error", err)
	}
	return n, err
}

// Close closes the file.
func (f *logFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.file.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
