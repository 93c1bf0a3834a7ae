package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/mmdb"
)

type exportCmd struct {
	Format string `required:"" enum:"mmdb,csv,jsonl" help:"${enum}."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"Where it goes, - for standard output; the licence goes beside it, as FILE.LICENSE.txt."`
	Fields string `placeholder:"a,b.c" help:"Only these fields; csv and jsonl."`
	dataFlags
}

// Help is the long help.
func (exportCmd) Help() string {
	return `The MMDB is in MaxMind's schema, so that what reads theirs reads this. Overlays
are not exported: they are the operator's.

Examples:
  ipwarden data export --format mmdb -o world.mmdb
  ipwarden data export --format csv --fields network,location.country_code,asn.number -o world.csv`
}

// An exporter writes a whole dataset.
type exporter func(w io.Writer, ds *dataset.Dataset, view *ipwarden.View) error

// Run exports, and writes the licence beside it.
func (c *exportCmd) Run(e *env) error {
	ds, _, err := c.named(e, "")
	if err != nil {
		return err
	}
	info := ds.Info()
	view := ipwarden.NewView(info.Date)
	view.Fields = exportFields()
	if c.Fields != "" {
		if c.Format == "mmdb" {
			return usagef("--fields does not go with --format mmdb, whose schema is MaxMind's")
		}
		if view.Fields, err = ipwarden.ParseFields(c.Fields); err != nil {
			return usagef("--fields: %w", err)
		}
	}
	export := exporters()[c.Format]
	if c.Output == "-" {
		w := bufio.NewWriterSize(e.stdout, 1<<20)
		if err := errors.Join(export(w, ds, &view), w.Flush()); err != nil {
			return err
		}
		fmt.Fprintf(e.stderr, "ipwarden: data of %s; 'ipwarden data notice' prints the licence and credits that go with it\n", day(info.Date))
		return nil
	}
	if err := writeWhole(c.Output, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		return errors.Join(export(w, ds, &view), w.Flush())
	}); err != nil {
		return err
	}
	licence := c.Output + ".LICENSE.txt"
	if err := os.WriteFile(licence, []byte(licenceText(&info)), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: data of %s; its licence and credits are in %s\n", c.Output, day(info.Date), licence)
	return nil
}

// exportFields is everything that does not depend on the time of the answer,
// on one address, or is the same for all of them.
func exportFields() ipwarden.Fields {
	var s ipwarden.Fields
	for f := range ipwarden.DefaultFields().All() {
		switch f {
		case ipwarden.FieldIP, ipwarden.FieldQuery, ipwarden.FieldTransition, ipwarden.FieldZone,
			ipwarden.FieldTimeZoneAbbr, ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST, ipwarden.FieldDatasetDate,
			ipwarden.FieldScoreVPN, ipwarden.FieldScoreProxy, ipwarden.FieldScoreThreat, ipwarden.FieldScoreTrust:
		default:
			s = s.With(f)
		}
	}
	return s
}

// everything yields the distinct answers of a whole dataset, IPv4 first.
func everything(ds *dataset.Dataset) iter.Seq2[netip.Prefix, ipwarden.Record] {
	return func(yield func(netip.Prefix, ipwarden.Record) bool) {
		for _, all := range []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)} {
			for p, r := range ds.Networks(all) {
				if !yield(p, r) {
					return
				}
			}
		}
	}
}

// maxCredits keeps the description of an MMDB within what its format allows.
const maxCredits = 48 << 10

func exportMMDB(w io.Writer, ds *dataset.Dataset, _ *ipwarden.View) error {
	info := ds.Info()
	credits := clipTo(info.Attribution, maxCredits)
	out, err := mmdb.NewWriter(mmdb.Options{
		DatabaseType: "ipwarden-City", BuildTime: info.Date, Languages: []string{"en"},
		Description: map[string]string{"en": fmt.Sprintf("ipwarden, data of %s. Licence: %s. Credits: %s", day(info.Date), info.Licence, credits)},
	})
	if err != nil {
		return err
	}
	// Many networks share an answer: each answer is converted once.
	type converted struct {
		ref   mmdb.DataRef
		known bool
	}
	done := map[uint32]converted{}
	for p, r := range everything(ds) {
		_, id := r.Answer()
		c, ok := done[id]
		if !ok {
			if m := mmdb.RecordMap(r); m != nil {
				c.known = true
				if c.ref, err = out.Put(m); err != nil {
					return err
				}
			}
			done[id] = c
		}
		if c.known {
			if err := out.InsertRef(p, c.ref); err != nil {
				return err
			}
		}
	}
	_, err = out.WriteTo(w)
	return err
}

func clipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func exportJSONLines(w io.Writer, ds *dataset.Dataset, view *ipwarden.View) error {
	own := *view
	own.Fields = without(view.Fields, ipwarden.FieldNetwork)
	var buf []byte
	for p, r := range everything(ds) {
		buf = append(buf[:0], `{"network":"`...)
		buf = p.AppendTo(buf)
		buf = own.AppendMembers(append(buf, '"'), r)
		if _, err := w.Write(append(buf, '}', '\n')); err != nil {
			return err
		}
	}
	return nil
}

func without(s ipwarden.Fields, not ipwarden.Field) ipwarden.Fields {
	var out ipwarden.Fields
	for f := range s.All() {
		if f != not {
			out = out.With(f)
		}
	}
	return out
}

func exportCSV(w io.Writer, ds *dataset.Dataset, view *ipwarden.View) error {
	fields := slices.Collect(without(view.Fields, ipwarden.FieldNetwork).All())
	buf := []byte("network")
	for _, f := range fields {
		buf = append(append(buf, ','), f.String()...)
	}
	buf = append(buf, '\n')
	var cell []byte
	for p, r := range everything(ds) {
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = p.AppendTo(buf[:0])
		for _, f := range fields {
			cell, _ = view.AppendText(cell[:0], r, f)
			buf = appendCell(append(buf, ','), cell)
		}
		buf = append(buf, '\n')
	}
	_, err := w.Write(buf)
	return err
}

// appendCell quotes a cell where RFC 4180 section 2 asks for it.
func appendCell(dst, cell []byte) []byte {
	if !slices.ContainsFunc(cell, func(c byte) bool { return c == ',' || c == '"' || c == '\n' || c == '\r' }) {
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	for _, c := range cell {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
