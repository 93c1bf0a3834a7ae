package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden/enrich"
)

// A checkpoint is how far a run is, as it lies in its file. Whatever the outputs
// have beyond it was not covered, and is cut off before the run goes on.
type checkpoint struct {
	Version  int      `json:"version"`
	Settings string   `json:"settings"` // of what changes the output
	Files    []string `json:"files"`
	File     int      `json:"file"` // the present one, from 0
	Head     string   `json:"head"` // of its first bytes
	HeadSize int64    `json:"head_size"`
	// Position in it; nil at its beginning.
	Position *enrich.Position `json:"position,omitempty"`
	// Of the files before.
	Before        enrich.Counts `json:"before"`
	OutBefore     int64         `json:"out_before"`
	RejectsBefore int64         `json:"rejects_before"`
	Columns       []string      `json:"columns,omitempty"`

	name  string
	now   func() time.Time
	saved time.Time // zero: nothing of this run yet
}

const (
	checkpointVersion = 1
	checkpointEvery   = time.Second
	maxCheckpoint     = 16 << 20
)

func outOf(s *checkpoint) int64 {
	if s.Position == nil {
		return s.OutBefore
	}
	return s.OutBefore + s.Position.Out
}

func rejectsOf(s *checkpoint) int64 {
	if s.Position == nil {
		return s.RejectsBefore
	}
	return s.RejectsBefore + s.Position.Rejects
}

// openCheckpoint reads the checkpoint of a run, or begins one.
func openCheckpoint(c *enrichCmd, now func() time.Time) (s *checkpoint, resumed bool, err error) {
	sum := sha256.New()
	for _, v := range []string{c.Format, c.Column, c.To, c.Fields, c.Where, c.As, c.Output, c.Rejects, c.AsOf, strconv.FormatBool(c.EscapeFormulas)} {
		fmt.Fprintf(sum, "%d:%s,", len(v), v)
	}
	s = &checkpoint{Version: checkpointVersion, Settings: hex.EncodeToString(sum.Sum(nil)), Files: c.Files, name: c.Checkpoint, now: now}
	info, err := os.Stat(c.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCheckpoint {
		return nil, false, fmt.Errorf("%s is no checkpoint", c.Checkpoint)
	}
	text, err := os.ReadFile(c.Checkpoint)
	if err != nil {
		return nil, false, err
	}
	was := &checkpoint{name: c.Checkpoint, now: now}
	switch err := json.Unmarshal(text, was); {
	case err != nil || was.Version != checkpointVersion || was.File < 0 || was.File >= len(was.Files) || !was.sound():
		return nil, false, fmt.Errorf("%s is no checkpoint", c.Checkpoint)
	case was.Settings != s.Settings:
		return nil, false, fmt.Errorf("%s is of a run with other flags; give those, or remove it and the output to begin anew", c.Checkpoint)
	case len(c.Files) < len(was.Files) || !slices.Equal(was.Files, c.Files[:len(was.Files)]):
		return nil, false, fmt.Errorf("%s is of a run over other files: %q; more may only follow them", c.Checkpoint, was.Files)
	}
	was.Files = c.Files
	return was, true, nil
}

func (s *checkpoint) sound() bool {
	p := s.Position
	return s.OutBefore >= 0 && s.RejectsBefore >= 0 && s.HeadSize >= 0 &&
		(p == nil || p.In >= 0 && p.Out >= 0 && p.Rejects >= 0 && p.Line >= 1 && p.Layout.Column >= 0 && p.Layout.Format != enrich.Auto)
}

// begin is called with file i before it is read.
func (s *checkpoint) begin(i int, in *input) error {
	n := int64(headSize)
	if s.Position != nil {
		n = s.HeadSize
	}
	sum, size, err := in.head(n)
	if err != nil {
		return err
	}
	if s.Position != nil && (sum != s.Head || size != s.HeadSize) {
		return fmt.Errorf("it is another file than when %s was written; remove that and the output to begin anew", s.name)
	}
	s.File, s.Head, s.HeadSize = i, sum, size
	return nil
}

// tell takes how far the run is, and writes it now and then.
func (s *checkpoint) tell(p enrich.Position, written ...*os.File) error {
	if s.now().Sub(s.saved) < checkpointEvery {
		return nil
	}
	return s.flush(p, written...)
}

// flush writes the checkpoint, after what it covers.
func (s *checkpoint) flush(p enrich.Position, written ...*os.File) error {
	for _, f := range written {
		if f != nil {
			if err := f.Sync(); err != nil {
				return err
			}
		}
	}
	if p.Layout.Format != enrich.Auto {
		s.Position = &p
	}
	s.saved = s.now()
	return s.save()
}

// next begins file i after the one that ended at p.
func (s *checkpoint) next(i int, p enrich.Position, before enrich.Counts) error {
	s.File, s.Position, s.Before = i, nil, before
	s.OutBefore += p.Out
	s.RejectsBefore += p.Rejects
	s.Columns = p.Layout.Columns
	return s.save()
}

// save puts the checkpoint in the place of the one before, whole.
func (s *checkpoint) save() error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.name), filepath.Base(s.name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
