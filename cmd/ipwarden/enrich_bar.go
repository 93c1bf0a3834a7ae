package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// rowBar shows on a terminal how far a run is, how fast, and how long it will
// take; elsewhere it is silent.
type rowBar struct {
	progress *mpb.Progress // nil: silent
	bar      *mpb.Bar
	known    bool // how much there is to read
	n        atomic.Int64
	columns  []string // of the file before
}

// newRowBar shows how far files are read, unless rows go to the same terminal.
func newRowBar(e *env, files []string, apart bool) *rowBar {
	b := &rowBar{known: true}
	if !isTerminal(e.stderr) || e.getenv("TERM") == "dumb" || !apart && isTerminal(e.stdout) {
		return b
	}
	total := int64(0)
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			b.known = false
			break
		}
		total += info.Size()
	}
	begun := time.Now()
	rate := decor.Any(func(decor.Statistics) string {
		n := b.n.Load()
		return fmt.Sprintf("%d rows, %.0f/s ", n, float64(n)/max(time.Since(begun).Seconds(), 0.001))
	})
	b.progress = mpb.New(mpb.WithOutput(e.stderr), mpb.WithWidth(40))
	if !b.known {
		b.bar = b.progress.AddSpinner(0, mpb.PrependDecorators(decor.CurrentKibiByte("% .1f ")), mpb.AppendDecorators(rate))
		return b
	}
	b.bar = b.progress.AddBar(total,
		mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f ")),
		mpb.AppendDecorators(rate, decor.Percentage(), decor.Name(" left "), decor.AverageETA(decor.ET_STYLE_GO)))
	return b
}

// read takes how many bytes were read.
func (b *rowBar) read(n int) {
	if b.bar != nil {
		b.bar.IncrBy(n)
	}
}

// rows takes how many rows were answered.
func (b *rowBar) rows(n int64) { b.n.Store(n) }

// wait ends the display.
func (b *rowBar) wait() {
	if b.progress == nil {
		return
	}
	b.bar.Abort(false)
	b.progress.Wait()
}
