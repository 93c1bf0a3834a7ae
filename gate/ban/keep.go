package ban

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden"
)

// maxFile bounds what is read of a file, bytes.
const maxFile = 64 << 20

// file is what bans are kept as.
type file struct {
	Version int    `json:"version"`
	Bans    []line `json:"bans"`
}

type line struct {
	Network netip.Prefix `json:"network"`
	Action  string       `json:"action"`
	Since   time.Time    `json:"since"`
	Until   time.Time    `json:"until"`
	Reason  string       `json:"reason,omitempty"`
	Over    bool         `json:"over_limit,omitempty"`
	Lifted  bool         `json:"lifted,omitempty"`
	Stamp   int64        `json:"stamp"`
}

// load reads the file, where there is one.
func (t *Table) load() error {
	if t.cfg.File == "" {
		return nil
	}
	f, err := os.Open(t.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the file of bans: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return fmt.Errorf("the file of bans: %w", err)
	}
	entries, err := parseFile(text, t.cfg.Now())
	if err != nil {
		return fmt.Errorf("%s: %w; move it away to begin without bans", t.cfg.File, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.cfg.Now()
	for i := range entries {
		if e := &entries[i]; e.Holds(now) && (t.cfg.Store != nil || !e.Lifted || e.OverLimit) {
			t.put(*e, true)
		}
	}
	t.unsaved = false
	return nil
}

var actions = map[string]ipwarden.Verdict{
	ipwarden.Block.String(): ipwarden.Block, ipwarden.Challenge.String(): ipwarden.Challenge, ipwarden.Throttle.String(): ipwarden.Throttle,
}

func parseFile(text []byte, now time.Time) ([]Entry, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("the file has more than %d MiB", maxFile>>20)
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("this is no file of bans: %w", err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("it is of version %d; this program reads 1", f.Version)
	}
	var entries []Entry
	for _, l := range f.Bans {
		e := Entry{Ban: Ban{Network: l.Network, Action: actions[l.Action], Until: l.Until, Reason: l.Reason, OverLimit: l.Over}, Since: l.Since, Lifted: l.Lifted, Stamp: l.Stamp}
		if !e.believable(now) {
			return nil, fmt.Errorf("the entry of %s is none that this program writes", l.Network)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// keeper keeps the lock of the file: one process writes it.
type keeper struct{ unlock func() }

func (k *keeper) close() {
	if k.unlock != nil {
		k.unlock()
		k.unlock = nil
	}
}

// save writes the file if it is not what it should be. t.turn is held.
func (t *Table) save() error {
	if t.cfg.File == "" {
		return nil
	}
	t.mu.Lock()
	if !t.unsaved {
		t.mu.Unlock()
		return nil
	}
	entries := slices.Clone(t.ends) // requests wait for the lock; what an Entry says does not change
	t.unsaved = false
	t.mu.Unlock()
	f := file{Version: 1, Bans: make([]line, 0, len(entries))}
	for _, e := range entries { // those that end first, about
		f.Bans = append(f.Bans, line{
			Network: e.Network, Action: e.Action.String(), Since: e.Since.UTC(), Until: e.Until.UTC(), Reason: e.Reason, Over: e.OverLimit, Lifted: e.Lifted, Stamp: e.Stamp,
		})
	}
	err := t.write(&f)
	if err != nil {
		t.mu.Lock()
		t.unsaved = true
		t.stats.FileErrors++
		t.mu.Unlock()
	}
	return err
}

func (t *Table) write(f *file) error {
	if t.keeper.unlock == nil {
		unlock, err := lock(t.cfg.File + ".lock")
		if err != nil {
			return err
		}
		t.keeper.unlock = unlock
	}
	var text bytes.Buffer
	text.WriteString("{\"version\":1,\"bans\":[")
	for i := range f.Bans {
		b, err := json.Marshal(&f.Bans[i])
		if err != nil {
			return err
		}
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteByte('\n')
		text.Write(b)
	}
	text.WriteString("\n]}\n")
	next, err := os.CreateTemp(filepath.Dir(t.cfg.File), ".bans-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = next.Write(text.Bytes())
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), t.cfg.File)
	}
	if err != nil {
		_ = os.Remove(next.Name()) // what failed is told already
	}
	return err
}
