package eventfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
)

func open(t *testing.T, c Config) *Output {
	t.Helper()
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// lines are those of a file.
func lines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func write(t *testing.T, o *Output, values ...string) {
	t.Helper()
	var events []worker.Event
	for _, v := range values {
		events = append(events, worker.Event{ID: v, Value: []byte(v)})
	}
	if refused, err := o.Write(t.Context(), events); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
}

func TestOutput(t *testing.T) {
	workertest.TestOutput(t, func(t *testing.T) workertest.Sink {
		name := filepath.Join(t.TempDir(), "out.jsonl")
		return workertest.Sink{Output: open(t, Config{Path: name}), Written: func(t *testing.T) []string { return lines(t, name) }}
	})
}

// What an interrupted write has left is cut off; a line end inside of an event is none
// of the file's.
func TestInterrupted(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out.jsonl")
	for _, before := range []string{"{\"a\":1}\n{\"b\":", "{\"a\":1}\n", "{\"a\":1}\n" + strings.Repeat("x", 200_000)} {
		if err := os.WriteFile(name, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, open(t, Config{Path: name}), "{\"c\":\n3}")
		if got := lines(t, name); !slices.Equal(got, []string{`{"a":1}`, `{"c": 3}`}) {
			t.Errorf("after %.20q: %q", before, got)
		}
	}
}

func TestRotated(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out.jsonl")
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	o := open(t, Config{Path: name, MaxBytes: 10, MaxAge: time.Hour, Keep: 2, Now: func() time.Time { return now }})
	write(t, o, "0123456789")
	for i := range 3 {
		now = now.Add(time.Second)
		write(t, o, strings.Repeat(string(rune('a'+i)), 10))
	}
	full, err := Rotated(name)
	if err != nil || len(full) != 2 {
		t.Fatal(full, err)
	}
	if a, b := lines(t, full[0]), lines(t, full[1]); a[0] != "aaaaaaaaaa" || b[0] != "bbbbbbbbbb" {
		t.Errorf("%q, %q", a, b)
	}
	now = now.Add(time.Hour) // old, and not full
	write(t, o, "d")
	if got := lines(t, name); !slices.Equal(got, []string{"d"}) {
		t.Errorf("%q", got)
	}
}

// Two that write one file, one of which rotates it, and somebody who takes it away: no
// line is lost or torn.
func TestSeveral(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out.jsonl")
	var writers sync.WaitGroup
	for _, c := range []Config{{Path: name, NoSync: true}, {Path: name, MaxBytes: 2000, NoSync: true}} {
		o := open(t, c)
		writers.Go(func() {
			for range 200 {
				write(t, o, strings.Repeat("x", 30))
			}
		})
	}
	writers.Wait()
	if err := os.Rename(name, name+".replaying"); err != nil {
		t.Fatal(err)
	}
	o := open(t, Config{Path: name})
	write(t, o, strings.Repeat("x", 30))
	files, err := filepath.Glob(name + "*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		for _, l := range lines(t, f) {
			if n++; l != strings.Repeat("x", 30) {
				t.Errorf("%s has %q", f, l)
			}
		}
	}
	if n != 401 {
		t.Errorf("%d lines in %d files", n, len(files))
	}
}

func TestRefuses(t *testing.T) {
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "no", "such"), "/dev/null"} {
		o, err := New(Config{Path: path})
		if err == nil {
			_, err = o.Write(t.Context(), []worker.Event{{ID: "a", Value: []byte("{}")}})
		}
		if err == nil {
			t.Errorf("%s is written to", path)
		}
	}
}

// The name of each file is on the disk when the first of its events is acknowledged.
func TestFolderSynced(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out.jsonl")
	synced, away := 0, true
	o := open(t, Config{Path: name, MaxBytes: 1 << 10, syncDir: func(dir string) error {
		if away {
			return errors.New("the disk is away")
		}
		if synced++; dir != filepath.Dir(name) {
			t.Errorf("%s is synced", dir)
		}
		return syncDir(dir)
	}})
	if _, err := o.Write(t.Context(), []worker.Event{{ID: "a", Value: []byte("{}")}}); err == nil || synced != 0 {
		t.Errorf("acknowledged, with %d syncs: %v", synced, err)
	}
	away = false
	for range 3 {
		write(t, o, "{}")
	}
	if synced != 1 {
		t.Errorf("%d syncs of one file", synced)
	}
	write(t, o, strings.Repeat("x", 2000))
	write(t, o, "{}") // in another
	if synced != 2 {
		t.Errorf("%d syncs of two files", synced)
	}
}
