package overlayfile

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/overlay"
)

// ReadOverlay reads an overlay, which is what an operator knows better than any
// feed:
//
//	entries:
//	  - network: 203.0.113.0/24     # or an address, or asn: 64500
//	    facts: {location.country_code: SE, security.is_vpn: true}
//	    reason: ticket 4711         # required: somebody will ask
//	    owner: noc@example.com      # required
//	    expires: 2027-06-30         # the end of that day, or an RFC 3339 time
//
// The error is Mistakes, every one of them; an overlay with a mistake is not
// used in part. Entries that have expired are returned as well: who answers
// decides by its own clock.
func ReadOverlay(r io.Reader, file string) ([]overlay.Entry, error) {
	d, body := parse(r, file)
	var entries []overlay.Entry
	pairs, _ := d.Mapping(body, "an overlay")
	for _, p := range pairs {
		if p.Key != "entries" {
			d.UnknownKey(p, "an overlay", []string{"entries"})
			continue
		}
		for _, item := range d.Sequence(p.Value, "entries") {
			if e, ok := d.overlayEntry(item); ok {
				entries = append(entries, e)
			}
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return entries, nil
}

var overlayKeys = []string{"network", "asn", "facts", "reason", "owner", "expires"}

func (d *document) overlayEntry(item ast.Node) (e overlay.Entry, ok bool) {
	pairs, ok := d.Mapping(item, "an entry")
	if !ok {
		return e, false
	}
	if len(pairs) == 0 {
		d.At(item.GetToken(), "an entry is empty; it needs network or asn, facts, reason and owner")
		return e, false
	}
	has := map[string]bool{}
	for _, p := range pairs {
		has[p.Key] = true
		switch p.Key {
		case "network":
			e.Network = d.network(p)
		case "asn":
			e.ASN = d.asn(p)
		case "facts":
			facts, _ := d.Mapping(p.Value, "facts")
			for _, fp := range facts {
				if f, good := d.fact(fp); good {
					e.Facts = append(e.Facts, f)
				}
			}
			if len(facts) == 0 {
				d.At(p.Token, "facts is empty; an entry without facts says nothing")
			}
		case "reason", "owner":
			s, good := d.Text(p.Value, p.Key)
			if !good {
				continue
			}
			if why := CheckText(ipwarden.FieldQuery, strings.TrimRight(s, "\n")); why != "" {
				d.At(p.Token, p.Key+" "+why)
			}
			if p.Key == "reason" {
				e.Reason = strings.TrimSpace(s)
			} else {
				e.Owner = strings.TrimSpace(s)
			}
		case "expires":
			e.Expires, _ = d.expiry(p.Value)
		default:
			d.UnknownKey(p, "an entry", overlayKeys)
		}
	}
	at := pairs[0].Token
	if has["network"] == has["asn"] {
		d.At(at, "an entry speaks of one thing: give either network or asn")
	}
	for _, k := range []string{"facts", "reason", "owner"} {
		if !has[k] {
			d.At(at, "an entry needs "+k)
		}
	}
	if !coordinatesWhole(e.Facts) {
		d.At(at, "location.latitude and location.longitude go together; give both or neither")
	}
	return e, true
}

func coordinatesWhole(facts []overlay.Fact) bool {
	n := 0
	for _, f := range facts {
		if f.Field == ipwarden.FieldLatitude || f.Field == ipwarden.FieldLongitude {
			n++
		}
	}
	return n != 1
}

func (d *document) network(p yamldoc.Pair) netip.Prefix {
	s, ok := d.Text(p.Value, "network")
	if !ok {
		return netip.Prefix{}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() == "" && !a.Is4In6() {
			return netip.PrefixFrom(a, a.BitLen())
		}
		d.At(p.Value.GetToken(), fmt.Sprintf("network %q must be written without zone and not as IPv4 inside IPv6", yamldoc.Clip(s, 64)))
		return netip.Prefix{}
	}
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		d.At(p.Value.GetToken(), fmt.Sprintf("network %q is no prefix and no address; write 203.0.113.0/24 or 2001:db8::/32", yamldoc.Clip(s, 64)))
	case prefix.Addr().Is4In6():
		d.At(p.Value.GetToken(), fmt.Sprintf("network %q is IPv4 inside IPv6; write the IPv4 prefix", yamldoc.Clip(s, 64)))
	case prefix != prefix.Masked():
		// A typing error in the length would otherwise take in a far larger network.
		d.At(p.Value.GetToken(), fmt.Sprintf("network %s has bits set after its length; the network is %s, the address alone %s",
			prefix, prefix.Masked(), netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen())))
	default:
		return prefix
	}
	return netip.Prefix{}
}

func (d *document) asn(p yamldoc.Pair) uint32 {
	s, ok := d.Text(p.Value, "asn")
	if !ok {
		return 0
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "AS"), "as")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 {
		d.At(p.Value.GetToken(), fmt.Sprintf("asn %q must be a number from 1 to 4294967295, with or without AS before it", yamldoc.Clip(s, 64)))
		return 0
	}
	return uint32(n)
}

// expiry is a time, or a day that still counts to its end, UTC.
func (d *document) expiry(n ast.Node) (time.Time, bool) {
	s, ok := d.Text(n, "expires")
	if !ok {
		return time.Time{}, false
	}
	t, ok := ParseExpiry(s)
	if !ok {
		d.At(n.GetToken(), fmt.Sprintf("expires %q is no date; write 2027-06-30 or 2027-06-30T12:00:00Z", yamldoc.Clip(s, 64)))
		return time.Time{}, false
	}
	return t, true
}

func (d *document) date(n ast.Node, what string) (time.Time, bool) {
	s, ok := d.Text(n, what)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		d.At(n.GetToken(), fmt.Sprintf("%s %q is no date; write 2027-06-30", what, yamldoc.Clip(s, 64)))
		return time.Time{}, false
	}
	return t, true
}
