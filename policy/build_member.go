package policy

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/ipwarden/ipwarden"
)

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
