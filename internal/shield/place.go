package shield

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Place keeps the document of a State.
type Place interface {
	// Name says where it is, for people: "the file /var/lib/ipwarden/shield.json".
	Name() string
	// Load returns the document, "" when there is none. It ends in a second or so.
	Load(ctx context.Context) (string, error)
	// Swap puts a document in the place of the one that was loaded, and reports whether
	// it was still that one.
	Swap(ctx context.Context, before, after string) (bool, error)
}

// FileName is the name of the file in a data directory.
const FileName = "shield.json"

// File is a Place in a file, which is written whole or not at all, and by one process
// at a time. Its folder is there already.
func File(name string) Place { return file(name) }

type file string

func (f file) Name() string { return "the file " + string(f) }

func (f file) Load(context.Context) (string, error) {
	r, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("it has more than %d KiB", maxDocument>>10)
	}
	return string(text), err
}

func (f file) Swap(ctx context.Context, before, after string) (bool, error) {
	unlock, err := lock(string(f) + ".lock")
	if err != nil {
		return false, err
	}
	defer unlock()
	if now, err := f.Load(ctx); err != nil || now != before {
		return false, err
	}
	next, err := os.CreateTemp(filepath.Dir(string(f)), ".shield-*") // mode 0600
	if err != nil {
		return false, err
	}
	_, err = next.WriteString(after)
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), string(f))
	}
	if err != nil {
		_ = os.Remove(next.Name()) // what failed is told already
		return false, err
	}
	return true, nil
}

// Change changes what a Place keeps: f is given what it has, and may be called again
// when another has changed it meanwhile.
func Change(ctx context.Context, p Place, now time.Time, f func(*State) error) (*State, error) {
	for range 10 {
		before, err := p.Load(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name(), err)
		}
		s, err := ParseState(before, now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; move it away to begin without measures", p.Name(), err)
		}
		if f == nil {
			return s, nil
		}
		if err := f(s); err != nil {
			return nil, err
		}
		after := s.String()
		if after == before {
			return s, nil
		}
		ok, err := p.Swap(ctx, before, after)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name(), err)
		}
		if ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%s: others change it all the time; try again", p.Name())
}
