package worker

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait after failures: from 50 ms to 5 s, and never the same
// for two workers.
type backoff struct{ d time.Duration }

const (
	firstPause = 50 * time.Millisecond
	mostPause  = 5 * time.Second
)

func newBackoff() *backoff { return &backoff{} }

func (b *backoff) reset() { b.d = 0 }

// wait is false when ctx has ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.d = min(max(2*b.d, firstPause), mostPause)
	t := time.NewTimer(b.d/2 + rand.N(b.d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
