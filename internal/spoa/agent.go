package spoa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/internal/door"
)

// Config says what an [Agent] does.
type Config struct {
	// Decide settles each request. Required. It is called from up to 32
	// goroutines for each connection, and must keep nothing of the request.
	Decide door.Decide

	// Local says that Decide waits for nobody. Then each frame is answered where it is
	// read, however long that takes: what takes long is the machine, and to decide side
	// by side would not help. Default: frames that come while decisions are slow are
	// decided side by side.
	Local bool

	// Removes reports whether a field of a request must not go on to the
	// application: what only we may say, and what tells a client's address. It is
	// asked in lower case. Default: that of a [clientip.Extractor].
	Removes func(name string) bool

	// Outcome is told what became of the request with this decision id: the
	// status of the application's answer. The string holds until it returns.
	// Default: outcomes are not taken.
	Outcome func(ctx context.Context, decision string, status int)

	// Peers says who may connect. Default: this machine, 1024 connections.
	Peers door.Peers

	// MaxFrame bounds a frame, in bytes without its length; at least 256.
	// HAProxy's own bound is tune.bufsize, which is 16384 unless told
	// otherwise, and the smaller one is agreed on. A connection takes about
	// three times as much. Default: 65536.
	MaxFrame int

	// Patience bounds how long a HELLO, the rest of a frame that has begun, and
	// the taking of an answer may last. Default: 5 s.
	Patience time.Duration

	// Idle bounds how long a connection may be without a frame. HAProxy ends
	// its own connections earlier, by its "timeout idle". Default: 10 min.
	Idle time.Duration

	// Linger is how long an agent that was told to stop still serves the
	// connections it has: HAProxy's check finds that it listens no more, and
	// goes elsewhere. Default: 200 ms; negative: none.
	Linger time.Duration

	// Grace bounds how long decisions may take after that. Default: 10 s.
	Grace time.Duration

	// Log gets what goes wrong with connections. Default: nothing.
	Log *slog.Logger
}

// Stats counts what an [Agent] did since it was made.
type Stats struct {
	Connections uint64 // accepted, those of health checks among them
	Refused     uint64 // closed because of where they came from
	Frames      uint64 // NOTIFY frames that were answered
	Breaches    uint64 // connections that ended by a fault of the other side
	Dropped     uint64 // variables that did not fit into an answer
}

// An Agent answers HAProxy. It is safe for concurrent use.
type Agent struct {
	cfg Config

	connections, frames, breaches, dropped atomic.Uint64

	mu       sync.Mutex
	listener *door.Listener     // guarded by mu
	conns    map[*conn]struct{} // guarded by mu
	running  sync.WaitGroup     // their goroutines
	draining atomic.Bool        // connections end when they have answered
}

// New makes an agent. The error names every mistake of cfg.
func New(cfg Config) (*Agent, error) {
	var errs []error
	if cfg.Decide == nil {
		errs = append(errs, errors.New("there is no Decide: give the function that settles a request"))
	}
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = 64 << 10
	}
	if cfg.MaxFrame < leastMax || cfg.MaxFrame > 16<<20 {
		errs = append(errs, fmt.Errorf("MaxFrame is %d; give 256 to 16777216 bytes, such as 65536", cfg.MaxFrame))
	}
	if err := cfg.Peers.Check(); err != nil {
		errs = append(errs, err)
	}
	if cfg.Removes == nil {
		x, err := clientip.New(clientip.Config{})
		if err != nil {
			errs = append(errs, err)
		} else {
			cfg.Removes = x.Removes
		}
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{{"Patience", &cfg.Patience, 5 * time.Second}, {"Idle", &cfg.Idle, 10 * time.Minute}, {"Grace", &cfg.Grace, 10 * time.Second}} {
		if *d.v < 0 {
			errs = append(errs, fmt.Errorf("%s is %v; give a time such as %v", d.name, *d.v, d.def))
		} else if *d.v == 0 {
			*d.v = d.def
		}
	}
	if cfg.Linger == 0 {
		cfg.Linger = 200 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("spoa: %w", errors.Join(errs...))
	}
	return &Agent{cfg: cfg, conns: map[*conn]struct{}{}}, nil
}

// Stats returns the counters.
func (a *Agent) Stats() Stats {
	s := Stats{
		Connections: a.connections.Load(), Frames: a.frames.Load(),
		Breaches: a.breaches.Load(), Dropped: a.dropped.Load(),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listener != nil {
		s.Refused = a.listener.Refused()
	}
	return s
}

// Serve accepts connections from ln until ctx ends, and then stops: ln is
// closed, connections are served for the time of Linger, what has come is
// answered, and HAProxy is told. It returns nil when everything was answered
// within the grace, and the error of a listener that failed. It may be called
// once.
func (a *Agent) Serve(ctx context.Context, ln net.Listener) error {
	guarded, err := door.Listen(ln, a.cfg.Peers)
	if err != nil {
		return err
	}
	a.mu.Lock()
	taken := a.listener != nil
	if !taken {
		a.listener = guarded
	}
	a.mu.Unlock()
	if taken {
		return errors.New("spoa: Serve was called twice; make an Agent for each listener")
	}
	unwatch := context.AfterFunc(ctx, func() { _ = guarded.Close() })
	defer unwatch()
	// Decisions may go on while the agent drains.
	deciding, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	failed := a.accept(ctx, deciding, guarded)
	_ = guarded.Close()
	return errors.Join(failed, a.drain(cancel))
}

// accept returns when the listener is closed, with an error if that was not
// asked for.
func (a *Agent) accept(ctx, deciding context.Context, ln net.Listener) error {
	for delay := time.Duration(0); ; {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			delay = 0
			a.start(deciding, nc)
		case ctx.Err() != nil:
			return nil
		case temporary(err):
			// Out of file descriptors, mostly: others are closed meanwhile.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			a.cfg.Log.Warn("cannot accept a connection of HAProxy; trying again", "error", err, "after", delay)
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
		default:
			return fmt.Errorf("spoa: accepting connections: %w", err)
		}
	}
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

func (a *Agent) start(ctx context.Context, nc net.Conn) {
	a.connections.Add(1)
	c := newConn(a, nc)
	a.mu.Lock()
	a.conns[c] = struct{}{}
	a.mu.Unlock()
	a.running.Go(func() {
		defer func() {
			_ = nc.Close()
			a.mu.Lock()
			delete(a.conns, c)
			a.mu.Unlock()
		}()
		c.serve(ctx)
	})
}

// drain ends the connections: those that are idle at once, the others when they
// have answered. cancel ends the decisions that take longer than the grace.
func (a *Agent) drain(cancel context.CancelFunc) error {
	ended := make(chan struct{})
	go func() { a.running.Wait(); close(ended) }()
	if a.cfg.Linger > 0 {
		linger := time.NewTimer(a.cfg.Linger)
		defer linger.Stop()
		select {
		case <-ended:
			return nil
		case <-linger.C:
		}
	}
	a.draining.Store(true)
	a.each(func(c *conn) { c.wake() })
	grace := time.NewTimer(a.cfg.Grace)
	defer grace.Stop()
	select {
	case <-ended:
		return nil
	case <-grace.C:
	}
	cancel()
	left := 0
	a.each(func(c *conn) { left++; _ = c.nc.Close() })
	<-ended
	return fmt.Errorf("spoa: %d connections had not been answered after %v", left, a.cfg.Grace)
}

func (a *Agent) each(f func(*conn)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		f(c)
	}
}
