package policy

import (
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// A Type is what an expression is worth.
type Type uint8

const (
	NoType Type = iota
	Bool
	Int
	Double
	String
	Strings // a list of texts: the languages, the listings
)

var typeNames = [...]string{"nothing", "bool", "int", "double", "string", "list"}

// String returns the word of CEL.
func (t Type) String() string { return named(typeNames[:], int(t)) }

// An Op is what a node of an expression does.
type Op uint8

const (
	NoOp Op = iota // no expression: as a condition it always holds

	OpConst // Bool, Int, Double or Text, by Type
	OpField // a field of the Record, by its number

	OpMethod // of the request
	OpHost
	OpPath
	OpQuery
	OpScheme
	OpHeader     // Text is the name in canonical form; lines are joined with ", "
	OpHasHeader  //
	OpCookie     // Text is the name
	OpHasCookie  //
	OpAccount    // Text is the key
	OpHasAccount //

	OpScore // 0 to 100
	OpShared
	OpClientStatus
	OpCrawlerVerified
	OpCrawlerPending
	OpCrawlerFailed
	OpCrawlerName
	OpTier
	OpStatus  // of the response; in counts only
	OpOutcome // what the application reports; in counts only

	OpWithin // the address is in one of Prefixes
	OpInList // list Int holds the address, its AS, its country or its crawler; or Args[0]

	OpAnd // of all Args
	OpOr
	OpNot
	OpIf // Args[0] ? Args[1] : Args[2]
	OpEqual
	OpNotEqual
	OpLess
	OpLessEqual
	OpGreater
	OpGreaterEqual
	OpOneOf // Args[0] is one of Texts, or of Ints
	OpHas   // Args[1], a list of texts, has Args[0]
	OpStartsWith
	OpEndsWith
	OpContains
	OpMatches // Text is a pattern of RE2, found anywhere
	OpSize    // characters of a text, or items of a list
	OpLower   // A to Z alone
	OpConcat  // of all Args, which are texts

	OpForeign // number Int of Config.Foreign

)

// An Expr is a condition or a value as plain data: a tree of typed nodes, which
// can be stored and compiled elsewhere. The zero Expr is none.
type Expr struct {
	Op       Op
	Type     Type // of the result
	Field    ipwarden.Field
	Bool     bool
	Int      int64
	Double   float64
	Text     string
	Texts    []string
	Ints     []int64
	Prefixes []netip.Prefix
	Args     []Expr
}

// Walk calls f for e and for everything below it.
func (e *Expr) Walk(f func(*Expr)) {
	f(e)
	for i := range e.Args {
		e.Args[i].Walk(f)
	}
}

// Reputation reports whether e asks for nothing but what others say of the
// address: its security fields and its score. Such a condition alone must not
// shut out an address that many share.
func (e *Expr) Reputation() bool {
	asks, other := false, false
	e.Walk(func(n *Expr) {
		switch {
		case n.Op == OpField && n.Field >= ipwarden.FieldIsVPN && n.Field <= ipwarden.FieldScoreTrust, n.Op == OpScore:
			asks = true
		case n.Op == OpShared:
			other = true // it has thought of it
		case n.Op == OpForeign:
			other = other || !n.Bool
			asks = asks || n.Bool
		case n.Op >= OpField && n.Op < OpAnd:
			other = true
		}
	})
	return asks && !other
}

// named is word i, or "unknown".
func named(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return "unknown"
}
