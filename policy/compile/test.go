package compile

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/overlay"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// A Test is a request of the file's tests and what is expected of it. What is
// known of the address is in the test itself, so that no dataset changes its
// outcome.
type Test struct {
	Name    string
	Request ipwarden.Request
	Client  netip.Addr
	Facts   []overlay.Fact
	// Score and Shared, when given, are instead of what the risk model says.
	Score  *uint8
	Shared *bool
	// The rest of policy.Input.
	ClientStatus            string
	Crawler                 policy.Crawler
	CrawlerName             string
	Cleared, Safe, Unlisted bool
	Now                     time.Time
	Sample                  uint32
	// Nth: so many requests of this kind came at once, and this is the last; 0 is 1.
	// Before is what became of the others.
	Nth    int
	Before policy.Outcome
	Expect Expect
	Line   int

	column int
}

// Expect is what a test wants; what is empty is not compared.
type Expect struct {
	Verdict  ipwarden.Verdict
	Reason   string
	Rule     string
	Tier     string
	Limits   []string // all of them, in order
	Tags     []string // all of them, in order
	Redirect string
	Softened *bool
	Over     string // the limit that it is over

	limits, tags bool // given, perhaps as none
}

// A Result is what came of a test.
type Result struct {
	Test     *Test
	Decision policy.Decision
	Over     string   // the limit that refuses it, "" for none
	Wrong    []string // what differs; none when the test passed
}

// OK reports whether the test passed.
func (r *Result) OK() bool { return len(r.Wrong) == 0 }

// defaultTestTime is when a test takes place that does not say: a fixed day, so
// that what expires does not change it.
var defaultTestTime = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// RunTests runs the file's tests.
func (p *Policy) RunTests() []Result {
	out := make([]Result, len(p.Tests))
	for i := range p.Tests {
		out[i] = p.Run(&p.Tests[i])
	}
	return out
}

// Run runs one test.
func (p *Policy) Run(t *Test) Result {
	in, err := p.input(t)
	r := Result{Test: t}
	if err != nil {
		r.Wrong = []string{err.Error()}
		return r
	}
	p.Program.Decide(in, &r.Decision)
	if l := over(in, &r.Decision, max(t.Nth, 1), &t.Before); l != nil {
		r.Over = l.Name
		r.Decision.Verdict, r.Decision.Reason, r.Decision.Response = ipwarden.Throttle, policy.ByLimit, p.Program.OverLimit(l)
		r.Decision.List, r.Decision.Rule, r.Decision.Threshold = nil, nil, nil
	}
	r.Wrong = t.Expect.compare(in, &r.Decision, r.Over)
	return r
}

// input makes what the test describes.
func (p *Policy) input(t *Test) (*policy.Input, error) {
	rec, err := recordOf(t.Client, t.Facts)
	if err != nil {
		return nil, err
	}
	in := &policy.Input{
		Request: &t.Request, Client: t.Client, ClientStatus: t.ClientStatus, Record: rec,
		Crawler: t.Crawler, CrawlerName: t.CrawlerName, Cleared: t.Cleared, Safe: t.Safe, Unverified: t.Unlisted,
		Now: t.Now, Sample: t.Sample,
	}
	var a risk.Assessment
	p.Risk.Assess(rec, Situation(&t.Request, t.Crawler), t.Now, &a)
	in.Score, in.Shared = a.Score, a.Shared
	if t.Score != nil {
		in.Score = *t.Score
	}
	if t.Shared != nil {
		in.Shared = *t.Shared
	}
	if in.Crawler == policy.NotCrawler && rec.Traits().Has(ipwarden.Crawler) {
		in.Crawler = policy.Verified // by its published ranges
	}
	return in, nil
}

// Situation is what the account and a claim to be a crawler say to the risk
// model: account.billing_country and account.last_country.
func Situation(q *ipwarden.Request, c policy.Crawler) risk.Situation {
	return risk.Situation{
		BillingCountry: q.Account["billing_country"], LastCountry: q.Account["last_country"],
		ClaimsCrawler: c == policy.Failed,
	}
}

// recordOf is an address of which only the facts are known.
func recordOf(addr netip.Addr, facts []overlay.Fact) (ipwarden.Record, error) {
	nothing := ipwarden.SourceFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
		return ipwarden.NewRecord(a, ipwarden.Full{}), nil
	})
	var entries []overlay.Entry
	if len(facts) > 0 {
		entries = []overlay.Entry{{Network: netip.PrefixFrom(addr, addr.BitLen()), Facts: facts, Reason: "test", Owner: "test"}}
	}
	o, err := overlay.New(overlay.Config{Source: nothing, Entries: entries})
	if err != nil {
		return ipwarden.Record{}, err
	}
	return o.Lookup(context.Background(), addr)
}

func (e *Expect) compare(in *policy.Input, d *policy.Decision, over string) (wrong []string) {
	differ := func(what, got, want string) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s %s, not %s", what, orNone(got), orNone(want)))
		}
	}
	if e.Verdict != ipwarden.NoVerdict && d.Verdict != e.Verdict {
		differ("the verdict is", d.Verdict.String(), e.Verdict.String())
		because := Because(d)
		if over != "" {
			because += fmt.Sprintf(" %q", over)
		}
		wrong[0] += " (" + because + ")"
	}
	if e.Reason != "" {
		differ("the reason is", d.Reason.String(), e.Reason)
	}
	if e.Rule != "" {
		name := ""
		if d.Rule != nil {
			name = d.Rule.Name
		}
		differ("the rule is", name, e.Rule)
	}
	if e.Tier != "" {
		name := ""
		if d.Tier != nil {
			name = d.Tier.Name
		}
		differ("the tier is", name, e.Tier)
	}
	if e.limits {
		var names []string
		for _, u := range d.Uses {
			names = append(names, u.Limit.Name)
		}
		differ("the limits are", strings.Join(names, ", "), strings.Join(e.Limits, ", "))
	}
	if e.tags {
		differ("the tags are", strings.Join(d.Tags, ", "), strings.Join(e.Tags, ", "))
	}
	if e.Redirect != "" {
		location := ""
		if d.Response.IsRedirect() {
			location = string(d.Response.AppendLocation(nil, in))
		}
		differ("the redirect is", location, e.Redirect)
	}
	if e.Over != "" {
		differ("the limit that it is over is", over, e.Over)
	}
	if e.Softened != nil && d.Softened != *e.Softened {
		differ("softened is", fmt.Sprint(d.Softened), fmt.Sprint(*e.Softened))
	}
	return wrong
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Because says in a few words what decided.
func Because(d *policy.Decision) string {
	s := "by " + d.Reason.String()
	switch {
	case d.List != nil:
		s += fmt.Sprintf(" %q in line %d", d.List.Name, d.List.Line)
	case d.Rule != nil:
		s += fmt.Sprintf(" %q in line %d", d.Rule.Name, d.Rule.Line)
	case d.Threshold != nil:
		s += fmt.Sprintf(" %d in line %d", d.Threshold.Score, d.Threshold.Line)
	case d.Reason == policy.ByTier && d.Tier != nil:
		s += fmt.Sprintf(" %q in line %d", d.Tier.Name, d.Tier.Line)
	}
	return s
}
