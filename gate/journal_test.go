package gate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

func journal(t *testing.T, cfg gate.JournalConfig) *gate.Journal {
	t.Helper()
	j, err := gate.NewJournal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// At most so many lines a second, whatever is decided; the others are counted,
// and the next second has lines again. Without a bound all are written.
func TestJournalRate(t *testing.T) {
	for _, c := range []struct{ rate, first, second int }{{3, 3, 3}, {0, 1000, 10}, {-1, 2000, 10}} {
		var log bytes.Buffer
		now := time.Date(2026, 11, 20, 12, 0, 0, 999, time.UTC)
		j := journal(t, gate.JournalConfig{To: &log, Rate: c.rate, Queue: 4096})
		g := newGate(t, policy.Config{Default: ipwarden.Block}, func(cfg *gate.Config) {
			cfg.Journal, cfg.Now = j, func() time.Time { return now }
		})
		var d gate.Decision
		for range 2000 {
			g.Decide(context.Background(), request("8.8.8.8"), &d)
		}
		now = now.Add(time.Second)
		for range 10 {
			g.Decide(context.Background(), request("8.8.8.8"), &d)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		want := c.first + c.second
		if lines := bytes.Count(log.Bytes(), []byte("\n")); lines != want {
			t.Errorf("a rate of %d: %d lines, want %d", c.rate, lines, want)
		}
		if s := g.Stats().Journal; s.TooMany != uint64(2010-want) || s.Slow != 0 || s.Failed != 0 {
			t.Errorf("a rate of %d: %+v", c.rate, s)
		}
	}
}

// full is a disk with room for so many bytes, until somebody makes more.
type full struct {
	mu   sync.Mutex // guards the rest
	room int
	text []byte
}

func (f *full) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(b), f.room)
	f.text = append(f.text, b[:n]...)
	f.room -= n
	if n < len(b) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// A full disk costs lines and nothing else, and what was written in part does not
// spoil the line after it.
func TestJournalOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &full{room: 700}
		j := journal(t, gate.JournalConfig{To: disk})
		g := newGate(t, policy.Config{Default: ipwarden.Block}, func(c *gate.Config) { c.Journal = j })
		var d gate.Decision
		for range 20 {
			g.Decide(context.Background(), request("8.8.8.8"), &d)
		}
		synctest.Wait()
		disk.mu.Lock()
		disk.room = 1 << 20
		disk.mu.Unlock()
		g.Decide(context.Background(), request("8.8.8.8"), &d)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		whole := 0
		for line := range strings.Lines(string(disk.text)) {
			if json.Valid([]byte(line)) {
				whole++
			}
		}
		lost := g.Stats().Journal.Failed
		if lost == 0 || whole+int(lost) != 21 {
			t.Errorf("%d lines are whole and %d lost, of 21", whole, lost)
		}
		if last := disk.text[bytes.LastIndexByte(disk.text[:len(disk.text)-1], '\n')+1:]; !bytes.Contains(last, []byte(d.ID.String())) {
			t.Errorf("the last line is not the last decision: %s", last)
		}
	})
}

// A writer that hangs delays no decision, and Close does not wait for ever.
func TestJournalThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		j := journal(t, gate.JournalConfig{To: writerFunc(func(b []byte) (int, error) { <-hang; return len(b), nil }), Queue: 10})
		g := newGate(t, policy.Config{Default: ipwarden.Block}, func(c *gate.Config) { c.Journal = j })
		var d gate.Decision
		begun := time.Now()
		for range 100 {
			g.Decide(context.Background(), request("8.8.8.8"), &d)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("decisions took %s", took)
		}
		if s := g.Stats().Journal; s.Slow < 89 || s.Slow > 90 {
			t.Errorf("%+v, want the 89 or 90 for which there was no room", s)
		}
		if err := j.Close(); err == nil || time.Since(begun) != 5*time.Second {
			t.Errorf("closed after %s: %v", time.Since(begun), err)
		}
		g.Decide(context.Background(), request("8.8.8.8"), &d) // after Close: nothing is written, and nothing panics
		close(hang)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
