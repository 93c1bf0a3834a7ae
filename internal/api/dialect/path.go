package dialect

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// maxSegments is more than any route has.
const maxSegments = 6

// segments are the parts of a path, decoded, without empty ones at its ends: many
// clients put a slash too much there. n is 0 for "/", and -1 for a path that is
// too deep or not well encoded.
func segments(path string, into *[maxSegments]string) (n int) {
	encoded := strings.IndexByte(path, '%') >= 0
	path = strings.Trim(path, "/")
	for path != "" {
		var s string
		s, path, _ = strings.Cut(path, "/")
		if n == len(into) {
			return -1
		}
		if encoded {
			var err error
			if s, err = url.PathUnescape(s); err != nil {
				return -1
			}
		}
		into[n] = s
		n++
	}
	return n
}

// parseAddr reads an address in any of its spellings.
func parseAddr(s string) (netip.Addr, bool) {
	a, err := ipwarden.ParseAddr(s)
	return a, err == nil
}

// parseAS reads "AS15169", in any case; isAS is whether it looks like one.
func parseAS(s string) (n uint32, isAS, ok bool) {
	if len(s) < 3 || s[0]|0x20 != 'a' || s[1]|0x20 != 's' {
		return 0, false, false
	}
	if s[2] < '0' || s[2] > '9' {
		return 0, false, false
	}
	v, err := strconv.ParseUint(s[2:], 10, 32)
	return uint32(v), true, err == nil && v > 0
}
