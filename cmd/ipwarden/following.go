package main

import (
	"context"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/authz"
)

// following tells how far the authorizer has followed what changed in the accounts: who
// has just got a key on a page may use it at once.
type following struct {
	nudge chan struct{} // the authorizer looks now

	mu    sync.Mutex
	known int64         // guarded by mu
	moved chan struct{} // guarded by mu: closed when known has moved
}

func newFollowing() *following {
	return &following{nudge: make(chan struct{}, 1), moved: make(chan struct{})}
}

// feed notes what was followed.
func (f *following) feed(feed authz.Feed) authz.Feed {
	return func(ctx context.Context, since int64, yield func(*authz.Changes) error) (int64, error) {
		newest, err := feed(ctx, since, yield)
		if err == nil {
			f.mu.Lock()
			if newest > f.known {
				f.known = newest
				close(f.moved)
				f.moved = make(chan struct{})
			}
			f.mu.Unlock()
		}
		return newest, err
	}
}

// maxFollow is how long inForce waits: a database that does not answer must not hold
// up a page.
const maxFollow = 2 * time.Second

// inForce waits until a revision of the accounts is in force here.
func (f *following) inForce(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, maxFollow)
	defer cancel()
	for {
		f.mu.Lock()
		known, moved := f.known, f.moved
		f.mu.Unlock()
		if known >= revision {
			return
		}
		select {
		case f.nudge <- struct{}{}:
		default:
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}
