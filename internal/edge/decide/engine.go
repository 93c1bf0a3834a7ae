package decide

import (
	"errors"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/edge/compact"
	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// Config says what an engine decides with.
type Config struct {
	Program []byte // of pack.Encode
	Dataset []byte // of compact.Encode; it is kept
	Seed    [16]byte
	// Limits is how many keys of limits are counted at once. Default 16384, of 24 bytes.
	Limits int
	// Now is when the engine begins to count.
	Now time.Time
}

// An Engine decides one request after the other. It is not safe for concurrent use, and
// neither is what it returns, which holds until the next request.
type Engine struct {
	program *policy.Program
	model   *risk.Model
	data    *compact.Data
	claims  *claims
	told    pack.Told

	limiter *limit.Memory
	hasher  limit.Hasher
	rates   []limit.Rate
	salts   []limit.Salt
	spaces  [][]byte

	// Memory that is used again.
	request  ipwarden.Request
	lines    ipwarden.Lines
	account  map[string]string
	input    policy.Input
	decision policy.Decision
	risk     risk.Assessment
	takes    []limit.Request
	from     []taken
	results  []limit.Result
	tuple    []byte
	location []byte
	out      []byte
}

// New makes an engine. The error says what is wrong with the program or the dataset.
func New(cfg Config) (*Engine, error) {
	p, err := pack.Decode(cfg.Program)
	if err != nil {
		return nil, err
	}
	p.Policy.Scores = risk.Scores
	e := &Engine{told: p.Told, account: map[string]string{}, hasher: limit.NewHasher(cfg.Seed)}
	var errs [3]error
	e.program, errs[0] = policy.New(p.Policy)
	e.model, errs[1] = risk.NewModel(p.Risk)
	e.data, errs[2] = compact.Open(cfg.Dataset)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	e.claims = newClaims(p.Crawlers, p.Together)
	if cfg.Limits <= 0 {
		cfg.Limits = 1 << 14
	}
	start := cfg.Now
	if e.limiter, err = limit.NewMemory(limit.MemoryConfig{Entries: cfg.Limits, Now: func() time.Time { return start }}); err != nil {
		return nil, err
	}
	return e, e.prepareLimits()
}

// Date is that of the dataset, and Ranges how many ranges of addresses it has.
func (e *Engine) Date() time.Time { return e.data.Date() }
func (e *Engine) Ranges() int     { return e.data.Ranges() }

// Reads lists the names of the header fields that the program reads, in canonical form;
// all others need not be told.
func (e *Engine) Reads() []string {
	names := map[string]bool{}
	if e.claims != nil {
		names["User-Agent"] = true
	}
	c := e.program.Config()
	compact.Walk(c, func(_ compact.Where, x *policy.Expr) {
		switch x.Op {
		case policy.OpHeader, policy.OpHasHeader:
			names[x.Text] = true
		case policy.OpCookie, policy.OpHasCookie:
			names["Cookie"] = true
		}
	})
	for i := range c.Limits {
		for _, k := range c.Limits[i].Key {
			switch k.Kind {
			case policy.KeyHeader:
				names[k.Name] = true
			case policy.KeyCookie:
				names["Cookie"] = true
			case policy.KeyAPIKey:
				names["X-Api-Key"], names["Authorization"] = true, true
			}
		}
	}
	var all []string
	for n := range names {
		all = append(all, n)
	}
	return all
}

// Decide answers a request.
func (e *Engine) Decide(request []byte) []byte {
	e.out = append(e.out[:0], make([]byte, verdictHead)...)
	asked, ok := e.read(request)
	if !ok {
		e.out = append(e.out[:0], BadRequest)
		return e.out
	}
	if !asked.addr.IsValid() {
		e.out = append(e.out[:0], NoAddress)
		return e.out
	}
	in, d := &e.input, &e.decision
	path, err := e.program.Paths().Normalize(e.request.Path)
	if err == nil {
		e.request.Path = path
	}
	in.Request, in.Route = &e.request, e.program.Route(&e.request)
	in.Client, in.ClientStatus, in.Unverified = asked.addr, "forwarded", false
	in.Now, in.Sample, in.Ban = asked.now, asked.sample, nil
	in.Record = e.data.Lookup(asked.addr)
	in.Safe = in.Record.Traits().Has(ipwarden.Bogon)
	e.assess(asked)
	e.program.Decide(in, d)
	if err != nil {
		e.refuse(ipwarden.Block, policy.ByAmbiguousPath)
	}
	said := verdict{limited: len(d.Uses) > 0}
	if d.Verdict.Passes() {
		e.collect()
		e.take(asked, &said)
	}
	if d.Verdict == ipwarden.Throttle && said.retry == 0 {
		said.retry = policy.RetryAfter
	}
	e.location = e.location[:0]
	if d.Response.IsRedirect() {
		e.location = d.Response.AppendLocation(e.location, in)
	}
	if len(e.location) > maxLocation {
		e.out = append(e.out[:0], TooLong) // half of it would be another place
		return e.out
	}
	e.write(&said)
	return e.out
}

// assess computes the score, and says what is known of a crawler.
func (e *Engine) assess(asked asked) {
	in := &e.input
	in.Crawler, in.CrawlerName, in.CrawlerPurpose = policy.NotCrawler, "", ""
	if in.Record.Traits().Has(ipwarden.Crawler) {
		in.Crawler, in.CrawlerName = policy.Verified, in.Record.Security().Crawler.Name
	} else if e.claims != nil {
		if agents := e.lines.Values("User-Agent"); len(agents) > 0 && agents[0] != "" {
			in.CrawlerName, in.Crawler = e.claims.check(agents[0], in.Client)
		}
	}
	s := risk.Situation{ClaimsCrawler: in.Crawler == policy.Failed}
	if len(e.account) > 0 {
		s.BillingCountry, s.LastCountry = e.account["billing_country"], e.account["last_country"]
	}
	e.model.Assess(in.Record, s, in.Now, &e.risk)
	in.Score, in.Shared = e.risk.Score, e.risk.Shared
	in.Cleared = asked.cleared > int(in.Score)
}

func (e *Engine) refuse(v ipwarden.Verdict, why policy.Reason) {
	d := &e.decision
	d.Verdict, d.Reason, d.Response, d.Rule, d.List, d.Uses = v, why, nil, nil, nil, d.Uses[:0]
}

// upper is a method as upstreams read it that do not tell capitals from small letters.
func upper(m string) string {
	for i := range len(m) {
		if m[i] >= 'a' {
			return strings.ToUpper(m)
		}
	}
	return m
}
