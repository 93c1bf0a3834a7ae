package policy

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Config is a program as data. New copies what it keeps. Conditions refer to
// lists by their index, and everything refers to limits by their index plus one,
// so that the zero value is none.
type Config struct {
	Lists []List
	// Tiers, of which the first that holds counts; default none.
	Tiers []Tier
	// Rules in the order in which they are asked.
	Rules []Rule
	// Thresholds in any order; the highest that the score reaches counts.
	Thresholds []Threshold
	Crawlers   Crawlers
	Limits     []Limit
	Routes     []Route // the first that holds counts
	Responses  []Response
	// Default is what happens when nothing else decides; NoVerdict is Allow.
	Default ipwarden.Verdict
	// DefaultRoute is for requests that no route is for. A budget of 0 is
	// DefaultBudget.
	DefaultRoute Route
	// Safe is the number of the safe tier's limit plus one; 0 is 20 a minute for
	// each address.
	Safe  int
	Paths Paths
	// Foreign runs what has no form in an Expr.
	Foreign []Foreign
	// Scores answers the fields ip.security.scores.*; nil answers 0.
	Scores func(ipwarden.Record, time.Time) ipwarden.Scores
}

// DefaultBudget is how long a decision may take where a route does not say.
const DefaultBudget = 5 * time.Millisecond

// SafeLimit is the limit of the safe tier where a program gives none.
const SafeLimit = 20 // a minute, for each address

// A Program decides. It is immutable and safe for concurrent use.
type Program struct {
	cfg        Config
	sets       []*Set
	entries    *entries
	rules      []builtRule
	index      *index // of the conditions of tiers, rules and general, in this order
	tiers      []builtTier
	thresholds []Threshold // the highest score first
	limits     []*Limit
	general    []*Limit // those of no tier, rule or list
	safe       *Limit
	safeTier   Tier
	responses  responses
	scores     func(ipwarden.Record, time.Time) ipwarden.Scores
	scope      *scope
}

type builtRule struct {
	when condition // nil: always
	rule *Rule
}

type builtTier struct {
	when condition
	tier *Tier
}

// maxParts bounds each kind of part of a program.
const maxParts = 10_000

// New checks a program and prepares it. The error joins all mistakes.
func New(cfg Config) (*Program, error) {
	cfg.Lists, cfg.Tiers, cfg.Rules = slices.Clone(cfg.Lists), slices.Clone(cfg.Tiers), slices.Clone(cfg.Rules)
	cfg.Thresholds, cfg.Limits = slices.Clone(cfg.Thresholds), slices.Clone(cfg.Limits)
	cfg.Routes, cfg.Responses, cfg.Foreign = slices.Clone(cfg.Routes), slices.Clone(cfg.Responses), slices.Clone(cfg.Foreign)
	if len(cfg.Lists) > maxParts || len(cfg.Tiers) > maxParts || len(cfg.Rules) > maxParts || len(cfg.Limits) > maxParts {
		return nil, errors.New("policy: more than " + strconv.Itoa(maxParts) + " lists, tiers, rules or limits")
	}
	if cfg.Safe == 0 {
		cfg.Limits = append(cfg.Limits, Limit{
			Name: "safe", Algorithm: GCRA, Limit: SafeLimit, Window: time.Minute,
			Rollup: [2]uint32{4, 16}, FromTier: true,
		})
		cfg.Safe = len(cfg.Limits)
	}
	if cfg.Default == ipwarden.NoVerdict {
		cfg.Default = ipwarden.Allow
	}
	if cfg.DefaultRoute.Name == "" {
		cfg.DefaultRoute.Name = "default"
	}
	if cfg.DefaultRoute.Budget == 0 {
		cfg.DefaultRoute.Budget = DefaultBudget
	}
	for i := range cfg.Routes {
		if cfg.Routes[i].Budget == 0 {
			cfg.Routes[i].Budget = cfg.DefaultRoute.Budget
		}
		cfg.Routes[i].starts = startsOf(cfg.Routes[i].Paths)
	}
	p := &Program{cfg: cfg, scores: cfg.Scores, scope: new(scope)}
	b := &builder{foreign: cfg.Foreign}
	for i := range cfg.Lists {
		b.errs = append(b.errs, cfg.Lists[i].check(len(cfg.Limits))...)
		p.sets = append(p.sets, newSet(&cfg.Lists[i]))
	}
	b.sets = p.sets
	p.entries = newEntries(cfg.Lists)
	p.buildResponses(b)
	p.buildLimits(b)
	p.buildTiers(b)
	p.buildRules(b)
	p.buildIndex()
	p.buildThresholds(b)
	p.checkCrawlers(b)
	for i, e := range b.errs {
		b.errs[i] = errors.New("policy: " + e.Error())
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// Config is the program as data again, with the defaults filled in: New makes the same
// program of it. What With added is no part of it. It must not be changed.
func (p *Program) Config() Config { return p.cfg }

// Limits returns every limit, by its index; that of the safe tier, of the tiers,
// of rules and of lists among them.
func (p *Program) Limits() []*Limit { return p.limits }

// Safe is the limit of the safe tier, for requests of which nothing can be known.
func (p *Program) Safe() *Limit { return p.safe }

// Paths says how the upstream reads a path.
func (p *Program) Paths() Paths { return p.cfg.Paths }

// Rules, Tiers, Routes, Lists and Thresholds return the parts, in their order;
// thresholds from the highest score down. They must not be changed.
func (p *Program) Rules() []Rule { return p.cfg.Rules }

func (p *Program) Tiers() []Tier { return p.cfg.Tiers }

func (p *Program) Routes() []Route { return p.cfg.Routes }

func (p *Program) Lists() []List { return p.cfg.Lists }

func (p *Program) Thresholds() []Threshold { return p.thresholds }

// Response returns the response of a name, or what a verdict has of its own;
// nil when the policy says nothing.
func (p *Program) Response(name string, v ipwarden.Verdict) *Response {
	return p.responses.of(name, v)
}

// OverLimit returns the response for who is over a limit; nil when the policy
// says nothing.
func (p *Program) OverLimit(l *Limit) *Response {
	return p.responses.of(l.Response, ipwarden.Throttle)
}

// Route returns the route of a request: never nil. A gate asks before the
// look-up, whose budget the route has.
func (p *Program) Route(q *ipwarden.Request) *Route {
	if q != nil && len(p.cfg.Routes) > 0 {
		start := startMark(q.Path)
		for i := range p.cfg.Routes {
			if r := &p.cfg.Routes[i]; r.starts.has(start) && r.holds(q) {
				return r
			}
		}
	}
	return &p.cfg.DefaultRoute
}
