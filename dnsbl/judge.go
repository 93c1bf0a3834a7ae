package dnsbl

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

var (
	loopback = netip.MustParsePrefix("127.0.0.0/8")
	refusals = netip.MustParsePrefix("127.255.255.0/24")
)

// Why a zone is no longer believed.
var (
	errRefused = errors.New("it refuses to answer")
	errLies    = errors.New("it answers what no list answers")
)

// isRefusal reports whether a code means that the list does not want to answer:
// Spamhaus's 127.255.255.0/24, and 127.0.0.1 of URIBL and others.
func isRefusal(a netip.Addr) bool { return refusals.Contains(a) || a == mustNotList4 }

// refusal says what a list means by such a code.
func refusal(a netip.Addr) string {
	switch a.As4()[3] {
	case 252:
		return "the name of the zone is misspelled"
	case 254:
		return "it was asked through a public resolver; use one of your own, or the list's service with a key"
	case 255:
		return "it was asked too often"
	}
	return "it does not want to be asked"
}

// judge reads the addresses of an answer: the bits of the codes that they are, and
// how many are none of the zone's. An error is about the zone, and then there is no
// listing: [errRefused], [errLies].
func (z *zone) judge(addrs []netip.Addr) (listed uint64, unknown int, err error) {
	for _, a := range addrs {
		switch {
		case !loopback.Contains(a):
			return 0, 0, fmt.Errorf("%w: %s, as a parked domain or a resolver that redirects does", errLies, a)
		case isRefusal(a):
			return 0, 0, fmt.Errorf("%w: %s, %s", errRefused, a, refusal(a))
		}
	}
	for _, a := range addrs {
		if i := slices.Index(z.codes, a); i >= 0 {
			listed |= 1 << i
		} else {
			unknown++
		}
	}
	return listed, unknown, nil
}
