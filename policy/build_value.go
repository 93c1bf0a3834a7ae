package policy

import (
	"cmp"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden"
)

// compare builds the six comparisons, of two expressions of one type.
func (b *builder) compare(e *Expr) condition {
	never := func(*Input) bool { return false }
	if !b.arity(e, 2) {
		return never
	}
	x, y := &e.Args[0], &e.Args[1]
	if x.Type != y.Type {
		b.bad("a comparison is of " + x.Type.String() + " and " + y.Type.String())
		return never
	}
	switch x.Type {
	case Bool:
		v, w, equal := b.condition(x), b.condition(y), e.Op == OpEqual
		if e.Op != OpEqual && e.Op != OpNotEqual {
			b.bad("bools are only equal or not")
			return never
		}
		return func(in *Input) bool { return (v(in) == w(in)) == equal }
	case Int:
		if x.Op == OpScore && y.Op == OpConst && e.Op == OpGreaterEqual {
			at := y.Int
			return func(in *Input) bool { return int64(in.score) >= at }
		}
		return comparison(e.Op, b.number(x), b.number(y))
	case Double:
		return comparison(e.Op, b.double(x), b.double(y))
	case String:
		if y.Op == OpConst && e.Op == OpEqual {
			v, w := b.text(x), y.Text
			switch x.Op {
			case OpPath:
				return func(in *Input) bool { return in.Request.Path == w }
			case OpMethod:
				return func(in *Input) bool { return in.Request.Method == w }
			}
			return func(in *Input) bool { return v(in) == w }
		}
		return comparison(e.Op, b.text(x), b.text(y))
	}
	b.bad("a " + x.Type.String() + " cannot be compared")
	return never
}

func comparison[T cmp.Ordered, F ~func(*Input) T](op Op, x, y F) condition {
	switch op {
	case OpEqual:
		return func(in *Input) bool { return x(in) == y(in) }
	case OpNotEqual:
		return func(in *Input) bool { return x(in) != y(in) }
	case OpLess:
		return func(in *Input) bool { return x(in) < y(in) }
	case OpLessEqual:
		return func(in *Input) bool { return x(in) <= y(in) }
	case OpGreater:
		return func(in *Input) bool { return x(in) > y(in) }
	}
	return func(in *Input) bool { return x(in) >= y(in) }
}

func (b *builder) number(e *Expr) number {
	zero := func(*Input) int64 { return 0 }
	if e.Type != Int {
		b.bad("a number is of type " + e.Type.String())
		return zero
	}
	switch e.Op {
	case OpConst:
		v := e.Int
		return func(*Input) int64 { return v }
	case OpField:
		f := e.Field
		if f == ipwarden.FieldASNumber {
			return func(in *Input) int64 { return int64(in.asn) }
		}
		return func(in *Input) int64 { return in.FieldInt(f) }
	case OpScore:
		return func(in *Input) int64 { return int64(in.score) }
	case OpStatus:
		b.outcome()
		return func(in *Input) int64 { return int64(in.outcome.Status) }
	case OpSize:
		if !b.arity(e, 1) {
			return zero
		}
		if a := &e.Args[0]; a.Type == Strings && a.Op == OpField {
			f := a.Field
			return func(in *Input) int64 { return int64(in.FieldSize(f)) }
		}
		x := b.text(&e.Args[0])
		return func(in *Input) int64 { return int64(utf8.RuneCountInString(x(in))) }
	case OpIf:
		if !b.arity(e, 3) {
			return zero
		}
		c, x, y := b.condition(&e.Args[0]), b.number(&e.Args[1]), b.number(&e.Args[2])
		return func(in *Input) int64 {
			if c(in) {
				return x(in)
			}
			return y(in)
		}
	case OpForeign:
		if f := b.foreignOf(e); f != nil {
			return func(in *Input) int64 { return in.run(f).Int }
		}
		return zero
	}
	b.bad("a number has an operation that is not one")
	return zero
}

func (b *builder) double(e *Expr) double {
	zero := func(*Input) float64 { return 0 }
	if e.Type != Double {
		b.bad("a double is of type " + e.Type.String())
		return zero
	}
	switch e.Op {
	case OpConst:
		v := e.Double
		return func(*Input) float64 { return v }
	case OpField:
		f := e.Field
		return func(in *Input) float64 { return in.FieldDouble(f) }
	case OpIf:
		if !b.arity(e, 3) {
			return zero
		}
		c, x, y := b.condition(&e.Args[0]), b.double(&e.Args[1]), b.double(&e.Args[2])
		return func(in *Input) float64 {
			if c(in) {
				return x(in)
			}
			return y(in)
		}
	case OpForeign:
		if f := b.foreignOf(e); f != nil {
			return func(in *Input) float64 { return in.run(f).Double }
		}
		return zero
	}
	b.bad("a double has an operation that is not one")
	return zero
}

func (b *builder) text(e *Expr) text {
	none := func(*Input) string { return "" }
	if e.Type != String {
		b.bad("a text is of type " + e.Type.String())
		return none
	}
	name := e.Text
	switch e.Op {
	case OpConst:
		return func(*Input) string { return name }
	case OpField:
		f := e.Field
		if f == ipwarden.FieldCountryCode {
			return func(in *Input) string { return in.country }
		}
		return func(in *Input) string { return in.FieldText(f) }
	case OpMethod:
		return func(in *Input) string { return in.Request.Method }
	case OpHost:
		return func(in *Input) string { return in.Request.Host }
	case OpPath:
		return func(in *Input) string { return in.Request.Path }
	case OpQuery:
		return func(in *Input) string { return in.Request.Query }
	case OpScheme:
		return func(in *Input) string { return in.Request.Scheme }
	case OpHeader:
		return func(in *Input) string { return in.Header(name) }
	case OpCookie:
		return func(in *Input) string { v, _ := in.Cookie(name); return v }
	case OpAccount:
		return func(in *Input) string { v, _ := in.Account(name); return v }
	case OpClientStatus:
		return func(in *Input) string { return in.ClientStatus }
	case OpCrawlerName:
		return func(in *Input) string { return in.CrawlerName }
	case OpTier:
		return (*Input).TierName
	case OpOutcome:
		b.outcome()
		return func(in *Input) string { return in.outcome.Event }
	case OpLower:
		if !b.arity(e, 1) {
			return none
		}
		x := b.text(&e.Args[0])
		return func(in *Input) string { return in.lower(x(in)) }
	case OpConcat:
		parts := make([]text, len(e.Args))
		for i := range e.Args {
			parts[i] = b.text(&e.Args[i])
		}
		return func(in *Input) string { return in.concat(parts) }
	case OpIf:
		if !b.arity(e, 3) {
			return none
		}
		c, x, y := b.condition(&e.Args[0]), b.text(&e.Args[1]), b.text(&e.Args[2])
		return func(in *Input) string {
			if c(in) {
				return x(in)
			}
			return y(in)
		}
	case OpForeign:
		if f := b.foreignOf(e); f != nil {
			return func(in *Input) string { return in.run(f).Text }
		}
		return none
	}
	b.bad("a text has an operation that is not one")
	return none
}

// outcome notes that what became of the request is asked for.
func (b *builder) outcome() {
	if !b.counts {
		b.bad("what became of the request is known to count alone")
	}
}

// lower turns A to Z into a to z, as CEL's lowerAscii does.
func (in *Input) lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			from := len(in.scratch)
			in.push(s)
			b := in.scratch[from:]
			for j := range b {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] |= 0x20
				}
			}
			return in.built(from)
		}
	}
	return s
}

// concat puts texts together. A part may itself be put together, and lies in
// the same memory: all of them are asked before the first is copied.
func (in *Input) concat(parts []text) string {
	var few [8]string
	got := few[:0]
	for _, p := range parts {
		got = append(got, p(in))
	}
	from := len(in.scratch)
	for _, s := range got {
		in.push(s)
	}
	return in.built(from)
}
