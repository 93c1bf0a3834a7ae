package shield

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a [Guard] works with. The zero value is a Guard whose measures end
// with the process.
type Config struct {
	// Places keep the measures and share them. Default: none.
	Places []Place
	// Locate says where an address is, and whose. It must not block. Default: nobody
	// knows, and no measure of a country or an AS holds.
	Locate func(netip.Addr) (country string, asn uint32)
	// Listed says which block lists are known to list an address. It must not block.
	// Default: none are.
	Listed func(netip.Addr) []string
	// Changed is told of the measures in force, once at the start and whenever they are
	// others, one call at a time. Default: nobody is.
	Changed func([]Measure)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Log is told of changes, and when a Place fails and is back. Default: slog.Default.
	Log *slog.Logger
}

// A Guard says what is refused now. It is safe for concurrent use. Close ends it.
type Guard struct {
	cfg  Config
	view atomic.Pointer[view] // nil when nothing is in force

	mu    sync.Mutex // guards what is below
	state *State
	text  string // of state
	ends  time.Time

	kicks  []chan struct{} // one a Place: there is something to tell
	stop   context.CancelFunc
	wait   sync.WaitGroup
	errors atomic.Uint64
}

// view is the measures in force, as they are asked for.
type view struct {
	all        []Measure
	keys, work *Measure
	countries  map[string]*Measure
	asns       map[uint32]*Measure
	zones      map[string]*Measure
}

// interval is how often Places are asked: what is said at one node is in force at all
// of them within a second.
const interval = 250 * time.Millisecond

// New reads the Places and returns a Guard. A Place that is away is no error: what the
// others say is in force. One that holds something else than measures is: what was
// refused must not be let in again in silence.
func New(ctx context.Context, cfg Config) (*Guard, error) {
	cfg.Places = slices.Clone(cfg.Places)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	g := &Guard{cfg: cfg, state: &State{words: map[string]word{}}}
	ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	failing := make([]bool, len(cfg.Places))
	for i, p := range cfg.Places {
		g.kicks = append(g.kicks, make(chan struct{}, 1))
		switch err := g.exchange(ctx, i); {
		case errors.Is(err, errJunk):
			g.stop()
			return nil, err
		case err != nil:
			failing[i] = true
			cfg.Log.Warn("the shield's measures cannot be read or kept in one of their places; what is known is in force", "place", p.Name(), "error", err)
		}
	}
	g.install(true)
	for i := range cfg.Places {
		g.wait.Go(func() { g.follow(ctx, i, failing[i]) })
	}
	g.wait.Go(func() { g.expire(ctx) })
	return g, nil
}

// Close ends what runs behind requests.
func (g *Guard) Close() error {
	if g != nil {
		g.stop()
		g.wait.Wait()
	}
	return nil
}

// follow exchanges with a Place until ctx ends.
func (g *Guard) follow(ctx context.Context, i int, failing bool) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-g.kicks[i]:
		}
		err := g.exchange(ctx, i)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			g.errors.Add(1)
			if !failing {
				g.cfg.Log.Warn("the shield's measures cannot be read or kept in one of their places; what is known is in force", "place", g.cfg.Places[i].Name(), "error", err)
			}
			failing = true
		case failing:
			failing = false
			g.cfg.Log.Info("the shield's measures are kept again", "place", g.cfg.Places[i].Name())
		}
	}
}

// expire takes measures out when they end.
func (g *Guard) expire(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.mu.Lock()
		due := !g.ends.IsZero() && !g.cfg.Now().Before(g.ends)
		g.mu.Unlock()
		if due {
			g.install(false)
		}
	}
}

var errJunk = errors.New("it holds something else than measures; move it away to begin without")

// exchange takes up what a Place says, and tells it what it does not know.
func (g *Guard) exchange(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p := g.cfg.Places[i]
	before, err := p.Load(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	same := before == g.text
	g.mu.Unlock()
	if same {
		return nil
	}
	said, err := ParseState(before, g.cfg.Now())
	if err != nil {
		return errors.Join(errJunk, err)
	}
	g.mu.Lock()
	was := g.text
	g.state.Merge(said)
	g.text = g.state.String()
	after := g.text
	g.mu.Unlock()
	if after != was {
		g.install(false)
		g.kick(i)
	}
	if after == before {
		return nil
	}
	_, err = p.Swap(ctx, before, after) // if another was sooner, it is told the next time
	return err
}

// kick has all Places but one told at once.
func (g *Guard) kick(but int) {
	for i := range g.kicks {
		if i == but {
			continue
		}
		select {
		case g.kicks[i] <- struct{}{}:
		default:
		}
	}
}

// Change changes the measures, here at once and elsewhere within a second.
func (g *Guard) Change(f func(*State) error) error {
	g.mu.Lock()
	err := f(g.state)
	g.text = g.state.String()
	g.mu.Unlock()
	g.install(false)
	g.kick(-1)
	return err
}

// install puts what the state says in force.
func (g *Guard) install(first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.cfg.Now()
	next := &view{all: g.state.Active(now), countries: map[string]*Measure{}, asns: map[uint32]*Measure{}, zones: map[string]*Measure{}}
	g.ends = time.Time{}
	for i := range next.all {
		m := &next.all[i]
		if g.ends.IsZero() || m.Until.Before(g.ends) {
			g.ends = m.Until
		}
		switch m.Kind {
		case RequireKeys:
			next.keys = m
		case Work:
			next.work = m
		case Country:
			next.countries[m.Value] = m
		case ASN:
			next.asns[m.Number()] = m
		case DNSBL:
			next.zones[m.Value] = m
		}
	}
	var before []Measure
	if v := g.view.Load(); v != nil {
		before = v.all
	}
	if len(next.all) == 0 {
		g.view.Store(nil)
	} else {
		g.view.Store(next)
	}
	if !first && slices.EqualFunc(before, next.all, equal) {
		return
	}
	g.tell(before, next.all)
	if g.cfg.Changed != nil {
		g.cfg.Changed(next.all)
	}
}

func equal(a, b Measure) bool { return a == b }

// tell tells the log what is in force now and was not, and the other way round.
func (g *Guard) tell(before, after []Measure) {
	for _, m := range after {
		if !slices.Contains(before, m) {
			g.cfg.Log.Info("the shield: "+m.Does(), "measure", m.Name(), "until", m.Until, "by", m.By, "reason", m.Reason)
		}
	}
	for _, m := range before {
		if !slices.ContainsFunc(after, func(o Measure) bool { return o.Name() == m.Name() }) {
			g.cfg.Log.Info("the shield: no more", "measure", m.Name())
		}
	}
}

// Active lists the measures in force.
func (g *Guard) Active() []Measure {
	if g == nil {
		return nil
	}
	v := g.view.Load()
	if v == nil {
		return nil
	}
	now := g.cfg.Now()
	return slices.DeleteFunc(slices.Clone(v.all), func(m Measure) bool { return !m.Holds(now) })
}

// Errors is how often a Place has failed.
func (g *Guard) Errors() uint64 { return g.errors.Load() }

// KeysNeeded is the measure that refuses calls without a key; nil for none.
func (g *Guard) KeysNeeded(now time.Time) *Measure {
	if v := g.view.Load(); v != nil && v.keys.Holds(now) {
		return v.keys
	}
	return nil
}

// Bits is how many bits a proof of work is raised by.
func (g *Guard) Bits() int {
	if v := g.view.Load(); v != nil && v.work.Holds(g.cfg.Now()) {
		return v.work.Bits
	}
	return 0
}

// Check returns the measure that is against an address, nil for none: of several one
// that refuses.
func (g *Guard) Check(addr netip.Addr, now time.Time) *Measure {
	v := g.view.Load()
	if v == nil || !addr.IsValid() {
		return nil
	}
	var found *Measure
	stricter := func(m *Measure) {
		if m.Holds(now) && (found == nil || found.Action == Challenge && m.Action == Block) {
			found = m
		}
	}
	if (len(v.asns) > 0 || len(v.countries) > 0) && g.cfg.Locate != nil {
		country, asn := g.cfg.Locate(addr)
		stricter(v.asns[asn])
		stricter(v.countries[country])
	}
	if m := g.listed(v, addr, now); m != nil {
		stricter(m)
	}
	return found
}

// Listed is the part of Check that is about block lists.
func (g *Guard) Listed(addr netip.Addr, now time.Time) *Measure {
	v := g.view.Load()
	if v == nil || !addr.IsValid() {
		return nil
	}
	return g.listed(v, addr, now)
}

// ByList reports whether there is a measure for those whom a block list has, so that
// Listed may tell two addresses of a network apart.
func (g *Guard) ByList() bool {
	v := g.view.Load()
	return v != nil && len(v.zones) > 0 && g.cfg.Listed != nil
}

func (g *Guard) listed(v *view, addr netip.Addr, now time.Time) (found *Measure) {
	if len(v.zones) == 0 || g.cfg.Listed == nil {
		return nil
	}
	for _, zone := range g.cfg.Listed(addr) {
		m := v.zones[strings.ToLower(strings.TrimSuffix(zone, "."))]
		if m.Holds(now) && (found == nil || m.Action == Block) {
			found = m
		}
	}
	return found
}

// Refuses is what the accounts ask: a challenge there is a need of a key.
func (g *Guard) Refuses(client netip.Addr, keyed bool, now time.Time) (until time.Time, needsKey, refused bool) {
	if g.view.Load() == nil {
		return time.Time{}, false, false
	}
	if m := g.Check(client, now); m != nil && (m.Action == Block || !keyed) {
		return m.Until, m.Action == Challenge, true
	}
	if !keyed {
		if m := g.KeysNeeded(now); m != nil {
			return m.Until, true, true
		}
	}
	return time.Time{}, false, false
}
