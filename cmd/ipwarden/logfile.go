package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
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
// stays. It does not wait for a named pipe to have a reader, nor for a line that is
// being written.
func (f *logFile) reopen() error {
	next, err := os.OpenFile(f.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	switch {
	case errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("the decision log: nobody reads the pipe %s; start its reader first, such as: cat %s", f.name, f.name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the decision log: there is no folder for %s; make it with: mkdir -p %s", f.name, filepath.Dir(f.name))
	case err != nil:
		return fmt.Errorf("the decision log: %w", err)
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

// Write appends to the file that is open, and tells of a failure once a minute. It
// holds no lock meanwhile: a pipe that nobody reads must not keep the file from
// being opened again, or closed.
func (f *logFile) Write(b []byte) (int, error) {
	file := f.current()
	n, err := file.Write(b)
	for n == 0 && errors.Is(err, os.ErrClosed) { // it was opened again just now
		next := f.current()
		if next == file {
			break
		}
		file = next
		n, err = file.Write(b)
	}
	if err != nil {
		f.tell(err)
	}
	return n, err
}

func (f *logFile) current() *os.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file
}

func (f *logFile) tell(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.told) >= time.Minute {
		f.told = time.Now()
		f.log.Error("the decision log cannot be written; its lines are lost, and counted", "error", err)
	}
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
