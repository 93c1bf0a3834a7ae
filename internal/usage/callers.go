package usage

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// A Caller is who is counted by day beside the keys: a client address, or the host of
// the page that asked.
type Caller struct {
	Day    uint32 // since 1970, in UTC
	Client uint64 // see [ledger.ClientKey]; 0 is that Host counts
	Host   string // "" with Client 0 are all pages that had no place of their own
}

// String is the address, the network of an IPv6 address, or the host.
func (c Caller) String() string {
	switch {
	case c.Client == ledger.Other, c.Client == 0 && c.Host == "":
		return "others"
	case c.Client == 0:
		return c.Host
	}
	p := ledger.Client(c.Client)
	switch {
	case !p.IsValid():
		return "reserved"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// ParseCaller reads what String wrote, of a client or of a host.
func ParseCaller(day uint32, client bool, s string) Caller {
	c := Caller{Day: day}
	switch {
	case !client && s == "others":
	case !client:
		c.Host = s
	case s == "others":
		c.Client = ledger.Other
	case s == "reserved":
		c.Client = 2
	default:
		if p, err := netip.ParsePrefix(s); err == nil {
			c.Client = ledger.ClientKey(p.Addr())
		} else if a, err := netip.ParseAddr(s); err == nil {
			c.Client = ledger.ClientKey(a)
		}
	}
	return c
}

// A CallerStore keeps counts of Callers, of all regions.
type CallerStore interface {
	// CallerMarks says how far nodes and streams are in the counts.
	CallerMarks(context.Context) (map[Mark]uint64, error)
	// AddCallers adds to the counts and moves marks, all or nothing; as [Store.Commit].
	AddCallers(ctx context.Context, add map[Caller]int64, was, marks map[Mark]uint64) error
	// Callers calls yield with the clients, or the hosts, of days from first to last, in
	// no order, until it says no.
	Callers(ctx context.Context, first, last uint32, clients bool, yield func(Caller, int64) bool) error
}

// KeepCallers is for how many days counts of Callers are kept.
const KeepCallers = 40

// CallersConfig says how Callers are counted.
type CallersConfig struct {
	Sources []Source
	Store   CallerStore
	// Flush is how often counts are written into the store, at the oftenest: where
	// writing takes more than a twentieth of the time it is done up to 20 times less
	// often. Default: 2 s.
	Flush  time.Duration
	Logger *slog.Logger // default: none
}

// mostPending is how many counts wait for the store before more are read.
const mostPending = 1 << 16

// Callers counts clients and pages over all regions, while it runs: it follows the
// streams for itself, so that the sums of keys never wait for it, and goes on from where
// its store stands.
type Callers struct {
	c      CallersConfig
	cancel context.CancelFunc
	done   sync.WaitGroup

	flushing sync.Mutex // one at a time; taken before mu
	mu       sync.Mutex // guards what follows
	pending  map[Caller]int64
	marks    map[Mark]uint64 // with what is pending
	stored   map[Mark]uint64
	loads    uint64
	loaded   bool
	err      error
}

// CountCallers counts until Close.
func CountCallers(c CallersConfig) *Callers {
	if c.Flush == 0 {
		c.Flush = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Callers{c: c, cancel: cancel, pending: map[Caller]int64{}}
	m.done.Go(func() { m.keep(ctx) })
	for i := range c.Sources {
		m.done.Go(func() { m.read(ctx, c.Sources[i]) })
	}
	return m
}

// Close writes what is pending and ends. What could not be written is read again by the
// next process.
func (m *Callers) Close() {
	m.cancel()
	m.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = m.flush(ctx) // it is in the streams
}

// Err is why the last attempt to write failed; nil is that it did not.
func (m *Callers) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// load begins anew from where the store stands.
func (m *Callers) load(ctx context.Context) error {
	marks, err := m.c.Store.CallerMarks(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored, m.marks, m.pending, m.loaded = marks, maps.Clone(marks), map[Caller]int64{}, true
	if m.marks == nil {
		m.marks, m.stored = map[Mark]uint64{}, map[Mark]uint64{}
	}
	m.loads++
	return nil
}

// keep writes. Of several processes with one store one writes, and the others look
// whether it still does.
func (m *Callers) keep(ctx context.Context) {
	wait := time.Duration(0)
	var seen map[Mark]uint64 // of the store, while another process writes
	for pause(ctx, wait) {
		began := time.Now()
		once, cancel := context.WithTimeout(ctx, time.Minute)
		err := m.turn(once, &seen)
		cancel()
		m.mu.Lock()
		news := (err == nil) != (m.err == nil)
		m.err = err
		m.mu.Unlock()
		switch {
		case ctx.Err() != nil || !news:
		case err != nil:
			m.c.Logger.Warn("usage: counts of clients cannot be written; they wait in the streams", "error", err)
		default:
			m.c.Logger.Info("usage: counts of clients can be written again")
		}
		wait = max(m.c.Flush, min(20*time.Since(began), 20*m.c.Flush))
		if seen != nil {
			wait = 5*m.c.Flush + rand.N(5*m.c.Flush)
		}
	}
}

func (m *Callers) turn(ctx context.Context, seen *map[Mark]uint64) error {
	if *seen != nil {
		marks, err := m.c.Store.CallerMarks(ctx)
		if err != nil {
			return err
		}
		if !maps.Equal(marks, *seen) {
			*seen = marks
			return nil
		}
		*seen = nil // it stands still: the other is gone, or has nothing to write
	}
	m.mu.Lock()
	loaded := m.loaded
	m.mu.Unlock()
	if !loaded {
		return m.load(ctx)
	}
	err := m.flush(ctx)
	if errors.Is(err, ErrBehind) {
		*seen = map[Mark]uint64{}
		m.mu.Lock()
		m.loaded, m.pending = false, map[Caller]int64{}
		m.loads++
		m.mu.Unlock()
		return nil
	}
	return err
}

func (m *Callers) flush(ctx context.Context) error {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	m.mu.Lock()
	add, loads := m.pending, m.loads
	was, to := map[Mark]uint64{}, map[Mark]uint64{}
	for k, n := range m.marks {
		if m.stored[k] != n {
			was[k], to[k] = m.stored[k], n
		}
	}
	if !m.loaded || len(add) == 0 {
		m.mu.Unlock()
		return nil
	}
	m.pending = map[Caller]int64{}
	m.mu.Unlock()
	err := m.c.Store.AddCallers(ctx, add, was, to)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loads != loads {
		return err
	}
	if err != nil {
		for c, n := range add {
			m.pending[c] += n
		}
		return err
	}
	maps.Copy(m.stored, to)
	return nil
}

// read follows the stream of a region.
func (m *Callers) read(ctx context.Context, s Source) {
	for ctx.Err() == nil {
		m.mu.Lock()
		loaded, loads, after := m.loaded, m.loads, m.marks[Mark{Region: s.Region}]
		m.mu.Unlock()
		if loaded {
			_ = s.Stream.Read(ctx, after, func(i Item) error { return m.take(ctx, s.Region, i, loads) }) // the meter tells
		}
		pause(ctx, 50*time.Millisecond+rand.N(50*time.Millisecond))
	}
}

func (m *Callers) take(ctx context.Context, region string, i Item, loads uint64) error {
	if i.Data == nil {
		return nil
	}
	b, err := ledger.ParseBatch(i.Data)
	m.mu.Lock()
	if loads != m.loads {
		m.mu.Unlock()
		return errReloaded
	}
	m.marks[Mark{Region: region}] = i.Position
	if err == nil { // the meter tells of what is no batch
		m.apply(b)
	}
	full := len(m.pending) >= mostPending
	m.mu.Unlock()
	if full { // more are read when these are written
		for pause(ctx, 0) {
			if err := m.flush(ctx); err == nil || errors.Is(err, ErrBehind) {
				break
			}
			pause(ctx, time.Second)
		}
	}
	return ctx.Err()
}

// apply adds a batch. Those of a node come in its order; what comes again is not counted
// again. m.mu is held.
func (m *Callers) apply(b *ledger.Batch) {
	node := Mark{Node: b.Node, Region: b.Region}
	if b.Sequence <= m.marks[node] {
		return
	}
	m.marks[node] = b.Sequence
	_ = b.Each(ledger.Visitor{ // it was parsed
		Client: func(day, client, n uint64) { m.pending[Caller{Day: uint32(day), Client: client}] += int64(n) },
		Referer: func(day uint64, host []byte, n uint64) {
			m.pending[Caller{Day: uint32(day), Host: printable(host)}] += int64(n)
		},
	})
}

// printable is a host as a database takes it.
func printable(host []byte) string {
	for i, b := range host {
		if b <= ' ' || b >= 0x7f {
			host[i] = '?'
		}
	}
	return string(host)
}
