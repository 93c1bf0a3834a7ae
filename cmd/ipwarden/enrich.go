package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/policy/compile"
)

type enrichCmd struct {
	Files          []string `arg:"" optional:"" placeholder:"FILE" help:"Files, plain or packed by gzip or zstd; - or none is standard input."`
	Format         string   `enum:",list,csv,tsv,jsonl,log,vhost,haproxy,text" default:"" placeholder:"NAME" help:"How rows are written: list, csv, tsv, jsonl, log (common, combined, nginx), vhost, haproxy, text; default: what the first rows look like."`
	Column         string   `placeholder:"NAME" help:"Where the address stands: the name or the number of a column, or the path of a member of JSON, such as request.client_ip."`
	To             string   `enum:"same,jsonl,csv" default:"same" help:"Write rows as they were with fields added (same), as JSON lines (jsonl), or as CSV (csv)."`
	Fields         string   `placeholder:"a,b.c" help:"Add these fields or groups of fields; default country, city, AS and whether it is hosting, anonymous or a threat."`
	Where          string   `placeholder:"CEL" help:"Keep only rows of which this holds, such as 'ip.security.is_tor || risk.score >= 50'."`
	As             string   `default:"ipwarden" placeholder:"NAME" help:"What is added to JSON objects is called so; default ${default}."`
	EscapeFormulas bool     `help:"Put an apostrophe before fields of CSV that a spreadsheet would take for formulas."`
	Output         string   `short:"o" placeholder:"FILE" help:"Write to FILE; default standard output."`
	Rejects        string   `placeholder:"FILE" help:"Write malformed rows to FILE with the reason, and leave them out of the output."`
	Checkpoint     string   `placeholder:"FILE" help:"Remember in FILE how far the run is; the same command goes on there."`
	datedFlags
}

// Help is the long help.
func (enrichCmd) Help() string {
	return `The order of rows is kept. A row without an address is kept and marked, unless
--rejects takes it or --where is given. --checkpoint needs files and --output.

Examples:
  ipwarden enrich access.log.gz >enriched.log
  ipwarden enrich --to jsonl --fields location.country_code,asn access.log
  ipwarden enrich orders.csv --column client_ip --rejects bad.jsonl -o out.csv
  ipwarden enrich --where 'ip.security.is_tor' --format text notes.txt
  ipwarden enrich --checkpoint run.json -o out.jsonl events-*.jsonl.zst

Fields: ` + fieldList()
}

// enricher makes what answers.
func (c *enrichCmd) enricher(e *env) (*enrich.Enricher, error) {
	cfg := enrich.Config{Scores: scores}
	var filter *compile.Filter
	var errs []error
	if c.Fields != "" {
		fields, err := ipwarden.ParseFields(c.Fields)
		if err != nil {
			errs = append(errs, fmt.Errorf("--fields: %w", err))
		}
		cfg.Fields = fields
	}
	if c.Where != "" {
		var err error
		if filter, err = compile.NewFilter(c.Where); err != nil {
			errs = append(errs, fmt.Errorf("--where: %w", err))
		}
	}
	if len(c.Files) == 0 {
		c.Files = []string{"-"}
	}
	if c.Checkpoint != "" {
		if c.Output == "" {
			errs = append(errs, errors.New("--checkpoint needs --output, so that what was written is known; such as -o out.csv"))
		}
		for _, f := range c.Files {
			if f == "-" {
				errs = append(errs, errors.New("--checkpoint needs files: standard input cannot be read again"))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usageError{err}
	}
	d, now, err := c.openAsOf(e)
	if err != nil {
		return nil, err
	}
	cfg.Source, cfg.Now = d, now
	if filter != nil {
		at := now()
		cfg.Where = func() func(ipwarden.Record) bool { return filter.Func(at) }
	}
	return enrich.New(cfg)
}

// Run answers about every row.
func (c *enrichCmd) Run(ctx context.Context, e *env) error {
	en, err := c.enricher(e)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &enrichRun{cmd: c, env: e, enricher: en, out: e.stdout}
	if err := r.open(); err != nil {
		return errors.Join(err, r.close())
	}
	bar := newRowBar(e, c.Files, c.Output != "")
	r.bar = bar
	err = r.files(ctx)
	bar.wait()
	if err = errors.Join(err, r.close()); errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
		if c.Checkpoint != "" {
			err = errors.New("interrupted; the same command goes on from here")
		}
	}
	if n := r.total.Malformed; n > 0 {
		where := "they are marked; --rejects FILE tells each with its line"
		switch {
		case c.Rejects != "":
			where = "they are in " + c.Rejects
		case c.Where != "":
			where = "they were left out; --rejects FILE tells each with its line"
		}
		fmt.Fprintf(e.stderr, "ipwarden: %d of %d rows have no address that can be read; %s\n", n, r.total.Rows, where)
	}
	return err
}

// enrichRun is one run over all files.
type enrichRun struct {
	cmd          *enrichCmd
	env          *env
	enricher     *enrich.Enricher
	out          io.Writer
	outFile      *os.File // nil: standard output
	rejects      *os.File // nil: none
	state        *checkpoint
	bar          *rowBar
	total        enrich.Counts
	base         enrich.Counts // of the files before
	outAt, rejAt int64         // where the present file's output begins
}

// open opens what is written.
func (r *enrichRun) open() (err error) {
	c := r.cmd
	resumed := false
	if c.Checkpoint != "" {
		if r.state, resumed, err = openCheckpoint(c, r.env.now); err != nil {
			return err
		}
	}
	if c.Output != "" {
		if r.outFile, err = c.create(c.Output, r.state, resumed, outOf); err != nil {
			return err
		}
		r.out = r.outFile
	}
	if c.Rejects != "" {
		if r.rejects, err = c.create(c.Rejects, r.state, resumed, rejectsOf); err != nil {
			return err
		}
	}
	if r.state == nil {
		return nil
	}
	return r.state.save()
}

// create opens a file for writing: anew, or where a checkpoint says that it was.
func (c *enrichCmd) create(name string, state *checkpoint, resumed bool, at func(*checkpoint) int64) (*os.File, error) {
	for _, in := range c.Files {
		if sameFile(in, name) {
			return nil, fmt.Errorf("%s is read; it cannot be written at the same time", name)
		}
	}
	flags := os.O_WRONLY | os.O_CREATE
	if state == nil {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o644)
	if err != nil || state == nil {
		return f, err
	}
	info, err := f.Stat()
	if err == nil {
		switch n := at(state); {
		case !info.Mode().IsRegular():
			err = fmt.Errorf("%s is no regular file, which --checkpoint needs", name)
		case !resumed && info.Size() > 0:
			err = fmt.Errorf("%s is there already, and %s is not, which would tell how far it is; remove the one, or bring the other", name, c.Checkpoint)
		case info.Size() < n:
			err = fmt.Errorf("%s has %d bytes and had %d when %s was written; remove both to begin anew", name, info.Size(), n, c.Checkpoint)
		default:
			if err = f.Truncate(n); err == nil { // what came after is written again
				_, err = f.Seek(n, io.SeekStart)
			}
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (r *enrichRun) close() error {
	var errs []error
	for _, f := range []*os.File{r.outFile, r.rejects} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// files answers about one file after the other.
func (r *enrichRun) files(ctx context.Context) error {
	first := 0
	if r.state != nil {
		first = r.state.File
		r.base, r.outAt, r.rejAt = r.state.Before, r.state.OutBefore, r.state.RejectsBefore
	}
	for i := first; i < len(r.cmd.Files); i++ {
		if err := r.file(ctx, i); err != nil {
			if r.cmd.Files[i] != "-" && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", r.cmd.Files[i], err)
			}
			return err
		}
	}
	return nil
}

func (r *enrichRun) file(ctx context.Context, i int) error {
	name := r.cmd.Files[i]
	s := enrich.Stream{
		Name: name, Format: enrich.Format(r.cmd.Format), Column: r.cmd.Column, Member: r.cmd.As, EscapeFormulas: r.cmd.EscapeFormulas,
		Output: map[string]enrich.Output{"same": enrich.Same, "jsonl": enrich.AsJSON, "csv": enrich.AsCSV}[r.cmd.To],
	}
	if name == "-" {
		s.Name = ""
	}
	if r.rejects != nil {
		s.Rejects = r.rejects
	}
	in, err := openInput(name, r.env.stdin, r.bar.read)
	if err != nil {
		return err
	}
	defer in.Close()
	st := r.state
	if st != nil {
		if err := st.begin(i, in); err != nil {
			return err
		}
		if s.After = st.Position; s.After != nil {
			if err := in.skip(s.After.In); err != nil {
				return err
			}
		}
	}
	if i > 0 {
		s.NoHeader, s.Columns = true, r.bar.columns
		if st != nil {
			s.Columns = st.Columns
		}
	}
	s.Progress = func(p enrich.Position) error {
		r.bar.rows(r.base.Rows + p.Counts.Rows)
		if st == nil {
			return nil
		}
		return st.tell(p, r.outFile, r.rejects)
	}
	pos, err := r.enricher.Run(ctx, in, r.out, s)
	r.bar.columns = pos.Layout.Columns
	r.total = r.base
	addCounts(&r.total, pos.Counts)
	if st != nil && (err == nil || errors.Is(err, context.Canceled)) {
		if err := st.flush(pos, r.outFile, r.rejects); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	r.base = r.total
	r.outAt += pos.Out
	r.rejAt += pos.Rejects
	if st != nil && i+1 < len(r.cmd.Files) {
		return st.next(i+1, pos, r.base)
	}
	return nil
}

func addCounts(to *enrich.Counts, c enrich.Counts) {
	to.Rows += c.Rows
	to.Answered += c.Answered
	to.Kept += c.Kept
	to.Malformed += c.Malformed
}
