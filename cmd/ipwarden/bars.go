package main

import (
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ipwarden/ipwarden/internal/update"
)

// bars shows on a terminal how far the feeds are; elsewhere it is silent.
type bars struct {
	progress *mpb.Progress // nil: silent
	total    *mpb.Bar

	mu    sync.Mutex // guards feeds
	feeds map[string]*mpb.Bar
}

func newBars(e *env, n int) *bars {
	b := &bars{feeds: map[string]*mpb.Bar{}}
	if !isTerminal(e.stderr) || e.getenv("TERM") == "dumb" {
		return b
	}
	b.progress = mpb.New(mpb.WithOutput(e.stderr), mpb.WithWidth(40))
	b.total = b.progress.AddBar(int64(n), mpb.BarPriority(1<<30),
		mpb.PrependDecorators(decor.Name("feeds", decor.WC{W: 28, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.CountersNoUnit("%d / %d")))
	return b
}

// report takes what the updater says, from several goroutines.
func (b *bars) report(p update.Progress) {
	if b.progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bar := b.feeds[p.Feed]
	if p.Result != nil {
		if bar != nil {
			bar.Abort(true)
			delete(b.feeds, p.Feed)
		}
		b.total.Increment()
		return
	}
	if bar == nil {
		bar = b.progress.AddBar(max(p.Total, 0), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(p.Feed, decor.WC{W: 28, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f")))
		b.feeds[p.Feed] = bar
	}
	if p.Total < 0 {
		bar.SetTotal(p.Done+1, false) // its end is not known
	}
	bar.SetCurrent(p.Done)
}

// wait ends the display.
func (b *bars) wait() {
	if b.progress == nil {
		return
	}
	b.total.Abort(false) // complete, unless the run was interrupted
	b.progress.Wait()
}
