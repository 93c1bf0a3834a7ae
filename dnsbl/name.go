package dnsbl

import (
	"net/netip"
	"strconv"
	"strings"
)

// queryName is the name that is asked about an address (RFC 5782 sections 2.1 and
// 2.4): the octets of IPv4, or the nibbles of IPv6, the last first. suffix begins
// and ends with a dot.
func queryName(addr netip.Addr, suffix string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.Grow(63 + len(suffix))
	octets := addr.AsSlice()
	for i := len(octets) - 1; i >= 0; i-- {
		if i != len(octets)-1 {
			b.WriteByte('.')
		}
		if addr.Is4() {
			b.WriteString(strconv.Itoa(int(octets[i])))
			continue
		}
		b.WriteByte(hex[octets[i]&15])
		b.WriteByte('.')
		b.WriteByte(hex[octets[i]>>4])
	}
	b.WriteString(suffix)
	return b.String()
}

// The control addresses of RFC 5782 section 5: each list has the first and not the
// second. Those of IPv6 are IPv4's, mapped, and asked by their nibbles.
var (
	mustList4    = netip.MustParseAddr("127.0.0.2")
	mustNotList4 = netip.MustParseAddr("127.0.0.1")
	mustList6    = netip.MustParseAddr("::ffff:7f00:2")
	mustNotList6 = netip.MustParseAddr("::ffff:7f00:1")
)

// special are addresses about which no list knows anything: private ones, and
// others that are nobody's on the Internet (IANA's special-purpose registries,
// RFC 6890). Of IPv6 only 2000::/3 is given out.
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

var given6 = netip.MustParsePrefix("2000::/3")

// public reports whether a canonical address may be asked about.
func public(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Is6() && !given6.Contains(addr) {
		return false
	}
	for _, p := range special {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
