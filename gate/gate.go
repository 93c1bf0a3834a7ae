package gate

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// Config says what a gate decides with.
type Config struct {
	// Source says who an address is. A dataset that is swapped in place is one. One
	// that is an ipwarden.Asker, as source.Layered is, waits for what is outside as
	// the route says. One that is an ipwarden.LocalSource, as a dataset is, is asked in
	// place. Any other may wait: it is asked beside, and has what is left of the
	// budget. Required.
	Source ipwarden.Source

	// Program is the policy. Required.
	Program *policy.Program

	// Client finds the client's address. Default: the peer itself, and no header
	// is believed.
	Client *clientip.Extractor

	// Limiter holds the counts. Default: a table in this process, 32 MiB.
	Limiter limit.Limiter

	// Attempts tells other nodes of requests that were let in and whose outcome is not
	// known. Default: each node knows its own, and takes the outcomes of its own
	// decisions alone.
	Attempts limit.Attempts

	// Seed keys the hashes that limits count under. Nodes that share a Limiter
	// need the same. Default: random.
	Seed [16]byte

	// Bans are networks that are shut out for a while, by what happens. Limits that
	// ban who goes over them need a Banner, such as a ban.Table. Default: none.
	Bans Bans

	// Risk turns what is known into a score. Default: risk.DefaultModel.
	Risk *risk.Model

	// Crawlers verifies those who say that they are crawlers. Default: only the
	// operators' published ranges, which the dataset has.
	Crawlers Crawlers

	// Challenges sends a client to prove itself. Default: what is to be challenged
	// is refused.
	Challenges Challenges

	// Refused is told of each decision that lets nobody in, with the user agent, for
	// who watches what goes on. It must neither block nor keep the Decision. Default:
	// nobody is.
	Refused func(d *Decision, userAgent string)

	// Journal is the decision log. Default: none.
	Journal *Journal

	// OlderHeaders adds X-RateLimit-Limit, -Remaining and -Reset to answers, for
	// clients that do not know the RateLimit fields. Default: false.
	OlderHeaders bool

	// RateLimitOnRefusals leaves the RateLimit fields out of answers to requests that
	// go on: a proxy in between need not carry them. Default: they are in every answer.
	RateLimitOnRefusals bool

	// Enrich names what the application is told of a request besides the verdict, of
	// [Enrichments]: each costs the proxy in between some time, too. Empty but not
	// nil is nothing. Default: all of it.
	Enrich []string

	// Remember is how many decisions are kept for questions, and how many that
	// wait for their outcome; some 1.2 KiB for each. Default: 8192; at most 1,048,576; negative: none.
	Remember int

	// Now is the clock. Default: the system's, of at most a millisecond ago while there
	// is much to do and nothing waits for others.
	Now func() time.Time
}

// Bans knows who is shut out for a while.
type Bans interface {
	// Find returns the ban of the longest prefix round an address that runs now, nil
	// for none. What it returns does not change. It must not block.
	Find(addr netip.Addr, now time.Time) *policy.Ban
}

// A Banner is Bans that limits add to, those with a Ban. A ban.Table is one.
type Banner interface {
	Bans
	// Over shuts out a network that went over the limit of this name, and reports
	// whether it did. It must not block.
	Over(network netip.Prefix, limit string, until time.Time) bool
}

// Crawlers verifies crawlers without making anybody wait.
type Crawlers interface {
	// Check says whether a user agent claims to be a crawler, which one, and what
	// is known of the claim by now. What is not known yet is looked up behind the
	// request. It must not block.
	Check(userAgent string, addr netip.Addr, now time.Time) (name string, state policy.Crawler)
	// Purpose is that of a name that Check gave, "" when unknown: search,
	// ai_training and so on.
	Purpose(name string) string
}

// Challenges lets a client prove itself, and knows who has.
type Challenges interface {
	// Cleared reports whether a request brings a clearance that holds for the
	// client's network and this score.
	Cleared(req *ipwarden.Request, client netip.Addr, score uint8, now time.Time) bool
	// AppendLocation appends where to send the client for the challenge.
	AppendLocation(dst []byte, req *ipwarden.Request, client netip.Addr, score uint8, now time.Time) []byte
}

// A Gate decides. It is safe for concurrent use.
type Gate struct {
	*core
	clients atomic.Pointer[clientip.Extractor]
}

// core is what all views of a gate share.
type core struct {
	cfg     Config
	asker   ipwarden.Asker // the Source, where it is one
	hasty   *hasty         // the Source, where it may wait
	hasher  limit.Hasher
	program atomic.Pointer[program]
	toucher toucher // the Limiter, if it is one
	tells   enriching
	recent  *recent
	flights flights
	stats   stats
	waits   bool   // the Limiter or the Attempts may wait for somebody
	clock   *clock // for when nobody does; nil is Config.Now
	denier  denier
	banner  Banner // the Bans, if they are one
}

// A toucher is a Limiter that can bring the place of a key from memory before it
// is asked for it.
type toucher interface{ Touch(k limit.Key) }

// program is a policy with what was made for it once.
type program struct {
	*policy.Program
	model *risk.Model
	rates []limit.Rate // by policy.Limit.Index
	// prints tell limits apart on all nodes: by their name, and how they count.
	prints []uint64
	salts  []limit.Salt // of limits whose key is the address alone
	beside []bool       // which of them are counted in one place of memory
	// byAddress: there are such limits.
	byAddress bool
	// spaces are before the keys of each limit: a state that was counted in another
	// way, or over another time, means nothing here.
	spaces [][]byte
	// policies are what RateLimit-Policy says of each limit, where it is the only one.
	policies []string
}

// maxBeside bounds what is counted of an address in one place of memory, which has
// room for eight keys: what is in one place displaces each other when it is full.
const maxBeside = 4

// besides says which limits are counted in one place: those of tiers, of which one
// at a time is taken, so that the place can be fetched before the tier is known.
// Over time an address may come by all tiers, and they all have its counts.
func besides(p *policy.Program) []bool {
	beside, n := make([]bool, len(p.Limits())), 0
	add := func(i int) {
		if l := p.Limits()[i]; n < maxBeside && l.ByAddress() && !beside[i] {
			beside[i] = true
			n++
		}
	}
	for _, t := range p.Tiers() {
		for _, i := range t.Limits {
			add(i)
		}
	}
	add(p.Safe().Index)
	return beside
}

// New makes a gate. The error names every mistake in cfg.
func New(cfg Config) (*Gate, error) {
	var errs []error
	if cfg.Source == nil {
		errs = append(errs, errors.New("the Source is missing: say who knows the addresses, such as dataset.Open(\"world.ipw\")"))
	}
	if cfg.Program == nil {
		errs = append(errs, errors.New("Program is missing: load a policy with compile.Load"))
	}
	exact := cfg.Now != nil
	if !exact {
		cfg.Now = time.Now
	}
	if cfg.Client == nil {
		x, err := clientip.New(clientip.Config{})
		if err != nil {
			errs = append(errs, err)
		}
		cfg.Client = x
	}
	if cfg.Limiter == nil {
		m, err := limit.NewMemory(limit.MemoryConfig{})
		if err != nil {
			errs = append(errs, err)
		}
		cfg.Limiter = m
	}
	if cfg.Seed == [16]byte{} {
		_, _ = rand.Read(cfg.Seed[:]) // never fails
	}
	if cfg.Remember == 0 {
		cfg.Remember = 8192
	}
	if cfg.Remember > maxRemember {
		errs = append(errs, fmt.Errorf("the count to Remember is %d; it is at most %d, such as the default, 8192", cfg.Remember, maxRemember))
	}
	tells, err := enrichingOf(cfg.Enrich)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if !cfg.RateLimitOnRefusals {
		tells |= tellLimits
	}
	c := &core{cfg: cfg, hasher: limit.NewHasher(cfg.Seed), tells: tells}
	_, inMemory := cfg.Limiter.(*limit.Memory)
	c.waits = !inMemory || cfg.Attempts != nil
	c.denier, _ = cfg.Limiter.(denier)
	c.banner, _ = cfg.Bans.(Banner)
	if c.asker, _ = cfg.Source.(ipwarden.Asker); c.asker == nil && !ipwarden.IsLocal(cfg.Source) {
		c.hasty = &hasty{cfg.Source, make(chan struct{}, maxAsking)}
	}
	c.toucher, _ = cfg.Limiter.(toucher)
	if !exact && !c.waits && c.asker == nil && c.hasty == nil { // what waits has to know how long it did
		c.clock = newClock()
	}
	if cfg.Remember > 0 {
		c.recent = newRecent(cfg.Remember)
	}
	g := &Gate{core: c}
	g.clients.Store(cfg.Client)
	if err := g.Use(cfg.Program, cfg.Risk); err != nil {
		return nil, err
	}
	return g, nil
}

// Local reports whether a decision waits for nobody: the Source is local, and limits
// are counted in memory.
func (g *Gate) Local() bool { return !g.waits && g.asker == nil && g.hasty == nil }

// now is the time of a decision.
func (c *core) now() time.Time {
	if c.clock != nil {
		return c.clock.now()
	}
	return c.cfg.Now()
}

// With returns a view of the gate that finds clients in another way, for a door
// of its own. Everything else is shared.
func (g *Gate) With(client *clientip.Extractor) *Gate {
	view := &Gate{core: g.core}
	view.clients.Store(client)
	return view
}

// Client is how this view of the gate finds clients.
func (g *Gate) Client() *clientip.Extractor { return g.clients.Load() }

// UseClient finds clients in another way from now on, in this view alone: the
// ranges of a proxy come with each dataset.
func (g *Gate) UseClient(client *clientip.Extractor) { g.clients.Store(client) }

// Use puts another policy and its weights in place of those in use, at once and
// for all views. Limits that keep their name, algorithm and window keep
// their counts; but one of a tier that is among the first four no more, or newly,
// begins anew. A nil model is risk.DefaultModel.
func (g *Gate) Use(p *policy.Program, model *risk.Model) error {
	if model == nil {
		model = risk.DefaultModel()
	}
	next := &program{Program: p, model: model, beside: besides(p), rates: make([]limit.Rate, len(p.Limits())), salts: make([]limit.Salt, len(p.Limits())), spaces: make([][]byte, len(p.Limits())), prints: make([]uint64, len(p.Limits())), policies: make([]string, len(p.Limits()))}
	var errs []error
	for i, l := range p.Limits() {
		next.rates[i] = limit.Rate{
			Name: l.Name, Algorithm: algorithms[l.Algorithm], Limit: l.Limit, Window: l.Window, Burst: l.Burst,
		}
		next.spaces[i] = limit.AppendPart(nil, l.Algorithm.String()+" "+l.Window.String())
		next.prints[i] = g.hasher.Sum(limit.AppendPart(limit.AppendPart(next.spaces[i], "print"), l.Name))[0]
		next.salts[i] = g.hasher.Salt(limit.AppendPart(next.spaces[i], l.Name))
		next.byAddress = next.byAddress || l.ByAddress()
		next.policies[i] = string(limit.AppendPolicy(nil, []limit.Request{{Rate: &next.rates[i]}}, make([]limit.Result, 1)))
		errs = append(errs, next.rates[i].Check())
		if l.Ban != 0 && g.banner == nil {
			errs = append(errs, fmt.Errorf("the limit %q bans who goes over it, and the Bans of the Config take none: make them with ban.New", l.Name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	g.core.program.Store(next)
	return nil
}

// Shares reports whether nodes share attempts, so that any of them takes outcomes.
func (g *Gate) Shares() bool { return g.cfg.Attempts != nil }

// Program returns the policy in use.
func (g *Gate) Program() *policy.Program { return g.core.program.Load().Program }

// algorithms of package policy in those of package limit: neither knows the other.
var algorithms = [...]limit.Algorithm{policy.GCRA: limit.GCRA, policy.Sliding: limit.Sliding, policy.Fixed: limit.Fixed}
