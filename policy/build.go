package policy

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"

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

func (b *builder) within(e *Expr) condition {
	for _, p := range e.Prefixes {
		if !p.IsValid() || p.Addr().Is4In6() {
			b.bad("the prefix " + p.String() + " is not in canonical form, such as 10.0.0.0/8")
			return func(*Input) bool { return false }
		}
	}
	if len(e.Prefixes) == 1 {
		p := e.Prefixes[0].Masked()
		return func(in *Input) bool { return p.Contains(in.addr) }
	}
	set := newPrefixes(masked(e.Prefixes))
	return func(in *Input) bool { return set.find(in.addr) >= 0 }
}

func masked(ps []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(ps))
	for i, p := range ps {
		out[i] = p.Masked()
	}
	return out
}

func (b *builder) inList(e *Expr) condition {
	if e.Int < 0 || e.Int >= int64(len(b.sets)) || len(e.Args) > 1 {
		b.bad("a condition asks a list that is not there")
		return func(*Input) bool { return false }
	}
	set := b.sets[e.Int]
	if len(e.Args) == 0 {
		return set.Holds
	}
	switch e.Args[0].Type {
	case Int:
		x := b.number(&e.Args[0])
		return func(in *Input) bool { return set.HoldsNumber(in, x(in)) }
	case String:
		x := b.text(&e.Args[0])
		return func(in *Input) bool { return set.HoldsText(in, x(in)) }
	}
	b.bad("a list is asked for a " + e.Args[0].Type.String())
	return func(*Input) bool { return false }
}

func (b *builder) oneOf(e *Expr) condition {
	if !b.arity(e, 1) {
		return func(*Input) bool { return false }
	}
	switch a := &e.Args[0]; a.Type {
	case Int:
		x := b.number(a)
		if len(e.Ints) > 8 {
			set := map[int64]struct{}{}
			for _, n := range e.Ints {
				set[n] = struct{}{}
			}
			return func(in *Input) bool { _, ok := set[x(in)]; return ok }
		}
		ints := e.Ints
		return func(in *Input) bool {
			v := x(in)
			for _, n := range ints {
				if n == v {
					return true
				}
			}
			return false
		}
	case String:
		if set := countriesOf(e.Texts); a.Op == OpField && a.Field == ipwarden.FieldCountryCode && allCountries(e.Texts) {
			return func(in *Input) bool { return set.has(in.country) }
		}
		x := b.text(a)
		if len(e.Texts) > 8 {
			set := textSet(e.Texts)
			return func(in *Input) bool { _, ok := set[x(in)]; return ok }
		}
		words := e.Texts
		return func(in *Input) bool {
			v := x(in)
			for _, w := range words {
				if w == v {
					return true
				}
			}
			return false
		}
	}
	b.bad("only numbers and texts can be looked for in a list")
	return func(*Input) bool { return false }
}

func allCountries(words []string) bool {
	for _, w := range words {
		if countryNumber(w) < 0 {
			return false
		}
	}
	return true
}

func (b *builder) has(e *Expr) condition {
	if !b.arity(e, 2) || e.Args[1].Op != OpField || TypeOf(e.Args[1].Field) != Strings {
		b.bad("only the languages and the listings are lists")
		return func(*Input) bool { return false }
	}
	x, f := b.text(&e.Args[0]), e.Args[1].Field
	return func(in *Input) bool { return in.FieldHas(f, x(in)) }
}

func (b *builder) textTest(e *Expr) condition {
	never := func(*Input) bool { return false }
	if e.Op == OpMatches {
		if !b.arity(e, 1) {
			return never
		}
		pattern, err := regexp.Compile(e.Text)
		if err != nil {
			b.bad("the pattern " + e.Text + " is not RE2: " + err.Error())
			return never
		}
		x := b.text(&e.Args[0])
		return func(in *Input) bool {
			s := x(in)
			if len(s) > maxSearched {
				in.over = true
				return false
			}
			return pattern.MatchString(s)
		}
	}
	if !b.arity(e, 2) {
		return never
	}
	x, y := b.text(&e.Args[0]), b.text(&e.Args[1])
	test := strings.Contains
	switch e.Op {
	case OpStartsWith:
		if c := &e.Args[1]; c.Op == OpConst && e.Args[0].Op == OpPath {
			start := c.Text
			return func(in *Input) bool { return strings.HasPrefix(in.Request.Path, start) }
		}
		test = strings.HasPrefix
	case OpEndsWith:
		test = strings.HasSuffix
	}
	return func(in *Input) bool { return test(x(in), y(in)) }
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
