package main

import (
	"bufio"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/ipwarden/ipwarden"
)

// palette holds the escape sequences of a terminal, or nothing.
type palette struct{ bold, dim, red, green, yellow, reset string }

// colours is what standard output can show. See no-color.org.
func colours(e *env) palette {
	if !isTerminal(e.stdout) || e.getenv("NO_COLOR") != "" || e.getenv("TERM") == "dumb" {
		return palette{}
	}
	return palette{bold: "\x1b[1m", dim: "\x1b[2m", red: "\x1b[31m", green: "\x1b[32m", yellow: "\x1b[33m", reset: "\x1b[0m"}
}

// printable keeps what a feed or a question says from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// cards writes each answer for a person.
type cards struct {
	out  *bufio.Writer
	view *ipwarden.View
	palette
	n int
}

func (c *cards) failure(*question) error { return nil }
func (c *cards) end() error              { return nil }

func (c *cards) answer(query string, r ipwarden.Record) error {
	if c.n++; c.n > 1 {
		fmt.Fprintln(c.out)
	}
	title := r.Addr().String()
	fmt.Fprintf(c.out, "%s%s%s", c.bold, title, c.reset)
	switch {
	case r.Transition() != ipwarden.NotWrapped:
		fmt.Fprintf(c.out, "  %sasked as %s (%s)%s", c.dim, printable(query), r.Transition(), c.reset)
	case query != title:
		fmt.Fprintf(c.out, "  %sasked as %s%s", c.dim, printable(query), c.reset)
	}
	fmt.Fprintln(c.out)
	c.line("network", prefixText(r))
	c.location(r.Location())
	c.asn(r.ASN())
	c.company(r.Company())
	c.carrier(r.Carrier())
	c.security(r)
	if d := r.Date(); !d.IsZero() {
		c.line("data of", d.UTC().Format(time.DateOnly))
	}
	return nil
}

// line writes one labelled line; nothing when there is nothing to say.
func (c *cards) line(label string, parts ...string) {
	text := joined(" · ", parts...)
	if text == "" {
		return
	}
	fmt.Fprintf(c.out, "  %s%-9s%s %s\n", c.dim, label, c.reset, text)
}

func joined(sep string, parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, sep)
}

// said puts a known text into a sentence; nothing when it is unknown.
func said(format, text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(format, printable(text))
}

func prefixText(r ipwarden.Record) string {
	if p := r.Network(); p.IsValid() {
		return p.String()
	}
	return ""
}

func (c *cards) location(l ipwarden.Location) {
	country := joined(" ", l.Flag, printable(l.Country), said("(%s)", l.CountryCode))
	c.line("location", joined(", ", printable(l.City), printable(l.Region), country), printable(l.Continent), eu(l.IsEU))
	if l.HasCoordinates {
		at := fmt.Sprintf("%.4f, %.4f", l.Latitude, l.Longitude)
		if l.AccuracyKM > 0 {
			at += fmt.Sprintf(" ± %d km", l.AccuracyKM)
		}
		c.line("", at, said("postal code %s", l.Postal))
	} else {
		c.line("", said("postal code %s", l.Postal))
	}
	zone := printable(l.TimeZone.ID)
	if l.TimeZone.Zone != nil {
		zone += c.view.Now.In(l.TimeZone.Zone).Format(", 15:04 -07:00")
	}
	var languages []string
	for _, lang := range l.Languages {
		if len(languages) == 3 {
			languages = append(languages, "…")
			break
		}
		name := lang.Name
		if name == "" {
			name = lang.Code
		}
		languages = append(languages, printable(name))
	}
	c.line("", zone, joined(" ", printable(l.Currency.Code), said("(%s)", l.Currency.Symbol)), said("+%s", l.CallingCode), strings.Join(languages, ", "))
}

func eu(member bool) string {
	if member {
		return "European Union"
	}
	return ""
}

func (c *cards) asn(a ipwarden.ASN) {
	if a.Number == 0 {
		return
	}
	route := ""
	if a.Route.IsValid() {
		route = "route " + a.Route.String()
	}
	c.line("asn", joined(" ", fmt.Sprintf("AS%d", a.Number), printable(a.Name)), printable(a.Kind), printable(a.Domain), route, printable(a.Registry))
}

func (c *cards) company(co ipwarden.Company) {
	c.line("company", printable(co.Name), printable(co.Kind), printable(co.Domain))
}

func (c *cards) carrier(ca ipwarden.Carrier) {
	network := ""
	if ca.MCC != "" {
		network = "MCC " + printable(ca.MCC) + joined("", said(" MNC %s", ca.MNC))
	}
	c.line("carrier", printable(ca.Name), network)
}

func (c *cards) security(r ipwarden.Record) {
	s, traits := r.Security(), r.Traits()
	var words []string
	for _, name := range traits.Names() {
		t, _ := ipwarden.TraitNamed(name)
		colour := c.yellow
		switch {
		case t.Has(ipwarden.Threat):
			colour = c.red
		case t.Has(ipwarden.Crawler | ipwarden.Anycast | ipwarden.Mobile | ipwarden.Satellite | ipwarden.Relay):
			colour = c.green
		}
		words = append(words, colour+strings.ReplaceAll(name, "_", " ")+c.reset+detail(t, s))
	}
	if len(words) == 0 {
		words = []string{"nothing known against it"}
	}
	c.line("security", words...)
	for _, l := range s.Listings {
		on := ""
		if !l.Date.IsZero() {
			on = l.Date.UTC().Format(time.DateOnly)
		}
		c.line("listed", joined(" ", printable(l.Name), said("(%s)", l.Type)), on, printable(l.URL))
	}
	if c.view.Scores != nil {
		sc := c.view.Scores(r, c.view.Now)
		c.line("scores", fmt.Sprintf("vpn %d", sc.VPN), fmt.Sprintf("proxy %d", sc.Proxy), fmt.Sprintf("threat %d", sc.Threat), fmt.Sprintf("trust %d", sc.Trust))
	}
}

// detail is what is known beside the yes of a trait.
func detail(t ipwarden.Traits, s ipwarden.Security) string {
	var more string
	switch t {
	case ipwarden.VPN:
		more = printable(s.VPN)
	case ipwarden.Crawler:
		more = joined(", ", printable(s.Crawler.Name), strings.ReplaceAll(printable(s.Crawler.Purpose), "_", " "))
	case ipwarden.Hosting:
		more = joined(", ", printable(s.Hosting.Name), printable(s.Hosting.Region), printable(s.Hosting.Service))
	case ipwarden.Bogon:
		more = joined(", ", printable(s.Bogon.Name), printable(s.Bogon.RFC))
	}
	return said(" (%s)", more)
}

// writeEvidence shows, field by field, who says what.
func writeEvidence(out *bufio.Writer, query string, r ipwarden.Record, p palette) {
	fmt.Fprintf(out, "%s%s%s", p.bold, r.Addr(), p.reset)
	if query != r.Addr().String() {
		fmt.Fprintf(out, "  %sasked as %s%s", p.dim, printable(query), p.reset)
	}
	fmt.Fprintln(out)
	evidence := r.Evidence()
	if len(evidence) == 0 {
		fmt.Fprintln(out, "no feed says anything about this address")
	}
	for _, e := range evidence {
		fmt.Fprintf(out, "\n%s%s%s %s\n", p.bold, e.Field, p.reset, printable(e.Value))
		for _, c := range e.By {
			fmt.Fprintf(out, "  %ssays%s %s\n", p.green, p.reset, claimText(c, ""))
		}
		for _, c := range e.Lost {
			fmt.Fprintf(out, "  %slost%s %s\n", p.red, p.reset, claimText(c, c.Value))
		}
	}
}

func claimText(c ipwarden.Claim, value string) string {
	date := ""
	if !c.Date.IsZero() {
		date = c.Date.UTC().Format(time.DateOnly)
	}
	return joined(" · ", printable(value), printable(c.Feed), date, said("row %s", c.Match), printable(c.Licence), printable(c.Note))
}
