package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/account/peoplehttp"
	"github.com/ipwarden/ipwarden/internal/alert"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/sqlsums"
	"github.com/ipwarden/ipwarden/redis"
)

// keyFlags say that serve answers to keys.
type keyFlags struct {
	Accounts    bool   `env:"IPWARDEN_ACCOUNTS" help:"Answer to keys, within the plans of their accounts, and count: see 'ipwarden account' and 'ipwarden key'."`
	AccountsURL string `name:"accounts-url" env:"IPWARDEN_ACCOUNTS_URL" placeholder:"URL" help:"Accounts are in PostgreSQL, such as postgres://ipwarden@db.example.com/ipwarden; default accounts.db in the data directory. A password belongs into the variable, PGPASSWORD or PGPASSFILE."`
	Anonymous   string `env:"IPWARDEN_ANONYMOUS" enum:"plan,off" default:"plan" help:"Calls without a key: plan answers them within the plan called anonymous, where there is one; off never does. Default ${default}."`
	usageFlags
	mailFlags
	peopleFlags
}

// changesInterval is how often serve asks what changed in accounts, keys and plans: a
// revocation is in force within a second everywhere, whatever else fails.
const changesInterval = 250 * time.Millisecond

// keyRun is what answers to keys while it runs.
type keyRun struct {
	*authz.Authorizer
	accounts *accounts
	stop     context.CancelFunc
	done     <-chan struct{} // closed when nothing is followed any more
	usage    *counting
	outbox   *mail.Outbox
	people   *people.People
	follow   *following
	guard    *peoplehttp.Guard
	limiter  *redis.Limiter // of the guard alone; nil is none
	secret   []byte         // that hashes keys
	mailing  sync.WaitGroup
}

// open is nil without --accounts. at is where people reach the server, and public the
// same where the operator says it; "" is not known.
func (f *keyFlags) open(dirs *dirFlag, at, public string, sh authz.Shield, e *env, log *slog.Logger) (*keyRun, error) {
	if !f.Accounts {
		return nil, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	run := &keyRun{stop: stop}
	if err := run.start(ctx, f, dirs, at, public, sh, e, log); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

func (r *keyRun) start(ctx context.Context, f *keyFlags, dirs *dirFlag, at, public string, sh authz.Shield, e *env, log *slog.Logger) error {
	where := accountsFlags{dirFlag: *dirs, AccountsURL: f.AccountsURL}
	var err error
	if r.accounts, err = where.open(ctx, e); err != nil {
		return err
	}
	hasher, err := r.accounts.hasher(ctx)
	if err != nil {
		return err
	}
	if r.outbox, err = f.mailFlags.open(r.accounts.dir, public, f.SiteName, e, log); err != nil {
		return err
	}
	if err := r.openPeople(ctx, &f.peopleFlags, at, e, log); err != nil {
		return err
	}
	teller, err := alert.New(alert.Config{Accounts: r.accounts.Service, Store: sqlsums.New(r.accounts.db, usageBooks), Send: r.outbox.Send, URL: at})
	if err != nil {
		return err
	}
	r.accounts.alert = teller.Tell
	if r.usage, err = f.usageFlags.open(ctx, r.accounts, e, log); err != nil {
		return err
	}
	if r.Authorizer, err = authz.New(authz.Config{Hasher: hasher, Usage: r.usage, NoAnonymous: f.Anonymous == "off", Shield: sh, Now: e.now}); err != nil {
		return err
	}
	r.follow = newFollowing()
	done, err := r.Follow(ctx, r.follow.feed(changesOf(r.accounts.Service)), changesInterval, r.follow.nudge, log)
	if err != nil {
		return err
	}
	r.done = done
	// The ledger is this process's alone by now, and so is the outbox.
	r.mailing.Go(func() { r.outbox.Run(ctx) })
	r.mailing.Go(func() { r.housekeep(ctx, log) })
	r.usage.clock.Store(e.now().Unix())
	r.mailing.Go(func() { r.usage.tick(ctx, e.now) })
	return nil
}

// Close ends what open has started.
func (r *keyRun) Close() error {
	if r == nil {
		return nil
	}
	r.stop()
	if r.done != nil {
		<-r.done
	}
	err := r.usage.Close()
	r.mailing.Wait()
	if r.limiter != nil {
		err = errors.Join(err, r.limiter.Close())
	}
	if r.accounts != nil {
		err = errors.Join(err, r.accounts.Close())
	}
	return err
}

// authorizer is what the API asks; nil for nobody.
func (r *keyRun) authorizer() *authz.Authorizer {
	if r == nil {
		return nil
	}
	return r.Authorizer
}

// rows reads what was counted; nil for nobody.
func (r *keyRun) rows() func(context.Context, usage.Query, func(usage.Row, int64) bool) error {
	if r == nil {
		return nil
	}
	return r.usage.Rows
}

// client tells the API who asks, where a trust in proxies is configured; nil where
// it is the peer.
func (r *keyRun) client(f *gateFlags, ask *asker) func(netip.Addr, ipwarden.Header) netip.Addr {
	if r == nil || ask == nil || !f.believes() {
		return nil
	}
	return ask.client
}

// believes reports whether anybody is believed about the client.
func (f *gateFlags) believes() bool {
	return len(f.TrustedProxies) > 0 || f.TrustedHops > 0 || f.Behind != "" || f.DangerouslyTrustAll
}

// changesOf is what the Authorizer follows.
func changesOf(s *account.Service) authz.Feed {
	return func(ctx context.Context, since int64, f func(*authz.Changes) error) (int64, error) {
		newest, err := s.Changes(ctx, since, func(c *account.Changes) error {
			out := authz.Changes{Plans: c.Plans, Accounts: c.Accounts, Keys: c.Keys, GonePlans: c.DeletedPlans}
			for _, k := range c.DeletedKeys {
				out.GoneKeys = append(out.GoneKeys, k.Hash)
			}
			return f(&out)
		})
		if errors.Is(err, account.ErrForgotten) {
			err = authz.ErrForgotten
		}
		return newest, err
	}
}
