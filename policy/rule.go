package policy

import (
	"errors"

	"github.com/ipwarden/ipwarden"
)

// A Rule is a condition and what to do when it holds.
type Rule struct {
	Name string
	When Expr // none: always
	// Action ends the walk, except Flag, which never does. NoVerdict only tags.
	Action ipwarden.Verdict
	// Continue: the walk goes on, and the stricter of this action and of what is
	// decided later applies.
	Continue bool
	// Limit is the number of a limit plus one, 0 for none: it is taken when the
	// rule applies. A rule that throttles without one refuses at once.
	Limit      int
	LiftLimits bool   // of an allow: the tier's and the file's limits do not apply
	Response   string // name of a response; "" is the action's own
	Tags       []string
	Shadow     bool // watched, and never applied
	// Share of the requests to which the rule applies, in 2^32ths; 0 is all. To
	// the others it is as in shadow.
	Share uint32
	// EvenShared: it blocks shared addresses too, though it asks for nothing but
	// reputation.
	EvenShared bool
	Line       int

	reputation bool
	salt       uint32
}

// applies reports whether the rule is for this request's share.
func (r *Rule) applies(in *Input) bool {
	if r.Shadow {
		return false
	}
	if r.Share == 0 {
		return true
	}
	// Each rule has its own share: that of another says nothing of it.
	x := in.Sample ^ r.salt
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	x ^= x >> 16
	return x < r.Share
}

// salt is FNV-1a of a name.
func salt(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

func (r *Rule) check(limits int) (errs []error) {
	bad := func(what string) { errs = append(errs, errors.New("rule "+r.Name+": "+what)) }
	if r.Limit < 0 || r.Limit > limits {
		bad("its limit is none of the program's")
	}
	if r.Action == ipwarden.NoVerdict && len(r.Tags) == 0 && r.Limit == 0 {
		bad("it does nothing: give an action, such as block, or tags")
	}
	if r.LiftLimits && r.Action != ipwarden.Allow {
		bad("only an allow lifts limits")
	}
	if r.Continue && r.Action == ipwarden.Allow {
		bad("an allow that goes on says nothing")
	}
	if r.Action > ipwarden.Block {
		bad("its action is not one")
	}
	return errs
}

// A Threshold is what to do from a score on.
type Threshold struct {
	Score    uint8 // at least, 1 to 100
	Action   ipwarden.Verdict
	Limit    int // number plus one, 0 for none
	Response string
	Line     int
}

// A Tier is a class of requests with limits of its own.
type Tier struct {
	Name string
	When Expr // none: always. It cannot ask for the tier
	// Action, when given, is what to do with the class. Between it and a threshold
	// the stricter applies.
	Action   ipwarden.Verdict
	Response string
	Limits   []int // numbers of limits
	Line     int

	limits []*Limit
}

// Crawlers says what becomes of crawlers.
type Crawlers struct {
	// Allow lets verified crawlers in before anything is said of their reputation.
	Allow bool
	// Names and Purposes narrow that, when given: one of either must fit.
	Names, Purposes []string
	// Limit is taken instead of all others; number plus one, 0 for none.
	Limit int
	// Pending is what a block becomes while a crawler is being verified: Challenge
	// (also when NoVerdict) or Throttle. It is flagged meanwhile, and PendingLimit
	// is taken too.
	Pending      ipwarden.Verdict
	PendingLimit int
}

func (c *Crawlers) allows(name, purpose string) bool {
	if !c.Allow {
		return false
	}
	if len(c.Names) == 0 && len(c.Purposes) == 0 {
		return true
	}
	for _, n := range c.Names {
		if n == name {
			return true
		}
	}
	for _, p := range c.Purposes {
		if p == purpose {
			return true
		}
	}
	return false
}
