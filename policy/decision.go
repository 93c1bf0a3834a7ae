package policy

import (
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Reason is which part of a program decided. The set is closed.
type Reason uint8

const (
	NoReason        Reason = iota
	ByAddress              // an operator's entry for the address or its network
	ByBan                  // a ban that was made while the program runs
	ByASN                  // an operator's entry for the AS
	ByCountry              // an operator's entry for the country
	ByCrawler              // a verified crawler that the policy lets in
	ByPending              // a crawler that is not verified yet
	ByRule                 // the first rule that ends the walk, or one that flags
	ByThreshold            // the score
	ByTier                 // the tier's action
	ByDefault              // nothing else
	ByClearance            // a challenge was lifted
	ByLimit                // over a limit; set by the gate
	ByUnresolved           // the address is not known; set by the gate
	ByBogon                // nobody's address; set by the gate
	ByFailOpen             // something failed, and the route's fail mode; set by the gate
	ByFailClosed           //
	ByFailSafe             //
	ByAmbiguousPath        // the path can be read in two ways; set by the gate

	numReasons
)

var reasonNames = [numReasons]string{
	"", "operator_entry", "ban", "operator_asn", "operator_country", "crawler", "crawler_pending", "rule", "threshold", "tier",
	"default", "clearance", "limit", "unresolved", "bogon", "fail_open", "fail_closed", "fail_safe", "ambiguous_path",
}

// String returns the word on the wire: "operator_entry", "rule", …
func (r Reason) String() string { return named(reasonNames[:], int(r)) }

// RetryAfter is when a client may try again that is throttled without a limit that
// says when: a client that is told nothing mostly tries at once.
const RetryAfter = time.Second

// A Decision is what a program decided. It is used again for the next request:
// its slices are the program's or the decision's own, and hold until then.
type Decision struct {
	Verdict ipwarden.Verdict
	Reason  Reason
	// What decided, by Reason; nil otherwise. A rule that was lifted by a clearance
	// or only flags is still named.
	List      *List
	Rule      *Rule
	Threshold *Threshold
	Ban       *Ban   // when it decided
	Tier      *Tier  // nil when the walk ended before, or none holds
	Route     *Route // never nil
	// Softened: it would be a block, which is not done to a shared address by
	// reputation alone, nor to a crawler that is still being verified.
	Softened bool
	// LiftLimits: no limit applies, and no ban from one.
	LiftLimits bool
	// Uses are the limits to take, in order: all of them or none. Empty when the
	// request does not pass.
	Uses []Use
	// Flags are the rules that flag and did not end the walk; Shadow those that
	// would have applied and are only watched.
	Flags, Shadow []*Rule
	Tags          []string
	// Response says how to answer; nil is the gate's own. When it is a redirect it
	// is sent even if the verdict passes.
	Response *Response
	// Failed counts expressions that ran over their cost or failed otherwise; each
	// counted as the zero of its type.
	Failed uint8

	flagged    bool // something flags, and gave the first reason
	flagReason Reason
	flagList   *List
	flagRule   *Rule
	going      *Rule // the strictest rule that did not end the walk
}

// A Use is one limit to take.
type Use struct {
	Limit *Limit
	// Cost is what the request costs. When the limit counts outcomes only
	// ([Limit.CountsOutcomes]) it is charged when one does; until then the limit is
	// only asked, at cost 0.
	Cost uint32
	// Raise multiplies the limit and its burst: 1, or more for shared addresses.
	Raise uint32
}

func (d *Decision) reset() {
	uses, flags, shadow, tags := d.Uses[:0], d.Flags[:0], d.Shadow[:0], d.Tags[:0]
	*d = Decision{}
	d.Uses, d.Flags, d.Shadow, d.Tags = uses, flags, shadow, tags
}

// flag notes who flagged first.
func (d *Decision) flag(why Reason, l *List, r *Rule) {
	if !d.flagged {
		d.flagged, d.flagReason, d.flagList, d.flagRule = true, why, l, r
	}
}

// soften turns a block into something that can be got out of.
func (d *Decision) soften(to ipwarden.Verdict) {
	d.Verdict, d.Softened, d.Response = to, true, nil
}

// FailMode is what to do when a decision cannot be made in its budget.
type FailMode uint8

const (
	FailSafe   FailMode = iota // under the safe tier's limit
	FailOpen                   // let it in
	FailClosed                 // refuse it
)

var failNames = [...]string{"safe", "open", "closed"}

// String returns the word: "safe", "open", "closed".
func (m FailMode) String() string { return named(failNames[:], int(m)) }

// A Route is how requests to one part of a site are decided.
type Route struct {
	Name string
	// Method, Host and Path that it is for; empty is any. A host that begins with
	// "*." is any below it; a path that ends in "*" is a beginning.
	Methods, Hosts, Paths []string
	FailMode              FailMode
	Budget                time.Duration // for the whole decision
	// Intelligence is how the look-up waits for providers; the zero value is as the
	// Source does.
	Intelligence ipwarden.Intelligence
	Line         int

	starts marks // of the paths that it may be for
}

// Reasons lists the words of all reasons; the first is "".
func Reasons() []string { return append([]string(nil), reasonNames[:]...) }
