package update

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// watched is a body whose transfer must not stand still.
type watched struct {
	r       io.Reader
	timer   *time.Timer // ends the transfer; wound up again by every byte
	stalled atomic.Bool
	stall   time.Duration
	done    int64
	total   int64
	report  func(done, total int64)
}

// Read reads, and says why when the transfer was ended from here.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.timer.Reset(w.stall)
		w.done += int64(n)
		w.report(w.done, w.total)
	}
	if err != nil && err != io.EOF && w.stalled.Load() {
		err = fmt.Errorf("the transfer stood still for %v after %d bytes", w.stall, w.done)
	}
	return n, err
}
