package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// counted takes events.
type counted struct{ ids []string }

func (c *counted) Write(_ context.Context, events []worker.Event) ([]worker.Refusal, error) {
	for _, e := range events {
		c.ids = append(c.ids, e.ID)
	}
	return nil, nil
}

func (c *counted) Close() error { return nil }

// What a replay that was interrupted had left is replayed first, and not written over.
func TestReplayInterrupted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dead.jsonl")
	full := path + ".20261121T101112.000000000Z"
	for name, id := range map[string]string{full + replaying: "1", path + replaying: "2", path: "3"} {
		if err := os.WriteFile(name, []byte(`{"id":"`+id+`","reason":"missing","position":"p","bytes":2,"value":"{}"}`+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := withInterrupted(path, []string{path})
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v", files, err)
	}
	back := &counted{}
	r := &worker.Replay{Back: back, Tell: func(err error) { t.Error(err) }}
	for _, name := range []string{files[0], path} { // the one in the middle is found by itself
		if err := replayFile(t.Context(), r, name, filepath.Join(dir, "kept")); err != nil {
			t.Fatal(err)
		}
	}
	if r.Returned != 3 || len(back.ids) != 3 {
		t.Errorf("%d are back: %q", r.Returned, back.ids)
	}
	left, err := fs.Glob(os.DirFS(dir), "*"+replaying)
	if err != nil || len(left) > 0 {
		t.Errorf("%q are left, %v", left, err)
	}
}
