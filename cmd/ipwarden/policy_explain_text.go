package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// explainWriter prints an explanation: a word for each part, and what belongs to
// it behind.
type explainWriter struct {
	out *bufio.Writer
	palette
	claim string // to be a crawler, and what it is worth
}

// line writes a line under a word, which is left out where it is that of the
// line before.
func (w *explainWriter) line(word, format string, args ...any) {
	fmt.Fprintf(w.out, "%s%-11s%s %s\n", w.bold, word, w.reset, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (w *explainWriter) write(in *policy.Input, found string, x *compile.Explanation) {
	d := &x.Decision
	w.line("client", "%s, %s", orUnknown(addrText(in)), found)
	w.known(in.Record)
	w.evidence(in.Record, x)
	w.line("request", "%s %s://%s%s", in.Request.Method, in.Request.Scheme, printable(in.Request.Host), printable(in.Request.Path))
	if w.claim != "" {
		w.line("crawler", "%s", w.claim)
	}
	how := ""
	if d.Route.Intelligence != ipwarden.IntelligenceDefault {
		how = ", look-up " + d.Route.Intelligence.String()
	}
	w.line("route", "%s: budget %v, fails %s%s", d.Route.Name, d.Route.Budget, d.Route.FailMode, how)
	w.score(x)
	word := "policy"
	for _, s := range x.Steps {
		w.step(word, &s)
		word = ""
	}
	verdict := d.Verdict.String()
	if d.Softened {
		verdict += ", softened from a block"
	}
	w.line("verdict", "%s%s%s, %s", w.green, verdict, w.reset, compile.Because(d))
	if len(d.Tags) > 0 {
		w.line("tags", "%s", strings.Join(d.Tags, ", "))
	}
	if d.Response.IsRedirect() {
		w.line("redirect", "%s", d.Response.AppendLocation(nil, in))
	}
}

// otherwise tells what would give another verdict.
func (w *explainWriter) otherwise(flips []compile.Flip) {
	word := "otherwise"
	for _, f := range flips {
		w.line(word, "with %s: %s, %s", printable(f.Change), f.Verdict, f.Because)
		word = ""
	}
}

func addrText(in *policy.Input) string {
	if !in.Client.IsValid() {
		return ""
	}
	return in.Client.String()
}

// known tells in a line who the address is.
func (w *explainWriter) known(r ipwarden.Record) {
	var parts []string
	if l := r.Location(); l.CountryCode != "" {
		parts = append(parts, joined(" ", printable(l.Country), said("(%s)", l.CountryCode)))
	}
	if a := r.ASN(); a.Number != 0 {
		parts = append(parts, joined(" ", fmt.Sprintf("AS%d", a.Number), printable(a.Name), said("(%s)", a.Kind)))
	}
	for _, name := range r.Traits().Names() {
		parts = append(parts, strings.ReplaceAll(name, "_", " "))
	}
	if len(parts) == 0 {
		parts = []string{"nothing is known of it"}
	}
	w.line("", "%s", strings.Join(parts, ", "))
}

// evidence tells who says so, and as of when: of the country, the AS and the company,
// and of the traits that the score does not speak of.
func (w *explainWriter) evidence(r ipwarden.Record, x *compile.Explanation) {
	told := map[ipwarden.Field]bool{}
	for i := range x.Risk.Reasons {
		if len(x.Risk.Reasons[i].By) > 0 {
			told[x.Risk.Reasons[i].Field] = true
		}
	}
	for _, e := range r.Evidence() {
		switch e.Field {
		case ipwarden.FieldCountryCode, ipwarden.FieldASNumber, ipwarden.FieldASKind, ipwarden.FieldCompanyName:
		default:
			t := e.Field.Traits()
			if t == 0 || t&(t-1) != 0 || !r.Traits().Has(t) || told[e.Field] { // of a union its parts are told
				continue
			}
		}
		w.line("", "%s %s", e.Field, printable(e.Value))
		for _, c := range e.By {
			w.line("", "    %ssays%s %s", w.dim, w.reset, claimText(c, ""))
		}
		for _, c := range e.Lost {
			w.line("", "    %slost%s %s", w.dim, w.reset, claimText(c, c.Value))
		}
	}
}

// score tells what the score is the sum of, and who says so.
func (w *explainWriter) score(x *compile.Explanation) {
	shared := "not shared"
	if x.Risk.Shared {
		shared = "shared: " + x.Risk.Sharing
	}
	w.line("score", "%d of 100, %s", x.Risk.Score, shared)
	for i := range x.Risk.Reasons {
		r := &x.Risk.Reasons[i]
		note := said(" (%s)", printable(r.Note))
		if r.Points != r.Weight && r.Freshness < 100 {
			note += fmt.Sprintf(" (%d of %d: %d days old)", r.Points, r.Weight, int(r.Age.Hours()/24))
		}
		if r.StandsIn && r.ExactPoints != r.Points {
			note += fmt.Sprintf(" (taken to be as fresh as %s; those who say so are %d days old, which gives %+d)", printable(r.Feed), int(r.ExactAge.Hours()/24), r.ExactPoints)
		}
		w.line("", "%+d %s%s", r.Points, r.Signal, note)
		for _, c := range r.By {
			w.line("", "    %ssays%s %s", w.dim, w.reset, claimText(c, ""))
		}
	}
}

func (w *explainWriter) step(word string, s *compile.Step) {
	name := s.Part
	if s.Name != "" {
		name += " " + s.Name
	}
	if s.Line > 0 {
		name += fmt.Sprintf(" (line %d)", s.Line)
	}
	mark := ""
	if s.Decided {
		mark = " ← decides"
	}
	w.line(word, "%s: %s%s", name, s.Says, mark)
	if s.When != "" {
		w.line("", "    when %s", printable(s.When))
	}
}
