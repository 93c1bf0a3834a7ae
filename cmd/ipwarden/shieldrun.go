package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/shield"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/redis"
)

// shieldRun is the shield while it runs. It is made before the gate and the accounts,
// which ask it, and opened after them, since its measures are kept with theirs.
type shieldRun struct {
	guard  atomic.Pointer[shield.Guard] // nil until it is open
	watch  *shield.Watch
	live   func() *data
	beside *outside
	now    func() time.Time
	log    *slog.Logger
}

func newShield(live func() *data, beside *outside, e *env, log *slog.Logger) *shieldRun {
	s := &shieldRun{live: live, beside: beside, now: e.now, log: log}
	s.watch = shield.NewWatch(s.locate, e.now)
	return s
}

// open reads the measures and puts them in force.
func (s *shieldRun) open(ctx context.Context, dirs *dirFlag, e *env, g *gateRun, keys *keyRun) error {
	cfg := shield.Config{Locate: s.locate, Listed: s.beside.listed, Now: e.now, Log: s.log}
	if dir, err := dirs.dir(e); err == nil {
		cfg.Places = append(cfg.Places, shield.File(filepath.Join(dir, shield.FileName)))
	}
	if keys != nil {
		cfg.Places = append(cfg.Places, accountsPlace{keys.accounts.Service})
	}
	if g != nil && g.limiter != nil {
		cfg.Places = append(cfg.Places, redisPlace{g.limiter.Document(shieldDocument)})
	}
	cfg.Changed = func(active []shield.Measure) {
		s.unasked(active)
		if g == nil {
			return
		}
		if err := g.armed(active); err != nil {
			s.log.Error("what the shield adds could not be put into the policy", "error", err)
		}
	}
	guard, err := shield.New(ctx, cfg)
	if err != nil {
		return err
	}
	s.guard.Store(guard)
	return nil
}

// unasked tells of measures of block lists that nobody here asks.
func (s *shieldRun) unasked(active []shield.Measure) {
	zones := s.beside.zones()
	for i := range active {
		if m := &active[i]; m.Kind == shield.DNSBL && !slices.Contains(zones, m.Value) {
			s.log.Warn("the shield is to heed a block list that no provider here asks: name it in --providers", "zone", m.Value)
		}
	}
}

// Close ends what follows the measures.
func (s *shieldRun) Close() error {
	if s == nil {
		return nil
	}
	return s.guard.Load().Close()
}

// page is for operators; nil without a shield.
func (s *shieldRun) page() (http.Handler, error) {
	if s == nil {
		return nil, nil
	}
	return shield.Page(s.guard.Load(), s.watch, api.Style(), s.now)
}

// sight is what the API tells of what it refuses; nil without a shield.
func (s *shieldRun) sight() *shield.Watch {
	if s == nil {
		return nil
	}
	return s.watch
}

// register adds the metrics.
func (s *shieldRun) register(r prometheus.Registerer) {
	if s != nil {
		r.MustRegister(api.ShieldMetrics(s.guard.Load()))
	}
}

func (s *shieldRun) locate(addr netip.Addr) (country string, asn uint32) {
	addr, _ = ipwarden.Canonical(addr)
	rec, err := s.live().Lookup(context.Background(), addr)
	if err != nil {
		return "", 0
	}
	return rec.CountryCode(), rec.ASNumber()
}

// Refuses is part of authz.Shield.
func (s *shieldRun) Refuses(client netip.Addr, keyed bool, now time.Time) (until time.Time, needsKey, refused bool) {
	if g := s.guard.Load(); g != nil {
		return g.Refuses(client, keyed, now)
	}
	return time.Time{}, false, false
}

// bits is by how much a proof of work is raised.
func (s *shieldRun) bits() int {
	if g := s.guard.Load(); g != nil {
		return g.Bits()
	}
	return 0
}

// refused is told of what the gate refuses.
func (s *shieldRun) refused(d *gate.Decision, agent string) {
	if s.watch.Wants(d.Time) {
		s.watch.Note(d.Client.Addr, agent, d.Reason.String())
	}
}

// shieldedBans are bans, and whom a block list lists that the shield is to heed.
type shieldedBans struct {
	*ban.Table
	shield *shieldRun
}

// Find is part of gate.Bans.
func (b shieldedBans) Find(addr netip.Addr, now time.Time) *policy.Ban {
	found := b.Table.Find(addr, now)
	if found.Holds(now) && found.Action == ipwarden.Block {
		return found
	}
	g := b.shield.guard.Load()
	if g == nil {
		return found
	}
	m := g.Listed(addr, now)
	if m == nil || found.Holds(now) && m.Action != shield.Block {
		return found
	}
	network, _ := addr.Prefix(addr.BitLen())
	return &policy.Ban{Network: network, Action: verdictOf(m.Action), Until: m.Until, Reason: "shield: listed by " + m.Value}
}

// Splits reports whether a ban is for a part of a network alone. What block lists say of
// its addresses is not known: the shield asks them one by one.
func (b shieldedBans) Splits(network netip.Prefix, now time.Time) bool {
	g := b.shield.guard.Load()
	return g != nil && g.ByList() || b.Table.Splits(network, now)
}

// shieldAlone is the shield as bans, for what has no others: the doors of accounts.
type shieldAlone struct{ shield *shieldRun }

// Find is part of gate.Bans.
func (b shieldAlone) Find(addr netip.Addr, now time.Time) *policy.Ban {
	g := b.shield.guard.Load()
	if g == nil {
		return nil
	}
	m := g.Check(addr, now)
	if m == nil {
		return nil
	}
	network, _ := addr.Prefix(addr.BitLen())
	return &policy.Ban{Network: network, Action: verdictOf(m.Action), Until: m.Until, Reason: "shield: " + m.Name()}
}

func verdictOf(a shield.Action) ipwarden.Verdict {
	if a == shield.Challenge {
		return ipwarden.Challenge
	}
	return ipwarden.Block
}

// moreOf is what measures add to a policy: entries of countries and networks beside
// the operator's own, with their ends, and a challenge for more clients.
func moreOf(active []shield.Measure) (m policy.More) {
	lists := map[shield.Action]*policy.List{}
	for _, a := range [...]shield.Action{shield.Block, shield.Challenge} {
		lists[a] = &policy.List{Name: "shield", Action: verdictOf(a)}
	}
	for i := range active {
		a := &active[i]
		switch a.Kind {
		case shield.Country:
			l := lists[a.Action]
			l.Timed = append(l.Timed, policy.Timed{Country: a.Value, Expires: a.Until, Reason: a.Reason})
		case shield.ASN:
			l := lists[a.Action]
			l.Timed = append(l.Timed, policy.Timed{ASN: a.Number(), Expires: a.Until, Reason: a.Reason})
		case shield.Work:
			if a.From != shield.NoScore {
				m.Challenge, m.ChallengeFrom = true, uint8(a.From)
			}
		}
	}
	for _, a := range [...]shield.Action{shield.Block, shield.Challenge} {
		if len(lists[a].Timed) > 0 {
			m.Lists = append(m.Lists, *lists[a])
		}
	}
	return m
}

// shieldDocument is the name under which nodes share the measures.
const shieldDocument = "shield"

// accountsPlace keeps measures with the accounts.
type accountsPlace struct{ *account.Service }

func (accountsPlace) Name() string { return "the accounts" }

func (p accountsPlace) Load(ctx context.Context) (string, error) {
	return p.Document(ctx, shieldDocument)
}

func (p accountsPlace) Swap(ctx context.Context, before, after string) (bool, error) {
	return p.SwapDocument(ctx, shieldDocument, before, after, nil)
}

// redisPlace keeps them in Redis.
type redisPlace struct{ *redis.Document }

func (redisPlace) Name() string { return "Redis" }
