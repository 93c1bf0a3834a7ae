package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/rediscallers"
	"github.com/ipwarden/ipwarden/internal/usage/sqlsums"
)

// callers says which clients, or which pages, asked most.
func (c *usageCmd) callers(ctx context.Context, e *env) error {
	var errs []error
	if len(c.By) != 1 {
		errs = append(errs, errors.New("--by client and --by referer stand alone: these counts are of whole days and of all keys together"))
	}
	if c.Account != "" || c.Key != "" {
		errs = append(errs, errors.New("--by client and --by referer are of all accounts and keys together: leave out the account and --key"))
	}
	if c.CSV && c.JSON {
		errs = append(errs, errors.New("--csv and --json are two formats: say one"))
	}
	if c.Top < 0 {
		errs = append(errs, fmt.Errorf("--top is %d; it is a number of lines, or 0 for all", c.Top))
	}
	from, to, err := usage.ParseHours(c.From, c.To, e.now())
	if err := errors.Join(append(errs, err)...); err != nil {
		return usageError{err}
	}
	a, err := c.look(ctx, e)
	if err != nil {
		return err
	}
	defer a.Close()
	var store usage.CallerStore = sqlsums.New(a.db, usageBooks)
	if c.UsageRedis != "" {
		s, err := rediscallers.Open(c.UsageRedis)
		if err != nil {
			return fmt.Errorf("--usage-redis: %w", err)
		}
		defer s.Close()
		store = s
	}
	type line struct {
		who string
		n   int64
	}
	sums, full := map[string]int64{}, false
	err = store.Callers(ctx, uint32(from/24), uint32(to/24), c.By[0] == "client", func(who usage.Caller, n int64) bool {
		sums[who.String()] += n
		full = len(sums) > mostUsageLines
		return !full
	})
	if err != nil {
		return err
	}
	if full {
		return fmt.Errorf("there are more than %d of them: ask for fewer days", mostUsageLines)
	}
	lines := make([]line, 0, len(sums))
	for who, n := range sums {
		lines = append(lines, line{who, n})
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.who, b.who)) })
	if c.Top > 0 && len(lines) > c.Top {
		lines = lines[:c.Top]
	}
	switch {
	case c.JSON:
		for _, l := range lines {
			if err := writeJSON(e.stdout, map[string]any{c.By[0]: l.who, "calls": l.n}); err != nil {
				return err
			}
		}
		return nil
	case c.CSV:
		w := csv.NewWriter(e.stdout)
		_ = w.Write([]string{c.By[0], "calls"}) // Error tells
		for _, l := range lines {
			_ = w.Write([]string{l.who, strconv.FormatInt(l.n, 10)})
		}
		w.Flush()
		return w.Error()
	}
	w := columns(e.stdout)
	fmt.Fprintf(w, "%s\tcalls\n", c.By[0])
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%d\n", l.who, l.n)
	}
	return w.Flush()
}
