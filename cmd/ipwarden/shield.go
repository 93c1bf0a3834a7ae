package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/shield"
	"github.com/ipwarden/ipwarden/redis"
)

// shieldCmd is for when there is an attack.
type shieldCmd struct {
	Status      shieldStatusCmd    `cmd:"" help:"List what is in force." example:"ipwarden shield status"`
	RequireKeys shieldKeysCmd      `cmd:"" help:"Refuse calls without a key." example:"ipwarden shield require-keys --for 2h"`
	Countries   shieldCountriesCmd `cmd:"" help:"Refuse or challenge countries." example:"ipwarden shield countries KP --for 6h"`
	ASNs        shieldASNsCmd      `cmd:"" name:"asns" help:"Refuse or challenge autonomous systems." example:"ipwarden shield asns AS64500 --action challenge"`
	DNSBL       shieldDNSBLCmd     `cmd:"" name:"dnsbl" help:"Refuse or challenge whom block lists are known to list." example:"ipwarden shield dnsbl zen.spamhaus.org"`
	Pow         shieldWorkCmd      `cmd:"" help:"Raise the proof of work." example:"ipwarden shield pow --bits 2 --from 30"`
	Suggest     shieldSuggestCmd   `cmd:"" help:"Say what is going on, and what may help." example:"ipwarden shield suggest --admin http://127.0.0.1:9090"`
	Expire      shieldExpireCmd    `cmd:"" help:"Have measures end sooner or later." example:"ipwarden shield expire country:KP --in 30m"`
	Undo        shieldUndoCmd      `cmd:"" help:"Undo the last change." example:"ipwarden shield undo"`
	Off         shieldOffCmd       `cmd:"" help:"End all measures." example:"ipwarden shield off"`
}

// Help is the long help.
func (shieldCmd) Help() string {
	return `What an operator does under attack. Each measure has an end and can be undone. It
is in force within a second at every 'ipwarden serve --accounts', 'gate' and
'gateway' that has the same data directory, the same --accounts-url, or the same
--redis; a server that does not run takes it up when it starts.

Examples:
  ipwarden shield require-keys --for 2h --reason 'flood of calls without a key'
  ipwarden shield countries KP --for 6h
  ipwarden shield status
  ipwarden shield undo`
}

// shieldFlags say where the measures are kept.
type shieldFlags struct {
	dirFlag
	AccountsURL string `name:"accounts-url" env:"IPWARDEN_ACCOUNTS_URL" placeholder:"URL" help:"The measures of the servers with these accounts, such as postgres://ipwarden@db.example.com/ipwarden; default those of the data directory."`
	Redis       string `env:"IPWARDEN_REDIS" placeholder:"URL" help:"The measures of the gates that share limits there, such as redis://127.0.0.1:6379/0."`
}

// with calls f with where the measures are.
func (f *shieldFlags) with(ctx context.Context, e *env, do func(shield.Place) error) error {
	switch {
	case f.AccountsURL != "":
		where := accountsFlags{dirFlag: f.dirFlag, AccountsURL: f.AccountsURL}
		a, err := where.look(ctx, e)
		if err != nil {
			return err
		}
		defer a.Close()
		return do(accountsPlace{a.Service})
	case f.Redis != "":
		return f.withRedis(ctx, do)
	}
	dir, err := f.dir(e)
	if err != nil {
		return err
	}
	return do(shield.File(filepath.Join(dir, shield.FileName)))
}

func (f *shieldFlags) withRedis(ctx context.Context, do func(shield.Place) error) error {
	c, err := redis.ParseURL(f.Redis)
	if err != nil {
		return usageError{err}
	}
	c.Logger = slog.New(slog.DiscardHandler) // what fails is told below
	l, err := redis.New(ctx, c)
	if err != nil {
		return err
	}
	defer l.Close()
	place := redisPlace{l.Document(shieldDocument)}
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for { // it connects behind
		if _, err = place.Load(wait); err == nil {
			return do(place)
		}
		select {
		case <-wait.Done():
			return fmt.Errorf("the server of --redis does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// change changes the measures and says what is in force then.
func (f *shieldFlags) change(ctx context.Context, e *env, how func(*shield.State) error) error {
	if f.AccountsURL == "" && f.Redis == "" {
		if dir, err := f.dir(e); err == nil {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("the data directory: %w", err)
			}
		}
	}
	return f.with(ctx, e, func(p shield.Place) error {
		_, err := shield.Change(ctx, p, e.now(), how)
		return err
	})
}

// lifeFlags are of each measure.
type lifeFlags struct {
	For    string `default:"1h" placeholder:"TIME" help:"How long, such as 30m, 24h or 7d; at most 90d, default ${default}."`
	Reason string `placeholder:"TEXT" help:"Why, for people."`
	shieldFlags
}

// set puts measures in force.
func (f *lifeFlags) set(ctx context.Context, e *env, measures ...shield.Measure) error {
	life, err := parseSpan("--for", f.For)
	if err != nil {
		return err
	}
	if life < shield.Shortest || life > shield.Longest {
		return usagef("--for: %q; a measure lasts from 1s to 90d: what is to stay belongs into a list of the policy", f.For)
	}
	now := e.now()
	for i := range measures {
		m := &measures[i]
		m.Since, m.Until, m.By, m.Reason = now, now.Add(life), operator(), f.Reason
	}
	var wrong error
	if err := f.change(ctx, e, func(s *shield.State) error {
		wrong = s.Set(now, measures...)
		return wrong
	}); err != nil {
		if wrong != nil {
			return usageError{wrong}
		}
		return err
	}
	for i := range measures {
		fmt.Fprintf(e.stdout, "%s, until %s\n", measures[i].Does(), measures[i].Until.UTC().Format(time.RFC3339))
	}
	return nil
}

// named makes a measure of each value.
func named(k shield.Kind, action string, values []string) (all []shield.Measure, err error) {
	var errs []error
	for _, text := range values {
		for part := range strings.SplitSeq(text, ",") {
			v, err := shield.Parse(k, part)
			errs = append(errs, err)
			m := shield.Measure{Kind: k, Value: v, Action: shield.Action(action)}
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usageError{err}
	}
	return all, nil
}

type shieldKeysCmd struct{ lifeFlags }

// Run refuses calls without a key.
func (c *shieldKeysCmd) Run(ctx context.Context, e *env) error {
	return c.set(ctx, e, shield.Measure{Kind: shield.RequireKeys})
}

type shieldCountriesCmd struct {
	Country []string `arg:"" name:"country" help:"Codes of two letters, such as SE."`
	Action  string   `enum:"block,challenge" default:"block" help:"${enum}; default ${default}. At the API, challenge refuses calls without a key."`
	lifeFlags
}

// Run refuses countries.
func (c *shieldCountriesCmd) Run(ctx context.Context, e *env) error {
	all, err := named(shield.Country, c.Action, c.Country)
	if err != nil {
		return err
	}
	return c.set(ctx, e, all...)
}

type shieldASNsCmd struct {
	ASN    []string `arg:"" name:"asn" help:"Numbers, such as AS64500."`
	Action string   `enum:"block,challenge" default:"block" help:"${enum}; default ${default}. At the API, challenge refuses calls without a key."`
	lifeFlags
}

// Run refuses autonomous systems.
func (c *shieldASNsCmd) Run(ctx context.Context, e *env) error {
	all, err := named(shield.ASN, c.Action, c.ASN)
	if err != nil {
		return err
	}
	return c.set(ctx, e, all...)
}

type shieldDNSBLCmd struct {
	Zone   []string `arg:"" name:"zone" help:"Zones, such as zen.spamhaus.org, that a provider of the servers asks."`
	Action string   `enum:"block,challenge" default:"block" help:"${enum}; default ${default}. At the API, challenge refuses calls without a key."`
	lifeFlags
}

// Help is the long help.
func (shieldDNSBLCmd) Help() string {
	return `Nobody waits for a block list: what is known already counts, and an address of
which nothing is known is asked about behind its first request. The servers ask the
zones of kind dnsbl in their --providers.

Examples:
  ipwarden shield dnsbl zen.spamhaus.org --for 6h
  ipwarden shield dnsbl bl.blocklist.de --action challenge`
}

// Run refuses whom block lists list.
func (c *shieldDNSBLCmd) Run(ctx context.Context, e *env) error {
	all, err := named(shield.DNSBL, c.Action, c.Zone)
	if err != nil {
		return err
	}
	return c.set(ctx, e, all...)
}

type shieldWorkCmd struct {
	Bits int `default:"2" placeholder:"N" help:"How many bits more, each twice the work: 0 to 6, default ${default}."`
	From int `default:"-1" placeholder:"SCORE" help:"Challenge everybody from this risk on, 0 to 100; default whom the policy challenges."`
	lifeFlags
}

// Run raises the proof of work.
func (c *shieldWorkCmd) Run(ctx context.Context, e *env) error {
	return c.set(ctx, e, shield.Measure{Kind: shield.Work, Bits: c.Bits, From: c.From})
}

type shieldStatusCmd struct {
	JSON bool `help:"As one JSON object a line."`
	shieldFlags
}

// Run lists what is in force.
func (c *shieldStatusCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, func(p shield.Place) error {
		s, err := shield.Change(ctx, p, e.now(), nil)
		if err != nil {
			return err
		}
		active := s.Active(e.now())
		if c.JSON {
			for i := range active {
				if err := writeJSON(e.stdout, &active[i]); err != nil {
					return err
				}
			}
			return nil
		}
		if len(active) == 0 {
			fmt.Fprintln(e.stdout, "nothing is in force")
			return nil
		}
		w := columns(e.stdout)
		fmt.Fprintln(w, "MEASURE\tDOES\tUNTIL\tBY\tREASON")
		for i := range active {
			m := &active[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name(), m.Does(), m.Until.UTC().Format(time.RFC3339), m.By, m.Reason)
		}
		return w.Flush()
	})
}

type shieldExpireCmd struct {
	Measure []string `arg:"" name:"measure" help:"As status names them, such as country:SE or require-keys."`
	In      string   `name:"in" default:"0s" placeholder:"TIME" help:"They end in so long; default now."`
	shieldFlags
}

// Run has measures end at another time.
func (c *shieldExpireCmd) Run(ctx context.Context, e *env) error {
	life, err := parseSpan("--in", c.In)
	if err != nil {
		return err
	}
	var names []string
	for _, text := range c.Measure {
		name, err := shield.ParseName(text)
		if err != nil {
			return usageError{err}
		}
		names = append(names, name)
	}
	now := e.now()
	if err := c.change(ctx, e, func(s *shield.State) error { return s.Expire(now, now.Add(life), names...) }); err != nil {
		return err
	}
	for _, name := range names {
		if life == 0 {
			fmt.Fprintf(e.stdout, "%s: ended\n", name)
		} else {
			fmt.Fprintf(e.stdout, "%s: until %s\n", name, now.Add(life).UTC().Format(time.RFC3339))
		}
	}
	return nil
}

type shieldUndoCmd struct{ shieldFlags }

// Run undoes the last change.
func (c *shieldUndoCmd) Run(ctx context.Context, e *env) error {
	var done []string
	if err := c.change(ctx, e, func(s *shield.State) (err error) {
		done, err = s.Undo(e.now())
		return err
	}); err != nil {
		return err
	}
	for _, line := range done {
		fmt.Fprintln(e.stdout, line)
	}
	return nil
}

type shieldOffCmd struct{ shieldFlags }

// Run ends all measures.
func (c *shieldOffCmd) Run(ctx context.Context, e *env) error {
	var names []string
	if err := c.change(ctx, e, func(s *shield.State) error {
		now := e.now()
		if names = s.Names(now); len(names) == 0 {
			return nil
		}
		return s.Expire(now, now, names...)
	}); err != nil {
		return err
	}
	for _, name := range names {
		fmt.Fprintf(e.stdout, "%s: ended\n", name)
	}
	if len(names) == 0 {
		fmt.Fprintln(e.stdout, "nothing was in force")
	}
	return nil
}
