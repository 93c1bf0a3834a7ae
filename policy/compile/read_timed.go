package compile

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/internal/overlayfile"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

// timed reads an entry that is a mapping, {network: 203.0.113.7, expires: 2027-06-30,
// reason: ticket 4711}, and reports whether it is one. kind is the key that it must
// have: network, asn or country.
func (f *file) timed(n ast.Node, kind string, l *policy.List) bool {
	if _, ok := n.(ast.MapNode); !ok {
		return false
	}
	t := policy.Timed{Line: line(n)}
	good := false
	pairs, has, ok := f.each(n, "an entry", []key{
		{kind, func(p yamldoc.Pair) {
			switch kind {
			case "network":
				t.Prefix, good = overlayfile.Network(f.Document, p.Value)
			case "asn":
				t.ASN, good = overlayfile.ASN(f.Document, p.Value)
			default:
				t.Country, good = f.country(p.Value)
			}
		}},
		{"expires", func(p yamldoc.Pair) { t.Expires, _ = overlayfile.Expiry(f.Document, p.Value) }},
		{"reason", func(p yamldoc.Pair) { t.Reason, _ = f.Text(p.Value, "reason") }},
	})
	if !ok {
		return true
	}
	if len(pairs) == 0 {
		f.At(n.GetToken(), "an entry is empty; it may hold "+kind+", expires, reason")
		return true
	}
	f.need(pairs[0], has, "an entry", kind)
	if good && (!has["expires"] || !t.Expires.IsZero()) {
		addEntry(l, t)
	}
	return true
}

// addEntry puts an entry where it belongs: with the others, unless it has an end.
func addEntry(l *policy.List, t policy.Timed) {
	switch {
	case !t.Expires.IsZero():
		l.Timed = append(l.Timed, t)
	case t.Prefix.IsValid():
		l.Prefixes = append(l.Prefixes, t.Prefix)
	case t.ASN != 0:
		l.ASNs = append(l.ASNs, t.ASN)
	default:
		l.Countries = append(l.Countries, t.Country)
	}
}

// country reads a code.
func (f *file) country(n ast.Node) (code string, ok bool) {
	s, ok := f.Text(n, "a country")
	switch _, isBool := n.(*ast.BoolNode); {
	case isBool: // NO, ON and the like are texts to this parser, but not to all
		f.At(n.GetToken(), "YAML takes this for true or false; put the country in quotes")
	case ok && !isCountry(s):
		f.At(n.GetToken(), fmt.Sprintf("%q is no country: a code has two capital letters, such as SE", yamldoc.Clip(s, 32)))
	case ok:
		return s, true
	}
	return "", false
}

// addRow adds a row of a list's file, or says what is wrong with it.
func addRow(row string, l *policy.List) (wrong string) {
	what, end, ends := strings.Cut(strings.ReplaceAll(row, "\t", " "), " ")
	var t policy.Timed
	if text, ok := strings.CutPrefix(strings.TrimSpace(end), "expires="); ok {
		if t.Expires, ok = overlayfile.ParseExpiry(text); !ok {
			return fmt.Sprintf("%q: the end of an entry is like expires=2027-06-30 or expires=2027-06-30T12:00:00Z", yamldoc.Clip(row, 64))
		}
	} else if ends {
		what = row
	}
	if !readEntry(what, &t) {
		if _, err := netip.ParsePrefix(what); err == nil {
			return badPrefix(what)
		}
		return fmt.Sprintf("%q is no network, address, AS or country, such as 203.0.113.0/24, AS64500, SE", yamldoc.Clip(row, 64))
	}
	addEntry(l, t)
	return ""
}

// readEntry reads a network, an address, an AS or a country.
func readEntry(s string, t *policy.Timed) bool {
	if isCountry(s) {
		t.Country = s
		return true
	}
	if digits, ok := strings.CutPrefix(strings.ToUpper(s), "AS"); ok {
		if number, err := strconv.ParseUint(digits, 10, 32); err == nil && number > 0 {
			t.ASN = uint32(number)
			return true
		}
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		t.Prefix = netip.PrefixFrom(a, a.BitLen())
		return true
	}
	if badPrefix(s) == "" {
		t.Prefix = netip.MustParsePrefix(s)
		return true
	}
	return false
}
