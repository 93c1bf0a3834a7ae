package worker

import (
	"context"
	"sync"
)

// Outstanding counts batches that were read and are not committed, for inputs that
// must not read again from an earlier place while some are. The zero value has none.
type Outstanding struct {
	mu   sync.Mutex // guards the rest
	n    int
	none chan struct{} // closed when n is 0; nil: nobody waits
}

// Add adds a batch.
func (o *Outstanding) Add() { o.mu.Lock(); o.n++; o.mu.Unlock() }

// Done takes one away.
func (o *Outstanding) Done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n--; o.n == 0 && o.none != nil {
		close(o.none)
		o.none = nil
	}
}

// Wait waits until there are none.
func (o *Outstanding) Wait(ctx context.Context) error {
	o.mu.Lock()
	if o.n == 0 {
		o.mu.Unlock()
		return nil
	}
	if o.none == nil {
		o.none = make(chan struct{})
	}
	none := o.none
	o.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
