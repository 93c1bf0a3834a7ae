package api

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// An exchange is one request and its response without the transport. A shell
// fills the first part, calls serve, and writes the second. It is pooled; its
// strings may alias the transport's buffers and must not outlive it.
type exchange struct {
	api *API
	request
	response
	kept
}

type request struct {
	ctx                 context.Context
	method, path, query string // path and query as on the wire, still encoded
	accept              string // field lines joined by commas
	acceptEncoding      string
	ifNoneMatch         string
	mediaType           string // Content-Type
	peer                netip.Addr
	remote              string          // of net/http: the text of peer, where that was not read
	local               bool            // over a Unix socket
	host                string          // the Host field
	header              ipwarden.Header // all field lines, for the gate's routes
	head                []byte          // the same as they came, where header is nil
	fields              *ipwarden.Lines // where readHead notes them for header, when they are wanted
	fast                bool
	body                bodyReader       // of a POST
	only                *dialect.Dialect // whose listener this is

	// Where accounts are on; x.identify reads them of header, where that is not nil.
	authorization, apiKey, origin, referer string
}

type response struct {
	status  int
	nLines  int
	payload []byte                      // as sent: perhaps compressed, empty for 304
	stream  func(w *streamWriter) error // writes the body instead of payload; net/http only
	route   route                       // for the metrics
	closing bool                        // the connection cannot be used again
	done    bool                        // the lines are written: out is the payload
	usual   bool                        // the lines are those of a usual answer, see appendAnswer

	// What the core decided on the way.
	now         time.Time
	st          *state
	contentType string
	cache       cachePolicy
	pending     bool // somebody outside is still asked about the address
	negotiated  bool // the answer depends on Accept
	page        bool // HTML: with its security headers
	csp         string
	allow       string
	shown       ipwarden.View // here, since it would move to the heap anyway
}

// kept is memory that stays when the exchange is reused.
type kept struct {
	lines      [maxHeaderLines]headerLine // the first nLines of them, sorted by name
	out        []byte                     // the body
	zipped     []byte                     // the compressed body
	etag       [48]byte
	control    [64]byte
	batch      *batch        // made by the first bulk request
	gateAnswer *gateAnswer   // made by the first question to the gate
	call       *dialect.Call // made by the first question in a dialect
	loop       *loopBuffers  // made by the first connection of the fast loop
	keyed      *keyed        // made by the first request where accounts are on
}

// bodyReader reads the body of a request.
type bodyReader interface {
	// readAll returns the whole body, or errTooLarge when it is longer than limit.
	readAll(limit int) ([]byte, error)
}

var errTooLarge = errors.New("the body is too large")

type headerLine struct{ name, value string }

const maxHeaderLines = 32

// keepBuffer bounds the memory that one pooled exchange holds on to, bytes.
const keepBuffer = 1 << 20

// take returns an exchange that knows the time and the data; give ends it.
func (a *API) take(now time.Time) *exchange {
	x := a.exchanges.Get().(*exchange)
	x.begin(now)
	return x
}

// begin tells the exchange the time and the data.
func (x *exchange) begin(now time.Time) {
	if x.now = now; x.api.cfg.Now != nil {
		x.now = x.api.cfg.Now()
	}
	x.st = x.api.current()
}

// now is time.Now, but reads one clock instead of two: the time of day is what
// it was at most a second ago, and the time since.
func (a *API) now() time.Time {
	if t := a.clocks.Load(); t != nil {
		if d := time.Since(*t); d < time.Second {
			return t.Add(d)
		}
	}
	t := time.Now()
	a.clocks.Store(&t)
	return t
}

// clock returns the time now, for an exchange that lasts.
func (x *exchange) clock() time.Time {
	if x.api.cfg.Now != nil {
		return x.api.cfg.Now()
	}
	return time.Now()
}

func (a *API) give(x *exchange) {
	x.reset()
	a.exchanges.Put(x)
}

// reset forgets the request and its response.
func (x *exchange) reset() {
	if x.out = x.out[:0]; cap(x.out) > keepBuffer {
		x.out = nil
	}
	if cap(x.zipped) > keepBuffer {
		x.zipped = nil
	}
	if x.batch != nil {
		clear(x.batch.recs[:]) // a Record holds on to its dataset
	}
	x.gateAnswer.forget()
	if x.call != nil && x.route == routeDialect {
		x.call.Reset()
	}
	if x.keyed != nil {
		x.keyed.asked = false
		x.keyed.call.Reset() // it holds on to the table of keys
	}
	x.request, x.response = request{}, response{}
}

// line adds a header line. Callers add them in the order of their names, so
// that both shells send the same.
func (x *exchange) line(name, value string) {
	if x.nLines < len(x.lines) {
		x.lines[x.nLines] = headerLine{name, value}
		x.nLines++
	}
}
