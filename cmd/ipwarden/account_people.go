package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/account/peoplehttp"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/mail"
)

// people returns what changes how accounts sign in. Its letters go into the outbox of
// the data directory, from which a server sends them. url is where links lead.
func (a *accounts) people(ctx context.Context, url, site string, e *env) (*people.People, error) {
	secret, err := a.keySecret(ctx)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil)) // what goes wrong is returned
	box, err := mail.Open(mail.Config{Dir: filepath.Join(a.dir, "outbox"), From: mail.Sender{Name: site, Address: "no-reply@localhost"}, Log: log, Now: e.now})
	if err != nil {
		return nil, err
	}
	return people.New(people.Config{
		Accounts: a.Service, Store: accountsql.New(a.db), Secret: secret, Send: box.Send, URL: url, Name: site, Log: log, Now: e.now,
	})
}

// lettersFlags are of commands that may write letters.
type lettersFlags struct {
	PublicURL string `env:"IPWARDEN_PUBLIC_URL" placeholder:"URL" help:"Where people reach the server, for links in letters."`
	SiteName  string `env:"IPWARDEN_SITE_NAME" default:"ipwarden" placeholder:"NAME" help:"What the installation is called, in letters; default ${default}."`
}

// url is where links lead; without one a letter has none that matters.
func (f *lettersFlags) url() string {
	if f.PublicURL == "" {
		return "http://localhost"
	}
	return strings.TrimRight(f.PublicURL, "/")
}

type accountConfirmCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	accountsFlags
}

// Run confirms the address of an account.
func (c *accountConfirmCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, c.Account, func(a *accounts, id customer.AccountID) (customer.Account, error) {
		return a.Verify(ctx, operator(), id)
	})
}

type accountPasswordCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	Letter  bool   `help:"Mail a link that sets a password, instead of reading one from standard input."`
	lettersFlags
	accountsFlags
}

// Run sets a password, or mails a link that does.
func (c *accountPasswordCmd) Run(ctx context.Context, e *env) error {
	if c.Letter && c.PublicURL == "" {
		return usagef("--letter needs --public-url, such as https://ip.example: the link leads there")
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
	p, err := a.people(ctx, c.url(), c.SiteName, e)
	if err != nil {
		return err
	}
	if c.Letter {
		if err := p.Forgot(ctx, people.Visit{}, acc.Email); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s: a link is in the outbox; a server that runs sends it\n", acc.ID)
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(e.stdin, 4096))
	if err != nil {
		return err
	}
	if err := p.OperatorPassword(ctx, operator(), &acc, strings.TrimRight(string(text), "\r\n")); err != nil {
		return asUsage(err)
	}
	fmt.Fprintf(e.stdout, "%s: the password is set, and all sessions are ended\n", acc.ID)
	return nil
}

type accountSessionsCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	JSON    bool   `help:"As one JSON object."`
	accountsFlags
}

// Run lists who is signed in.
func (c *accountSessionsCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	acc, err := a.Find(ctx, c.Account)
	if err != nil {
		return asUsage(err)
	}
	x, err := a.Export(ctx, acc.ID)
	if err != nil {
		return err
	}
	v := account.ViewExport(&x, e.now()).SignIn
	if c.JSON {
		return writeJSON(e.stdout, v)
	}
	w := columns(e.stdout)
	fmt.Fprintf(w, "password\t%s\n", minute(v.Password))
	fmt.Fprintf(w, "second factor\t%s\n", minute(v.TOTP))
	if !v.TOTP.IsZero() {
		fmt.Fprintf(w, "recovery codes\t%d\n", v.Recovery)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range v.Sessions {
		fmt.Fprintf(w, "session %s\t%s\tseen %s\t%s\t%s\n", s.ID, minute(s.Created), minute(s.Seen), printable(s.Address), printable(s.Agent))
	}
	for _, d := range v.Devices {
		fmt.Fprintf(w, "device %s\t%s\tseen %s\t\t%s\n", d.ID, minute(d.Created), minute(d.Seen), printable(d.Name))
	}
	return w.Flush()
}

type accountSignOutCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	accountsFlags
}

// Run ends all sessions of an account.
func (c *accountSignOutCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	acc, err := a.Find(ctx, c.Account)
	if err != nil {
		return asUsage(err)
	}
	p, err := a.people(ctx, "http://localhost", "", e)
	if err != nil {
		return err
	}
	n, err := p.OperatorSignOut(ctx, operator(), acc.ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: %d sessions ended, and no device is remembered\n", acc.ID, n)
	return nil
}

type accountFactorOffCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	Yes     bool   `help:"Do it: you are sure that it is the owner who asks."`
	lettersFlags
	accountsFlags
}

// Run ends the second factor of an account.
func (c *accountFactorOffCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	acc, err := a.Find(ctx, c.Account)
	if err != nil {
		return asUsage(err)
	}
	if !c.Yes {
		return usagef("from then on the password alone would sign in to %s, %s; say --yes when you are sure that it is the owner who asks", acc.ID, printable(acc.Email))
	}
	p, err := a.people(ctx, c.url(), c.SiteName, e)
	if err != nil {
		return err
	}
	if err := p.OperatorFactorOff(ctx, operator(), acc.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: the password alone signs in; a letter that says so is in the outbox\n", acc.ID)
	return nil
}

type accountAuditCmd struct {
	Account string `arg:"" optional:"" help:"E-mail address or identifier; default all."`
	Limit   int    `default:"100" placeholder:"N" help:"At most so many entries; default ${default}."`
	Before  int64  `placeholder:"ID" help:"From before this entry on."`
	JSON    bool   `help:"As one JSON object a line."`
	accountsFlags
}

// Run prints the log.
func (c *accountAuditCmd) Run(ctx context.Context, e *env) error {
	if c.Limit < 1 || c.Limit > 10000 {
		return usagef("--limit: %d is not between 1 and 10,000", c.Limit)
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	var id customer.AccountID
	if c.Account != "" {
		if id, err = customer.ParseAccountID(c.Account); err != nil { // by its identifier also one that is deleted
			acc, err := a.Find(ctx, c.Account)
			if err != nil {
				return asUsage(err)
			}
			id = acc.ID
		}
	}
	entries, err := a.Log(ctx, id, c.Before, c.Limit)
	if err != nil {
		return err
	}
	w := columns(e.stdout)
	for i := range entries {
		l := &entries[i]
		if c.JSON {
			if err := writeJSON(e.stdout, account.ViewEntry(l)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, minute(l.At), printable(l.Actor), l.Action, printable(l.Subject), printable(l.Address), printable(l.Detail))
	}
	return w.Flush()
}

type accountPolicyCmd struct{}

// Run prints the policy in front of signing up and in.
func (accountPolicyCmd) Run(e *env) error {
	_, err := e.stdout.Write(peoplehttp.GuardPolicy())
	return err
}

// mailCmd reads the outbox.
type mailCmd struct {
	List   mailListCmd   `cmd:"" help:"List the letters that wait, or were not delivered, the newest first." example:"ipwarden mail list"`
	Show   mailShowCmd   `cmd:"" help:"Show a letter." example:"ipwarden mail show 20261121T120000.000-q2ozwy3k6vff"`
	Remove mailRemoveCmd `cmd:"" help:"Delete a letter." example:"ipwarden mail remove 20261121T120000.000-q2ozwy3k6vff"`
}

// Help is the long help.
func (mailCmd) Help() string {
	return `Letters of accounts are in the outbox of the data directory until they are sent. A
server without --smtp sends none: what would open an account is in them, so show
them to nobody else.

Examples:
  ipwarden mail list
  ipwarden mail show 20261121T120000.000-q2ozwy3k6vff`
}

// outbox opens the one of the data directory, and makes none.
func (f *dirFlag) outbox(e *env) (*mail.Outbox, error) {
	dir, err := f.dir(e)
	if err != nil {
		return nil, err
	}
	return mail.Open(mail.Config{Dir: filepath.Join(dir, "outbox"), Now: e.now, Existing: true})
}

type mailListCmd struct {
	Limit int  `default:"100" placeholder:"N" help:"At most so many; default ${default}."`
	JSON  bool `help:"As one JSON object a line."`
	dirFlag
}

// Run lists letters.
func (c *mailListCmd) Run(e *env) error {
	if c.Limit < 1 || c.Limit > 100000 {
		return usagef("--limit: %d is not between 1 and 100,000", c.Limit)
	}
	box, err := c.outbox(e)
	if errors.Is(err, mail.ErrNoOutbox) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := box.List(c.Limit)
	if err != nil {
		return err
	}
	w := columns(e.stdout)
	for _, m := range all {
		if c.JSON {
			m.Text, m.HTML = "", "" // show has them
			if err := writeJSON(e.stdout, m); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.State(), minute(m.Created), printable(m.To), m.Kind, printable(m.Subject))
	}
	return w.Flush()
}

type mailShowCmd struct {
	ID   string `arg:"" help:"Which one, as list shows it."`
	HTML bool   `name:"html" help:"Its HTML part."`
	JSON bool   `help:"As one JSON object."`
	dirFlag
}

// Run shows a letter.
func (c *mailShowCmd) Run(e *env) error {
	box, err := c.outbox(e)
	if err != nil {
		return err
	}
	m, err := box.Get(c.ID)
	switch {
	case errors.Is(err, mail.ErrNotFound):
		return fmt.Errorf("there is no letter %s; 'ipwarden mail list' has them", printable(c.ID))
	case err != nil:
		return err
	case c.JSON:
		return writeJSON(e.stdout, m)
	case c.HTML:
		_, err = io.WriteString(e.stdout, m.HTML)
		return err
	}
	w := columns(e.stdout)
	fmt.Fprintf(w, "to\t%s\nsubject\t%s\nwritten\t%s\nstate\t%s\n", printable(m.To), printable(m.Subject), minute(m.Created), m.State())
	if m.Problem != "" {
		fmt.Fprintf(w, "tried\t%d times: %s\n", m.Attempts, printable(m.Problem))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout)
	for line := range strings.Lines(m.Text) {
		fmt.Fprintln(e.stdout, printable(strings.TrimSuffix(line, "\n")))
	}
	return nil
}

type mailRemoveCmd struct {
	ID string `arg:"" help:"Which one, as list shows it."`
	dirFlag
}

// Run deletes a letter.
func (c *mailRemoveCmd) Run(e *env) error {
	box, err := c.outbox(e)
	if err != nil {
		return err
	}
	if err := box.Remove(c.ID); errors.Is(err, mail.ErrNotFound) {
		return fmt.Errorf("there is no letter %s; 'ipwarden mail list' has them", printable(c.ID))
	} else if err != nil {
		return err
	}
	return nil
}
