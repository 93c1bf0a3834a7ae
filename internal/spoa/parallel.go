package spoa

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slowDecision is how long a frame may keep those behind it waiting before
	// they are decided side by side, and quickDecision when that ends.
	slowDecision  = 500 * time.Microsecond
	quickDecision = 100 * time.Microsecond
	// quickRun is how many quick ones in a row it takes.
	quickRun = 64
	// maxParallel bounds the frames of a connection that are decided at a time;
	// HAProxy's max-waiting-frames is 20 unless told otherwise.
	maxParallel = 32
)

// parallel is how a connection decides while decisions are slow, because a store
// of counters is far away or silent: side by side, so that the budget of one
// does not come on top of another's. Answers may be in any order (section
// 3.2.1, pipelining).
type parallel struct {
	slow    atomic.Bool
	quick   atomic.Int32 // in a row
	once    sync.Once
	slots   chan struct{}
	running sync.WaitGroup
}

// A job is a frame of its own: the connection's buffer is read on meanwhile.
type job struct {
	payload []byte
	x       exchange
}

// handOver decides f in a goroutine of its own.
func (c *conn) handOver(ctx context.Context, f *frame) error {
	p := &c.parallel
	p.once.Do(func() { p.slots = make(chan struct{}, maxParallel) })
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	j := &job{payload: append([]byte(nil), f.payload...)}
	mine := *f
	p.running.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				c.agent.cfg.Log.Error("a decision panicked; its connection ends", "panic", r, "stack", string(debug.Stack()))
				_ = c.nc.Close()
			}
			<-p.slots
		}()
		began := time.Now()
		if err := j.x.parse(j.payload); err != nil {
			c.agent.breaches.Add(1)
			c.agent.cfg.Log.Warn("HAProxy's connection ends", "peer", c.nc.RemoteAddr().String(), "why", err)
			_ = c.nc.Close()
			return
		}
		c.agent.decide(ctx, &j.x)
		if time.Since(began) >= quickDecision {
			p.quick.Store(0)
		} else if p.quick.Add(1) >= quickRun {
			p.slow.Store(false)
		}
		c.mu.Lock()
		c.put(&mine, &j.x)
		c.mu.Unlock()
		_ = c.flush(time.Now()) // the reader sees it as well
	})
	return nil
}

func (p *parallel) wait() { p.running.Wait() }
