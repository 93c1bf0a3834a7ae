package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// planCmd looks after plans.
type planCmd struct {
	List   planListCmd   `cmd:"" help:"List the plans." example:"ipwarden plan list"`
	Set    planSetCmd    `cmd:"" help:"Make plans, or change them." example:"ipwarden plan set team --per-day 10000 --per-second 50"`
	Remove planRemoveCmd `cmd:"" help:"Remove a plan that no account is on." example:"ipwarden plan remove team"`
}

// Help is the long help.
func (planCmd) Help() string {
	return `A plan says what an account may use. Works on the database itself, beside a server
that runs or without one; a server follows within a second.

Examples:
  ipwarden plan list
  ipwarden plan set team --per-day 10000 --per-second 50
  ipwarden plan set --file plans.yaml
  ipwarden account plan ada@example.com team`
}

type planListCmd struct {
	JSON bool `help:"As one JSON object a line."`
	accountsFlags
}

// Run lists the plans.
func (c *planListCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	plans, err := a.Plans(ctx)
	if err != nil {
		return err
	}
	w := columns(e.stdout)
	if !c.JSON {
		fmt.Fprintln(w, "NAME\tA DAY\tA MONTH\tA SECOND\tBURST\tBULK\tWINDOW\tFIELDS")
	}
	for i := range plans {
		p := &plans[i]
		if c.JSON {
			if err := writeJSON(e.stdout, account.ViewPlan(p)); err != nil {
				return err
			}
			continue
		}
		writePlan(w, p)
	}
	return w.Flush()
}

func writePlan(w interface{ Write([]byte) (int, error) }, p *customer.Plan) {
	bound := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return strconv.FormatInt(n, 10)
	}
	fields := "all"
	if len(p.Fields) > 0 {
		fields = strings.Join(p.Fields, ",")
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, bound(p.PerDay), bound(p.PerMonth), bound(int64(p.PerSecond)), bound(int64(p.Burst)), bound(int64(p.Bulk)), p.Window, fields)
}

type planSetCmd struct {
	Plan      string    `arg:"" optional:"" help:"Its name: small letters, digits and -."`
	File      string    `placeholder:"FILE" help:"Plans in YAML, instead of a name and flags."`
	Title     *string   `placeholder:"TEXT" help:"Its name for people."`
	PerDay    *int64    `placeholder:"N" help:"Look-ups a day; 0 is no bound."`
	PerMonth  *int64    `placeholder:"N" help:"Look-ups a month; 0 is no bound."`
	PerSecond *int      `placeholder:"N" help:"Look-ups a second, of all keys of an account, in one region; 0 is no bound."`
	Burst     *int      `placeholder:"N" help:"How many at once; 0 is as many as a second."`
	Bulk      *int      `placeholder:"N" help:"Addresses a call; 0 is as many as the API takes."`
	Fields    *[]string `placeholder:"LIST" help:"Fields that are answered, as in ?fields=; 'all' is all."`
	Window    *string   `placeholder:"WORD" help:"calendar: the day and the month in UTC; rolling: the last 24 hours and 30 days."`
	Upgrade   *string   `placeholder:"URL" help:"Where its customers get more."`
	JSON      bool      `help:"As one JSON object a line."`
	accountsFlags
}

// Help is the long help.
func (planSetCmd) Help() string {
	return `What is given replaces what the plan says of it, and the rest stays. A new plan has
no bounds but those that are given. In a file a plan is whole: what is left out has
no bound.

Examples:
  ipwarden plan set team --title Team --per-day 10000 --per-second 50 --burst 100
  ipwarden plan set team --per-day 20000
  ipwarden plan set --file plans.yaml`
}

// Run makes plans.
func (c *planSetCmd) Run(ctx context.Context, e *env) error {
	flags := c.Title != nil || c.PerDay != nil || c.PerMonth != nil || c.PerSecond != nil || c.Burst != nil || c.Bulk != nil || c.Fields != nil || c.Window != nil || c.Upgrade != nil
	var plans []customer.Plan
	switch {
	case c.File != "" && (c.Plan != "" || flags):
		return usagef("the plans are in %s: --file goes without a name and without other flags", c.File)
	case c.File != "":
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		plans, err = readPlans(f, c.File)
		f.Close()
		if err != nil {
			return err
		}
		if len(plans) == 0 {
			return fmt.Errorf("%s has no plans; it is plans: [{name: team, per_day: 10000}]", c.File)
		}
	case c.Plan == "":
		return usagef("there is no plan: give a name and what it has, or --file plans.yaml")
	case c.Window != nil && *c.Window != "calendar" && *c.Window != "rolling":
		return usagef("--window: %.60q is none; there are calendar and rolling", *c.Window)
	}
	a, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	if plans == nil {
		p, err := a.Plan(ctx, c.Plan)
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		p.Name = c.Plan
		c.onto(&p)
		plans = []customer.Plan{p}
	}
	if err := checkFields(plans); err != nil {
		return usageError{err}
	}
	if err := a.PutPlans(ctx, operator(), plans); err != nil {
		return asUsage(err)
	}
	w := columns(e.stdout)
	for i := range plans {
		if c.JSON {
			if err := writeJSON(e.stdout, account.ViewPlan(&plans[i])); err != nil {
				return err
			}
			continue
		}
		writePlan(w, &plans[i])
	}
	return w.Flush()
}

func (c *planSetCmd) onto(p *customer.Plan) {
	set(&p.Title, c.Title)
	set(&p.PerDay, c.PerDay)
	set(&p.PerMonth, c.PerMonth)
	set(&p.PerSecond, c.PerSecond)
	set(&p.Burst, c.Burst)
	set(&p.Bulk, c.Bulk)
	set(&p.Fields, c.Fields)
	set(&p.Upgrade, c.Upgrade)
	if slices.Equal(p.Fields, []string{"all"}) {
		p.Fields = nil
	}
	if c.Window != nil {
		p.Window = customer.Calendar
		if *c.Window == customer.Rolling.String() {
			p.Window = customer.Rolling
		}
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// checkFields says which fields of plans are none.
func checkFields(plans []customer.Plan) error {
	var errs []error
	for i := range plans {
		for _, f := range plans[i].Fields {
			if _, err := ipwarden.ParseFields(f); err != nil {
				errs = append(errs, fmt.Errorf("plan %s: %w", plans[i].Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

type planRemoveCmd struct {
	Plan string `arg:"" help:"Its name."`
	accountsFlags
}

// Run removes a plan.
func (c *planRemoveCmd) Run(ctx context.Context, e *env) error {
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.RemovePlan(ctx, operator(), c.Plan); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: removed\n", c.Plan)
	return nil
}
