package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
)

type lookupCmd struct {
	Addrs  []string `arg:"" name:"address" help:"Addresses or networks; - reads them from standard input, one a line."`
	Format string   `enum:"text,json,csv,yaml" default:"text" help:"${enum}."`
	JSON   bool     `help:"The same as --format json: one object a line."`
	Fields string   `placeholder:"a,b.c" help:"Only these fields or groups of fields; they are listed below."`
	Limit  int      `default:"1000" help:"At most so many answers for each network."`
	dataFlags
}

// Help is the long help.
func (lookupCmd) Help() string {
	return `Examples:
  ipwarden lookup 8.8.8.8
  ipwarden lookup --json --fields location.country_code,asn 8.8.8.8 2001:4860:4860::8888
  ipwarden lookup 8.8.8.0/24                       every distinct answer inside
  cut -d' ' -f1 access.log | ipwarden lookup --format csv --fields location.country_code -

An argument that is no address is reported, the others are answered, and the
exit status is 1.

Fields: ` + fieldList()
}

// fieldList names every field there is.
func fieldList() string {
	var names []string
	for f := range ipwarden.AllFields() {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ") + "."
}

// Run answers every question it can.
func (c *lookupCmd) Run(ctx context.Context, e *env) error {
	if c.JSON {
		if c.Format != "text" && c.Format != "json" {
			return usagef("--json and --format %s contradict each other; give one of them", c.Format)
		}
		c.Format = "json"
	}
	view := ipwarden.NewView(e.now())
	view.Scores = scores
	if c.Fields != "" {
		fields, err := ipwarden.ParseFields(c.Fields)
		if err != nil {
			return usagef("--fields: %w", err)
		}
		view.Fields = fields
	}
	if c.Limit < 1 {
		return usagef("--limit must be at least 1, not %d", c.Limit)
	}
	data, err := c.open(e)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	w := newAnswerWriter(c.Format, out, &view, c.Fields != "", colours(e))
	failed := false
	flush := func() { out.Flush() }
	for q, err := range questions(c.Addrs, e.stdin, flush) {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if q.err == nil {
			q.err = c.answer(ctx, e, data, &q, w)
		}
		if q.err != nil {
			failed = true
			out.Flush() // keeps the two streams of a terminal in order
			fmt.Fprintf(e.stderr, "ipwarden: %v\n", q.err)
			if err := w.failure(&q); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(w.end(), out.Flush()); err != nil {
		return err
	}
	if failed {
		return errReported
	}
	return nil
}

// answer writes what is known of one address, or of every part of a network.
func (c *lookupCmd) answer(ctx context.Context, e *env, data *data, q *question, w answerWriter) error {
	if q.addr.IsValid() {
		r, err := data.Lookup(ctx, q.addr)
		if err != nil {
			return err
		}
		return w.answer(q.text, r)
	}
	n := 0
	for network, r := range data.Networks(q.network) {
		if n++; n > c.Limit {
			fmt.Fprintf(e.stderr, "ipwarden: %s holds more than %d answers; --limit shows more\n", q.text, c.Limit)
			break
		}
		if err := w.answer(q.text, partOf(network, r)); err != nil {
			return err
		}
	}
	return nil
}

// partOf is the answer for a part of the network that was asked for: the
// network in it is that part, even where the same answer reaches further.
func partOf(network netip.Prefix, r ipwarden.Record) ipwarden.Record {
	if r.Network() == network {
		return r
	}
	full := r.Full()
	full.Network = network
	return ipwarden.NewRecord(r.Addr(), full)
}

type explainCmd struct {
	Addr string `arg:"" name:"address" help:"The address."`
	JSON bool   `help:"The whole answer with its evidence, as one JSON object."`
	dataFlags
}

// Run shows the evidence for every field of one address.
func (c *explainCmd) Run(ctx context.Context, e *env) error {
	q := ask(c.Addr)
	if q.err == nil && !q.addr.IsValid() {
		q.err = fmt.Errorf("%q is a network; evidence is for one address, such as %s", c.Addr, q.network.Addr())
	}
	if q.err != nil {
		return usageError{q.err}
	}
	data, err := c.open(e)
	if err != nil {
		return err
	}
	r, err := data.Lookup(ctx, q.addr)
	if err != nil {
		return err
	}
	view := ipwarden.NewView(e.now())
	view.Scores, view.Query = scores, q.text
	if c.JSON {
		view.Explain = true
		_, err = e.stdout.Write(append(view.AppendJSON(nil, r), '\n'))
		return err
	}
	out := bufio.NewWriter(e.stdout)
	writeEvidence(out, q.text, r, colours(e))
	return out.Flush()
}
