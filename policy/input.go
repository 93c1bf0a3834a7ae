package policy

import (
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden"
)

// A Crawler is how far a claim to be a crawler has been checked.
type Crawler uint8

const (
	NotCrawler Crawler = iota // it claims nothing
	Verified                  // by its published ranges, or its name both ways
	Pending                   // the names are being asked for
	Failed                    // it claims to be one and is none
	Unanswered                // it claims to be one, and nobody tells though asked again and again
)

var crawlerNames = [...]string{"none", "verified", "pending", "failed", "unanswered"}

// String returns the word.
func (c Crawler) String() string { return named(crawlerNames[:], int(c)) }

// An Input is what a program decides about. It may be used again for the next
// request, and is not safe for concurrent use: it holds the memory in which
// texts are put together. Its methods tell what conditions see, from Decide on.
type Input struct {
	Request *ipwarden.Request // nil is an empty one
	// Route of the request, from who has asked [Program.Route] already; nil leaves
	// that to Decide.
	Route *Route
	// Client is the address that the request is counted under, canonical.
	Client       netip.Addr
	ClientStatus string // how it was found: "direct", "forwarded", …
	// Unverified: Client is only the nearest hop that can be believed. It is what
	// the request is counted under, and nothing else: no list has it, conditions
	// see no address and no score, and no crawler is believed.
	Unverified bool
	// Safe puts the request into the safe tier: nothing can be known of it.
	Safe   bool
	Record ipwarden.Record
	Score  uint8 // 0 to 100
	// Shared: many people are behind the address. Reputation alone does not block
	// it, and its limits are raised.
	Shared  bool
	Crawler Crawler
	// CrawlerName and CrawlerPurpose are of who it claims to be; "" leaves them to
	// the Record.
	CrawlerName, CrawlerPurpose string
	Ban                         *Ban // of the longest prefix that runs against Client; nil for none
	Cleared                     bool // it brought a valid clearance: no challenge again
	Now                         time.Time
	Sample                      uint32 // uniform over all values, for rules that apply to a share

	// What conditions see, from prepare on: nothing where the address is not
	// verified.
	addr    netip.Addr
	rec     ipwarden.Record
	score   uint8
	traits  ipwarden.Traits
	asn     uint32
	country string
	tier    *Tier
	outcome Outcome
	errors  uint8  // foreign expressions that failed
	over    bool   // a condition met a text that is too long for it
	scratch []byte // texts that were put together
	program *Program
	// What the index made of it; marks are none until the first condition is asked.
	marks  [maxMarks]uint16
	nMarks int
	worth  uint64 // of the first 64 conditions
	// The field that was asked for last: conditions ask for one several times.
	field, value string
}

// Forget lets go of the request and of the dataset, and keeps the memory.
func (in *Input) Forget() { *in = Input{scratch: in.scratch[:0]} }

// An Outcome is what became of a request, for limits that count only some.
type Outcome struct {
	Status int    // of the response, 0 when unknown
	Event  string // what the application reports, such as "login_failed"
}

var noRequest ipwarden.Request

func (in *Input) prepare(p *Program) {
	if in.Request == nil {
		in.Request = &noRequest
	}
	in.addr, in.rec, in.score = in.Client, in.Record, in.Score
	if in.Unverified {
		in.addr, in.rec, in.score = netip.Addr{}, ipwarden.Record{}, 0
	}
	in.traits, in.asn, in.country = in.rec.Traits(), in.rec.ASNumber(), in.rec.CountryCode()
	if in.scratch = in.scratch[:0]; cap(in.scratch) > keptScratch {
		in.scratch = nil
	}
	in.tier, in.errors, in.over = nil, 0, false
	in.field, in.value = "", ""
	in.program, in.nMarks = p, 0
}

// Bounds of texts, in bytes.
const (
	maxJoined   = 4 << 20  // what one condition puts together
	keptScratch = 64 << 10 // of which so much is kept for the next request
	maxSearched = 8 << 10  // in which a pattern is searched for
)

// holds asks a condition, of which none always holds. over says that it met a
// text that is longer than anybody sends in earnest, and could not be asked: who
// pads a request must not get past what is strict.
func (in *Input) holds(c condition) (ok, over bool) {
	if c == nil {
		return true, false
	}
	ok = c(in)
	in.scratch = in.scratch[:0] // what it put together is of no more use
	if in.over {
		in.over = false
		return false, true
	}
	return ok, false
}

// built returns what was appended to the scratch memory since from. The text
// holds until the next request: when the memory grows, the old one stays with
// those who have it.
func (in *Input) built(from int) string {
	b := in.scratch[from:]
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

func (in *Input) push(s string) {
	if len(in.scratch)+len(s) > maxJoined {
		s = s[:max(0, maxJoined-len(in.scratch))]
	}
	in.scratch = append(in.scratch, s...)
}

// Header returns the field called name, which is in canonical form; several
// lines are one value (RFC 9110 section 5.2). "" when there is none.
func (in *Input) Header(name string) string {
	if in.Request == nil || in.Request.Header == nil {
		return ""
	}
	if name == in.field {
		return in.value
	}
	lines := in.Request.Header.Values(name)
	switch len(lines) {
	case 0:
		in.field, in.value = name, ""
		return ""
	case 1:
		in.field, in.value = name, lines[0]
		return in.value
	}
	from := len(in.scratch)
	for i, l := range lines {
		if i > 0 {
			in.push(", ")
		}
		in.push(l)
	}
	return in.built(from)
}

// HasHeader reports whether there is a field called name.
func (in *Input) HasHeader(name string) bool {
	return in.Request != nil && in.Request.Header != nil && len(in.Request.Header.Values(name)) > 0
}

// Cookie returns the first cookie called name (RFC 6265 section 5.4).
func (in *Input) Cookie(name string) (value string, ok bool) {
	if in.Request == nil || in.Request.Header == nil {
		return "", false
	}
	for _, line := range in.Request.Header.Values("Cookie") {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			n, v, found := strings.Cut(trim(pair), "=")
			if !found || trim(n) != name {
				continue
			}
			if v = trim(v); len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			return v, true
		}
	}
	return "", false
}

// trim takes spaces and tabs away (OWS, RFC 9110 section 5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }

// Account returns what the application says under key.
func (in *Input) Account(key string) (string, bool) {
	if in.Request == nil {
		return "", false
	}
	v, ok := in.Request.Account[key]
	return v, ok
}

// TierName is the tier of the request, "" when none was found yet.
func (in *Input) TierName() string {
	if in.tier == nil {
		return ""
	}
	return in.tier.Name
}

// RiskScore is the score that conditions see.
func (in *Input) RiskScore() uint8 { return in.score }

// Within reports whether a prefix holds the address that conditions see.
func (in *Input) Within(p netip.Prefix) bool { return p.Contains(in.addr) }

// Outcome is what is being counted.
func (in *Input) Outcome() Outcome { return in.outcome }

// Set returns list i of the program that decides, nil when there is none.
func (in *Input) Set(i int) *Set {
	if in.program == nil || i < 0 || i >= len(in.program.sets) {
		return nil
	}
	return in.program.sets[i]
}
