package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/sqlsums"
)

// usageCmd says what was used.
type usageCmd struct {
	Account    string   `arg:"" optional:"" help:"E-mail address or identifier; default all accounts."`
	Key        string   `placeholder:"KEY" help:"Only of this key: its identifier, or itself."`
	From       string   `placeholder:"TIME" help:"From this day, month or hour on, such as 2026-11-21, 2026-11 or 2026-11-21T09:00:00Z; default this month."`
	To         string   `placeholder:"TIME" help:"Up to and with this day, month or hour; default now."`
	By         []string `default:"day" placeholder:"WHAT" help:"Sums by hour, day, month, key, account, endpoint, region, several with commas; or by client or referer, of whole days and all keys; default ${default}."`
	Top        int      `default:"100" placeholder:"N" help:"By client and by referer: so many, those with most calls; 0 is all; default ${default}."`
	UsageRedis string   `env:"IPWARDEN_USAGE_REDIS" placeholder:"URL" help:"By client and by referer: where the server keeps these, such as redis://127.0.0.1:6379/0; default the database."`
	CSV        bool     `name:"csv" help:"As CSV."`
	JSON       bool     `help:"As one JSON object a line."`
	accountsFlags
}

// Help is the long help.
func (usageCmd) Help() string {
	return `Reads the sums of all regions from the database, as far as the server has written
them: that is a second or so ago. charged is what counts against the plan; tested are
calls with test keys; rejected are 401 and 403, limited 429, failed all other 4xx and
5xx. Hours, days and months are in UTC.

Examples:
  ipwarden usage ada@example.com
  ipwarden usage --by month,account --from 2026-01 --csv >usage.csv
  ipwarden usage ada@example.com --by key,region --from 2026-11-21
  ipwarden usage --by client --from 2026-11-21 --top 20`
}

// mostUsageLines is how many lines are summed in memory.
const mostUsageLines = 1 << 20

// Run sums.
func (c *usageCmd) Run(ctx context.Context, e *env) error {
	if slices.Contains(c.By, "client") || slices.Contains(c.By, "referer") {
		return c.callers(ctx, e)
	}
	table, err := usage.NewTable(c.By, mostUsageLines)
	q := usage.Query{}
	var hoursErr error
	q.From, q.To, hoursErr = usage.ParseHours(c.From, c.To, e.now())
	if c.CSV && c.JSON {
		hoursErr = errors.Join(hoursErr, errors.New("--csv and --json are two formats: say one"))
	}
	if err := errors.Join(err, hoursErr); err != nil {
		return usageError{err}
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	if c.Account != "" {
		acc, err := a.Find(ctx, c.Account)
		if err != nil {
			return asUsage(err)
		}
		q.Account = acc.ID
	}
	if c.Key != "" {
		k, err := a.findKey(ctx, e, c.Key)
		if err != nil {
			return asUsage(err)
		}
		q.Key = k.ID
	}
	if err := sqlsums.New(a.db, usageBooks).Rows(ctx, q, table.Add); err != nil {
		return err
	}
	lines, err := table.Lines()
	if err != nil {
		return err
	}
	return c.write(e, lines)
}

// usageBooks is the name of the sums: all servers on one database keep them together.
const usageBooks = ""

func (c *usageCmd) write(e *env, lines []*usage.Line) error {
	head := append([]string{}, c.By...)
	for class := range customer.NumClasses {
		head = append(head, class.String())
	}
	values := func(l *usage.Line) []string {
		v := append([]string{}, l.By...)
		for _, n := range l.Calls {
			v = append(v, strconv.FormatInt(n, 10))
		}
		return v
	}
	switch {
	case c.JSON:
		for _, l := range lines {
			o := map[string]any{}
			for i, b := range c.By {
				o[b] = l.By[i]
			}
			for class, n := range l.Calls {
				o[customer.Class(class).String()] = n
			}
			if err := writeJSON(e.stdout, o); err != nil {
				return err
			}
		}
		return nil
	case c.CSV:
		w := csv.NewWriter(e.stdout)
		_ = w.Write(head) // Error tells
		for _, l := range lines {
			_ = w.Write(values(l))
		}
		w.Flush()
		return w.Error()
	}
	w := columns(e.stdout)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, l := range lines {
		fmt.Fprintln(w, strings.Join(values(l), "\t"))
	}
	return w.Flush()
}
