package feed

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// The values of text feeds, read from bytes without allocation.

// parseAddr reads an IPv4 address in four plain decimal parts or an IPv6
// address (RFC 4291 section 2.2). Leading zeros in IPv4 (octal to some) and
// zones are refused; an IPv4-mapped address is the IPv4 address.
func parseAddr(b []byte) (netip.Addr, bool) {
	if u, ok := parse4(b); ok {
		return addr4(u), true
	}
	hi, lo, ok := parse6(b)
	if !ok {
		return netip.Addr{}, false
	}
	return addr6(hi, lo).Unmap(), true
}

// parsePrefix reads a prefix, or a bare address as the prefix of one host.
// Host bits that are set are cleared, and masked says so. An IPv4-mapped
// prefix is refused: which of its bits would be IPv4's is anyone's guess. why
// is "" when the prefix is good.
func parsePrefix(b []byte) (p netip.Prefix, masked bool, why string) {
	slash := bytes.IndexByte(b, '/')
	if slash < 0 {
		a, ok := parseAddr(b)
		if !ok {
			return netip.Prefix{}, false, whyNoAddr(b)
		}
		return netip.PrefixFrom(a, a.BitLen()), false, ""
	}
	n, ok := parseUint(b[slash+1:], 128)
	if !ok || slash+2 < len(b) && b[slash+1] == '0' {
		return netip.Prefix{}, false, "the prefix length is no number of 0 to 32, or to 128 for IPv6"
	}
	if u, ok := parse4(b[:slash]); ok {
		if n > 32 {
			return netip.Prefix{}, false, "an IPv4 prefix length goes to 32"
		}
		m := u & uint32(^uint64(0)<<(32-n))
		return netip.PrefixFrom(addr4(m), int(n)), m != u, ""
	}
	hi, lo, ok := parse6(b[:slash])
	if !ok {
		return netip.Prefix{}, false, whyNoAddr(b[:slash])
	}
	if hi == 0 && lo>>32 == 0xffff {
		return netip.Prefix{}, false, "an IPv4-mapped prefix is ambiguous: write it as IPv4"
	}
	mhi, mlo := mask6(hi, lo, int(n))
	return netip.PrefixFrom(addr6(mhi, mlo), int(n)), mhi != hi || mlo != lo, ""
}

// parseRange reads the two ends of an inclusive range.
func parseRange(from, to []byte) (a, b netip.Addr, why string) {
	a, ok := parseAddr(from)
	if !ok {
		return a, b, whyNoAddr(from)
	}
	b, ok = parseAddr(to)
	switch {
	case !ok:
		return a, b, whyNoAddr(to)
	case a.Is4() != b.Is4():
		return a, b, "the range's ends are not of one family"
	case b.Less(a):
		return a, b, "the range ends before it begins"
	}
	return a, b, ""
}

// whyNoAddr words the common mistakes.
func whyNoAddr(b []byte) string {
	switch {
	case len(b) == 0:
		return "the address is missing"
	case bytes.IndexByte(b, '%') >= 0:
		return "an address with a zone means something on one host only"
	case looksPadded(b):
		return "an IPv4 part has a leading zero, which is octal to some readers"
	}
	return "this is neither an IPv4 address in four decimal parts nor an IPv6 address"
}

// looksPadded reports whether b is IPv4 but for leading zeros.
func looksPadded(b []byte) bool {
	parts, digits, padded := 1, 0, false
	for _, c := range b {
		switch {
		case c == '.':
			parts, digits = parts+1, 0
		case '0' <= c && c <= '9':
			padded = padded || digits == 1
			if digits == 0 && c == '0' {
				digits = 1
			} else if digits != 1 {
				digits = 2
			}
		default:
			return false
		}
	}
	return parts == 4 && padded
}

func parse4(b []byte) (uint32, bool) {
	if len(b) < 7 || len(b) > 15 {
		return 0, false
	}
	var u, part uint32
	dots, digits := 0, 0
	for _, c := range b {
		if c == '.' {
			if digits == 0 || dots == 3 {
				return 0, false
			}
			u, part, digits, dots = u<<8|part, 0, 0, dots+1
			continue
		}
		d := uint32(c - '0')
		if d > 9 || digits > 0 && part == 0 { // a leading zero
			return 0, false
		}
		if part = part*10 + d; part > 255 {
			return 0, false
		}
		digits++
	}
	if dots != 3 || digits == 0 {
		return 0, false
	}
	return u<<8 | part, true
}

// parse6 reads the forms of RFC 4291 section 2.2, the one with IPv4 at the end
// included.
func parse6(b []byte) (hi, lo uint64, ok bool) {
	if len(b) < 2 || len(b) > 45 {
		return 0, 0, false
	}
	var groups [8]uint16
	n, gap := 0, -1 // groups read, and how many of them stand before the ::
	if b[0] == ':' {
		if b[1] != ':' {
			return 0, 0, false
		}
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		if n == 8 {
			return 0, 0, false
		}
		var g uint32
		i := 0
		for ; i < len(b); i++ {
			d := hexDigit(b[i])
			if d > 15 {
				break
			}
			if i == 4 {
				return 0, 0, false
			}
			g = g<<4 | uint32(d)
		}
		if i == 0 {
			return 0, 0, false
		}
		if i < len(b) && b[i] == '.' {
			u, ok := parse4(b)
			if !ok || n > 6 {
				return 0, 0, false
			}
			groups[n], groups[n+1] = uint16(u>>16), uint16(u)
			n, b = n+2, nil
			break
		}
		groups[n] = uint16(g)
		n++
		if b = b[i:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 { // another character, or a colon at the end
			return 0, 0, false
		}
		if b[1] == ':' {
			if gap >= 0 {
				return 0, 0, false
			}
			gap, b = n, b[2:]
		} else {
			b = b[1:]
		}
	}
	if gap < 0 && n != 8 || gap >= 0 && n > 7 {
		return 0, 0, false
	}
	if gap >= 0 {
		tail := n - gap
		copy(groups[8-tail:], groups[gap:n])
		clear(groups[gap : 8-tail])
	}
	for i := range 4 {
		hi = hi<<16 | uint64(groups[i])
		lo = lo<<16 | uint64(groups[i+4])
	}
	return hi, lo, true
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

func addr4(u uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], u)
	return netip.AddrFrom4(b)
}

func addr6(hi, lo uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b)
}

func mask6(hi, lo uint64, n int) (uint64, uint64) {
	if n <= 64 {
		return hi & (^uint64(0) << (64 - n)), 0
	}
	return hi, lo & (^uint64(0) << (128 - n))
}

// bits4 is rangeBits of two IPv4 addresses as numbers, from ≤ to.
func bits4(from, to uint32) int {
	d := from ^ to
	if d&(d+1) != 0 || from&d != 0 {
		return -1
	}
	return bits.LeadingZeros32(d)
}

// bits6 is the same of IPv6 addresses.
func bits6(fhi, flo, thi, tlo uint64) int {
	if fhi == thi {
		d := flo ^ tlo
		if d&(d+1) != 0 || flo&d != 0 {
			return -1
		}
		return 64 + bits.LeadingZeros64(d)
	}
	d := fhi ^ thi
	if d&(d+1) != 0 || fhi&d != 0 || flo != 0 || tlo != ^uint64(0) {
		return -1
	}
	return bits.LeadingZeros64(d)
}

func num4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func num6(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// parseUint reads decimal digits and nothing else, up to limit.
func parseUint(b []byte, limit uint64) (uint64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var u uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false
		}
		u = u*10 + d
	}
	return u, u <= limit
}

// parseASN reads the number of an autonomous system, with or without "AS".
// Zero is read: to most lists it means "none".
func parseASN(b []byte) (uint32, bool) {
	if len(b) > 2 && b[0]|0x20 == 'a' && b[1]|0x20 == 's' {
		b = b[2:]
	}
	u, ok := parseUint(b, 1<<32-1)
	return uint32(u), ok
}

// isoCodes are the officially assigned alpha-2 codes of ISO 3166-1, and XK, which
// it leaves to users and everybody uses for Kosovo.
const isoCodes = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZ" +
	"CACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGL" +
	"GMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLR" +
	"LSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPL" +
	"PMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTV" +
	"TWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW"

// isoTable finds the code of two letters.
var isoTable = func() (t [26 * 26]string) {
	for i := 0; i < len(isoCodes); i += 2 {
		t[int(isoCodes[i]-'A')*26+int(isoCodes[i+1]-'A')] = isoCodes[i : i+2]
	}
	// Reserved by ISO for the country whose code is GB, and used for it.
	t[int('U'-'A')*26+int('K'-'A')] = t[int('G'-'A')*26+int('B'-'A')]
	return t
}()

// parseCountry returns the ISO 3166-1 alpha-2 code in upper case, or "" when b
// is none: the pseudo countries EU, AP, A1, ZZ, ?? name no place.
func parseCountry(b []byte) string {
	if len(b) != 2 {
		return ""
	}
	x, y := b[0]&^0x20-'A', b[1]&^0x20-'A'
	if x > 25 || y > 25 {
		return ""
	}
	return isoTable[int(x)*26+int(y)]
}

// setPlace takes a country's code, or Europe's, which some feeds give where
// they do not know the country.
func (f *Fact) setPlace(cc []byte) {
	if f.Country, f.Continent = parseCountry(cc), ""; string(cc) == "EU" {
		f.Continent = "EU"
	}
}

// parseRegion returns b, upper case, when it has the form of an ISO 3166-2 code
// of the country: "US-CA"; the part after the hyphen is one to three letters or
// digits. A code without the country ("CA") is not one: it would be a guess.
func parseRegion(b []byte, country string, in *interner) string {
	if len(b) < 4 || len(b) > 6 || country == "" || b[2] != '-' || parseCountry(b[:2]) != country {
		return ""
	}
	var up [6]byte
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9' && i > 2, i == 2:
		default:
			return ""
		}
		up[i] = c
	}
	return in.text(up[:len(b)])
}
