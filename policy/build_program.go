package policy

import (
	"errors"
	"slices"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

func (p *Program) buildResponses(b *builder) {
	p.responses.all = map[string]*Response{}
	for i := range p.cfg.Responses {
		r := &p.cfg.Responses[i]
		b.errs = append(b.errs, r.check()...)
		r.build(b)
		if p.responses.all[r.Name] != nil {
			b.errs = append(b.errs, errors.New("response "+r.Name+": the name was given before"))
		}
		p.responses.all[r.Name] = r
		if v, ok := ipwarden.VerdictNamed(r.Name); ok {
			p.responses.owned[v] = r
		}
	}
}

// response checks that a response is there.
func (p *Program) response(b *builder, name string) {
	if name != "" && p.responses.all[name] == nil {
		b.bad("there is no response " + name)
	}
}

func (p *Program) buildLimits(b *builder) {
	names := map[string]bool{}
	for i := range p.cfg.Limits {
		l := &p.cfg.Limits[i]
		l.Index = i
		l.Key = slices.Clone(l.Key)
		b.where = "limit " + l.Name
		b.errs = append(b.errs, l.check()...)
		if names[l.Name] {
			b.bad("the name was given before")
		}
		names[l.Name] = true
		l.when = b.optional(&l.When)
		if l.CostExpr.Op != NoOp {
			l.cost = b.number(&l.CostExpr)
		}
		b.counts = true
		l.count = b.optional(&l.Count)
		b.counts = false
		l.parts = make([]func(*Input) (string, bool), len(l.Key))
		for j := range l.Key {
			l.parts[j] = b.keyPart(&l.Key[j])
		}
		p.response(b, l.Response)
		p.limits = append(p.limits, l)
		if !l.FromTier {
			p.general = append(p.general, l)
		}
	}
	if p.cfg.Safe < 1 || p.cfg.Safe > len(p.limits) {
		b.errs = append(b.errs, errors.New("the safe limit is none of the program's"))
		return
	}
	p.safe = p.limits[p.cfg.Safe-1]
	p.safeTier = Tier{Name: "safe", Limits: []int{p.cfg.Safe - 1}, limits: []*Limit{p.safe}}
}

func (b *builder) keyPart(k *KeyPart) func(*Input) (string, bool) {
	name := k.Name
	switch k.Kind {
	case KeyAddress, KeyASN:
		return nil // AppendKey reads them itself
	case KeyCountry:
		return func(in *Input) (string, bool) { c := in.rec.CountryCode(); return c, c != "" }
	case KeyAccount:
		return func(in *Input) (string, bool) { return in.Account(name) }
	case KeyHeader:
		return func(in *Input) (string, bool) { v := in.Header(name); return v, v != "" }
	case KeyCookie:
		return func(in *Input) (string, bool) { return in.Cookie(name) }
	case KeyAPIKey:
		return apiKey
	case KeyExpr:
		t := b.text(&k.Expr)
		return func(in *Input) (string, bool) { v := t(in); return v, v != "" }
	}
	b.bad("a part of the key is of no kind")
	return nil
}

// apiKey is where keys are usually put: X-Api-Key, or a bearer token (RFC 6750
// section 2.1).
func apiKey(in *Input) (string, bool) {
	if v := in.Header("X-Api-Key"); v != "" {
		return v, true
	}
	const bearer = "bearer "
	v := in.Header("Authorization")
	if len(v) <= len(bearer) {
		return "", false
	}
	for i := range len(bearer) {
		c := v[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != bearer[i] {
			return "", false
		}
	}
	return v[len(bearer):], true
}

func (p *Program) buildTiers(b *builder) {
	for i := range p.cfg.Tiers {
		t := &p.cfg.Tiers[i]
		b.where = "tier " + t.Name
		for _, n := range t.Limits {
			if n < 0 || n >= len(p.limits) {
				b.bad("its limit is none of the program's")
				continue
			}
			t.limits = append(t.limits, p.limits[n])
		}
		t.When.Walk(func(e *Expr) {
			if e.Op == OpTier {
				b.bad("a tier cannot ask for the tier")
			}
		})
		p.response(b, t.Response)
		p.tiers = append(p.tiers, builtTier{b.optional(&t.When), t})
	}
}

func (p *Program) buildRules(b *builder) {
	for i := range p.cfg.Rules {
		r := &p.cfg.Rules[i]
		b.where = "rule " + r.Name
		b.errs = append(b.errs, r.check(len(p.limits))...)
		p.response(b, r.Response)
		r.reputation, r.salt = r.When.Reputation(), salt(r.Name)
		p.rules = append(p.rules, builtRule{b.optional(&r.When), r})
	}
	for i := range p.cfg.Lists {
		b.where = "list " + p.cfg.Lists[i].Name
		p.response(b, p.cfg.Lists[i].Response)
	}
}

// buildIndex comes after all conditions.
func (p *Program) buildIndex() {
	var all []*Expr
	for i := range p.tiers {
		all = append(all, &p.tiers[i].tier.When)
	}
	for i := range p.rules {
		all = append(all, &p.rules[i].rule.When)
	}
	for _, l := range p.general {
		all = append(all, &l.When)
	}
	p.index = newIndex(all, p.sets)
}

func (p *Program) buildThresholds(b *builder) {
	p.thresholds = p.cfg.Thresholds
	slices.SortStableFunc(p.thresholds, func(x, y Threshold) int { return int(y.Score) - int(x.Score) })
	for i := range p.thresholds {
		t := &p.thresholds[i]
		b.where = "threshold " + strconv.Itoa(int(t.Score))
		p.response(b, t.Response)
		switch {
		case t.Score < 1 || t.Score > 100:
			b.bad("the score must be from 1 to 100")
		case t.Action == ipwarden.NoVerdict || t.Action > ipwarden.Block:
			b.bad("it needs an action, such as challenge")
		case t.Limit < 0 || t.Limit > len(p.limits):
			b.bad("its limit is none of the program's")
		case i > 0 && p.thresholds[i-1].Score == t.Score:
			b.bad("there are two for one score")
		}
	}
}

func (p *Program) checkCrawlers(b *builder) {
	b.where = "crawlers"
	c := &p.cfg.Crawlers
	if c.Limit < 0 || c.Limit > len(p.limits) || c.PendingLimit < 0 || c.PendingLimit > len(p.limits) {
		b.bad("their limit is none of the program's")
	}
	switch c.Pending {
	case ipwarden.NoVerdict:
		c.Pending = ipwarden.Challenge
	case ipwarden.Challenge, ipwarden.Throttle:
	default:
		b.bad("while one is being verified it is challenged or throttled, neither allowed nor blocked")
	}
}
