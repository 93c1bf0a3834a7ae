package pack

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// reader reads; the first mistake sticks. Nothing is made longer than what is left to
// read could fill.
type reader struct {
	b     []byte
	bad   bool
	depth int
	exprs int
}

// Bounds of expressions: no policy that compiles comes near.
const (
	maxDepth = 512
	maxExprs = 1 << 18
)

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// len is how many of something follow, of which each has a byte at least.
func (r *reader) len() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) dur() time.Duration { return time.Duration(r.int()) }
func (r *reader) text() string       { return string(r.bytes(r.len())) }

func (r *reader) number() int {
	n := r.int()
	if n != int64(int32(n)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) uint32() uint32 {
	n := r.uint()
	if n > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(n)
}

func (r *reader) bool() bool {
	c := r.byte()
	if c > 1 {
		r.fail()
	}
	return c == 1
}

func (r *reader) time() time.Time {
	if !r.bool() {
		return time.Time{}
	}
	return time.Unix(r.int(), r.int()).UTC()
}

func (r *reader) prefix() netip.Prefix {
	switch n := int(r.byte()); {
	case r.bad || n == 0xff:
		return netip.Prefix{}
	case n <= 32:
		var b [4]byte
		copy(b[:], r.bytes((n+7)/8))
		return netip.PrefixFrom(netip.AddrFrom4(b), n)
	case n <= 33+128:
		var b [16]byte
		copy(b[:], r.bytes((n-33+7)/8))
		return netip.PrefixFrom(netip.AddrFrom16(b), n-33)
	}
	r.fail()
	return netip.Prefix{}
}

// several reads a list. It grows with what was read, so that a length alone costs
// nothing.
func several[T any](r *reader, f func() T) []T {
	n := r.len()
	if n == 0 {
		return nil
	}
	all := make([]T, 0, min(n, 64))
	for range n {
		if r.bad {
			return nil
		}
		all = append(all, f())
	}
	return all
}

func (r *reader) texts() []string           { return several(r, r.text) }
func (r *reader) verdict() ipwarden.Verdict { return ipwarden.Verdict(r.byte()) }

func (r *reader) program() *Program {
	p := &Program{}
	c := &p.Policy
	c.Lists = several(r, r.list)
	c.Tiers = several(r, r.tier)
	c.Rules = several(r, r.rule)
	c.Thresholds = several(r, func() policy.Threshold {
		return policy.Threshold{Score: r.byte(), Action: r.verdict(), Limit: r.number(), Response: r.text(), Line: r.number()}
	})
	c.Crawlers = policy.Crawlers{
		Allow: r.bool(), Names: r.texts(), Purposes: r.texts(), Limit: r.number(), Pending: r.verdict(), PendingLimit: r.number(),
	}
	c.Limits = several(r, r.limit)
	c.Routes = several(r, r.route)
	c.Responses = several(r, r.response)
	c.Default = r.verdict()
	c.DefaultRoute = r.route()
	c.Safe = r.number()
	c.Paths = policy.Paths{KeepSlashes: r.bool(), StripParameters: r.bool(), KeepEncodedSlashes: r.bool(), FoldCase: r.bool()}
	p.Risk = risk.Config{Points: map[risk.Signal]int{}, HalfLives: map[risk.Signal]time.Duration{}}
	for _, s := range risk.Signals() {
		p.Risk.Points[s] = r.number()
		p.Risk.HalfLives[s] = r.dur()
	}
	p.Risk.Floor = r.number()
	p.Crawlers = several(r, func() Crawler {
		return Crawler{Name: r.text(), Purpose: r.text(), Tokens: r.texts(), State: policy.Crawler(r.byte())}
	})
	p.Together = r.texts()
	p.Told = Told(r.byte())
	return p
}

func (r *reader) list() policy.List {
	return policy.List{
		Name: r.text(), Prefixes: several(r, r.prefix), ASNs: several(r, r.uint32), Countries: r.texts(), Crawlers: r.texts(), Values: r.texts(),
		Timed: several(r, func() policy.Timed {
			return policy.Timed{Prefix: r.prefix(), ASN: r.uint32(), Country: r.text(), Expires: r.time(), Line: r.number()}
		}),
		Action: r.verdict(), Limit: r.number(), Response: r.text(), Tags: r.texts(), Expires: r.time(), Line: r.number(),
	}
}

func (r *reader) tier() policy.Tier {
	return policy.Tier{
		Name: r.text(), When: r.expr(), Action: r.verdict(), Response: r.text(), Limits: several(r, r.number), Line: r.number(),
	}
}

func (r *reader) rule() policy.Rule {
	return policy.Rule{
		Name: r.text(), When: r.expr(), Action: r.verdict(), Continue: r.bool(), Limit: r.number(), LiftLimits: r.bool(),
		Response: r.text(), Tags: r.texts(), Shadow: r.bool(), Share: r.uint32(), EvenShared: r.bool(), Line: r.number(),
	}
}

func (r *reader) limit() policy.Limit {
	return policy.Limit{
		Name: r.text(), When: r.expr(), Algorithm: policy.Algorithm(r.byte()), Limit: r.uint32(), Window: r.dur(), Burst: r.uint32(),
		Cost: r.uint32(), CostExpr: r.expr(),
		Key: several(r, func() policy.KeyPart {
			return policy.KeyPart{Kind: policy.KeyKind(r.byte()), Name: r.text(), Expr: r.expr()}
		}),
		Rollup: [2]uint32{r.uint32(), r.uint32()}, SharedFactor: r.uint32(), Count: r.expr(), Pending: r.dur(), Ban: r.dur(),
		Shadow: r.bool(), Response: r.text(), Line: r.number(), FromTier: r.bool(),
	}
}

func (r *reader) route() policy.Route {
	return policy.Route{
		Name: r.text(), Methods: r.texts(), Hosts: r.texts(), Paths: r.texts(), FailMode: policy.FailMode(r.byte()),
		Budget: r.dur(), Intelligence: ipwarden.Intelligence(r.byte()), Line: r.number(),
	}
}

func (r *reader) response() policy.Response {
	return policy.Response{
		Name: r.text(), Status: r.number(), Title: r.text(), Detail: r.text(), HTML: r.text(),
		Redirect: several(r, r.expr), Line: r.number(),
	}
}

func (r *reader) expr() (e policy.Expr) {
	if r.depth, r.exprs = r.depth+1, r.exprs+1; r.depth > maxDepth || r.exprs > maxExprs {
		r.fail()
	}
	e.Op, e.Type = policy.Op(r.byte()), policy.Type(r.byte())
	has := r.byte()
	if has&hasField != 0 {
		e.Field = ipwarden.Field(r.byte())
	}
	e.Bool = has&hasTrue != 0
	if has&hasInt != 0 {
		e.Int = r.int()
	}
	if has&hasDouble != 0 {
		if b := r.bytes(8); len(b) == 8 {
			e.Double = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	}
	if has&hasText != 0 {
		e.Text = r.text()
	}
	if has&hasTexts != 0 {
		e.Texts = r.texts()
	}
	if has&hasInts != 0 {
		e.Ints = several(r, r.int)
	}
	if has&hasArgs != 0 {
		e.Args = several(r, r.expr)
		e.Prefixes = several(r, r.prefix)
	}
	r.depth--
	return e
}
