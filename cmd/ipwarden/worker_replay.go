package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ipwarden/ipwarden/internal/eventfile"
	"github.com/ipwarden/ipwarden/internal/worker"
)

type workerReplayCmd struct {
	workerFileFlag
	Files []string      `arg:"" optional:"" placeholder:"FILE" help:"Files of dead letters; default what dead_letters of the configuration has."`
	Kept  string        `default:"dead-kept.jsonl" placeholder:"FILE" help:"Where letters go that cannot be put back; default ${default}."`
	Idle  time.Duration `default:"3s" placeholder:"TIME" help:"End when a queue of dead letters has had nothing for so long; default ${default}."`
}

// Help is the long help.
func (workerReplayCmd) Help() string {
	return `Puts the events of dead letters back to where they came from, with the ids that they
had, so that what comes of them is known as the same. A file is then called
FILE.replayed; a queue forgets what was put back. What cannot be put back is told,
and kept in another file.

Examples:
  ipwarden worker replay --config worker.yaml
  ipwarden worker replay --config worker.yaml dead.jsonl`
}

// Run puts dead letters back.
func (c *workerReplayCmd) Run(e *env) error {
	f, err := c.read()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	back, err := f.Input.OpenBack()
	if err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if back == nil {
		return fmt.Errorf("events of %s cannot be put back", f.Input.Kind)
	}
	defer back.Close()
	r := &worker.Replay{Back: back, Tell: func(err error) { fmt.Fprintf(e.stderr, "ipwarden: %v\n", err) }}
	files := c.Files
	if len(files) == 0 && f.Dead.Kind == "file" {
		path := f.Dead.Text("path")
		if files, err = eventfile.Rotated(path); err != nil {
			return err
		}
		if _, err := os.Stat(path); err == nil {
			files = append(files, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if files, err = withInterrupted(path, files); err != nil {
			return err
		}
	}
	if len(files) > 0 || f.Dead.Kind == "file" {
		for _, name := range files {
			if err := replayFile(ctx, r, name, c.Kept); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	} else if err := c.queue(ctx, r, f); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d events are put back, %d are not\n", r.Returned, r.Kept)
	if r.Kept > 0 {
		return errReported
	}
	return nil
}

// queue replays what dead_letters has.
func (c *workerReplayCmd) queue(ctx context.Context, r *worker.Replay, f *worker.File) error {
	in, err := f.Dead.OpenDead()
	if err != nil {
		return fmt.Errorf("dead_letters: %w", err)
	}
	if in == nil {
		return fmt.Errorf("dead letters of the kind %s cannot be read from here; name files of them: ipwarden worker replay --config %s dead.jsonl", f.Dead.Kind, c.WorkerConfig)
	}
	defer in.Close()
	kept, err := eventfile.New(eventfile.Config{Path: c.Kept})
	if err != nil {
		return err
	}
	defer kept.Close()
	return r.Queue(ctx, in, kept, c.Idle)
}

// replaying ends the name of a file while it is replayed, and after that was interrupted.
const replaying = ".replaying"

// withInterrupted puts files before files whose replay was interrupted: of path, and of
// what it was called when it was full.
func withInterrupted(path string, files []string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if n := e.Name(); strings.HasPrefix(n, filepath.Base(path)+".") && strings.HasSuffix(n, replaying) {
			all = append(all, filepath.Join(filepath.Dir(path), n))
		}
	}
	return append(all, files...), nil
}

// replayFile replays a file of dead letters. It is renamed first, so that a worker that
// runs writes into another.
func replayFile(ctx context.Context, r *worker.Replay, name, kept string) error {
	done := strings.TrimSuffix(name, replaying) + ".replayed"
	if !strings.HasSuffix(name, replaying) {
		if _, err := os.Lstat(name + replaying); err == nil { // its letters come first
			if err := replayFile(ctx, r, name+replaying, kept); err != nil {
				return err
			}
		}
		if err := os.Rename(name, name+replaying); err != nil {
			return err
		}
		name += replaying
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := eventfile.Lock(in); err != nil { // a write that has begun ends
		return err
	}
	out, err := eventfile.New(eventfile.Config{Path: kept})
	if err != nil {
		return err
	}
	defer out.Close()
	if err := r.Lines(ctx, in, out); err != nil {
		return err
	}
	return os.Rename(name, done)
}
