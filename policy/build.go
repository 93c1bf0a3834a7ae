package policy

import (
	"errors"

	"github.com/ipwarden/ipwarden"
)

// What an expression becomes: a function over the concrete type.
type (
	condition func(*Input) bool
	number    func(*Input) int64
	double    func(*Input) float64
	text      func(*Input) string
)

// A Foreign is an expression that has no form here, and runs elsewhere. A false
// ok says that it failed: the value is then the zero of its type.
type Foreign func(in *Input) (v Value, ok bool)

// A Value is what a foreign expression is worth; its type says which field.
type Value struct {
	Bool   bool
	Int    int64
	Double float64
	Text   string
	// Over: a text of the request is longer than the cost of the expression allows.
	// A rule that is stricter than allow then applies, and a limit is taken.
	Over bool
}

// builder turns expressions into functions, and collects what is wrong.
type builder struct {
	sets    []*Set
	foreign []Foreign
	where   string // what is being built
	errs    []error
	counts  bool // outcomes may be asked for
}

func (b *builder) bad(what string) {
	b.errs = append(b.errs, errors.New(b.where+": "+what))
}

// arity checks the number of arguments and what an expression may ask.
func (b *builder) arity(e *Expr, n int) bool {
	if len(e.Args) != n {
		b.bad("an expression has the wrong number of arguments")
		return false
	}
	return true
}

// condition builds a condition; one that is not given is nil.
func (b *builder) optional(e *Expr) condition {
	if e.Op == NoOp {
		return nil
	}
	return b.condition(e)
}

func (b *builder) condition(e *Expr) condition {
	never := func(*Input) bool { return false }
	if e.Type != Bool {
		b.bad("a condition is of type " + e.Type.String())
		return never
	}
	switch e.Op {
	case OpConst:
		v := e.Bool
		return func(*Input) bool { return v }
	case OpField:
		f := e.Field
		if t := f.Traits(); t != 0 {
			return func(in *Input) bool { return in.traits&t != 0 }
		}
		return func(in *Input) bool { return in.FieldBool(f) }
	case OpHasHeader:
		name := e.Text
		return func(in *Input) bool { return in.HasHeader(name) }
	case OpHasCookie:
		name := e.Text
		return func(in *Input) bool { _, ok := in.Cookie(name); return ok }
	case OpHasAccount:
		name := e.Text
		return func(in *Input) bool { _, ok := in.Account(name); return ok }
	case OpShared:
		return func(in *Input) bool { return in.Shared }
	case OpCrawlerVerified:
		return func(in *Input) bool { return in.Crawler == Verified }
	case OpCrawlerPending:
		return func(in *Input) bool { return in.Crawler == Pending }
	case OpCrawlerFailed:
		return func(in *Input) bool { return in.Crawler == Failed }
	case OpWithin:
		return b.within(e)
	case OpInList:
		return b.inList(e)
	case OpAnd, OpOr:
		return b.several(e)
	case OpNot:
		if !b.arity(e, 1) {
			return never
		}
		x := b.condition(&e.Args[0])
		return func(in *Input) bool { return !x(in) }
	case OpIf:
		if !b.arity(e, 3) {
			return never
		}
		c, x, y := b.condition(&e.Args[0]), b.condition(&e.Args[1]), b.condition(&e.Args[2])
		return func(in *Input) bool {
			if c(in) {
				return x(in)
			}
			return y(in)
		}
	case OpEqual, OpNotEqual, OpLess, OpLessEqual, OpGreater, OpGreaterEqual:
		return b.compare(e)
	case OpOneOf:
		return b.oneOf(e)
	case OpHas:
		return b.has(e)
	case OpStartsWith, OpEndsWith, OpContains, OpMatches:
		return b.textTest(e)
	case OpForeign:
		if f := b.foreignOf(e); f != nil {
			return func(in *Input) bool { return in.run(f).Bool }
		}
		return never
	}
	b.bad("a condition has an operation that is not one")
	return never
}

// several builds && and ||. What asks for traits alone is one test.
func (b *builder) several(e *Expr) condition {
	or := e.Op == OpOr
	var traits ipwarden.Traits
	var parts []condition
	for i := range e.Args {
		a := &e.Args[i]
		if t := a.Field.Traits(); or && a.Op == OpField && a.Type == Bool && t != 0 {
			traits |= t
			continue
		}
		parts = append(parts, b.condition(a))
	}
	if traits != 0 {
		parts = append([]condition{func(in *Input) bool { return in.traits&traits != 0 }}, parts...)
	}
	switch len(parts) {
	case 0:
		return func(*Input) bool { return !or }
	case 1:
		return parts[0]
	case 2:
		x, y := parts[0], parts[1]
		if or {
			return func(in *Input) bool { return x(in) || y(in) }
		}
		return func(in *Input) bool { return x(in) && y(in) }
	}
	return func(in *Input) bool {
		for _, p := range parts {
			if p(in) == or {
				return or
			}
		}
		return !or
	}
}

func (b *builder) foreignOf(e *Expr) Foreign {
	if e.Int < 0 || e.Int >= int64(len(b.foreign)) || b.foreign[e.Int] == nil {
		b.bad("an expression runs elsewhere, and nothing is there to run it")
		return nil
	}
	return b.foreign[e.Int]
}

// run asks a foreign expression.
func (in *Input) run(f Foreign) Value {
	v, ok := f(in)
	in.over = in.over || v.Over
	if !ok {
		if in.errors < 255 {
			in.errors++
		}
		return Value{}
	}
	return v
}
