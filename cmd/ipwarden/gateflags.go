package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/ban"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/policy/compile"
	"github.com/ipwarden/ipwarden/redis"
)

// gateFlags say how to decide about requests; serve, gate and gateway have them.
type gateFlags struct {
	Policy              string        `env:"IPWARDEN_POLICY" placeholder:"FILE" help:"Decide about requests by FILE; default policy.yaml of the data directory, where there is one."`
	TrustedProxies      []string      `env:"IPWARDEN_TRUSTED_PROXIES" sep:"," placeholder:"CIDR,..." help:"Believe what these proxies say about the client, and let them ask the gate; default nobody."`
	ClientIPHeader      string        `env:"IPWARDEN_CLIENT_IP_HEADER" placeholder:"NAME" help:"The one header in which the proxies tell the client's address; default X-Forwarded-For, and X-Real-IP of nginx."`
	TrustedHops         int           `env:"IPWARDEN_TRUSTED_HOPS" placeholder:"N" help:"Instead of the proxies' addresses: how many stand in front."`
	Behind              string        `env:"IPWARDEN_BEHIND" placeholder:"NAME" help:"What stands in front: nginx, haproxy, alb, cloudfront, cloudflare, fastly, fly or vercel; sets header and proxies."`
	DangerouslyTrustAll bool          `env:"IPWARDEN_DANGEROUSLY_TRUST_ALL" help:"Believe whoever connects: every client chooses its own address."`
	ServiceTokenFile    string        `env:"IPWARDEN_SERVICE_TOKEN_FILE" placeholder:"FILE" help:"Who has the token in FILE (or in IPWARDEN_SERVICE_TOKEN) may ask the gate from anywhere."`
	DecisionLog         string        `env:"IPWARDEN_DECISION_LOG" placeholder:"FILE" help:"Append decisions to FILE as JSON lines; - is standard output."`
	DecisionLogSample   int           `env:"IPWARDEN_DECISION_LOG_SAMPLE" default:"10" placeholder:"N" help:"Of what is allowed, log N in a thousand; whatever else, always. Default ${default}."`
	DecisionLogRate     int           `env:"IPWARDEN_DECISION_LOG_RATE" default:"1000" placeholder:"N" help:"Log N decisions a second at most; 0 is any number. Default ${default}."`
	DecisionLogFull     bool          `name:"decision-log-full-addresses" env:"IPWARDEN_DECISION_LOG_FULL_ADDRESSES" help:"Log whole addresses, not the /24 or /48 round them."`
	Redis               string        `env:"IPWARDEN_REDIS" placeholder:"URL" help:"Share limits with other nodes through Redis or Valkey, such as redis://127.0.0.1:6379/0; a password belongs into the variable."`
	LimitMode           string        `env:"IPWARDEN_LIMIT_MODE" enum:"exact,fast" default:"exact" help:"${enum}: fast admits a part of a shared limit before it asks, within a stated bound."`
	LimitBudget         time.Duration `env:"IPWARDEN_LIMIT_BUDGET" default:"5ms" placeholder:"TIME" help:"How long a decision waits for the shared store, within the budget of its route; default ${default}."`
	LimitKeys           int           `env:"IPWARDEN_LIMIT_KEYS" default:"1048576" placeholder:"N" help:"How many keys of limits are counted at once, at 24 bytes each; default ${default}."`
	OutcomeWindow       time.Duration `env:"IPWARDEN_OUTCOME_WINDOW" default:"10m" placeholder:"TIME" help:"With --redis, how long the outcome of a decision may be told to any node; default ${default}."`
	VerdictLease        time.Duration `env:"IPWARDEN_VERDICT_LEASE" default:"1m" placeholder:"TIME" help:"How long who asks /v1/decide, such as an edge platform, may use an answer again that no limit was charged for; 0 is not at all. Default ${default}."`
	LimitedVerdictLease time.Duration `env:"IPWARDEN_LIMITED_VERDICT_LEASE" default:"0s" placeholder:"TIME" help:"The same for answers that a limit was charged for: what comes meanwhile is not counted. Default not at all."`
	LimitSeedFile       string        `env:"IPWARDEN_LIMIT_SEED_FILE" placeholder:"FILE" help:"32 hexadecimal digits that key the counts, the same on all nodes that share them; or IPWARDEN_LIMIT_SEED."`
	CrawlerDNS          bool          `name:"crawler-dns" env:"IPWARDEN_CRAWLER_DNS" help:"Verify crawlers by the DNS names of their addresses too, behind the request; by default only by published ranges, and nothing is asked outside."`
	CrawlerDNSServer    string        `name:"crawler-dns-server" env:"IPWARDEN_CRAWLER_DNS_SERVER" placeholder:"ADDR" help:"With --crawler-dns: ask this server, such as 127.0.0.1:53; default those of the system."`
	challengeFlags
	Enrich       []string `env:"IPWARDEN_ENRICH" sep:"," placeholder:"NAME,..." help:"What the application is told besides the verdict: asn, country, decision, degraded, ip, reason, risk, rule, tags, tier, traits; or none. Default all."`
	OlderHeaders bool     `name:"older-rate-limit-headers" env:"IPWARDEN_OLDER_RATE_LIMIT_HEADERS" help:"Send X-RateLimit-Limit, -Remaining and -Reset too."`

	RateLimitOnRefusals bool `env:"IPWARDEN_RATE_LIMIT_ON_REFUSALS" help:"Tell clients of limits when they are refused, not with every answer."`
}

// gateRun is a gate while it runs.
type gateRun struct {
	*gate.Gate
	flags   *gateFlags
	file    string // the policy
	options compile.Options
	own     ownPolicy
	also    []string // files that the policy names, which are watched with it
	// Views for proxies that ask, who are believed: nginx, HAProxy, and the others.
	nginx, forward, spoa *gate.Gate
	trusted              []netip.Prefix
	token                string
	challenges           *challenge.Challenges
	bans                 *ban.Table
	crawlers             *crawler.Verifier
	limiter              *redis.Limiter // nil when nothing is shared
	journalFile          *logFile       // nil when there is none
	closers              []io.Closer
	log                  *slog.Logger
}

// enrich is what the gate takes: nil for all.
func (f *gateFlags) enrich() []string {
	switch {
	case len(f.Enrich) == 0:
		return nil
	case len(f.Enrich) == 1 && f.Enrich[0] == "none":
		return []string{}
	}
	return f.Enrich
}

// policyFile is the policy to use, "" for none.
func (f *gateFlags) policyFile(dirs *dirFlag, e *env) (string, error) {
	if f.Policy != "" {
		return f.Policy, nil
	}
	dir, err := dirs.dir(e)
	if err != nil {
		return "", nil //nolint:nilerr // without a data directory there is no policy in it
	}
	name := filepath.Join(dir, "policy.yaml")
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return name, nil
}

// open makes the gate that decides by a policy, nil when file is "". live is the
// data in use.
func (f *gateFlags) open(file string, dirs *dirFlag, e *env, live func() *data, beside *outside, sh *shieldRun, log *slog.Logger) (*gateRun, error) {
	if file == "" {
		return nil, f.unlogged()
	}
	run := &gateRun{flags: f, file: file, log: log}
	run.options = policyOptions(dirs, e)
	p, err := readPolicy(file, run.options)
	if err != nil {
		return nil, err
	}
	run.also = p.Files
	found, err := f.clients(live())
	if err != nil {
		return nil, err
	}
	run.trusted = found.trusted
	if run.token, err = secret(f.ServiceTokenFile, "IPWARDEN_SERVICE_TOKEN", e); err != nil {
		return nil, err
	}
	cfg := gate.Config{
		Source:  beside.source(live),
		Program: p.Program, Risk: p.Risk, Client: found.any, OlderHeaders: f.OlderHeaders, RateLimitOnRefusals: f.RateLimitOnRefusals, Enrich: f.enrich(), Now: e.now,
	}
	if cfg.Journal, err = f.journal(run, e); err != nil {
		return nil, err
	}
	if cfg.Crawlers, err = f.crawlers(run, live()); err != nil {
		return nil, err
	}
	if err := f.shared(run, e, &cfg); err != nil {
		return nil, err
	}
	if run.bans, err = f.bans(run, dirs, e); err != nil {
		return nil, err
	}
	cfg.Bans, cfg.Refused = shieldedBans{run.bans, sh}, sh.refused
	run.own.program, run.own.risk = p.Program, p.Risk
	route := func(q *ipwarden.Request) *policy.Route { return run.Program().Route(q) }
	if run.challenges, err = f.challengeFlags.open(e, route, run.limiter, sh.bits, log); err != nil {
		return nil, err
	}
	cfg.Challenges = run.challenges
	if run.Gate, err = gate.New(cfg); err != nil {
		return nil, err
	}
	run.nginx, run.forward, run.spoa = run.With(found.nginx), run.With(found.forward), run.With(found.spoa)
	return run, nil
}

// unlogged says that a log of decisions was asked for without a policy.
func (f *gateFlags) unlogged() error {
	if f.DecisionLog != "" {
		return usagef("there is no policy to decide by: give --policy policy.yaml; 'ipwarden policy init' writes one")
	}
	return nil
}

// unused says that flags were given that find clients, and nothing asks for them:
// there is neither a policy nor a dialect.
func (f *gateFlags) unused() error {
	if len(f.TrustedProxies) > 0 || f.TrustedHops != 0 || f.Behind != "" || f.DangerouslyTrustAll {
		return usagef("there is no policy to decide by: give --policy policy.yaml; 'ipwarden policy init' writes one")
	}
	return nil
}

// clients are ways to find them: at any listener, and in the questions of proxies,
// as they tell it.
type clients struct {
	any, nginx, forward, spoa *clientip.Extractor
	trusted                   []netip.Prefix
}

// clients reads the flags; d has the ranges of proxies.
func (f *gateFlags) clients(d *data) (found clients, err error) {
	cfg := clientip.Config{Header: f.ClientIPHeader, Hops: f.TrustedHops, DangerouslyTrustAll: f.DangerouslyTrustAll}
	if cfg.Trusted, err = parseNetworks("--trusted-proxies", f.TrustedProxies); err != nil {
		return found, err
	}
	found.trusted = cfg.Trusted
	if f.Behind != "" {
		preset, ok := clientip.PresetNamed(f.Behind)
		if !ok {
			return found, usagef("--behind: there is no preset %q; there are nginx, haproxy, alb, cloudfront, cloudflare, fastly, fly and vercel", f.Behind)
		}
		if cfg, err = preset.Apply(cfg, d.Dataset); err != nil {
			return found, inFlags(err)
		}
	}
	if found.any, err = clientip.New(cfg); err != nil {
		return found, inFlags(err)
	}
	// HAProxy tells its own peer, and the header as it came: the hop that it is
	// itself has no element there, and with one hop no element is anybody's word.
	told := cfg
	told.Hops = max(cfg.Hops-1, 0)
	if found.spoa, err = clientip.New(told); err != nil {
		return found, inFlags(err)
	}
	// Whoever may ask the gate is a proxy.
	asking := clientip.Config{Trusted: cfg.Trusted, TrustPeer: true, Header: f.ClientIPHeader}
	if found.forward, err = clientip.New(asking); err != nil {
		return found, inFlags(err)
	}
	if asking.Header == "" {
		asking.Header = "X-Real-Ip"
	}
	if found.nginx, err = clientip.New(asking); err != nil {
		return found, inFlags(err)
	}
	return found, nil
}

// flagWords are the flags for what clientip calls by the names of its Config.
var flagWords = strings.NewReplacer(
	"clientip: ", "",
	", or say that whoever reaches the listener is trusted", ", such as --trusted-proxies 172.16.0.0/16",
	"Trusted or TrustPeer ", "--trusted-proxies ",
	"Trusted ", "--trusted-proxies ",
	"(Hops)", "(--trusted-hops 1)",
	"Hops ", "--trusted-hops ",
	"Header ", "--client-ip-header ",
	"set DangerouslyTrustAll", "say --dangerously-trust-all",
	"DangerouslyTrustAll", "--dangerously-trust-all",
)

// inFlags says what is wrong with how clients are found in the words of who gave the
// flags.
func inFlags(err error) error { return usageError{errors.New(flagWords.Replace(err.Error()))} }

// parseNetworks reads the value of a flag.
func parseNetworks(flag string, texts []string) (networks []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := parseNetwork(strings.TrimSpace(text))
		if err != nil {
			return nil, usagef("%s: %w", flag, err)
		}
		networks = append(networks, p)
	}
	return networks, nil
}

// parseNetwork reads a prefix, or an address as the prefix of it alone.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no network, such as 10.0.0.0/8 or 192.0.2.7", text)
	}
	return p, nil
}

func (f *gateFlags) journal(run *gateRun, e *env) (*gate.Journal, error) {
	if f.DecisionLog == "" {
		return nil, nil
	}
	to := e.stdout
	if f.DecisionLog != "-" {
		file, err := openLogFile(f.DecisionLog, run.log)
		if err != nil {
			return nil, err
		}
		run.closers = append(run.closers, file)
		run.journalFile, to = file, file
	}
	none := func(n int) int { // 0 is a default there
		if n == 0 {
			return -1
		}
		return n
	}
	j, err := gate.NewJournal(gate.JournalConfig{
		To: to, Sample: none(f.DecisionLogSample), Rate: none(f.DecisionLogRate), FullAddresses: f.DecisionLogFull,
	})
	if err != nil {
		return nil, usageError{err}
	}
	run.closers = append([]io.Closer{j}, run.closers...) // first: it writes what waits
	return j, nil
}

// crawlers says how a user agent that names a crawler is verified. Without DNS an
// address outside of the ranges that the operator publishes is none of its own.
func (f *gateFlags) crawlers(run *gateRun, d *data) (gate.Crawlers, error) {
	if f.CrawlerDNSServer != "" && !f.CrawlerDNS {
		return nil, usagef("--crawler-dns-server is for --crawler-dns, which is off: nothing is asked")
	}
	v, err := newCrawlers(f.CrawlerDNS, f.CrawlerDNSServer, d)
	if err != nil {
		return nil, err
	}
	run.crawlers, run.closers = v, append(run.closers, closerFunc(v.Close))
	return v, nil
}

// shared makes limits those of several nodes.
func (f *gateFlags) shared(run *gateRun, e *env, cfg *gate.Config) error {
	text, err := secret(f.LimitSeedFile, "IPWARDEN_LIMIT_SEED", e)
	if err != nil {
		return err
	}
	if text != "" {
		seed, err := hex.DecodeString(text)
		if err != nil || len(seed) != len(cfg.Seed) {
			return errors.New("the limit seed is not 32 hexadecimal digits; make one with: openssl rand -hex 16")
		}
		copy(cfg.Seed[:], seed)
	}
	if f.Redis == "" {
		m, err := limit.NewMemory(limit.MemoryConfig{Entries: f.LimitKeys})
		if err != nil {
			return usagef("--limit-keys %d: give a number from 1 to %d", f.LimitKeys, 1<<30)
		}
		cfg.Limiter = m
		return nil
	}
	if text == "" {
		return usagef("nodes that share limits count under the same keys: give all of them the same --limit-seed-file, made with: openssl rand -hex 16")
	}
	c, err := redis.ParseURL(f.Redis)
	if err != nil {
		return usageError{err}
	}
	c.Fast, c.Budget, c.Outcomes, c.Logger = f.LimitMode == "fast", f.LimitBudget, f.OutcomeWindow, run.log
	c.Entries = f.LimitKeys
	l, err := redis.New(context.Background(), c)
	if err != nil {
		return err
	}
	cfg.Limiter, cfg.Attempts, run.limiter = l, l, l
	run.closers = append(run.closers, l)
	return nil
}

// bans are kept in the data directory, where there is one, and shared where limits
// are.
func (f *gateFlags) bans(run *gateRun, dirs *dirFlag, e *env) (*ban.Table, error) {
	cfg := ban.Config{Now: e.now, Log: run.log}
	dir, err := dirs.dir(e)
	if err == nil {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			cfg.File = filepath.Join(dir, "bans.json")
		}
	}
	if run.limiter != nil {
		cfg.Store = run.limiter.Bans()
	}
	if cfg.File == "" && cfg.Store == nil {
		run.log.Info("bans are forgotten when this process ends: there is no data directory to keep them in", "wanted", dir)
	}
	t, err := ban.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	run.closers = append([]io.Closer{t}, run.closers...) // before what it shares them through
	return t, nil
}

type closerFunc func()

func (f closerFunc) Close() error { f(); return nil }

// routes are the gate's in the HTTP API.
func (r *gateRun) routes() *api.GateConfig {
	if r == nil {
		return nil
	}
	// An application that asks names the client itself.
	return &api.GateConfig{
		Gate: r.With(peerItself()), Nginx: r.nginx, ForwardAuth: r.forward, Envoy: r.forward,
		Trusted: r.trusted, Token: r.token, Challenges: r.challenges, Bans: r.bans, Crawlers: r.crawlers,
		Lease: leaseOf(r.flags.VerdictLease), LimitedLease: r.flags.LimitedVerdictLease,
	}
}

// leaseOf is a flag as the API takes it: 0 is not at all.
func leaseOf(d time.Duration) time.Duration {
	if d <= 0 {
		return -1
	}
	return d
}

func peerItself() *clientip.Extractor {
	x, err := clientip.New(clientip.Config{})
	if err != nil {
		panic(err) // the zero Config is right
	}
	return x
}

// follow takes up the ranges of proxies that came with a dataset.
func (r *gateRun) follow(d *data) error {
	if r == nil || r.flags.Behind == "" {
		return nil
	}
	found, err := r.flags.clients(d)
	if err != nil {
		return err
	}
	r.UseClient(found.any)
	r.nginx.UseClient(found.nginx)
	r.forward.UseClient(found.forward)
	r.spoa.UseClient(found.spoa)
	return nil
}

// reload puts what the policy file holds now in use. On a mistake what was in
// use stays.
func (r *gateRun) reload() error {
	if r == nil {
		return nil
	}
	p, err := readPolicy(r.file, r.options)
	if err != nil {
		return err
	}
	r.also = p.Files
	return r.use(p.Program, p.Risk)
}

// reopen opens the decision log again, for who has renamed it.
func (r *gateRun) reopen() {
	if r == nil || r.journalFile == nil {
		return
	}
	if err := r.journalFile.reopen(); err != nil {
		r.log.Error("the decision log was not opened again; the file in use stays", "error", err)
	}
}

// named are the files that the policy names.
func (r *gateRun) named() []string {
	if r == nil {
		return nil
	}
	return r.also
}

// Close ends what the gate has opened.
func (r *gateRun) Close() error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
