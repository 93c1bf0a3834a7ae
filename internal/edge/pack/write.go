package pack

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// writer appends; its methods are in the order of those of reader.
type writer struct {
	b       []byte
	foreign bool
}

func (w *writer) uint(n uint64)         { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)           { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) len(n int)             { w.uint(uint64(n)) }
func (w *writer) byte(c byte)           { w.b = append(w.b, c) }
func (w *writer) dur(d time.Duration)   { w.int(int64(d)) }
func (w *writer) text(s string)         { w.len(len(s)); w.b = append(w.b, s...) }
func (w *writer) number(n int)          { w.int(int64(n)) }
func (w *writer) prefix(p netip.Prefix) { w.b = appendPrefix(w.b, p) }

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) time(t time.Time) {
	if w.bool(!t.IsZero()); !t.IsZero() {
		w.int(t.Unix())
		w.int(int64(t.Nanosecond()))
	}
}

// appendPrefix appends the length and as many bytes of the address as it has; a length
// of IPv6 is behind those of IPv4, and 0xff is no prefix.
func appendPrefix(dst []byte, p netip.Prefix) []byte {
	a, n := p.Addr(), (p.Bits()+7)/8
	switch {
	case !p.IsValid():
		return append(dst, 0xff)
	case a.Is4():
		b := a.As4()
		return append(append(dst, byte(p.Bits())), b[:n]...)
	}
	b := a.As16()
	return append(append(dst, byte(33+p.Bits())), b[:n]...)
}

func each[T any](w *writer, all []T, f func(T)) {
	w.len(len(all))
	for _, v := range all {
		f(v)
	}
}

func (w *writer) texts(all []string) { each(w, all, w.text) }

func (w *writer) program(p *Program) {
	c := &p.Policy
	each(w, c.Lists, w.list)
	each(w, c.Tiers, w.tier)
	each(w, c.Rules, w.rule)
	each(w, c.Thresholds, func(t policy.Threshold) {
		w.byte(t.Score)
		w.byte(byte(t.Action))
		w.number(t.Limit)
		w.text(t.Response)
		w.number(t.Line)
	})
	w.crawlers(&c.Crawlers)
	each(w, c.Limits, w.limit)
	each(w, c.Routes, w.route)
	each(w, c.Responses, w.response)
	w.byte(byte(c.Default))
	w.route(c.DefaultRoute)
	w.number(c.Safe)
	for _, v := range [...]bool{c.Paths.KeepSlashes, c.Paths.StripParameters, c.Paths.KeepEncodedSlashes, c.Paths.FoldCase} {
		w.bool(v)
	}
	for _, s := range risk.Signals() {
		w.number(p.Risk.Points[s])
		w.dur(p.Risk.HalfLives[s])
	}
	w.number(p.Risk.Floor)
	each(w, p.Crawlers, func(k Crawler) {
		w.text(k.Name)
		w.text(k.Purpose)
		w.texts(k.Tokens)
		w.byte(byte(k.State))
	})
	w.texts(p.Together)
	w.byte(byte(p.Told))
}

func (w *writer) list(l policy.List) {
	w.text(l.Name)
	each(w, l.Prefixes, w.prefix)
	each(w, l.ASNs, func(n uint32) { w.uint(uint64(n)) })
	w.texts(l.Countries)
	w.texts(l.Crawlers)
	w.texts(l.Values)
	each(w, l.Timed, func(t policy.Timed) {
		w.prefix(t.Prefix)
		w.uint(uint64(t.ASN))
		w.text(t.Country)
		w.time(t.Expires)
		w.number(t.Line)
	})
	w.byte(byte(l.Action))
	w.number(l.Limit)
	w.text(l.Response)
	w.texts(l.Tags)
	w.time(l.Expires)
	w.number(l.Line)
}

func (w *writer) tier(t policy.Tier) {
	w.text(t.Name)
	w.expr(&t.When)
	w.byte(byte(t.Action))
	w.text(t.Response)
	each(w, t.Limits, w.number)
	w.number(t.Line)
}

func (w *writer) rule(r policy.Rule) {
	w.text(r.Name)
	w.expr(&r.When)
	w.byte(byte(r.Action))
	w.bool(r.Continue)
	w.number(r.Limit)
	w.bool(r.LiftLimits)
	w.text(r.Response)
	w.texts(r.Tags)
	w.bool(r.Shadow)
	w.uint(uint64(r.Share))
	w.bool(r.EvenShared)
	w.number(r.Line)
}

func (w *writer) crawlers(c *policy.Crawlers) {
	w.bool(c.Allow)
	w.texts(c.Names)
	w.texts(c.Purposes)
	w.number(c.Limit)
	w.byte(byte(c.Pending))
	w.number(c.PendingLimit)
}

func (w *writer) limit(l policy.Limit) {
	w.text(l.Name)
	w.expr(&l.When)
	w.byte(byte(l.Algorithm))
	w.uint(uint64(l.Limit))
	w.dur(l.Window)
	w.uint(uint64(l.Burst))
	w.uint(uint64(l.Cost))
	w.expr(&l.CostExpr)
	each(w, l.Key, func(k policy.KeyPart) {
		w.byte(byte(k.Kind))
		w.text(k.Name)
		w.expr(&k.Expr)
	})
	w.uint(uint64(l.Rollup[0]))
	w.uint(uint64(l.Rollup[1]))
	w.uint(uint64(l.SharedFactor))
	w.expr(&l.Count)
	w.dur(l.Pending)
	w.dur(l.Ban)
	w.bool(l.Shadow)
	w.text(l.Response)
	w.number(l.Line)
	w.bool(l.FromTier)
}

func (w *writer) route(r policy.Route) {
	w.text(r.Name)
	w.texts(r.Methods)
	w.texts(r.Hosts)
	w.texts(r.Paths)
	w.byte(byte(r.FailMode))
	w.dur(r.Budget)
	w.byte(byte(r.Intelligence))
	w.number(r.Line)
}

func (w *writer) response(r policy.Response) {
	w.text(r.Name)
	w.number(r.Status)
	w.text(r.Title)
	w.text(r.Detail)
	w.text(r.HTML)
	w.len(len(r.Redirect))
	for i := range r.Redirect {
		w.expr(&r.Redirect[i])
	}
	w.number(r.Line)
}

// What an expression has beside its operation and its type.
const (
	hasField = 1 << iota
	hasTrue
	hasInt
	hasDouble
	hasText
	hasTexts
	hasInts
	hasArgs // prefixes too, which is rare
)

func (w *writer) expr(e *policy.Expr) {
	w.foreign = w.foreign || e.Op == policy.OpForeign
	has := byte(0)
	for i, there := range [...]bool{e.Field != 0, e.Bool, e.Int != 0, e.Double != 0, e.Text != "", len(e.Texts) > 0, len(e.Ints) > 0, len(e.Args)+len(e.Prefixes) > 0} {
		if there {
			has |= 1 << i
		}
	}
	w.byte(byte(e.Op))
	w.byte(byte(e.Type))
	w.byte(has)
	if has&hasField != 0 {
		w.byte(byte(e.Field))
	}
	if has&hasInt != 0 {
		w.int(e.Int)
	}
	if has&hasDouble != 0 {
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(e.Double))
	}
	if has&hasText != 0 {
		w.text(e.Text)
	}
	if has&hasTexts != 0 {
		w.texts(e.Texts)
	}
	if has&hasInts != 0 {
		each(w, e.Ints, w.int)
	}
	if has&hasArgs != 0 {
		w.len(len(e.Args))
		for i := range e.Args {
			w.expr(&e.Args[i])
		}
		each(w, e.Prefixes, w.prefix)
	}
}
