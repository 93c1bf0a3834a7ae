package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// Bounds of leaving lists: for each a program is made again.
const (
	maxLeft  = 8
	maxNamed = 3 // entries in a sentence
)

// leave is to take the client out of each list that has it by its address, its AS
// or its country. Everything else stays as it is, which no other address would do,
// so the program is made again without those entries.
func (p *Policy) leave(in *policy.Input) (cs []change) {
	if in.Unverified { // no list has it
		return nil
	}
	cfg := p.Program.Config()
	for i := range cfg.Lists {
		if !in.Set(i).Holds(in) || len(cs) == maxLeft {
			continue
		}
		l := cfg.Lists[i]
		gone := without(&l, in)
		if len(gone) == 0 { // it is there as a crawler
			continue
		}
		next := cfg
		next.Lists = slices.Clone(cfg.Lists)
		next.Lists[i] = l
		program, err := policy.New(next)
		if err != nil {
			continue
		}
		size := 40 // a list that conditions ask for
		if l.Action != ipwarden.NoVerdict {
			size = 10
		}
		if more := len(gone) - maxNamed; more > 0 {
			gone = append(gone[:maxNamed], fmt.Sprintf("%d more", more))
		}
		what := fmt.Sprintf("%s out of the list %q (line %d)", strings.Join(gone, ", "), l.Name, l.Line)
		cs = append(cs, change{what: what, size: size, program: program})
	}
	return cs
}

// without takes out of a list what it has of the client, and names it.
func without(l *policy.List, in *policy.Input) (gone []string) {
	note := func(s string) {
		if !slices.Contains(gone, s) {
			gone = append(gone, s)
		}
	}
	prefix := func(p netip.Prefix) bool {
		if !p.IsValid() || !p.Contains(in.Client) {
			return false
		}
		if p.IsSingleIP() {
			note(p.Addr().String())
		} else {
			note(p.String())
		}
		return true
	}
	asn := func(n uint32) bool {
		is := n != 0 && n == in.Record.ASNumber()
		if is {
			note(fmt.Sprintf("AS%d", n))
		}
		return is
	}
	country := func(code string) bool {
		is := code != "" && code == in.Record.CountryCode()
		if is {
			note(code)
		}
		return is
	}
	l.Prefixes = slices.DeleteFunc(slices.Clone(l.Prefixes), prefix)
	l.ASNs = slices.DeleteFunc(slices.Clone(l.ASNs), asn)
	l.Countries = slices.DeleteFunc(slices.Clone(l.Countries), country)
	l.Timed = slices.DeleteFunc(slices.Clone(l.Timed), func(t policy.Timed) bool {
		return in.Now.Before(t.Expires) && (prefix(t.Prefix) || asn(t.ASN) || country(t.Country))
	})
	return gone
}
