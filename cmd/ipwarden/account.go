package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// accountCmd looks after accounts.
type accountCmd struct {
	Add       accountAddCmd       `cmd:"" help:"Make an account." example:"ipwarden account add ada@example.com --plan standard"`
	List      accountListCmd      `cmd:"" help:"List the accounts, the oldest first." example:"ipwarden account list"`
	Show      accountShowCmd      `cmd:"" help:"Show an account, its keys, and what was done to it." example:"ipwarden account show ada@example.com"`
	Plan      accountPlanCmd      `cmd:"" help:"Put an account on another plan." example:"ipwarden account plan ada@example.com standard"`
	Suspend   accountSuspendCmd   `cmd:"" help:"Refuse all keys of an account until it is resumed." example:"ipwarden account suspend ada@example.com --reason 'unpaid since May'"`
	Resume    accountResumeCmd    `cmd:"" help:"End what suspend began." example:"ipwarden account resume ada@example.com"`
	Delete    accountDeleteCmd    `cmd:"" help:"Delete an account, its keys, and all that says whose it was." example:"ipwarden account delete ada@example.com --yes"`
	Confirm   accountConfirmCmd   `cmd:"" help:"Say that the address of an account is its owner's." example:"ipwarden account confirm ada@example.com"`
	Password  accountPasswordCmd  `cmd:"" help:"Set the password of an account, from standard input, or mail a link that does." example:"ipwarden account password ada@example.com --letter --public-url https://ip.example"`
	Sessions  accountSessionsCmd  `cmd:"" help:"List who is signed in to an account." example:"ipwarden account sessions ada@example.com"`
	SignOut   accountSignOutCmd   `cmd:"" help:"End all sessions of an account, and forget its devices." example:"ipwarden account sign-out ada@example.com"`
	FactorOff accountFactorOffCmd `cmd:"" help:"End the second factor of an account, for who has lost it." example:"ipwarden account factor-off ada@example.com --yes"`
	Audit     accountAuditCmd     `cmd:"" help:"Print what was done, the newest first." example:"ipwarden account audit ada@example.com"`
	Policy    accountPolicyCmd    `cmd:"" help:"Print the policy in front of signing up and in." example:"ipwarden account policy"`
	Export    accountExportCmd    `cmd:"" help:"Write all that is kept about an account, as JSON." example:"ipwarden account export ada@example.com -o ada.json"`
}

// Help is the long help.
func (accountCmd) Help() string {
	return `Works on the database itself, beside a server that runs or without one; a server
follows within a second. ACCOUNT is an e-mail address, or an identifier acc_….

Examples:
  ipwarden account add ada@example.com
  ipwarden key new ada@example.com --name web
  ipwarden account show ada@example.com`
}

type accountAddCmd struct {
	Email string `arg:"" help:"Whose it is: an e-mail address."`
	Plan  string `default:"free" placeholder:"NAME" help:"The plan; default ${default}. 'ipwarden plan list' has them."`
	JSON  bool   `help:"As one JSON object."`
	accountsFlags
}

// Run makes an account. Its address counts as confirmed: an operator says so.
func (c *accountAddCmd) Run(ctx context.Context, e *env) error {
	a, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	acc, err := a.Add(ctx, operator(), account.NewAccount{Email: c.Email, Plan: c.Plan, Verified: true})
	if err != nil {
		return asUsage(err)
	}
	if c.JSON {
		return writeJSON(e.stdout, account.ViewAccount(&acc))
	}
	fmt.Fprintf(e.stdout, "%s: %s, plan %s\n", acc.ID, printable(acc.Email), acc.Plan)
	fmt.Fprintf(e.stderr, "a key for it:  ipwarden key new %s\n", printable(acc.Email))
	return nil
}

// accountsPage is how many accounts are read at once.
const accountsPage = 1000

type accountListCmd struct {
	JSON bool `help:"As one JSON object a line."`
	accountsFlags
}

// Run lists the accounts, a page at a time: there may be a million.
func (c *accountListCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	w := columns(e.stdout)
	for after := (account.Cursor{}); ; {
		page, err := a.Accounts(ctx, after, accountsPage)
		if err != nil {
			return err
		}
		for i := range page {
			acc := &page[i]
			if c.JSON {
				if err := writeJSON(e.stdout, account.ViewAccount(acc)); err != nil {
					return err
				}
				continue
			}
			email := printable(acc.Email)
			if email == "" {
				email = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", acc.ID, email, acc.Status, acc.Plan, minute(acc.Created))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if len(page) < accountsPage {
			return nil
		}
		last := &page[len(page)-1]
		after = account.Cursor{Created: last.Created, ID: last.ID}
	}
}

type accountShowCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	JSON    bool   `help:"As one JSON object: what export writes."`
	accountsFlags
}

// Run shows an account.
func (c *accountShowCmd) Run(ctx context.Context, e *env) error {
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
	now := e.now()
	if c.JSON {
		return writeJSON(e.stdout, account.ViewExport(&x, now))
	}
	w := columns(e.stdout)
	fmt.Fprintf(w, "account\t%s\n", acc.ID)
	fmt.Fprintf(w, "e-mail\t%s\n", printable(acc.Email))
	fmt.Fprintf(w, "confirmed\t%s\n", minute(acc.Verified))
	fmt.Fprintf(w, "status\t%s\n", acc.Status)
	fmt.Fprintf(w, "plan\t%s, since %s\n", acc.Plan, minute(acc.PlanFrom))
	fmt.Fprintf(w, "created\t%s\n", minute(acc.Created))
	if err := w.Flush(); err != nil {
		return err
	}
	if len(x.Keys) > 0 {
		fmt.Fprintln(e.stdout)
		if err := writeKeys(e, x.Keys); err != nil {
			return err
		}
	}
	fmt.Fprintln(e.stdout)
	const shown = 10
	for i := range min(shown, len(x.Log)) {
		l := &x.Log[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", minute(l.At), printable(l.Actor), l.Action, printable(l.Subject), printable(l.Detail))
	}
	return w.Flush()
}

type accountPlanCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	Plan    string `arg:"" help:"The plan."`
	accountsFlags
}

// Run puts an account on a plan.
func (c *accountPlanCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, c.Account, func(a *accounts, id customer.AccountID) (customer.Account, error) {
		return a.SetPlan(ctx, operator(), id, c.Plan)
	})
}

type accountSuspendCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	Reason  string `placeholder:"TEXT" help:"Why, for the log."`
	accountsFlags
}

// Run suspends an account.
func (c *accountSuspendCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, c.Account, func(a *accounts, id customer.AccountID) (customer.Account, error) {
		return a.Suspend(ctx, operator(), id, c.Reason)
	})
}

type accountResumeCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	Reason  string `placeholder:"TEXT" help:"Why, for the log."`
	accountsFlags
}

// Run resumes an account.
func (c *accountResumeCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, c.Account, func(a *accounts, id customer.AccountID) (customer.Account, error) {
		return a.Resume(ctx, operator(), id, c.Reason)
	})
}

// change changes an account, and says how it is now.
func (f *accountsFlags) change(ctx context.Context, e *env, who string, change func(*accounts, customer.AccountID) (customer.Account, error)) error {
	a, err := f.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	acc, err := a.Find(ctx, who)
	if err != nil {
		return asUsage(err)
	}
	if acc, err = change(a, acc.ID); err != nil {
		return asUsage(err)
	}
	fmt.Fprintf(e.stdout, "%s: %s, %s, plan %s\n", acc.ID, printable(acc.Email), acc.Status, acc.Plan)
	return nil
}

type accountDeleteCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	Yes     bool   `help:"Yes, delete it: it cannot be undone."`
	accountsFlags
}

// Run deletes an account.
func (c *accountDeleteCmd) Run(ctx context.Context, e *env) error {
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
	if !c.Yes {
		return usagef("this would delete %s, %s, and %d keys for good; say --yes. 'ipwarden account export' keeps a copy, and 'ipwarden account suspend' can be undone", acc.ID, printable(acc.Email), len(keys))
	}
	if err := a.Delete(ctx, operator(), acc.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: deleted, with %d keys\n", acc.ID, len(keys))
	return nil
}

type accountExportCmd struct {
	Account string `arg:"" help:"E-mail address or identifier."`
	Output  string `short:"o" placeholder:"FILE" help:"Write into FILE, which nobody else may read, instead of standard output."`
	accountsFlags
}

// Run exports an account.
func (c *accountExportCmd) Run(ctx context.Context, e *env) error {
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
	text, err := json.MarshalIndent(account.ViewExport(&x, e.now()), "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if c.Output == "" {
		_, err = e.stdout.Write(text)
		return err
	}
	return os.WriteFile(c.Output, text, 0o600)
}
