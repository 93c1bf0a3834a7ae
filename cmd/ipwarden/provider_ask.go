package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/provider"
)

type providerAskCmd struct {
	File    string        `arg:"" help:"The providers file."`
	Addr    string        `arg:"" name:"address" help:"The address to ask about."`
	Name    string        `placeholder:"NAME" help:"Which provider of the file; default all of them, one after the other."`
	Timeout time.Duration `default:"10s" help:"How long each may take; default ${default}."`
	JSON    bool          `help:"The whole answer with its evidence, as one JSON object a line."`
	dataFlags
}

// Help is the long help.
func (providerAskCmd) Help() string {
	return `Asks providers about one address, now, past caches and budgets, and shows what
they say, how long they took and what is left of the quota where they tell: to
try a key. Each question may cost money.

Examples:
  ipwarden provider ask providers.yaml 8.8.8.8
  ipwarden provider ask --name ipinfo --json providers.yaml 2001:4860:4860::8888`
}

// quietDeps make a provider for one question.
func quietDeps(e *env) providerDeps {
	return providerDeps{now: e.now, log: slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

func openFile(name string) (*os.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s; 'ipwarden provider list' tells what a providers file may name", name)
	}
	return f, err
}

// Run asks.
func (c *providerAskCmd) Run(ctx context.Context, e *env) error {
	q := ask(c.Addr)
	if q.err == nil && !q.addr.IsValid() {
		q.err = fmt.Errorf("%q is a network; providers are asked about one address, such as %s", c.Addr, q.network.Addr())
	}
	if q.err != nil {
		return usageError{q.err}
	}
	if c.Timeout <= 0 {
		return usagef("--timeout must be more than nothing, such as 10s")
	}
	f, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	specs, err := config.ReadProviders(f, c.File, e.getenv)
	if err != nil {
		return err
	}
	d, err := c.open(e)
	if err != nil {
		return err
	}
	deps := quietDeps(e)
	deps.country = d.Country
	deps.public = (&outside{live: func() *data { return d }}).public(ipwarden.Public)
	out := bufio.NewWriter(e.stdout)
	asked, failed := 0, false
	for i := range specs {
		if c.Name != "" && specs[i].Name != c.Name {
			continue
		}
		if asked++; asked > 1 && !c.JSON {
			fmt.Fprintln(out)
		}
		if err := c.one(ctx, e, &specs[i], deps, q, out); err != nil {
			failed = true
			out.Flush()
			fmt.Fprintf(e.stderr, "ipwarden: %v\n", err)
		}
	}
	switch err := out.Flush(); {
	case err != nil:
		return err
	case asked == 0:
		return fmt.Errorf("%s has no provider %q; it has %s", c.File, c.Name, strings.Join(specNames(specs), ", "))
	case failed:
		return errReported
	}
	return nil
}

func specNames(specs []config.ProviderSpec) (names []string) {
	for i := range specs {
		names = append(names, specs[i].Name)
	}
	return names
}

// one asks one provider.
func (c *providerAskCmd) one(ctx context.Context, e *env, spec *config.ProviderSpec, deps providerDeps, q question, out io.Writer) error {
	src, closer, err := openProvider(spec, deps)
	if err != nil {
		return fmt.Errorf("%s: %w", spec.Name, err)
	}
	if closer != nil {
		defer closer.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	begun := time.Now()
	rec, err := src.Lookup(ctx, q.addr)
	took := time.Since(begun)
	if err != nil {
		return fmt.Errorf("%w (after %s)", err, took.Round(time.Millisecond))
	}
	view := ipwarden.NewView(e.now())
	view.Query, view.Explain = q.text, true
	if c.JSON {
		_, err = out.Write(append(view.AppendJSON(nil, rec), '\n'))
		return err
	}
	fmt.Fprintf(out, "%s answered in %s", spec.Name, took.Round(100*time.Microsecond))
	if p, ok := src.(*provider.Provider); ok {
		fmt.Fprint(out, quotaText(p.Quota()))
	}
	fmt.Fprintln(out)
	if !rec.Network().IsValid() {
		fmt.Fprintf(out, "it knows nothing of %s", rec.Addr())
		if !deps.public(rec.Addr()) {
			fmt.Fprint(out, ": what is set aside is not sent out")
		}
		fmt.Fprintln(out)
		return nil
	}
	w := bufio.NewWriter(out)
	writeEvidence(w, q.text, rec, colours(e))
	return w.Flush()
}

// quotaText is what the vendor said of its quota.
func quotaText(q provider.Quota) string {
	s := ""
	if q.Remaining >= 0 {
		s += fmt.Sprintf(", %d left", q.Remaining)
	}
	if q.Used >= 0 {
		s += fmt.Sprintf(", %d used", q.Used)
	}
	if !q.Reset.IsZero() {
		s += " until " + q.Reset.UTC().Format(time.RFC3339)
	}
	return s
}
