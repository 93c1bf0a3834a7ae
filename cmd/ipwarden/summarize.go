package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/internal/summary"
	"github.com/ipwarden/ipwarden/policy/compile"
)

type summarizeCmd struct {
	Files  []string `arg:"" optional:"" placeholder:"FILE" help:"Files, plain or packed by gzip or zstd; - or none is standard input."`
	Format string   `enum:",list,csv,tsv,jsonl,log,vhost,haproxy,text" default:"" placeholder:"NAME" help:"How rows are written: list, csv, tsv, jsonl, log (common, combined, nginx), vhost, haproxy, text; default: what the first rows look like."`
	Column string   `placeholder:"NAME" help:"Where the address stands: the name or the number of a column, or the path of a member of JSON, such as request.client_ip."`
	To     string   `enum:",text,json,html" default:"" placeholder:"NAME" help:"Write text, json, or html: a page by itself, with charts and a map. Default: what the name of --output ends in, else text."`
	Top    int      `default:"10" placeholder:"N" help:"So many countries, networks, providers and addresses, up to 1000; default ${default}."`
	Where  string   `placeholder:"CEL" help:"Count only rows of which this holds, such as 'ip.security.is_tor || risk.score >= 50'."`
	Title  string   `placeholder:"TEXT" help:"The heading of the page."`
	Output string   `short:"o" placeholder:"FILE" help:"Write to FILE; default standard output."`
	datedFlags
}

// Help is the long help.
func (summarizeCmd) Help() string {
	return `Rows are read as 'ipwarden enrich' reads them. Memory is bounded: beyond a quarter of a
million addresses their number is an estimate, and the output says how good it is.

Examples:
  ipwarden summarize access.log.gz
  ipwarden summarize -o report.html access.log*
  ipwarden summarize --to json --top 100 --column client_ip orders.csv
  ipwarden summarize --where 'ip.security.is_anonymous' access.log`
}

// Run counts, and writes the report.
func (c *summarizeCmd) Run(ctx context.Context, e *env) error {
	if len(c.Files) == 0 {
		c.Files = []string{"-"}
	}
	var filter *compile.Filter
	var errs []error
	if c.Top < 1 || c.Top > 1000 {
		errs = append(errs, fmt.Errorf("--top %d is not between 1 and 1000", c.Top))
	}
	if c.Where != "" {
		var err error
		if filter, err = compile.NewFilter(c.Where); err != nil {
			errs = append(errs, fmt.Errorf("--where: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return usageError{err}
	}
	d, now, err := c.openAsOf(e)
	if err != nil {
		return err
	}
	for _, name := range c.Files {
		if sameFile(name, c.Output) {
			return fmt.Errorf("%s is read; it cannot be written at the same time", c.Output)
		}
	}
	counter := summary.NewCounter()
	var left atomic.Int64
	cfg := enrich.Config{Source: d, Scores: scores, Now: now, Each: counter.Each}
	if filter != nil {
		at := now()
		cfg.Where = func() func(ipwarden.Record) bool {
			holds := filter.Func(at)
			return func(r ipwarden.Record) bool {
				if holds(r) {
					return true
				}
				left.Add(1)
				return false
			}
		}
	}
	en, err := enrich.New(cfg)
	if err != nil {
		return err
	}
	total, runErr := c.count(ctx, e, en)
	if runErr != nil && !errors.Is(runErr, context.Canceled) {
		return runErr
	}
	report := counter.Report(c.Top, func(a netip.Addr) ipwarden.Record {
		r, err := d.Lookup(context.Background(), a)
		if err != nil {
			return ipwarden.Record{}
		}
		return r
	})
	report.Made, report.Dataset = e.now().UTC(), day(d.Date())
	report.Files, report.Where, report.Title = c.Files, c.Where, c.Title
	report.Rows = summary.Rows{Read: total.Rows, Malformed: total.Malformed, Left: left.Load()}
	if runErr != nil {
		fmt.Fprintf(e.stderr, "ipwarden: interrupted after %d rows; this is what they had\n", total.Rows)
	}
	if total.Answered == 0 {
		fmt.Fprintln(e.stderr, "ipwarden: no address was found; --format says how rows are written, and --column where the address stands")
	}
	if err := c.write(e, report); err != nil {
		return err
	}
	if runErr != nil {
		return errReported
	}
	return nil
}

// count reads every file.
func (c *summarizeCmd) count(ctx context.Context, e *env, en *enrich.Enricher) (total enrich.Counts, err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	bar := newRowBar(e, c.Files, c.Output != "" || c.Files[0] != "-")
	defer bar.wait()
	for _, name := range c.Files {
		s := enrich.Stream{Name: name, Format: enrich.Format(c.Format), Column: c.Column, Output: enrich.Nothing}
		if name == "-" {
			s.Name = ""
		}
		s.Progress = func(p enrich.Position) error {
			bar.rows(total.Rows + p.Counts.Rows)
			return nil
		}
		in, err := openInput(name, e.stdin, bar.read)
		if err != nil {
			return total, err
		}
		pos, err := en.Run(ctx, in, io.Discard, s)
		addCounts(&total, pos.Counts)
		if err = errors.Join(err, in.Close()); err != nil {
			if s.Name != "" && !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("%s: %w", name, err)
			}
			return total, err
		}
	}
	return total, nil
}

// write writes the report where and as it was asked for.
func (c *summarizeCmd) write(e *env, r *summary.Report) error {
	to := c.To
	if ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(c.Output), ".")); to == "" && slices.Contains([]string{"json", "html"}, ext) {
		to = ext
	}
	style := summary.Style{}
	out := e.stdout
	var file *os.File
	if c.Output != "" {
		var err error
		if file, err = os.Create(c.Output); err != nil {
			return err
		}
		out = file
	} else {
		p := colours(e)
		style = summary.Style{Bold: p.bold, Dim: p.dim, Reset: p.reset}
	}
	w := bufio.NewWriter(out)
	var err error
	switch to {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(r)
	case "html":
		err = r.WriteHTML(w)
	default:
		err = r.WriteText(w, style)
	}
	err = errors.Join(err, w.Flush())
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	return err
}

// sameFile reports whether both names are of one file that is there.
func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
