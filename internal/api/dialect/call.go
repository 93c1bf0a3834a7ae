package dialect

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Data is what an answer is made from: one state of it for one request.
type Data interface {
	ipwarden.Source
	// LookupBatch answers addrs, which are canonical, into dst of the same length,
	// at once: it waits for nobody.
	LookupBatch(dst []ipwarden.Record, addrs []netip.Addr)
	// AS describes an autonomous system; false when nothing is known of it.
	AS(number uint32) (ipwarden.ASN, bool)
	// ASPrefixes yields what it announces, IPv4 before IPv6, in address order.
	ASPrefixes(number uint32) iter.Seq[netip.Prefix]
}

// Transport is what a Call asks of what carries it, when it needs to.
type Transport interface {
	// Fields has all field lines of the request.
	Fields() ipwarden.Header
	// Body returns the whole body, or [ErrTooLarge] when it is longer than limit.
	Body(limit int) ([]byte, error)
}

// An Admitter is a Transport that decides itself whether a credential may have an
// answer, where [Config.Check] is nil: it is asked the same.
type Admitter interface {
	Admit(Credential, Facts) *Refusal
	// Quota says how many look-ups of the quota that is nearest were used, and how
	// many are left; false where there is none.
	Quota() (used, left int64, ok bool)
}

// quota is that of who asks, where the vendor tells it.
func (c *Call) quota() (used, left int64, ok bool) {
	if a, is := c.Transport.(Admitter); is {
		return a.Quota()
	}
	return 0, 0, false
}

// A Request is the neutral half of a request.
type Request struct {
	Ctx       context.Context
	Method    string // GET, HEAD, POST, …
	Host      string // as sent
	Path      string // below the dialect, still encoded; "" is "/"
	Query     string // still encoded
	Base      string // where people reach our own routes, "http://ip.example"
	Peer      netip.Addr
	Now       time.Time
	Data      Data // nil while there is none
	Transport Transport
}

// An Answer is the neutral half of a response. Out is appended to.
type Answer struct {
	Status      int
	ContentType string
	Out         []byte
	Lines       []Line // besides those that every answer has

	Keep     Keep            // for how long
	Record   ipwarden.Record // that Keep speaks of
	Volatile bool            // tells the time: never kept
	Zoned    bool            // tells the offset of a time zone
	Private  bool            // about who asks, or for who has a key

	Looked int   // addresses that were looked up
	Err    error // of the source of the data, for the log
}

// A Line is a header line.
type Line struct{ Name, Value string }

// Keep says how long an answer holds.
type Keep uint8

const (
	KeepNot    Keep = iota // a mistake, a bulk answer
	KeepRecord             // as long as what Record says
	KeepDay                // what changes with the dataset alone
)

// A Call is one request to a dialect and its answer. It may be used again, and
// keeps its memory; it is not safe for concurrent use.
type Call struct {
	Request
	Answer
	d       *Dialect
	path    string // Path, never empty
	charged bool
	listed  int // prefixes of autonomous systems in this answer
	scratch []byte
	part    []byte // the answer to one of many
	// Where look gets one of many.
	rec  [1]ipwarden.Record
	addr [1]netip.Addr
}

// Serve answers c. It does not panic.
func (d *Dialect) Serve(c *Call) {
	c.d, c.charged, c.listed = d, false, 0
	c.Status, c.ContentType, c.Out, c.Lines = http.StatusOK, typeJSON, c.Out[:0], c.Lines[:0]
	c.Keep, c.Record, c.Volatile, c.Zoned, c.Private, c.Err = KeepNot, ipwarden.Record{}, false, false, d.set.cfg.Check != nil, nil
	c.Looked = 0
	if c.path = c.Path; c.path == "" {
		c.path = "/"
	}
	switch c.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		c.fail(wrongMethod)
		return
	}
	if !c.admit(1) {
		return
	}
	if c.Data == nil {
		c.fail(noData)
		return
	}
	d.vendor.serve(c)
}

// Fail answers that something broke here, after a panic.
func (d *Dialect) Fail(c *Call) {
	c.d = d
	c.fail(broken)
}

// failure is what went wrong, where no answer of a vendor's own says it.
type failure uint8

const (
	notFound    failure = iota // no such route
	wrongMethod                // neither GET nor POST, or not here
	noData                     // there is no dataset yet
	unanswered                 // the look-up failed
	unreadable                 // the body did not come whole
	tooLarge                   // the body is longer than any allowed
	noCaller                   // the own address was asked for, and is not known
	broken                     // here
)

// status of a failure where the vendor has no other.
func (f failure) status() int {
	return [...]int{404, 405, 503, 502, 400, 413, 404, 500}[f]
}

// String says it to people.
func (f failure) String() string {
	return [...]string{
		"There is nothing here.", "This method does not work here.", "The server has no dataset yet.",
		"The look-up could not be answered now.", "The body could not be read.", "The body is too large.",
		"It is not known from which address you ask; ask about one.", "Something went wrong here.",
	}[f]
}

// fail begins the answer anew as a failure.
func (c *Call) fail(f failure) {
	c.restart(f.status())
	c.Lines = c.Lines[:0]
	if f == noData || f == unanswered {
		c.line("Retry-After", "5")
	}
	c.d.vendor.fail(c, f)
}

// Reset lets go of what the last request held; its memory stays.
func (c *Call) Reset() {
	c.Request, c.Record, c.Err = Request{}, ipwarden.Record{}, nil
	c.path, c.Out, c.rec[0] = "", nil, ipwarden.Record{}
	clear(c.Lines)
	if cap(c.part) > maxBody {
		c.part = nil
	}
}

// restart empties the body, to write a mistake. Header lines stay.
func (c *Call) restart(status int) {
	c.Status, c.ContentType, c.Out = status, typeJSON, c.Out[:0]
	c.Keep, c.Record = KeepNot, ipwarden.Record{}
}

func (c *Call) line(name, value string) { c.Lines = append(c.Lines, Line{name, value}) }

// admit asks whether the credential is good for n more look-ups; on false the
// refusal is written.
func (c *Call) admit(n int) bool {
	check := c.d.set.cfg.Check
	if check == nil {
		if a, ok := c.Transport.(Admitter); ok {
			check = a.Admit
		}
	}
	if check == nil || n <= 0 {
		return true
	}
	f := Facts{Dialect: c.d.Name, Prefix: c.d.prefix, Peer: c.Peer, Items: n, More: c.charged}
	c.charged = true
	if h := c.Transport.Fields(); h != nil {
		f.Origin, f.Referer = first(h, "Origin"), first(h, "Referer")
	}
	f.Client = c.client()
	r := check(c.d.vendor.credential(c), f)
	if r == nil {
		return true
	}
	c.restart(http.StatusForbidden)
	c.Lines = c.Lines[:0]
	r.headers(c)
	c.d.vendor.refuse(c, r)
	return false
}

// client is who asks; it may be invalid.
func (c *Call) client() netip.Addr {
	if f := c.d.set.cfg.Client; f != nil {
		return f(c.Peer, c.Transport.Fields())
	}
	addr, _ := ipwarden.Canonical(c.Peer)
	return addr
}

// look looks an address up, spelled in any way. A POST asks about many: waiting
// for a provider adds up there, so it gets what is known without, as our own bulk
// route does.
func (c *Call) look(addr netip.Addr) (rec ipwarden.Record, ok bool) {
	c.Looked++
	canonical, transition := ipwarden.Canonical(addr)
	if c.Method == http.MethodPost {
		c.addr[0] = canonical
		c.Data.LookupBatch(c.rec[:], c.addr[:])
		return c.rec[0].Asked(transition, addr.Zone() != ""), true
	}
	rec, err := c.Data.Lookup(c.Ctx, canonical)
	if err != nil {
		c.Err = err
		c.fail(unanswered)
		return rec, false
	}
	return rec.Asked(transition, addr.Zone() != ""), true
}

// own looks up who asks. The answer is nobody else's.
func (c *Call) own() (rec ipwarden.Record, ok bool) {
	addr := c.client()
	if !addr.IsValid() {
		c.fail(noCaller)
		return rec, false
	}
	c.Private = true
	return c.look(addr)
}

// scores of a Record, zero when nobody computes them.
func (c *Call) scores(r ipwarden.Record) ipwarden.Scores {
	if f := c.d.set.cfg.Scores; f != nil {
		return f(r, c.Now)
	}
	return ipwarden.Scores{}
}

// about notes that the answer says what rec says.
func (c *Call) about(rec ipwarden.Record) { c.Keep, c.Record = KeepRecord, rec }

// bulk bounds the items of a question by what the vendor allows.
func (c *Call) bulk(vendor int) int {
	if own := c.d.set.cfg.MaxBulk; own > 0 {
		return min(own, vendor)
	}
	return vendor
}

// maxBody bounds a body, bytes.
const maxBody = 1 << 20

// body returns the body of a bulk question; on false a failure is written.
func (c *Call) body() ([]byte, bool) {
	b, err := c.Transport.Body(maxBody)
	switch {
	case err == nil:
		return b, true
	case err == ErrTooLarge:
		c.fail(tooLarge)
	default:
		c.fail(unreadable)
	}
	return nil, false
}

// ErrTooLarge is what a Transport returns of a body that is longer than allowed.
var ErrTooLarge = errTooLarge{}

type errTooLarge struct{}

func (errTooLarge) Error() string { return "the body is too large" }

// Media types.
const (
	typeJSON    = "application/json"
	typeJSONUTF = "application/json; charset=utf-8"
	typeText    = "text/plain; charset=utf-8"
	typeScript  = "text/javascript; charset=utf-8"
	typeHTML    = "text/html; charset=utf-8"
)

// first is the first line of a field, "" without one.
func first(h ipwarden.Header, name string) string {
	if v := h.Values(name); len(v) > 0 {
		return strings.TrimSpace(v[0])
	}
	return ""
}
