package compile

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// An Explanation is how a policy came to its verdict.
type Explanation struct {
	Decision policy.Decision
	Risk     risk.Explanation
	// Steps are the parts of the policy that have something to say of the request,
	// in the order in which they are asked.
	Steps []Step
	// Flips are the smallest changes that would give another verdict, the smallest
	// first; at most maxFlips.
	Flips []Flip
}

// A Step is one part of a policy: what it is, where it stands, and what it says.
type Step struct {
	Part    string // "list", "crawlers", "tier", "rule", "threshold", "default", "clearance", "limit"
	Name    string
	Line    int // 0: not in the file
	When    string
	Says    string // what it says of the request
	Decided bool   // the verdict is its
}

// A Flip is a change and what it would lead to.
type Flip struct {
	Change  string
	Verdict ipwarden.Verdict
	Because string
}

// Explain decides about in and says why. in.Score and in.Shared are those of the
// policy's own risk model.
func (p *Policy) Explain(in *policy.Input) *Explanation {
	x := &Explanation{}
	p.assess(in)
	p.Program.Decide(in, &x.Decision)
	x.Risk = p.Risk.Explain(in.Record, Situation(request(in), in.Crawler), in.Now)
	p.steps(in, x)
	x.Flips = p.flips(in, x.Decision.Verdict)
	return x
}

func request(in *policy.Input) *ipwarden.Request {
	if in.Request == nil {
		return &ipwarden.Request{}
	}
	return in.Request
}

// assess puts the score of the policy's model into in.
func (p *Policy) assess(in *policy.Input) {
	var a risk.Assessment
	p.Risk.Assess(in.Record, Situation(request(in), in.Crawler), in.Now, &a)
	in.Score, in.Shared = a.Score, a.Shared
}

// steps lists what has something to say.
func (p *Policy) steps(in *policy.Input, x *Explanation) {
	d := &x.Decision
	add := func(s Step) { x.Steps = append(x.Steps, s) }
	for i := range p.Program.Lists() {
		l := &p.Program.Lists()[i]
		if l.Action == ipwarden.NoVerdict || in.Unverified || !in.Set(i).Holds(in) {
			continue
		}
		says := l.Action.String()
		step := Step{Part: "list", Name: l.Name, Line: l.Line}
		until := l.Expires
		if its := d.List != nil && d.List.Name == l.Name; its {
			// The line of the entry, where it has one of its own.
			step.Line, until = d.List.Line, d.List.Expires
			step.Decided = d.Reason <= policy.ByCountry
		} else {
			says += ", and another entry goes before it"
		}
		if !until.IsZero() {
			says += ", until " + until.UTC().Format(time.RFC3339)
		}
		if why := reasonOf(l, step.Line, until); why != "" {
			says += " (" + why + ")"
		}
		step.Says = says
		add(step)
	}
	if in.Crawler != policy.NotCrawler {
		add(Step{Part: "crawlers", Name: in.CrawlerName, Says: in.Crawler.String(), Decided: d.Reason == policy.ByCrawler || d.Reason == policy.ByPending})
	}
	ended := d.Reason <= policy.ByCrawler && d.Reason != policy.NoReason && d.Verdict != ipwarden.Flag
	if !ended {
		p.walkSteps(in, d, add)
	}
	if d.Reason == policy.ByDefault {
		add(Step{Part: "default", Says: p.Program.Default(), Decided: true})
	}
	if d.Reason == policy.ByClearance {
		add(Step{Part: "clearance", Says: "lifts the challenge", Decided: true})
	}
	for i := range d.Uses {
		add(p.limitStep(&d.Uses[i], in))
	}
}

// reasonOf is why an entry that ends then is in the list, "" when nobody said.
func reasonOf(l *policy.List, line int, until time.Time) string {
	for i := range l.Timed {
		if t := &l.Timed[i]; t.Line == line && t.Expires.Equal(until) {
			return t.Reason
		}
	}
	return ""
}

// walkSteps lists the tier, the rules and the threshold.
func (p *Policy) walkSteps(in *policy.Input, d *policy.Decision, add func(Step)) {
	if t := d.Tier; t != nil {
		var rates []string
		for _, n := range t.Limits {
			rates = append(rates, rateText(p.Program.Limits()[n]))
		}
		says := "no limits"
		if len(rates) > 0 {
			says = strings.Join(rates, ", ")
		}
		if t.Action != ipwarden.NoVerdict {
			says = t.Action.String()
		}
		add(Step{Part: "tier", Name: t.Name, Line: t.Line, When: p.source(t.Line), Says: says, Decided: d.Reason == policy.ByTier})
	}
	for i := range p.Program.Rules() {
		r := &p.Program.Rules()[i]
		if !p.Program.RuleHolds(i, in) {
			continue
		}
		says := r.Action.String()
		if r.Action == ipwarden.NoVerdict {
			says = "tags " + strings.Join(r.Tags, ", ")
		}
		if r.Continue {
			says += ", and goes on"
		}
		for _, s := range d.Shadow {
			if s == r {
				says += ", in shadow or of another share"
			}
		}
		decided := d.Rule == r && (d.Reason == policy.ByRule || d.Reason == policy.ByPending || d.Reason == policy.ByClearance)
		add(Step{Part: "rule", Name: r.Name, Line: r.Line, When: p.source(r.Line), Says: says, Decided: decided})
		if d.Rule == r && r.Action != ipwarden.Flag && !r.Continue {
			return // it ended the walk
		}
	}
	for i := range p.Program.Thresholds() {
		t := &p.Program.Thresholds()[i]
		if in.Score >= t.Score && !in.Safe && !in.Unverified {
			add(Step{Part: "threshold", Name: fmt.Sprint(t.Score), Line: t.Line, Says: t.Action.String(), Decided: d.Threshold == t})
			return
		}
	}
}

func (p *Policy) limitStep(u *policy.Use, in *policy.Input) Step {
	l := u.Limit
	says := rateText(l)
	if l.CountsOutcomes() {
		says += ", counting outcomes"
	} else if u.Cost != 1 {
		says += fmt.Sprintf(", of which this costs %d", u.Cost)
	}
	if u.Raise > 1 {
		says += fmt.Sprintf(", times %d because the address is shared", u.Raise)
	}
	if _, ok := l.AppendKey(nil, in); !ok {
		says += "; not counted, because a part of its key is missing"
	}
	if l.Ban != 0 {
		says += "; who goes over it is shut out for " + short(l.Ban)
		if in.Shared {
			says += ", but not a shared address"
		}
	}
	s := Step{Part: "limit", Name: l.Name, Line: l.Line, Says: says}
	if !l.FromTier { // which has its condition elsewhere
		s.When = p.source(l.Line)
	}
	return s
}

// rateText is a limit's rate for people: 5 per 1m.
func rateText(l *policy.Limit) string {
	return fmt.Sprintf("%d per %s", l.Limit, short(l.Window))
}

// short writes 10m0s as 10m, and 1h0m0s as 1h.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-2]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-2]
	}
	return text
}

// source is the condition in some line, in one line.
func (p *Policy) source(line int) string { return strings.Join(strings.Fields(p.sources[line]), " ") }

// Source is the condition of the rule, tier or limit in some line, in one line; "" for
// none.
func (p *Policy) Source(line int) string { return p.source(line) }
