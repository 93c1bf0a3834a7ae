package gateway

import (
	"log"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/clientip"
)

// A Gateway is a handler that sends on what may pass. It is safe for concurrent
// use.
type Gateway struct {
	cfg       Config
	up        *upstream
	transport *http.Transport
	removed   names
	upgrades  map[string]bool
	buffers   buffers
	errorLog  *log.Logger
	metrics   *metrics
	visits    sync.Pool // of *visit
	draining  atomic.Bool
	failing   failing
}

// New makes a gateway. The error names every mistake in cfg.
func New(cfg Config) (*Gateway, error) {
	up, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, up: up, transport: up.transport(&cfg), removed: newNames(told()), upgrades: map[string]bool{}}
	if !cfg.KeepOverrides {
		g.removed = newNames(told(), overrides())
	}
	for _, p := range cfg.Upgrades {
		g.upgrades[strings.ToLower(p)] = true
	}
	if g.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, err
	}
	g.errorLog = log.New(logWriter{cfg.Log}, "", 0)
	g.visits.New = func() any { return newVisit(g) }
	return g, nil
}

// ServeHTTP decides about a request, and sends it on or answers it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.metrics.inFlight.Inc()
	defer g.metrics.inFlight.Dec()
	if g.closes(r) {
		w.Header().Set("Connection", "close")
	}
	t, wrong := readTarget(r)
	if wrong != nil {
		g.metrics.results[resultMalformed].Inc()
		g.hasten(w, r)
		wrong.write(w, r, noID)
		return
	}
	if c := g.cfg.Challenges; c != nil && r.URL.Path == c.Path() {
		g.metrics.results[resultChallenge].Inc()
		g.hasten(w, r)
		c.ServeHTTP(w, r)
		return
	}
	v := g.visits.Get().(*visit)
	defer v.end()
	v.serve(w, r, t)
}

// closes reports whether the connection ends with this answer. After a message
// with both a length and chunks, or with chunks in HTTP/1.0, whoever stands
// before us may see its end elsewhere (RFC 9112 sections 6.1 and 6.3). net/http
// takes the chunks and does not tell what else there was, so that no connection
// goes on after any of them.
func (g *Gateway) closes(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0 || g.draining.Load())
}

// scheme is what the client speaks: what a trusted proxy says, else what the
// connection is.
func (g *Gateway) scheme(r *http.Request, peer netip.Addr) string {
	own := "http"
	if r.TLS != nil {
		own = "https"
	}
	said := r.Header["X-Forwarded-Proto"]
	if len(said) != 1 || said[0] == own || said[0] != "http" && said[0] != "https" {
		return own
	}
	switch g.cfg.Gate.Client().From(peer, r.Header).Status {
	case clientip.Forwarded, clientip.Internal, clientip.NoHeader:
		return said[0]
	}
	return own
}

// removes reports whether a header of the client's does not go on.
func (g *Gateway) removes(name string) bool {
	return g.removed.has(name) || g.cfg.Gate.Client().Removes(name)
}

// Close lets go of idle connections to the upstream.
func (g *Gateway) Close() { g.transport.CloseIdleConnections() }

// buffers are what answers are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

// Put takes a buffer of Get's back.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }

// failing bounds what is logged of an upstream that fails.
type failing struct {
	mu     sync.Mutex // guards the rest
	last   time.Time
	unsaid int // since last
}

// failingEvery is how often one line says that the upstream fails.
const failingEvery = 10 * time.Second

// note reports whether to say so now, and how many times were not said.
func (f *failing) note(now time.Time) (say bool, unsaid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.last.IsZero() && now.Sub(f.last) < failingEvery {
		f.unsaid++
		return false, 0
	}
	unsaid, f.unsaid, f.last = f.unsaid, 0, now
	return true, unsaid
}
