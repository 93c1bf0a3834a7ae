package policy

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/ipwarden/ipwarden"
)

// Reads is what of a request the decisions of a program may depend on, besides who
// asks: requests that agree in it are decided alike, if limits and bans let them. It
// is for who keeps decisions for a while.
type Reads struct {
	Method, Scheme, Host, Query bool
	// Path: all of it. Otherwise Paths says which questions are asked about it.
	Path  bool
	Paths []PathTest
	// Headers in canonical form, Cookies by name, in the order of their names.
	Headers, Cookies []string
	// Account: what the application says.
	Account bool
	// Address: the very address, and not only what is known of it and which lists have
	// its network.
	Address bool
	// Unknown: something else. A condition that runs elsewhere reads what it likes.
	Unknown bool
}

// A PathTest is a question about a path: whether it is Text, or begins or ends with
// it, or has it somewhere.
type PathTest struct {
	Op   Op // OpEqual, OpStartsWith, OpEndsWith or OpContains
	Text string
}

// maxPathTests is how many of them are fewer than the path itself.
const maxPathTests = 128

// Holds answers it.
func (t PathTest) Holds(path string) bool {
	switch t.Op {
	case OpStartsWith:
		return strings.HasPrefix(path, t.Text)
	case OpEndsWith:
		return strings.HasSuffix(path, t.Text)
	case OpContains:
		return strings.Contains(path, t.Text)
	}
	return path == t.Text
}

// scope is what is computed of a program when it is first asked for.
type scope struct {
	once   sync.Once
	reads  Reads
	four   []key // where an entry begins, or the place behind one, sorted
	six    []key
	locate sync.Once
	more   []List // which an operator added
}

// Reads says what the program reads of a request.
func (p *Program) Reads() *Reads {
	p.scope.once.Do(func() {
		r := &p.scope.reads
		c := &p.cfg
		for i := range c.Tiers {
			r.add(&c.Tiers[i].When)
		}
		for i := range c.Rules {
			if !c.Rules[i].Shadow {
				r.add(&c.Rules[i].When)
			}
		}
		for _, l := range p.limits {
			if !l.Shadow {
				r.addLimit(l)
			}
		}
		if len(r.Paths) > maxPathTests {
			r.Path = true
		}
		if r.Path {
			r.Paths = nil
		}
		slices.SortFunc(r.Paths, func(a, b PathTest) int {
			if a.Op != b.Op {
				return int(a.Op) - int(b.Op)
			}
			return strings.Compare(a.Text, b.Text)
		})
		r.Paths = slices.Compact(r.Paths)
		for _, names := range []*[]string{&r.Headers, &r.Cookies} {
			slices.Sort(*names)
			*names = slices.Compact(*names)
		}
	})
	return &p.scope.reads
}

// Constant reports whether a redirect goes to the same place whatever the request.
func (r *Response) Constant() bool {
	for i := range r.Redirect {
		if r.Redirect[i].Op != OpConst {
			return false
		}
	}
	return true
}

func (r *Reads) addLimit(l *Limit) {
	r.add(&l.When)
	r.add(&l.CostExpr)
	for i := range l.Key {
		k := &l.Key[i]
		switch k.Kind {
		case KeyAccount:
			r.Account = true
		case KeyHeader:
			r.Headers = append(r.Headers, k.Name)
		case KeyCookie:
			r.Cookies = append(r.Cookies, k.Name)
		case KeyAPIKey:
			r.Headers = append(r.Headers, "Authorization", "X-Api-Key")
		case KeyExpr:
			r.add(&k.Expr)
		}
	}
}

// add notes what an expression reads.
func (r *Reads) add(e *Expr) {
	if r.addTest(e) {
		return
	}
	switch e.Op {
	case OpMethod:
		r.Method = true
	case OpHost:
		r.Host = true
	case OpPath:
		r.Path = true
	case OpQuery:
		r.Query = true
	case OpScheme:
		r.Scheme = true
	case OpHeader, OpHasHeader:
		r.Headers = append(r.Headers, e.Text)
	case OpCookie, OpHasCookie:
		r.Cookies = append(r.Cookies, e.Text)
	case OpAccount, OpHasAccount:
		r.Account = true
	case OpField:
		switch e.Field {
		case ipwarden.FieldIP, ipwarden.FieldZone, ipwarden.FieldTransition:
			r.Address = true
		}
	case OpForeign:
		r.Unknown = true
	}
	for i := range e.Args {
		r.add(&e.Args[i])
	}
}

// addTest notes a question about the path alone, and reports whether e is one.
func (r *Reads) addTest(e *Expr) bool {
	if len(e.Args) == 0 || e.Args[0].Op != OpPath && (len(e.Args) != 2 || e.Args[1].Op != OpPath) {
		return false
	}
	op := e.Op
	switch op {
	case OpOneOf:
		for _, text := range e.Texts {
			r.Paths = append(r.Paths, PathTest{OpEqual, text})
		}
		return e.Args[0].Op == OpPath
	case OpNotEqual:
		op = OpEqual
	case OpEqual, OpStartsWith, OpEndsWith, OpContains:
	default:
		return false
	}
	if len(e.Args) != 2 {
		return false
	}
	path, other := &e.Args[0], &e.Args[1]
	if path.Op != OpPath && op == OpEqual {
		path, other = other, path
	}
	if path.Op != OpPath || other.Op != OpConst {
		return false
	}
	r.Paths = append(r.Paths, PathTest{op, other.Text})
	return true
}

// Around is the largest network round addr, within network, in which the lists of the
// program and its conditions tell no address from another.
func (p *Program) Around(addr netip.Addr, network netip.Prefix) netip.Prefix {
	p.scope.locate.Do(p.bounds)
	all := p.scope.six
	if addr.Is4() {
		all = p.scope.four
	}
	k := keyOf(addr)
	after, same := slices.BinarySearchFunc(all, k, key.compare)
	if same {
		after++
	}
	for bits := network.Bits(); bits < addr.BitLen(); bits++ {
		around, err := addr.Prefix(bits)
		if err != nil {
			break
		}
		if first := keyOf(around.Addr()); after > 0 && first.less(all[after-1]) {
			continue
		}
		if after < len(all) && !last(around).less(all[after]) {
			continue
		}
		return around
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

// bounds finds where something about addresses changes.
func (p *Program) bounds() {
	s := p.scope
	note := func(n netip.Prefix) {
		if !n.IsValid() {
			return
		}
		to := &s.six
		if n.Addr().Is4() {
			to = &s.four
		}
		*to = append(*to, keyOf(n.Masked().Addr()))
		if behind, ok := last(n).next(); ok {
			*to = append(*to, behind)
		}
	}
	for _, lists := range [][]List{p.cfg.Lists, s.more} {
		for i := range lists {
			for _, n := range lists[i].Prefixes {
				note(n)
			}
			for j := range lists[i].Timed {
				note(lists[i].Timed[j].Prefix)
			}
		}
	}
	walk := func(e *Expr) {
		e.Walk(func(e *Expr) {
			for _, n := range e.Prefixes {
				note(n)
			}
		})
	}
	for i := range p.cfg.Tiers {
		walk(&p.cfg.Tiers[i].When)
	}
	for i := range p.cfg.Rules {
		walk(&p.cfg.Rules[i].When)
	}
	for _, l := range p.limits {
		walk(&l.When)
		walk(&l.CostExpr)
		for i := range l.Key {
			walk(&l.Key[i].Expr)
		}
	}
	for _, all := range []*[]key{&s.four, &s.six} {
		slices.SortFunc(*all, key.compare)
		*all = slices.Compact(*all)
	}
}
