package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/overlayfile"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// DNSBLSpec is what a provider of kind dnsbl has beside its name: lists that are
// asked by DNS.
//
//	kind: dnsbl
//	resolver: 127.0.0.1:53        # or a list of them; default the system's
//	zones:
//	  - bl.blocklist.de           # as ipwarden knows it
//	  - zone: bl.example.net
//	    listing: Our own list
//	    codes: {127.0.0.2: attacker, 127.0.0.3: [proxy, abuser], 127.0.0.10: none}
type DNSBLSpec struct {
	Resolvers []string
	IPv6Bits  int // of an address that are asked about; 0 is the default
	Zones     []ZoneSpec
}

// ZoneSpec is one zone. What is left out is as the catalogue has it.
type ZoneSpec struct {
	Zone    string
	Place   string // in the file, for mistakes that are found later
	Listing string
	Key     Secret
	Codes   map[netip.Addr]CodeSpec // nil: those of the catalogue
	IPv6    *bool
	Text    *bool
}

// CodeSpec is what an answer of a zone means.
type CodeSpec struct {
	Traits  ipwarden.Traits
	Type    string // of the listing; "" makes none
	Listing string
}

var (
	dnsblKeys = []string{"resolver", "ipv6_bits", "zones"}
	zoneKeys  = []string{"zone", "codes", "listing", "key", "key_file", "ipv6", "text"}
	codeKeys  = []string{"traits", "type", "listing"}
)

// maxZones bounds a provider's zones, maxCodes a zone's codes.
const (
	maxZones = 32
	maxCodes = 64
)

// dnsbl reads one key of a provider of kind dnsbl.
func (d *providersFile) dnsbl(s *DNSBLSpec, p yamldoc.Pair) {
	switch p.Key {
	case "resolver":
		nodes := []ast.Node{p.Value}
		if list, ok := p.Value.(*ast.SequenceNode); ok {
			nodes = list.Values
		}
		for _, n := range nodes {
			if text, ok := d.Text(n, "resolver"); ok {
				s.Resolvers = append(s.Resolvers, d.resolver(n, text))
			}
		}
	case "ipv6_bits":
		n, _ := d.Integer(p.Value, p.Key, 32, 128)
		s.IPv6Bits = int(n)
	case "zones":
		items := d.Sequence(p.Value, "zones")
		if len(items) == 0 || len(items) > maxZones {
			d.At(p.Token, fmt.Sprintf("zones has %d; give 1 to %d, such as bl.blocklist.de", len(items), maxZones))
			return
		}
		seen := map[string]bool{}
		for _, item := range items {
			z := d.zone(item)
			if z.Zone != "" && seen[z.Zone] {
				d.At(yamldoc.Start(item), z.Zone+" is there already")
			}
			seen[z.Zone] = true
			s.Zones = append(s.Zones, z)
		}
	}
}

func (d *providersFile) resolver(n ast.Node, text string) string {
	text = strings.TrimSpace(text)
	_, err := netip.ParseAddr(text)
	if err != nil {
		_, err = netip.ParseAddrPort(text)
	}
	if err != nil {
		d.At(n.GetToken(), fmt.Sprintf("resolver %q is no address, such as 127.0.0.1:53 or [::1]:53", yamldoc.Clip(text, 64)))
	}
	return text
}

// zone reads an item of zones: a name, or a mapping.
func (d *providersFile) zone(item ast.Node) (z ZoneSpec) {
	at := yamldoc.Start(item)
	if at != nil && at.Position != nil {
		z.Place = fmt.Sprintf("%s:%d:%d", d.File(), at.Position.Line, at.Position.Column)
	}
	if _, isText := item.(*ast.StringNode); isText {
		z.Zone = d.zoneName(item)
		return z
	}
	pairs, ok := d.Mapping(item, "a zone")
	if !ok {
		return z
	}
	has := map[string]bool{}
	for _, p := range pairs {
		has[p.Key] = true
		switch p.Key {
		case "zone":
			z.Zone = d.zoneName(p.Value)
		case "listing":
			z.Listing = d.line(p)
		case "key":
			z.Key = d.key(p)
		case "key_file":
			z.Key = d.keyFile(p)
		case "ipv6":
			v, _ := d.Boolean(p.Value, p.Key)
			z.IPv6 = &v
		case "text":
			v, _ := d.Boolean(p.Value, p.Key)
			z.Text = &v
		case "codes":
			z.Codes = d.codes(p)
		default:
			d.unknown(p, "a zone", zoneKeys)
		}
	}
	if !has["zone"] {
		d.At(at, "a zone needs a name, such as zone: bl.blocklist.de")
	}
	if has["key"] && has["key_file"] {
		d.At(at, "give either key or key_file, not both")
	}
	return z
}

func (d *providersFile) zoneName(n ast.Node) string {
	s, ok := d.Text(n, "zone")
	if !ok {
		return ""
	}
	name := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "."))
	bad := !strings.Contains(name, ".") || len(name) > 180
	for label := range strings.SplitSeq(name, ".") {
		bad = bad || label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_')
		})
	}
	if bad {
		d.At(n.GetToken(), fmt.Sprintf("zone %q is no name of a zone, such as bl.blocklist.de", yamldoc.Clip(s, 64)))
		return ""
	}
	return name
}

// line reads a text that people see.
func (d *providersFile) line(p yamldoc.Pair) string {
	s := d.word(p)
	if why := overlayfile.CheckText(ipwarden.FieldQuery, s); why != "" {
		d.At(p.Token, p.Key+" "+why)
	}
	return s
}

func (d *providersFile) codes(p yamldoc.Pair) map[netip.Addr]CodeSpec {
	pairs, ok := d.Mapping(p.Value, "codes")
	if !ok {
		return nil
	}
	if len(pairs) == 0 || len(pairs) > maxCodes {
		d.At(p.Token, fmt.Sprintf("codes has %d; give 1 to %d, such as 127.0.0.2: attacker", len(pairs), maxCodes))
	}
	codes := map[netip.Addr]CodeSpec{}
	for _, c := range pairs {
		a, err := netip.ParseAddr(c.Key)
		four := a.As16()
		switch {
		case err != nil || !a.Is4() || !a.IsLoopback():
			d.At(c.Token, fmt.Sprintf("%q is no code; codes are in 127.0.0.0/8, such as 127.0.0.2", yamldoc.Clip(c.Key, 64)))
		case a == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || four[13] == 255 && four[14] == 255:
			d.At(c.Token, c.Key+" says that a list refuses to answer; it is no listing")
		}
		codes[a] = d.code(c)
	}
	return codes
}

// code reads what a code means: a trait, several, none, or a mapping.
func (d *providersFile) code(p yamldoc.Pair) (c CodeSpec) {
	m, isMapping := p.Value.(ast.MapNode)
	if !isMapping {
		c.Traits, c.Type = d.traits(p.Value)
		return c
	}
	pairs, _ := d.Mapping(m.(ast.Node), "a code")
	named := ""
	for _, p := range pairs {
		switch p.Key {
		case "traits":
			c.Traits, named = d.traits(p.Value)
		case "type":
			c.Type = d.line(p)
		case "listing":
			c.Listing = d.line(p)
		default:
			d.unknown(p, "a code", codeKeys)
		}
	}
	if c.Type == "" {
		c.Type = named
	}
	return c
}

// traits reads a trait or a list of them; the first one's name is the type of a
// listing.
func (d *providersFile) traits(n ast.Node) (all ipwarden.Traits, first string) {
	nodes := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		nodes = list.Values
	}
	for _, n := range nodes {
		s, ok := d.Text(n, "a code")
		if !ok || s == "none" {
			continue
		}
		t, ok := ipwarden.TraitNamed(s)
		if !ok || t == ipwarden.Bogon {
			d.At(n.GetToken(), fmt.Sprintf("a code means none or traits, such as attacker, abuser, scanner, proxy, vpn or tor, not %q", yamldoc.Clip(s, 64)))
			continue
		}
		if all |= t; first == "" {
			first = strings.TrimPrefix(s, "is_")
		}
	}
	return all, first
}
