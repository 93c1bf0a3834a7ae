package limit

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A breaker tells whether the store is asked. It opens when asks fail or take
// longer than the budget, and closes when one probe, by one goroutine, was
// answered in time.
type breaker struct {
	open atomic.Bool

	mu       sync.Mutex // guards what is below
	outcomes uint64     // of the last 64 asks, the latest in bit 0; 1 is a failure
	last     error
	wait     time.Duration // until the next probe
	closed   time.Time     // when it closed last; zero for never
	flaps    int           // how often it opened again soon after that
}

// When a breaker opens: so many failures in a row, or half of the last 64 asks.
const (
	failuresInRow  = 5
	failuresOfMany = 32
)

// The time between probes doubles from the first to the last.
const (
	firstProbe = 250 * time.Millisecond
	lastProbe  = 10 * time.Second
)

// succeeded notes that so many asks were answered in time.
func (b *breaker) succeeded(n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.outcomes <<= min(n, 64)
	b.mu.Unlock()
}

// failed notes that an ask was not, and reports whether that opened the breaker.
func (b *breaker) failed(err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcomes = b.outcomes<<1 | 1
	b.last = err
	row := bits.TrailingZeros64(^b.outcomes)
	if b.open.Load() || row < failuresInRow && bits.OnesCount64(b.outcomes) < failuresOfMany {
		return false
	}
	b.trip()
	return true
}

// trip opens b; its mutex is held. A store that went away again soon after it was
// back, as one that is overloaded by more than probes, is left alone for longer each time.
func (b *breaker) trip() {
	if !b.closed.IsZero() && time.Since(b.closed) < lastProbe {
		b.flaps = min(b.flaps+1, 10)
	} else {
		b.flaps = 0
	}
	b.wait = min(firstProbe<<b.flaps, lastProbe)
	b.open.Store(true)
}

// probed notes the outcome of a probe, and reports whether it closed b.
func (b *breaker) probed(err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.last = err
		b.wait = min(2*b.wait, lastProbe)
		return false
	}
	b.outcomes, b.last, b.closed = 0, nil, time.Now()
	b.open.Store(false)
	return true
}

// pause is the time until the next probe: a fifth more or less, so that nodes
// which lost the store together do not come back together.
func (b *breaker) pause() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait*4/5 + rand.N(b.wait*2/5+1)
}

func (b *breaker) lastError() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}
