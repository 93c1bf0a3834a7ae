package overlayfile

import (
	"net/netip"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/overlay"
)

// Parts of an overlay that other files have too. Each notes its mistakes in d.

// Facts reads a mapping of fields to values: {security.is_vpn: true}.
func Facts(d *yamldoc.Document, n ast.Node) []overlay.Fact {
	doc := &document{d}
	pairs, _ := doc.Mapping(n, "facts")
	var facts []overlay.Fact
	for _, p := range pairs {
		if f, ok := doc.fact(p); ok {
			facts = append(facts, f)
		}
	}
	if len(pairs) > 0 && !coordinatesWhole(facts) {
		doc.At(pairs[0].Token, "location.latitude and location.longitude go together; give both or neither")
	}
	return facts
}

// Network reads a prefix, or an address as the prefix of itself alone.
func Network(d *yamldoc.Document, n ast.Node) (netip.Prefix, bool) {
	p := (&document{d}).network(yamldoc.Pair{Value: n})
	return p, p.IsValid()
}

// ASN reads the number of an AS, with or without AS before it.
func ASN(d *yamldoc.Document, n ast.Node) (uint32, bool) {
	number := (&document{d}).asn(yamldoc.Pair{Value: n})
	return number, number != 0
}

// ParseExpiry is Expiry for a text.
func ParseExpiry(s string) (time.Time, bool) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), true
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err == nil
}

// Expiry reads a time, or a day that still counts to its end, UTC.
func Expiry(d *yamldoc.Document, n ast.Node) (time.Time, bool) { return (&document{d}).expiry(n) }
