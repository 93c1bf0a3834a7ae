// Package eventfile writes events of a worker into files, an object a line, and reads
// dead letters from them.
//
// The call most people want:
//
//	out, err := eventfile.New(eventfile.Config{Path: "/var/lib/ipwarden/enriched.jsonl"})
//
// What Write has returned of is on the disk, and so is the file's name. A file that is full is given a name with
// the time in it, and another begins; the oldest go. Several processes may write one
// file: they take turns. It refuses to write to what is no regular file.
package eventfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// Config says which file.
type Config struct {
	Path string
	// MaxBytes is how large a file grows, and MaxAge how old; default 256 MiB, and any.
	MaxBytes int64
	MaxAge   time.Duration
	// Keep is how many full files stay; default all.
	Keep int
	// NoSync leaves it to the system when what was written reaches the disk: it then
	// outlives the process and not the machine.
	NoSync bool
	Now    func() time.Time // default time.Now

	syncDir func(string) error // of tests; default syncDir
}

// Output writes events.
type Output struct {
	c     Config
	f     *os.File // nil: not open
	since time.Time
	named bool // the name of f is on the disk
	buf   []byte
}

var _ worker.Output = (*Output)(nil)

// Kind is what configurations say of it.
func Kind() worker.Kind {
	return worker.Kind{
		Name: "file",
		Keys: []worker.Key{
			{Name: "path", Shape: worker.Text, Needed: true, Example: "/var/lib/ipwarden/enriched.jsonl"},
			{Name: "max_bytes", Shape: worker.Size, Default: "256MiB", Low: 1 << 10, High: 1 << 40, Example: "256MiB"},
			{Name: "max_age", Shape: worker.Duration, Low: int64(time.Second), High: int64(8760 * time.Hour), Example: "24h"},
			{Name: "keep", Shape: worker.Number, Low: 1, High: 100_000, Example: "30"},
			{Name: "sync", Shape: worker.Truth, Default: "true"},
		},
		Output: func(v worker.Values) (worker.Output, error) {
			return New(Config{Path: v.Text("path"), MaxBytes: v.Int("max_bytes"), MaxAge: v.Duration("max_age"), Keep: int(v.Int("keep")), NoSync: !v.Truth("sync")})
		},
	}
}

// New opens the file.
func New(c Config) (*Output, error) {
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.syncDir == nil {
		c.syncDir = syncDir
	}
	o := &Output{c: c}
	return o, o.open()
}

func (o *Output) open() error {
	f, err := os.OpenFile(o.c.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("eventfile: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return fmt.Errorf("eventfile: %s is no regular file", o.c.Path)
	}
	o.f, o.since, o.named = f, o.c.Now(), false
	return nil
}

// name brings the names in the file's folder to the disk, once for each file: else one
// that was made shortly before the machine stops is not found again.
func (o *Output) name() error {
	if o.named || o.c.NoSync {
		return nil
	}
	if err := o.c.syncDir(filepath.Dir(o.c.Path)); err != nil {
		return fmt.Errorf("eventfile: the folder of %s: %w", o.c.Path, err)
	}
	o.named = true
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock takes the file for one write, opened anew when it was given another name. What
// an interrupted write has left at its end is cut off: it was not acknowledged.
func (o *Output) lock() (size int64, err error) {
	for range 100 {
		if o.f == nil {
			if err := o.open(); err != nil {
				return 0, err
			}
		}
		if err := Lock(o.f); err != nil {
			return 0, fmt.Errorf("eventfile: %s: %w", o.c.Path, err)
		}
		here, err := o.f.Stat()
		if err != nil {
			return 0, err
		}
		if there, err := os.Stat(o.c.Path); err != nil || !os.SameFile(here, there) {
			if err := o.close(); err != nil {
				return 0, err
			}
			continue
		}
		end, err := lastLine(o.f, here.Size())
		if err == nil && end != here.Size() {
			err = o.f.Truncate(end)
		}
		return end, err
	}
	return 0, fmt.Errorf("eventfile: %s is renamed all the time", o.c.Path)
}

func (o *Output) unlock() {
	if o.f != nil {
		_ = unlock(o.f)
	}
}

// lastLine is where the last whole line ends.
func lastLine(f *os.File, size int64) (int64, error) {
	var last [1]byte
	if size == 0 {
		return 0, nil
	}
	if _, err := f.ReadAt(last[:], size-1); err != nil || last[0] == '\n' {
		return size, err
	}
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		from := max(end-int64(len(buf)), 0)
		part := buf[:end-from]
		if _, err := f.ReadAt(part, from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// Write appends events.
func (o *Output) Write(_ context.Context, events []worker.Event) ([]worker.Refusal, error) {
	size, err := o.lock()
	defer o.unlock()
	if err != nil {
		return nil, err
	}
	now := o.c.Now()
	if size > 0 && (size >= o.c.MaxBytes || o.c.MaxAge > 0 && now.Sub(o.since) >= o.c.MaxAge) {
		if err := o.rotate(now); err != nil {
			return nil, err
		}
		if _, err := o.lock(); err != nil {
			return nil, err
		}
	}
	o.buf = o.buf[:0]
	for i := range events {
		o.buf = append(o.buf, events[i].Value...)
		for j := len(o.buf) - len(events[i].Value); j < len(o.buf); j++ {
			if o.buf[j] == '\n' || o.buf[j] == '\r' {
				o.buf[j] = ' ' // between two parts of the JSON: in a text it would be \n
			}
		}
		o.buf = append(o.buf, '\n')
	}
	if _, err := o.f.Write(o.buf); err != nil {
		return nil, fmt.Errorf("eventfile: %w", err)
	}
	if !o.c.NoSync {
		if err := toDisk(o.f); err != nil {
			return nil, fmt.Errorf("eventfile: %s: %w", o.c.Path, err)
		}
	}
	if err := o.name(); err != nil {
		return nil, err
	}
	if cap(o.buf) > 16<<20 {
		o.buf = nil
	}
	return nil, nil
}

// rotate gives the full file its name and begins another.
func (o *Output) rotate(now time.Time) error {
	name := o.c.Path + "." + now.UTC().Format("20060102T150405.000000000Z")
	if err := errors.Join(os.Rename(o.c.Path, name), o.close()); err != nil {
		return err
	}
	if o.c.Keep == 0 {
		return nil
	}
	full, err := Rotated(o.c.Path)
	if err != nil {
		return err
	}
	for _, old := range full[:max(len(full)-o.c.Keep, 0)] {
		if err := os.Remove(old); err != nil {
			return err
		}
	}
	return nil
}

// Rotated lists the full files of a path, the oldest first.
func Rotated(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var full []string
	for _, e := range entries {
		begin := filepath.Base(path) + "."
		if n := e.Name(); len(n) == len(begin)+len("20060102T150405.000000000Z") && n[:len(begin)] == begin && n[len(n)-1] == 'Z' {
			full = append(full, filepath.Join(filepath.Dir(path), n))
		}
	}
	slices.Sort(full)
	return full, nil
}

func (o *Output) close() error {
	if o.f == nil {
		return nil
	}
	err := o.f.Close()
	o.f = nil
	return err
}

// Close closes the file.
func (o *Output) Close() error { return o.close() }
