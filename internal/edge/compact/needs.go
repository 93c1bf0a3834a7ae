package compact

import (
	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// Needs are what of an address is kept.
type Needs struct {
	Fields ipwarden.Fields
	Traits ipwarden.Traits
	// Score keeps what the risk score is the sum of.
	Score bool
}

// anyway are the traits that every decision asks for: nobody's addresses are in the
// safe tier, published crawlers are verified, and shared addresses are not blocked by
// reputation alone.
const anyway = ipwarden.Bogon | ipwarden.Crawler | ipwarden.Relay | ipwarden.Mobile | ipwarden.Satellite

// scored are the traits behind the signals of the score.
const scored = ipwarden.Anonymous | ipwarden.Threat | ipwarden.Hosting | ipwarden.Scanner | ipwarden.Crawler | ipwarden.Mobile

// NeedsOf is what a program reads. Conditions ask for fields; lists, keys of limits,
// thresholds and challenges for what they are about.
func NeedsOf(c policy.Config) Needs {
	n := Needs{Traits: anyway, Fields: ipwarden.FieldsOf(ipwarden.FieldCrawlerName, ipwarden.FieldCrawlerPurpose)}
	Walk(c, func(_ Where, e *policy.Expr) {
		switch e.Op {
		case policy.OpField:
			n.field(e.Field)
		case policy.OpScore:
			n.Score = true
		case policy.OpInList:
			if len(e.Args) == 0 && e.Int >= 0 && e.Int < int64(len(c.Lists)) {
				n.list(&c.Lists[e.Int])
			}
		}
	})
	challenge := c.Default == ipwarden.Challenge
	for i := range c.Lists {
		if c.Lists[i].Action != ipwarden.NoVerdict {
			n.list(&c.Lists[i])
			challenge = challenge || c.Lists[i].Action == ipwarden.Challenge
		}
	}
	for i := range c.Rules {
		challenge = challenge || c.Rules[i].Action == ipwarden.Challenge
	}
	for i := range c.Tiers {
		challenge = challenge || c.Tiers[i].Action == ipwarden.Challenge
	}
	for i := range c.Limits {
		for _, k := range c.Limits[i].Key {
			switch k.Kind {
			case policy.KeyASN:
				n.field(ipwarden.FieldASNumber)
			case policy.KeyCountry:
				n.field(ipwarden.FieldCountryCode)
			}
		}
	}
	if n.Score || len(c.Thresholds) > 0 || challenge { // a clearance is bound to the score
		n.KeepScore()
	}
	return n
}

// KeepScore keeps what the score is the sum of.
func (n *Needs) KeepScore() {
	n.Score = true
	n.Traits |= scored
	n.field(ipwarden.FieldCountryCode) // which may be another than that of the bill
}

// Keep adds a field that nothing reads, for who wants to be told of it.
func (n *Needs) Keep(f ipwarden.Field) { n.field(f) }

func (n *Needs) field(f ipwarden.Field) {
	n.Fields = n.Fields.With(f)
	n.Traits |= f.Traits()
	if f >= ipwarden.FieldScoreVPN && f <= ipwarden.FieldScoreTrust {
		n.Traits |= scored
		n.Fields = n.Fields.With(ipwarden.FieldListings).With(ipwarden.FieldASNumber)
	}
}

func (n *Needs) list(l *policy.List) {
	asn, country := len(l.ASNs) > 0, len(l.Countries) > 0
	for i := range l.Timed {
		asn, country = asn || l.Timed[i].ASN != 0, country || l.Timed[i].Country != ""
	}
	if asn {
		n.field(ipwarden.FieldASNumber)
	}
	if country {
		n.field(ipwarden.FieldCountryCode)
	}
}

// Where says in which part of a policy an expression is.
type Where struct {
	Kind, Name string // "rule", "tor"
	Line       int
}

// Walk calls f for every expression of a program, from the top down.
func Walk(c policy.Config, f func(Where, *policy.Expr)) {
	in := func(w Where, all ...*policy.Expr) {
		for _, e := range all {
			if e.Op != policy.NoOp {
				e.Walk(func(e *policy.Expr) { f(w, e) })
			}
		}
	}
	for i := range c.Tiers {
		t := &c.Tiers[i]
		in(Where{"tier", t.Name, t.Line}, &t.When)
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		in(Where{"rule", r.Name, r.Line}, &r.When)
	}
	for i := range c.Limits {
		l := &c.Limits[i]
		w := Where{"limit", l.Name, l.Line}
		in(w, &l.When, &l.CostExpr, &l.Count)
		for j := range l.Key {
			in(w, &l.Key[j].Expr)
		}
	}
	for i := range c.Responses {
		r := &c.Responses[i]
		for j := range r.Redirect {
			in(Where{"response", r.Name, r.Line}, &r.Redirect[j])
		}
	}
}
