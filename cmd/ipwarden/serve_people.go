package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/account/disposable"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/account/peoplehttp"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/redis"
)

// peopleFlags say who may have an account, and how.
type peopleFlags struct {
	SignUp          string `name:"sign-up" env:"IPWARDEN_SIGN_UP" enum:"open,closed" default:"open" help:"Whether people may make accounts themselves: open or closed. Default ${default}."`
	SignUpPlan      string `name:"sign-up-plan" env:"IPWARDEN_SIGN_UP_PLAN" default:"free" placeholder:"NAME" help:"The plan of who signs up; default ${default}."`
	SiteName        string `env:"IPWARDEN_SITE_NAME" default:"ipwarden" placeholder:"NAME" help:"What this installation is called, in letters, pages and authenticator apps; default ${default}."`
	DisposableMail  string `env:"IPWARDEN_DISPOSABLE_MAIL" default:"builtin" placeholder:"FILE" help:"Nobody signs up with addresses of these domains, a line each in FILE; builtin is the list in the program, and off is none. Default ${default}."`
	AccountPolicy   string `env:"IPWARDEN_ACCOUNT_POLICY" placeholder:"FILE" help:"The policy in front of signing up and in; default the one in the program, which 'ipwarden account policy' prints."`
	PasswordHashes  int    `env:"IPWARDEN_PASSWORD_HASHES" placeholder:"N" help:"How many passwords are checked at once, 19 MiB each; default one a processor, at least 2."`
	MailKeysInClear bool   `env:"IPWARDEN_MAIL_KEYS_IN_CLEAR" help:"Send the first key of an account by mail, too, where everybody on the way can read it."`
}

// disposable reads the list of domains that nobody signs up with.
func (f *peopleFlags) disposable() (func(string) bool, error) {
	switch f.DisposableMail {
	case "builtin":
		return disposable.Has, nil
	case "off":
		return nil, nil
	}
	file, err := os.Open(f.DisposableMail)
	if err != nil {
		return nil, fmt.Errorf("--disposable-mail: %w", err)
	}
	defer file.Close()
	list, err := disposable.Read(file, f.DisposableMail)
	if err != nil {
		return nil, fmt.Errorf("--disposable-mail: %w", err)
	}
	return list.Has, nil
}

// openPeople lets people have accounts. at is where they reach the server.
func (r *keyRun) openPeople(ctx context.Context, f *peopleFlags, at string, e *env, log *slog.Logger) error {
	var err error
	if r.secret, err = r.accounts.keySecret(ctx); err != nil {
		return err
	}
	refused, err := f.disposable()
	if err != nil {
		return usageError{err}
	}
	if f.PasswordHashes < 0 || f.PasswordHashes > 1024 {
		return usagef("--password-hashes: %d is not between 1 and 1024", f.PasswordHashes)
	}
	plans, err := r.accounts.Plans(ctx)
	if err != nil {
		return err
	}
	found := f.SignUp == "closed"
	for i := range plans {
		found = found || plans[i].Name == f.SignUpPlan
	}
	if !found {
		return usagef("--sign-up-plan: there is no plan %q; 'ipwarden plan list' has them", f.SignUpPlan)
	}
	r.people, err = people.New(people.Config{
		Accounts: r.accounts.Service, Store: accountsql.New(r.accounts.db), Secret: r.secret, Send: r.outbox.Send, URL: at, Name: f.SiteName, Plan: f.SignUpPlan,
		SignUpClosed: f.SignUp == "closed", MailKeys: f.MailKeysInClear, Refused: refused, Hashes: f.PasswordHashes, Log: log, Now: e.now,
	})
	return err
}

// housekeeping is how often what nobody asks for any more is forgotten.
const housekeeping = time.Hour

// housekeep forgets at once, and then every so often, until ctx ends.
func (r *keyRun) housekeep(ctx context.Context, log *slog.Logger) {
	ticks := time.NewTicker(housekeeping)
	defer ticks.Stop()
	for {
		if err := r.accounts.Housekeep(ctx); err != nil && ctx.Err() == nil {
			log.Warn("what has expired was not removed; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// mounts are what people reach besides look-ups: the API of accounts and their pages,
// with the guard before both. None without accounts. client tells who asks; nil is the
// peer.
func (s *server) mounts(c *serveCmd, client func(netip.Addr, ipwarden.Header) netip.Addr, e *env) ([]api.Mount, error) {
	r := s.keys
	if r == nil {
		return nil, nil
	}
	at := c.reachedAt()
	cfg := peoplehttp.GuardConfig{
		Source: s.beside.source(s.live.Load), Client: s.ask.found.Load(), Secret: r.secret, Remembers: r.people.Remembers,
		Bans: shieldAlone{s.shield}, Raise: s.shield.bits,
		Secure: strings.HasPrefix(at, "https://"), Now: e.now, Log: s.log,
	}
	if c.AccountPolicy != "" {
		var err error
		if cfg.Policy, err = os.ReadFile(c.AccountPolicy); err != nil {
			return nil, usagef("--account-policy: %w", err)
		}
		cfg.Name = c.AccountPolicy
	}
	shared, err := s.guardLimiter(c)
	if err != nil {
		return nil, err
	}
	if shared != nil {
		cfg.Limiter = shared
	}
	if r.guard, err = peoplehttp.NewGuard(cfg); err != nil {
		if c.AccountPolicy != "" {
			err = usageError{err}
		}
		return nil, err
	}
	a, err := peoplehttp.New(peoplehttp.Config{People: r.people, Accounts: r.accounts.Service, InForce: r.follow.inForce, Key: s.keyOf(e.now), URL: at, Client: s.visitor, Now: e.now, Log: s.log})
	if err != nil {
		return nil, err
	}
	pages, err := r.pages(at, client, e, s.log)
	if err != nil {
		return nil, err
	}
	all := []api.Mount{{Prefix: peoplehttp.Prefix, Handler: r.guard.Handler(a)}, {Prefix: peoplehttp.ChallengePath, Handler: r.guard.Challenge()}}
	for _, m := range pages {
		all = append(all, api.Mount{Prefix: m.Prefix, Handler: r.guard.Handler(m.Handler)})
	}
	return all, nil
}

// guardLimiter is what servers with one --redis count attempts to get in by: that of the
// gate, where there is one. nil: each server counts by itself. The keys of the counts
// come from the secret of the accounts, so that they are neither the gate's nor readable.
func (s *server) guardLimiter(c *serveCmd) (*redis.Limiter, error) {
	if s.gate != nil || c.Redis == "" {
		if s.gate == nil {
			return nil, nil
		}
		return s.gate.limiter, nil
	}
	cfg, err := redis.ParseURL(c.Redis)
	if err != nil {
		return nil, usageError{err}
	}
	cfg.Budget, cfg.Logger = c.LimitBudget, s.log
	s.keys.limiter, err = redis.New(context.Background(), cfg)
	return s.keys.limiter, err
}

// visitor is who asks: the peer, or who a proxy that is believed says.
func (s *server) visitor(q *http.Request) netip.Addr {
	p, _ := netip.ParseAddrPort(q.RemoteAddr) // the zero one over a Unix socket
	return s.ask.client(p.Addr().Unmap().WithZone(""), ipwarden.Header(q.Header))
}

// keyOf admits an API key to the routes of keys, as the API admits one to look-ups. It
// costs nothing of a quota.
func (s *server) keyOf(now func() time.Time) func(*http.Request, string) (peoplehttp.Admitted, error) {
	return func(q *http.Request, text string) (peoplehttp.Admitted, error) {
		p, _ := netip.ParseAddrPort(q.RemoteAddr) // the zero one over a Unix socket
		c := &authz.Call{
			Key: text, Path: q.URL.Path, Origin: q.Header.Get("Origin"), Referer: q.Header.Get("Referer"), Client: s.visitor(q), Peer: p.Addr().Unmap().WithZone(""),
			Endpoint: customer.EndpointLookup, Scope: authz.Keys, Now: now(),
		}
		settle := func(status int) { s.keys.Settle(c, status, 0, false) }
		if r := s.keys.Check(c); r != nil {
			why := &peoplehttp.Refused{Status: r.Code.Status(), Slug: r.Code.Slug(), Title: r.Code.Title(), Detail: string(r.AppendDetail(nil))}
			if r.Wait > 0 {
				why.RetryAfter = strconv.FormatInt(r.Wait, 10)
			}
			settle(why.Status)
			return peoplehttp.Admitted{}, why
		}
		return peoplehttp.Admitted{Account: c.Account(), Key: c.KeyID(), Settle: settle}, nil
	}
}

// found takes up how clients are found, which a dataset may change.
func (r *keyRun) found(ask *asker) {
	if r != nil && r.guard != nil && ask != nil {
		r.guard.UseClient(ask.found.Load())
	}
}
