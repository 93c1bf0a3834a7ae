package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ipwarden/ipwarden/dnsbl"
	"github.com/ipwarden/ipwarden/internal/config"
)

// dnsblCmd groups what is about block lists that are asked by DNS.
type dnsblCmd struct {
	Check dnsblCheckCmd `cmd:"" help:"Ask block lists now: their control addresses, and others." example:"ipwarden dnsbl check bl.blocklist.de 8.8.8.8"`
	Zones dnsblZonesCmd `cmd:"" help:"List the block lists that ipwarden knows, with their terms." example:"ipwarden dnsbl zones"`
}

type dnsblCheckCmd struct {
	Ask       []string      `arg:"" optional:"" name:"zone or address" help:"Zones to ask, and addresses to ask about."`
	Providers string        `placeholder:"FILE" help:"Ask the zones of this providers file, with its resolvers, codes and keys."`
	Resolver  []string      `placeholder:"ADDR" help:"Ask through this resolver, such as 127.0.0.1:53; default the system's."`
	IPv6      bool          `name:"ipv6" help:"Check that the zones have IPv6 addresses too."`
	Timeout   time.Duration `default:"2s" help:"How long a resolver may take for one answer; default ${default}."`
	JSON      bool          `help:"As one JSON object a line."`
}

// Help is the long help.
func (dnsblCheckCmd) Help() string {
	return `Asks each zone for the addresses that it must list and must not (RFC 5782), and
then for those that are given, and prints the codes and what they mean. Exit
status 1 says that a zone is not right: serve would not use it.

It sends questions to the resolver, as nothing else does unless a providers file
says so. Private and other special addresses are never sent.

Examples:
  ipwarden dnsbl check bl.blocklist.de bl.spamcop.net
  ipwarden dnsbl check zen.spamhaus.org 8.8.8.8 --resolver 127.0.0.1
  ipwarden dnsbl check --providers providers.yaml 8.8.8.8`
}

// Run asks.
func (c *dnsblCheckCmd) Run(ctx context.Context, e *env) error {
	cfg, addrs, err := c.config(e)
	if err != nil {
		return err
	}
	l, err := dnsbl.New(cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, cfg.Budget)
	defer cancel()
	out := dnsblTable{json: c.JSON, to: e.stdout}
	wrong := 0
	for _, h := range l.Check(ctx) {
		if h.State != dnsbl.On {
			wrong++
		}
		for _, control := range h.Controls {
			out.control(h.Zone, control)
		}
	}
	for _, a := range addrs {
		answers := l.Ask(ctx, a)
		if len(answers) == 0 {
			fmt.Fprintf(e.stderr, "ipwarden: %s is not sent: it is private or special, or no zone has its family\n", a)
			wrong++
		}
		for _, answer := range answers {
			if answer.Err != nil {
				wrong++
			}
			out.answer(a, answer)
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return errReported
	}
	return nil
}

// config sorts the arguments, and reads the file.
func (c *dnsblCheckCmd) config(e *env) (cfg dnsbl.Config, addrs []netip.Addr, err error) {
	cfg = dnsbl.Config{CheckEvery: -1, Timeout: c.Timeout, Budget: 20 * time.Second}
	if c.Providers != "" {
		if cfg.Zones, cfg.Resolvers, cfg.IPv6Bits, err = c.ofFile(e); err != nil {
			return cfg, nil, err
		}
	}
	for _, text := range c.Ask {
		if a, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, a)
			continue
		}
		z, ok := dnsbl.KnownNamed(text)
		if !ok {
			// Nobody knows what its codes mean; whether it is right can be told.
			z = dnsbl.Zone{Name: text, Codes: map[netip.Addr]dnsbl.Code{netip.AddrFrom4([4]byte{127, 0, 0, 2}): {}}}
		}
		if g, gone := dnsbl.GoneNamed(text); gone {
			fmt.Fprintf(e.stderr, "ipwarden: %s\n", goneText(g))
		}
		cfg.Zones = append(cfg.Zones, z)
	}
	if len(cfg.Zones) == 0 {
		return cfg, nil, usagef("there is no zone to ask; 'ipwarden dnsbl zones' lists those that ipwarden knows")
	}
	for i := range cfg.Zones {
		cfg.Zones[i].IPv6 = cfg.Zones[i].IPv6 || c.IPv6
	}
	if len(c.Resolver) > 0 {
		cfg.Resolvers = c.Resolver
	}
	return cfg, addrs, nil
}

func goneText(g dnsbl.Gone) string {
	text := g.Name + " is no more, since " + g.Since
	if g.Note != "" {
		text += ": " + g.Note
	}
	return text
}

func (c *dnsblCheckCmd) ofFile(e *env) (zones []dnsbl.Zone, resolvers []string, ipv6 int, err error) {
	f, err := os.Open(c.Providers)
	if err != nil {
		return nil, nil, 0, err
	}
	defer f.Close()
	specs, err := config.ReadProviders(f, c.Providers, e.getenv)
	if err != nil {
		return nil, nil, 0, err
	}
	for _, s := range specs {
		if s.Kind != "dnsbl" {
			continue
		}
		part, err := dnsblZones(s.DNSBL)
		if err != nil {
			return nil, nil, 0, err
		}
		zones, resolvers, ipv6 = append(zones, part...), append(resolvers, s.DNSBL.Resolvers...), max(ipv6, s.DNSBL.IPv6Bits)
	}
	if len(zones) == 0 {
		return nil, nil, 0, fmt.Errorf("%s has no provider of kind dnsbl", c.Providers)
	}
	return zones, resolvers, ipv6, nil
}

// dnsblZones are the zones that a providers file names, as the catalogue has them
// where the file does not say otherwise.
func dnsblZones(s *config.DNSBLSpec) (zones []dnsbl.Zone, err error) {
	var errs []error
	for _, zs := range s.Zones {
		z, known := dnsbl.KnownNamed(zs.Zone)
		if g, gone := dnsbl.GoneNamed(zs.Zone); gone {
			errs = append(errs, fmt.Errorf("%s: %s", zs.Place, goneText(g)))
			continue
		}
		z.Name, z.Key = zs.Zone, string(zs.Key)
		if zs.Listing != "" {
			z.Listing = zs.Listing
		}
		if zs.IPv6 != nil {
			z.IPv6 = *zs.IPv6
		}
		if zs.Text != nil {
			z.Text = *zs.Text
		}
		if zs.Codes != nil {
			z.Codes = map[netip.Addr]dnsbl.Code{}
			for a, c := range zs.Codes {
				z.Codes[a] = dnsbl.Code{Traits: c.Traits, Type: c.Type, Listing: c.Listing}
			}
		}
		switch {
		case !known && zs.Codes == nil:
			errs = append(errs, fmt.Errorf("%s: ipwarden does not know what the codes of %s mean; say it, such as codes: {127.0.0.2: attacker}", zs.Place, zs.Zone))
			continue
		case z.Key == "" && strings.HasSuffix(z.Name, ".dq.spamhaus.net"):
			errs = append(errs, fmt.Errorf("%s: %s %s; give key: ${SPAMHAUS_KEY} or key_file", zs.Place, zs.Zone, z.Terms))
			continue
		}
		if err := z.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", zs.Place, err))
			continue
		}
		zones = append(zones, z)
	}
	return zones, errors.Join(errs...)
}

type dnsblZonesCmd struct {
	JSON bool `help:"As one JSON object a line."`
}

// Run lists the catalogue.
func (c *dnsblZonesCmd) Run(e *env) error {
	if c.JSON {
		for _, z := range dnsbl.Known() {
			row := map[string]any{"zone": z.Name, "listing": z.Listing, "url": z.URL, "terms": z.Terms, "codes": codesOf(&z)}
			if err := writeJSON(e.stdout, row); err != nil {
				return err
			}
		}
		for _, g := range dnsbl.KnownGone() {
			if err := writeJSON(e.stdout, map[string]any{"zone": g.Name, "gone": g.Since, "note": g.Note}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, z := range dnsbl.Known() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", z.Name, z.Listing, z.Terms)
	}
	for _, g := range dnsbl.KnownGone() {
		row := g.Name + "\tgone since " + g.Since
		if g.Note != "" {
			row += "\t" + g.Note
		}
		fmt.Fprintln(w, row)
	}
	return w.Flush()
}

func codesOf(z *dnsbl.Zone) map[string]any {
	all := map[string]any{}
	for a, c := range z.Codes {
		all[a.String()] = codeRow(c)
	}
	return all
}

func codeRow(c dnsbl.Code) map[string]any {
	row := map[string]any{"traits": append([]string{}, c.Traits.Names()...)}
	if c.Type != "" {
		row["type"] = c.Type
	}
	if c.Listing != "" {
		row["listing"] = c.Listing
	}
	return row
}

// dnsblTable prints answers, as columns or as JSON.
type dnsblTable struct {
	json bool
	to   io.Writer
	w    *tabwriter.Writer
	err  error
}

func (t *dnsblTable) row(fields map[string]any, columns ...string) {
	if t.json {
		t.err = errors.Join(t.err, writeJSON(t.to, fields))
		return
	}
	if t.w == nil {
		t.w = tabwriter.NewWriter(t.to, 0, 0, 2, ' ', 0)
	}
	fmt.Fprintln(t.w, strings.Join(columns, "\t"))
}

func (t *dnsblTable) flush() error {
	if t.w != nil {
		t.err = errors.Join(t.err, t.w.Flush())
	}
	return t.err
}

func texts(addrs []netip.Addr) []string {
	all := []string{}
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}

func answered(codes []netip.Addr, err error) string {
	switch {
	case len(codes) > 0:
		return strings.Join(texts(codes), ", ")
	case err != nil:
		return "no answer"
	}
	return "not listed"
}

func (t *dnsblTable) control(zone string, c dnsbl.Control) {
	fields := map[string]any{"zone": zone, "address": c.Addr, "control": true, "right": c.Err == nil, "codes": texts(c.Codes), "ttl": c.TTL.Seconds()}
	word := "right"
	if c.Err != nil {
		word = "wrong: " + c.Err.Error()
		fields["error"] = c.Err.Error()
	}
	t.row(fields, zone, c.Addr.String(), answered(c.Codes, c.Err), word)
}

func (t *dnsblTable) answer(addr netip.Addr, a dnsbl.Answer) {
	fields := map[string]any{"zone": a.Zone, "address": addr, "codes": texts(a.Codes), "ttl": a.TTL.Seconds()}
	var words []string
	if a.Err != nil {
		words = append(words, "wrong: "+a.Err.Error())
		fields["error"] = a.Err.Error()
	}
	means := []any{}
	for _, c := range a.Means {
		means = append(means, codeRow(c))
		word := strings.Join(c.Traits.Names(), " ")
		if word == "" {
			word = "nothing"
		}
		if c.Type != "" && c.Type != word {
			word += " (" + c.Type + ")"
		}
		words = append(words, word)
	}
	if len(a.Unknown) > 0 {
		words = append(words, "unknown: "+strings.Join(texts(a.Unknown), ", "))
	}
	if a.Text != "" {
		fields["text"] = a.Text
		words = append(words, a.Text)
	}
	fields["means"] = means
	t.row(fields, a.Zone, addr.String(), answered(a.Codes, a.Err), strings.Join(words, "; "))
}
