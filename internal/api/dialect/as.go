package dialect

import (
	"math/big"
	"net/netip"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

// maxPrefixes bounds the prefixes of one family that an answer about an
// autonomous system lists; the largest announce some thousands. All systems of a
// bulk question together list at most those of two families: a short question
// must not be worth hundreds of megabytes. They are all counted.
const maxPrefixes = 10_000

// announced is what an autonomous system announces.
type announced struct {
	v4, v6    []netip.Prefix
	n4, n6    int    // also those that are not listed
	addresses uint64 // IPv4 addresses; nested prefixes are counted once
}

// system describes an autonomous system; false when nothing is known of it.
func (c *Call) system(n uint32) (as ipwarden.ASN, a announced, ok bool) {
	as, ok = c.Data.AS(n)
	as.Number = n
	var cover netip.Prefix
	for p := range c.Data.ASPrefixes(n) {
		ok = true
		if p.Addr().Is6() {
			if a.n6++; len(a.v6) < maxPrefixes && c.listed < 2*maxPrefixes {
				c.listed++
				a.v6 = append(a.v6, p)
			}
			continue
		}
		if a.n4++; len(a.v4) < maxPrefixes && c.listed < 2*maxPrefixes {
			c.listed++
			a.v4 = append(a.v4, p)
		}
		if !cover.IsValid() || !cover.Overlaps(p) { // in address order one inside another follows it
			cover = p
			a.addresses += 1 << (32 - p.Bits())
		}
	}
	return as, a, ok
}

// appendSize appends how many addresses a prefix has.
func appendSize(dst []byte, p netip.Prefix) []byte {
	if n := p.Addr().BitLen() - p.Bits(); n < 64 {
		return strconv.AppendUint(dst, 1<<n, 10)
	} else {
		return new(big.Int).Lsh(big.NewInt(1), uint(n)).Append(dst, 10)
	}
}
