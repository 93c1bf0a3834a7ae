// Package decide is the policy engine of the edge: a packed program and a compact
// dataset, and for each request, which comes as bytes, a verdict as bytes. It is what
// the engine in WebAssembly wraps, and what tests compare it with natively.
//
//	e, err := decide.New(decide.Config{Program: program, Dataset: data, Seed: seed, Now: now})
//	verdict := e.Decide(request)
//
// It decides as package gate does about a client whose address the platform vouches for,
// from what stands still: lists, published crawlers, tiers, rules, scores, a clearance
// that somebody else has checked. Names of crawlers are not asked for, so who claims to
// be one that only its name proves is pending. Limits are counted in the engine's own
// memory when the request says so; those that count outcomes are not.
//
// It refuses a request that is no request of [Version], and one without an address: the
// caller goes by the route's fail mode then.
package decide

// Version is of the requests and the verdicts.
const Version = 1

// A request, in little endian: the bytes
//
//	0      Version
//	1      flags: RequestCharge
//	2      the highest score for which a clearance holds, plus one; 0: there is none
//	3      nothing
//	4..7   a random number, for rules that apply to a share
//	8..15  milliseconds since 1970
//	16     the address, the method, the scheme, the host, the path with its query, each
//	       with its length in two bytes before it; how many header lines there are, in
//	       two bytes, and of each the name and the value; the same of the account
//
// RequestCharge charges the limits that apply, and refuses who is over one.
const RequestCharge = 1

// What the first byte of a verdict says. OK is followed by
//
//	1      the verdict
//	2      the reason
//	3      flags: VerdictPasses and so on
//	4..5   the status of HTTP, 0 for what passes
//	6      the score
//	7      what may be told (pack.Told)
//	8..11  the traits
//	12..15 the AS
//	16..17 the country, zeros for none
//	18     the fail mode of the route: 0 safe, 1 open, 2 closed
//	19     how many limits are told of
//	20..23 seconds to wait
//	24     by whom, the tier, the location, the name of the response, the tags with
//	       commas between them, each with its length in two bytes; and of each limit
//	       its name, what it is, what is left, its window and its reset in seconds, in
//	       four bytes each, and whether it allows
const (
	OK byte = iota
	BadRequest
	NoAddress
	// TooLong: the place to go to, which has the request's path and query in it, is longer
	// than any client takes. The request is refused with 431.
	TooLong
)

// Flags of a verdict.
const (
	VerdictPasses = 1 << iota
	VerdictShared
	VerdictSoftened
	VerdictLimited  // limits apply
	VerdictRedirect // the location is the policy's
)

const (
	requestHead = 16
	verdictHead = 24
	// maxLocation bounds a place to go to, in bytes, as the npm package bounds a gate's.
	maxLocation = 16 << 10
	// MaxVerdict bounds a verdict, in bytes.
	MaxVerdict = 32 << 10
)
