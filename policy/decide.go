package policy

import (
	"math/bits"

	"github.com/ipwarden/ipwarden"
)

// Decide writes into d what to do with the request of in. It does not allocate
// once d and in have been used. The order is fixed; the first that applies wins:
//
//  1. an operator's entry for the address: the longest prefix, and at equal
//     length the stricter action
//  2. a ban, which only ever takes away: what comes after it applies where it is
//     as strict, and so does an entry for the address that refuses; one that lets
//     in lifts it, unless that has a limit
//  3. an operator's entry for the AS, then for the country
//  4. a verified crawler that the policy lets in
//  5. the rules in their order, up to the first that ends the walk
//  6. the score's threshold and the tier's action, the stricter of the two
//  7. the default
//
// Flag ends nothing: it turns an allow at the end into a flag. A clearance then
// lifts a challenge, and nothing else. Limits come last, and only for what
// passes.
func (p *Program) Decide(in *Input, d *Decision) {
	d.reset()
	in.prepare(p)
	if d.Route = in.Route; d.Route == nil {
		d.Route = p.Route(in.Request)
	}
	var ban *Ban
	if in.Ban != nil {
		ban = p.ban(in)
	}
	blocked := ban != nil && ban.Action == ipwarden.Block // nothing is stricter
	ended := blocked || p.operator(in, d) || p.crawler(in, d)
	if !ended {
		d.Tier = p.tierOf(in)
		in.tier = d.Tier
		if !p.rule(in, d) && !p.reputation(in, d) {
			d.Verdict, d.Reason = p.cfg.Default, ByDefault
		}
		p.noted(in, d)
		switch in.Crawler {
		case Pending:
			p.pending(d)
		case Unanswered: // a client as any other, but for the limit
			if !d.LiftLimits {
				p.use(d, p.cfg.Crawlers.PendingLimit)
			}
		}
	}
	if ban != nil {
		d.banned(ban, in)
	}
	p.finish(in, d)
}

// operator asks the lists that have an action. Nothing is asked about an
// address that is only the nearest hop: what the operator says of a proxy is not
// said of those behind it.
func (p *Program) operator(in *Input, d *Decision) bool {
	if !p.entries.any || in.Unverified {
		return false
	}
	if l := p.entries.address(in.Client, in.Now); l != nil && p.list(l, ByAddress, d) {
		return true
	}
	if l := p.entries.network(in.asn, in.Now); l != nil && p.list(l, ByASN, d) {
		return true
	}
	if l := p.entries.land(in.country, in.Now); l != nil && p.list(l, ByCountry, d) {
		return true
	}
	return false
}

// list applies an entry, and reports whether it ends the walk.
func (p *Program) list(l *List, why Reason, d *Decision) bool {
	d.Tags = append(d.Tags, l.Tags...)
	p.use(d, l.Limit)
	if l.Action == ipwarden.Flag {
		d.flag(why, l, nil)
		return false
	}
	d.Verdict, d.Reason, d.List = l.Action, why, l
	d.Response = p.responses.of(l.Response, ipwarden.NoVerdict)
	if l.Action == ipwarden.Throttle && l.Limit != 0 {
		d.Verdict = ipwarden.Allow // up to the limit
	}
	d.LiftLimits = l.Action == ipwarden.Allow
	return true
}

// crawler lets a verified crawler in.
func (p *Program) crawler(in *Input, d *Decision) bool {
	if in.Unverified || in.Crawler != Verified {
		return false
	}
	c := &p.cfg.Crawlers
	name, purpose := in.CrawlerName, in.CrawlerPurpose
	if in.traits.Has(ipwarden.Crawler) && len(c.Names)+len(c.Purposes) > 0 {
		info := in.Record.Security().Crawler
		if name == "" {
			name = info.Name
		}
		if purpose == "" {
			purpose = info.Purpose
		}
	}
	if !c.allows(name, purpose) {
		return false
	}
	d.Verdict, d.Reason, d.LiftLimits = ipwarden.Allow, ByCrawler, true
	p.use(d, c.Limit)
	return true
}

func (p *Program) tierOf(in *Input) *Tier {
	if in.Safe {
		return &p.safeTier
	}
	p.mark(in)
	to := len(p.tiers)
	for w := 0; w*64 < to; w++ {
		for left := within(p.worth(in, w), w, 0, to); left != 0; left &= left - 1 {
			t := &p.tiers[w*64+bits.TrailingZeros64(left)]
			if ok, _ := in.holds(t.when); ok {
				return t.tier
			}
		}
	}
	return nil
}

// rule asks the rules that the index leaves, and reports whether one ended the
// walk.
func (p *Program) rule(in *Input, d *Decision) bool {
	p.mark(in)
	from := len(p.tiers)
	to := from + len(p.rules)
	for w := from / 64; w*64 < to; w++ {
		for left := within(p.worth(in, w), w, from, to); left != 0; left &= left - 1 {
			if p.ask(&p.rules[w*64+bits.TrailingZeros64(left)-from], in, d) {
				return true
			}
		}
	}
	return false
}

// ask asks one rule, and reports whether it ended the walk.
func (p *Program) ask(built *builtRule, in *Input, d *Decision) bool {
	r := built.rule
	if ok, over := in.holds(built.when); !ok && !(over && r.Action > ipwarden.Allow) {
		return false
	}
	if !r.applies(in) {
		d.Shadow = append(d.Shadow, r)
		return false
	}
	d.Tags = append(d.Tags, r.Tags...)
	p.use(d, r.Limit)
	switch {
	case r.Action == ipwarden.NoVerdict:
	case r.Action == ipwarden.Flag:
		d.Flags = append(d.Flags, r)
		d.flag(ByRule, nil, r)
	case r.Continue:
		if d.going == nil || strictness(r.Action) > strictness(d.going.Action) {
			d.going = r
		}
	default:
		p.apply(r, in, d)
		return true
	}
	return false
}

// apply makes a rule the decision.
func (p *Program) apply(r *Rule, in *Input, d *Decision) {
	d.Verdict, d.Reason, d.Rule, d.Threshold = r.Action, ByRule, r, nil
	d.Response = p.responses.of(r.Response, ipwarden.NoVerdict)
	d.LiftLimits = r.LiftLimits
	switch {
	case r.Action == ipwarden.Throttle && r.Limit != 0:
		d.Verdict = ipwarden.Allow // up to the limit
	case r.Action == ipwarden.Block && in.Shared && r.reputation && !r.EvenShared:
		d.soften(ipwarden.Challenge)
	}
}

// noted applies the strictest rule that went on, when what came after it is less
// strict.
func (p *Program) noted(in *Input, d *Decision) {
	if d.going != nil && strictness(d.going.Action) > strictness(d.Verdict) {
		p.apply(d.going, in, d)
	}
}

// reputation asks the score and the tier; the stricter of the two counts. The
// score of an address that cannot be known says nothing.
func (p *Program) reputation(in *Input, d *Decision) bool {
	var t *Threshold
	if !in.Safe && !in.Unverified {
		for i := range p.thresholds {
			if in.Score >= p.thresholds[i].Score {
				t = &p.thresholds[i]
				break
			}
		}
	}
	tier := d.Tier
	if tier != nil && tier.Action == ipwarden.NoVerdict {
		tier = nil
	}
	switch {
	case t == nil && tier == nil:
		return false
	case t == nil || tier != nil && strictness(tier.Action) > strictness(t.Action):
		d.Verdict, d.Reason = tier.Action, ByTier
		d.Response = p.responses.of(tier.Response, ipwarden.NoVerdict)
	default:
		d.Verdict, d.Reason, d.Threshold = t.Action, ByThreshold, t
		d.Response = p.responses.of(t.Response, ipwarden.NoVerdict)
		p.use(d, t.Limit)
		if t.Action == ipwarden.Throttle && t.Limit != 0 {
			d.Verdict = ipwarden.Allow // up to the limit
		}
	}
	if d.Verdict == ipwarden.Block && in.Shared {
		d.soften(ipwarden.Challenge)
	}
	return true
}

// pending keeps a crawler that is being verified from being let in for good and
// from being shut out: its first request must not decide what it is.
func (p *Program) pending(d *Decision) {
	switch d.Verdict {
	case ipwarden.Block:
		d.soften(p.cfg.Crawlers.Pending)
		d.Reason = ByPending
	case ipwarden.Allow:
		d.Reason, d.LiftLimits = ByPending, false
	}
	d.flag(ByPending, nil, nil)
	p.use(d, p.cfg.Crawlers.PendingLimit)
}

// finish applies what holds for every verdict, whoever gave it, and adds limits.
func (p *Program) finish(in *Input, d *Decision) {
	if d.Verdict == ipwarden.Challenge && in.Cleared {
		d.Verdict, d.Reason, d.Response = ipwarden.Allow, ByClearance, nil
	}
	if d.Verdict == ipwarden.Allow && d.flagged {
		d.Verdict = ipwarden.Flag
		if d.Reason == ByDefault {
			d.Reason, d.List, d.Rule = d.flagReason, d.flagList, d.flagRule
		}
	}
	if d.Response == nil {
		d.Response = p.responses.of("", d.Verdict)
	}
	if d.Verdict.Passes() && !d.Response.IsRedirect() {
		d.Response = nil // it goes on to the application
	}
	switch {
	case !d.Verdict.Passes():
		d.Uses = d.Uses[:0]
	case !d.LiftLimits:
		p.addLimits(in, d)
	}
	p.price(in, d)
	d.Failed = in.errors
}

// use notes a limit by its number plus one.
func (p *Program) use(d *Decision, number int) {
	if number > 0 {
		d.Uses = append(d.Uses, Use{Limit: p.limits[number-1]})
	}
}

// addLimits notes the tier's limits and those of the file.
func (p *Program) addLimits(in *Input, d *Decision) {
	if d.Tier != nil {
		for _, l := range d.Tier.limits {
			if ok, over := in.holds(l.when); ok || over {
				d.Uses = append(d.Uses, Use{Limit: l})
			}
		}
	}
	p.mark(in)
	from := len(p.tiers) + len(p.rules)
	to := from + len(p.general)
	for w := from / 64; w*64 < to; w++ {
		for left := within(p.worth(in, w), w, from, to); left != 0; left &= left - 1 {
			l := p.general[w*64+bits.TrailingZeros64(left)-from]
			if ok, over := in.holds(l.when); ok || over {
				d.Uses = append(d.Uses, Use{Limit: l})
			}
		}
	}
}

// price fills in what each limit costs, and by how much a shared address's is
// raised.
func (p *Program) price(in *Input, d *Decision) {
	for i := range d.Uses {
		u := &d.Uses[i]
		u.Cost, u.Raise = u.Limit.charge(in), 1
		if in.Shared && u.Limit.HasAddress() {
			u.Raise = max(u.Limit.SharedFactor, 1)
		}
	}
}
