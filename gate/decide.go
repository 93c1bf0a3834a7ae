package gate

import (
	"context"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/policy"
)

// Decide settles what to do with a request and writes it into d, which may be
// used again. It reads top to bottom: who asks, what is known, what it means,
// what to do, how much. req is not kept. It does not allocate when the Source,
// the Limiter and the policy's conditions do not.
func (g *Gate) Decide(ctx context.Context, req *ipwarden.Request, d *Decision) {
	g.run(ctx, req, d, false)
}

// run is Decide, or Begin.
func (g *Gate) run(ctx context.Context, req *ipwarden.Request, d *Decision, begun bool) {
	now := g.now()
	d.reset()
	d.flights, d.begun = &g.flights, begun
	d.situation.BillingCountry, d.situation.LastCountry = "", ""
	d.Time = now
	d.program, d.older, d.enriching = g.core.program.Load(), g.cfg.OlderHeaders, g.tells

	d.Client = g.Client().From(req.Peer, req.Header)
	g.approach(d)
	err := g.glance(ctx, d)
	d.input.Sample = g.recent.newID(now, &d.ID)
	d.request = *req
	d.request.Method = upperMethod(req.Method)
	readable := d.readPath()
	route := d.program.Route(&d.request)
	if route.Budget != policy.DefaultBudget {
		bounded, cancel := context.WithTimeout(ctx, route.Budget)
		defer cancel()
		ctx = bounded
	}
	known := g.identify(ctx, route, d, err)
	g.assess(d)
	d.program.Decide(&d.input, &d.Decision)

	switch {
	case !readable:
		d.refuse(ipwarden.Block, policy.ByAmbiguousPath)
	case d.decidedByOperator():
		// An entry for this very address holds whatever else is unknown.
	case d.Reason != policy.ByAddress && !d.Client.Safe() && route.FailMode == policy.FailClosed:
		d.refuse(ipwarden.Block, policy.ByUnresolved)
	case !known && route.FailMode == policy.FailClosed:
		d.refuse(ipwarden.Block, policy.ByFailClosed)
	}
	if d.Verdict.Passes() {
		g.charge(ctx, route, d)
	} else if d.Ban != nil && d.Verdict == ipwarden.Throttle {
		d.bannedByLimit()
	}
	if d.Verdict == ipwarden.Throttle && d.RetryAfter == 0 {
		d.RetryAfter = policy.RetryAfter
	}
	g.locate(d)
	if len(d.pending) > 0 && !d.Passes() { // what does not go on has no outcome
		if !d.peek {
			g.part(g.bound(ctx, route, d), d)
		}
		d.pending = d.pending[:0]
	}
	if len(d.pending) > 0 && g.cfg.Attempts != nil && !d.peek {
		g.keep(g.bound(ctx, route, d), d)
	}
	g.note(d)
}

// upperMethod is a method as an upstream may read it that does not tell "delete" from
// "DELETE", as some do (RFC 9110 section 9.1 does): what is refused to one is to the
// other.
func upperMethod(m string) string {
	for i := range len(m) {
		if m[i] >= 'a' {
			return strings.ToUpper(m)
		}
	}
	return m
}

// readPath puts the path into the form in which the upstream reads it. What can
// be read in two ways is refused (C14 of the contract).
func (d *Decision) readPath() (ok bool) {
	d.target = d.request.Path
	path, err := d.program.Paths().Normalize(d.target)
	if err != nil {
		return false
	}
	d.request.Path = path
	return true
}

// UpstreamPath is the path as it should go on, for doors that send the request
// on themselves: the upstream reads it as it was judged. It is "" for a path that
// can be read in two ways, which does not go on.
func (d *Decision) UpstreamPath() string {
	path, err := d.program.Paths().Respell(d.target)
	if err != nil {
		return ""
	}
	return path
}

// glance looks the client up where that takes no time but the memory's, so that what
// is known comes while the rest of the request is read.
func (g *Gate) glance(ctx context.Context, d *Decision) (err error) {
	d.Record = ipwarden.Record{}
	if g.asker == nil && g.hasty == nil && d.Client.Addr.IsValid() {
		d.Record, err = g.cfg.Source.Lookup(ctx, d.Client.Addr)
		d.Record.Fetch()
	}
	return err
}

// identify looks the client up, where glance has not, and reports whether that
// could be done.
func (g *Gate) identify(ctx context.Context, route *policy.Route, d *Decision, err error) (ok bool) {
	in := &d.input
	in.Request, in.Route = &d.request, route
	in.Client, in.ClientStatus = d.Client.Addr, d.Client.Status.String()
	in.Unverified = !d.Client.Safe()
	in.Now = d.Time
	in.Ban = nil
	if g.cfg.Bans != nil {
		in.Ban = g.cfg.Bans.Find(d.Client.Addr, d.Time)
	}
	if d.Client.Addr.IsValid() { // else nothing is known of who came through a Unix socket
		switch {
		case g.asker != nil:
			d.Record, d.Incomplete, err = g.asker.Ask(ctx, d.Client.Addr, route.Intelligence, route.Budget)
		case g.hasty != nil:
			d.Record, err = g.hasty.lookup(ctx, d.Client.Addr, g.left(route, d))
		}
	}
	if err != nil {
		g.stats.sourceErrors.Add(1)
		d.Degraded = true
	}
	d.Record = d.Record.Asked(d.Client.Transition, d.Client.Zone)
	in.Record = d.Record
	// Nobody's address from a hop that is not trusted (C9), an address that nobody
	// vouches for (C4, A15), and one that could not be looked up are under the
	// safe tier's limit, unless the route says otherwise of the last; and so is one of
	// which nothing is known until a provider has answered.
	bogon := d.Record.Traits().Has(ipwarden.Bogon) && d.Client.Status != clientip.Internal
	unknown := d.Incomplete && d.Record.Hot() == 0 // and somebody is being asked who may know
	in.Safe = in.Unverified || bogon || unknown || err != nil && route.FailMode != policy.FailOpen
	return err == nil
}

// assess computes the score, and checks what a crawler says of itself.
func (g *Gate) assess(d *Decision) {
	in := &d.input
	in.Crawler, in.CrawlerName, in.CrawlerPurpose = policy.NotCrawler, "", ""
	switch {
	case in.Unverified:
	case d.Record.Traits().Has(ipwarden.Crawler):
		in.Crawler = policy.Verified
		in.CrawlerName = d.Record.Security().Crawler.Name
	case g.cfg.Crawlers != nil:
		if agent := d.header("User-Agent"); agent != "" {
			in.CrawlerName, in.Crawler = g.cfg.Crawlers.Check(agent, d.Client.Addr, d.Time)
			if in.Crawler == policy.Verified {
				in.CrawlerPurpose = g.cfg.Crawlers.Purpose(in.CrawlerName)
			}
		}
	}
	// What did not change is not written: it is read at once, and in other pieces.
	if claims := in.Crawler == policy.Failed; d.situation.ClaimsCrawler != claims {
		d.situation.ClaimsCrawler = claims
	}
	if account := d.request.Account; len(account) > 0 {
		d.situation.BillingCountry, d.situation.LastCountry = account["billing_country"], account["last_country"]
	}
	d.program.model.Assess(d.Record, d.situation, d.Time, &d.risk)
	d.Score, d.Shared = d.risk.Score, d.risk.Shared
	in.Score, in.Shared = d.Score, d.Shared
	in.Cleared = g.cfg.Challenges != nil && !in.Unverified && g.cfg.Challenges.Cleared(&d.request, d.Client.Addr, d.Score, d.Time)
}

// header returns the first line of a field.
func (d *Decision) header(name string) string {
	if d.request.Header == nil {
		return ""
	}
	if v := d.request.Header.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// decidedByOperator reports whether an operator's entry is the last word.
func (d *Decision) decidedByOperator() bool {
	switch d.Reason {
	case policy.ByAddress, policy.ByASN, policy.ByCountry:
		return d.Verdict != ipwarden.Flag
	case policy.ByBan:
		return d.Verdict == ipwarden.Block
	}
	return false
}

// refuse overrules the program.
func (d *Decision) refuse(v ipwarden.Verdict, why policy.Reason) {
	d.Verdict, d.Reason, d.Response, d.Rule, d.List, d.Ban = v, why, nil, nil, nil, nil
	d.Uses = d.Uses[:0]
}

// locate fills in where the client is sent.
func (g *Gate) locate(d *Decision) {
	switch {
	case d.Response.IsRedirect():
		d.location = d.Response.AppendLocation(d.location[:0], &d.input)
	case d.Verdict == ipwarden.Challenge && g.cfg.Challenges != nil:
		d.location = g.cfg.Challenges.AppendLocation(d.location[:0], &d.request, d.Client.Addr, d.Score, d.Time)
	default:
		return
	}
	d.Location = string(d.location)
}

// note counts the decision, remembers it and writes it down.
func (g *Gate) note(d *Decision) {
	if d.peek {
		return
	}
	g.stats.count(d)
	if g.cfg.Refused != nil && !d.Passes() {
		g.cfg.Refused(d, d.header("User-Agent"))
	}
	if g.recent != nil {
		g.recent.remember(d)
	}
	if g.cfg.Journal != nil {
		g.cfg.Journal.Write(d)
	}
}
