package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// keyCmd looks after keys.
type keyCmd struct {
	New      keyNewCmd      `cmd:"" help:"Make a key, and show it: once." example:"ipwarden key new ada@example.com --name web"`
	List     keyListCmd     `cmd:"" help:"List the keys of an account." example:"ipwarden key list ada@example.com"`
	Show     keyShowCmd     `cmd:"" help:"Show what a key may do, and whose it is." example:"ipwarden key show key_01h2xcejqtf2n"`
	Rotate   keyRotateCmd   `cmd:"" help:"Make a key that replaces another, which goes on for a while." example:"ipwarden key rotate key_01h2xcejqtf2n --overlap 24h"`
	Revoke   keyRevokeCmd   `cmd:"" help:"End a key." example:"ipwarden key revoke key_01h2xcejqtf2n --reason 'was in a public repository'"`
	Reset    keyResetCmd    `cmd:"" help:"When secrets/key-hash is lost: end all keys, and make another secret." example:"ipwarden key reset --yes"`
	Restrict keyRestrictCmd `cmd:"" help:"Change what a key may do, and its name." example:"ipwarden key restrict key_01h2xcejqtf2n --network 203.0.113.0/24"`
}

// Help is the long help.
func (keyCmd) Help() string {
	return `Works on the database itself, beside a server that runs or without one; a server
follows within a second. KEY is an identifier, key_…, which list shows, or the key
itself, ipw_…; - reads it from standard input.

Examples:
  ipwarden key new ada@example.com --name web
  ipwarden key list ada@example.com
  ipwarden key rotate key_01h2xcejqtf2n --overlap 7d
  ipwarden key revoke - <leaked.txt`
}

// specFlags say what a key may do.
type specFlags struct {
	Name     string   `placeholder:"TEXT" help:"What it is for, for people."`
	Tag      []string `placeholder:"TEXT" help:"A word to sort keys by; may be repeated."`
	Scope    []string `placeholder:"NAME" help:"What it may do: lookup, decide, usage, keys; default lookup."`
	Network  []string `placeholder:"CIDR" help:"Only from this address or network; may be repeated."`
	Origin   []string `placeholder:"URL" help:"Only from pages of this origin, such as https://example.com or https://*.example.com; may be repeated."`
	Endpoint []string `placeholder:"PATH" help:"Only this, such as /v1/ip; may be repeated."`
	Limit    []string `placeholder:"N/PERIOD" help:"At most so many look-ups, such as 100/minute or burst=5/second; may be repeated."`
	Expires  string   `placeholder:"TIME" help:"Ends by itself: after 90d or 12h, or at 2027-06-30 or an RFC 3339 time."`
}

// onto lays what was given over a spec.
func (f *specFlags) onto(s *account.KeySpec, now time.Time) error {
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if f.Name != "" {
		s.Name = f.Name
	}
	if f.Tag != nil {
		s.Tags = f.Tag
	}
	if f.Scope != nil {
		s.Scopes = f.Scope
	}
	if f.Network != nil {
		s.Networks = nil
		for _, text := range f.Network {
			p, err := netip.ParsePrefix(text)
			if a, plain := netip.ParseAddr(text); plain == nil && a.Zone() == "" {
				p, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				note(fmt.Errorf("--network: %.60q is no network, such as 203.0.113.0/24 or 2001:db8::/32", text))
				continue
			}
			s.Networks = append(s.Networks, p)
		}
	}
	if f.Origin != nil {
		s.Origins = f.Origin
	}
	if f.Endpoint != nil {
		s.Endpoints = f.Endpoint
	}
	if f.Limit != nil {
		s.Limits = nil
		for _, text := range f.Limit {
			l, err := parseLimit(text)
			note(err)
			s.Limits = append(s.Limits, l)
		}
	}
	if f.Expires != "" {
		t, err := parseExpiry(f.Expires, now)
		note(err)
		s.Expires = t
	}
	return errors.Join(errs...)
}

// parseLimit reads 100/minute and name=100/minute. The name of the first is its period.
func parseLimit(text string) (l customer.Limit, err error) {
	rest := text
	if name, after, ok := strings.Cut(text, "="); ok {
		l.Name, rest = name, after
	}
	n, per, _ := strings.Cut(rest, "/")
	l.N, err = strconv.ParseInt(strings.ReplaceAll(n, "_", ""), 10, 64)
	if err == nil {
		l.Per, err = account.ParsePeriod(per)
	}
	if err != nil {
		return l, fmt.Errorf("--limit: %.60q is no limit, such as 100/minute; periods are second, minute, hour, day, month", text)
	}
	if l.Name == "" {
		l.Name = per
	}
	return l, nil
}

// parseExpiry reads a time from now, or a date, which is the end of that day in UTC.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	if d, err := parseSpan("--expires", text); err == nil {
		return now.Add(d), nil
	}
	return time.Time{}, fmt.Errorf("--expires: %.60q is no time, such as 90d, 2027-06-30 or 2027-06-30T12:00:00Z", text)
}

type keyNewCmd struct {
	Account     string `arg:"" help:"E-mail address or identifier of the account."`
	Publishable bool   `help:"For pages that anybody can read; it is bound to --origin."`
	Test        bool   `help:"A test key: answered as others are, and counted apart."`
	JSON        bool   `help:"As one JSON object."`
	specFlags
	accountsFlags
}

// Run makes a key.
func (c *keyNewCmd) Run(ctx context.Context, e *env) error {
	spec := account.KeySpec{}
	if c.Publishable {
		spec.Kind = customer.Publishable
	}
	if c.Test {
		spec.Mode = customer.Test
	}
	if err := c.onto(&spec, e.now()); err != nil {
		return usageError{err}
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	acc, err := a.Find(ctx, c.Account)
	if err != nil {
		return asUsage(err)
	}
	if _, err := a.hasher(ctx); err != nil {
		return err
	}
	k, text, err := a.NewKey(ctx, operator(), acc.ID, spec)
	if err != nil {
		return asUsage(err)
	}
	if acc.Status == customer.Suspended {
		fmt.Fprintf(e.stderr, "ipwarden: the account is suspended: its keys are refused until 'ipwarden account resume %s'\n", printable(c.Account))
	}
	return showNew(e, &k, text, c.JSON)
}

// showNew shows a key with its text, which nobody can show again.
func showNew(e *env, k *customer.Key, text string, asJSON bool) error {
	if asJSON {
		return writeJSON(e.stdout, struct {
			Key string `json:"key"`
			account.KeyView
		}{text, account.ViewKey(k, e.now())})
	}
	fmt.Fprintln(e.stdout, text)
	fmt.Fprintf(e.stderr, "this is %s; its text is kept nowhere: keep it now\n", k.ID)
	return nil
}

type keyListCmd struct {
	Account string `arg:"" help:"E-mail address or identifier of the account."`
	JSON    bool   `help:"As one JSON object a line."`
	accountsFlags
}

// Run lists keys.
func (c *keyListCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	acc, err := a.Find(ctx, c.Account)
	if err != nil {
		return asUsage(err)
	}
	keys, err := a.Keys(ctx, acc.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		for i := range keys {
			if err := writeJSON(e.stdout, account.ViewKey(&keys[i], e.now())); err != nil {
				return err
			}
		}
		return nil
	}
	return writeKeys(e, keys)
}

func writeKeys(e *env, keys []customer.Key) error {
	w := columns(e.stdout)
	for i := range keys {
		k := &keys[i]
		ends := k.Expires
		if !k.Revoked.IsZero() && (ends.IsZero() || k.Revoked.Before(ends)) {
			ends = k.Revoked
		}
		fmt.Fprintf(w, "%s\t…%s\t%s %s\t%s\tcreated %s\tends %s\t%s\n", k.ID, k.Hint, k.Mode, k.Kind, account.State(k, e.now()), minute(k.Created), minute(ends), printable(k.Name))
	}
	return w.Flush()
}

type keyShowCmd struct {
	Key  string `arg:"" help:"Identifier, or the key itself; - reads standard input."`
	JSON bool   `help:"As one JSON object."`
	accountsFlags
}

// Run shows a key.
func (c *keyShowCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	k, err := a.findKey(ctx, e, c.Key)
	if err != nil {
		return asUsage(err)
	}
	if c.JSON {
		return writeJSON(e.stdout, account.ViewKey(&k, e.now()))
	}
	acc, err := a.Find(ctx, k.Account.String())
	if err != nil {
		return err
	}
	return writeKey(e, &k, &acc)
}

func writeKey(e *env, k *customer.Key, acc *customer.Account) error {
	w := columns(e.stdout)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, printable(value))
		}
	}
	v := account.ViewKey(k, e.now())
	row("key", v.ID)
	row("text", "…"+v.Hint)
	row("account", v.Account+" "+acc.Email)
	state := v.State
	if acc.Status != customer.Active {
		state += "; the account is " + acc.Status.String()
	}
	row("state", state)
	row("kind", v.Mode+" "+v.Kind)
	row("name", v.Name)
	row("tags", strings.Join(v.Tags, ", "))
	row("scopes", strings.Join(v.Scopes, ", "))
	networks := make([]string, len(v.Networks))
	for i, p := range v.Networks {
		networks[i] = p.String()
	}
	row("networks", strings.Join(networks, ", "))
	row("origins", strings.Join(v.Origins, ", "))
	row("endpoints", strings.Join(v.Endpoints, ", "))
	for _, l := range v.Limits {
		row("limit", fmt.Sprintf("%s: %d a %s", l.Name, l.N, l.Per))
	}
	row("created", minute(v.Created))
	if !v.Expires.IsZero() {
		row("expires", minute(v.Expires))
	}
	if !v.Revoked.IsZero() {
		row("revoked", minute(v.Revoked))
	}
	row("replaces", v.Replaces)
	return w.Flush()
}

type keyRotateCmd struct {
	Key     string `arg:"" help:"Identifier, or the key itself; - reads standard input."`
	Overlap string `default:"24h" placeholder:"TIME" help:"How long the old key goes on; at most 90d, default ${default}."`
	JSON    bool   `help:"As one JSON object."`
	accountsFlags
}

// Run rotates a key.
func (c *keyRotateCmd) Run(ctx context.Context, e *env) error {
	overlap, err := parseSpan("--overlap", c.Overlap)
	if err != nil {
		return err
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := a.hasher(ctx); err != nil {
		return err
	}
	k, err := a.findKey(ctx, e, c.Key)
	if err != nil {
		return asUsage(err)
	}
	old, k, text, err := a.RotateKey(ctx, operator(), k.ID, overlap)
	if err != nil {
		return asUsage(err)
	}
	fmt.Fprintf(e.stderr, "%s ends %s\n", old.ID, old.Revoked.Format(time.RFC3339))
	return showNew(e, &k, text, c.JSON)
}

type keyRevokeCmd struct {
	Key    string `arg:"" help:"Identifier, or the key itself; - reads standard input."`
	In     string `default:"0s" placeholder:"TIME" help:"Only after a while, such as 1h; default at once."`
	Reason string `placeholder:"TEXT" help:"Why, for the log."`
	JSON   bool   `help:"As one JSON object."`
	accountsFlags
}

// Run revokes a key.
func (c *keyRevokeCmd) Run(ctx context.Context, e *env) error {
	after, err := parseSpan("--in", c.In)
	if err != nil {
		return err
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	k, err := a.findKey(ctx, e, c.Key)
	if err != nil {
		return asUsage(err)
	}
	if k, err = a.RevokeKey(ctx, operator(), k.ID, after, c.Reason); err != nil {
		return asUsage(err)
	}
	if c.JSON {
		return writeJSON(e.stdout, account.ViewKey(&k, e.now()))
	}
	word := "ends"
	if !k.Revoked.After(e.now()) {
		word = "ended"
	}
	fmt.Fprintf(e.stdout, "%s: %s %s\n", k.ID, word, k.Revoked.Format(time.RFC3339))
	return nil
}

type keyRestrictCmd struct {
	Key   string   `arg:"" help:"Identifier, or the key itself; - reads standard input."`
	Clear []string `enum:"name,tag,scope,network,origin,endpoint,limit,expires" placeholder:"WHAT" help:"Take away what was said of name, tag, scope, network, origin, endpoint, limit or expires; may be repeated."`
	JSON  bool     `help:"As one JSON object."`
	specFlags
	accountsFlags
}

// Help is the long help.
func (keyRestrictCmd) Help() string {
	return `What is given replaces what was said of it before, and the rest stays: with
--network 203.0.113.0/24 the key has that network and no other. --clear network
lets it be used from everywhere again.

Examples:
  ipwarden key restrict key_01h2xcejqtf2n --network 203.0.113.0/24 --network 2001:db8::/32
  ipwarden key restrict key_01h2xcejqtf2n --limit 100/minute --limit 5000/day
  ipwarden key restrict key_01h2xcejqtf2n --clear network,limit`
}

// Run changes a key.
func (c *keyRestrictCmd) Run(ctx context.Context, e *env) error {
	if err := c.onto(&account.KeySpec{}, e.now()); err != nil {
		return usageError{err}
	}
	empty := c.Name == "" && c.Tag == nil && c.Scope == nil && c.Network == nil && c.Origin == nil && c.Endpoint == nil && c.Limit == nil && c.Expires == ""
	if empty && len(c.Clear) == 0 {
		return usagef("there is nothing to change: say what, such as --network 203.0.113.0/24")
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	k, err := a.findKey(ctx, e, c.Key)
	if err != nil {
		return asUsage(err)
	}
	k, err = a.ChangeKey(ctx, operator(), k.ID, func(s *account.KeySpec) {
		for _, what := range c.Clear {
			switch what {
			case "name":
				s.Name = ""
			case "tag":
				s.Tags = nil
			case "scope":
				s.Scopes = nil
			case "network":
				s.Networks = nil
			case "origin":
				s.Origins = nil
			case "endpoint":
				s.Endpoints = nil
			case "limit":
				s.Limits = nil
			case "expires":
				s.Expires = time.Time{}
			}
		}
		_ = c.onto(s, e.now()) // it was tried above
	})
	if err != nil {
		return asUsage(err)
	}
	if c.JSON {
		return writeJSON(e.stdout, account.ViewKey(&k, e.now()))
	}
	acc, err := a.Find(ctx, k.Account.String())
	if err != nil {
		return err
	}
	return writeKey(e, &k, &acc)
}

type keyResetCmd struct {
	Yes bool `help:"Yes, end all keys of all accounts: it cannot be undone."`
	accountsFlags
}

// Run ends all keys.
func (c *keyResetCmd) Run(ctx context.Context, e *env) error {
	if !c.Yes {
		return usagef("this ends all keys of all accounts for good; say --yes. It is for when %s is lost, and in no backup", "secrets/key-hash")
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	n, err := a.ResetSecret(ctx, operator(), a.dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d keys ended; there is another secret in %s\n", n, account.SecretFile(a.dir))
	return nil
}
