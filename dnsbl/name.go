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
